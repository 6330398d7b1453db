#include "added_tokens.h"

#include <algorithm>

#include "utf8.h"

namespace assay {
namespace {

constexpr std::string_view kMark = "\xE2\x96\x81";  // U+2581
constexpr std::size_t kLongest = 4096;              // bounds the walk from each place of a text

/// Unicode's White_Space, which is `\s` of Rust's regex crate.
bool is_space(char32_t c) {
  return (c >= 9 && c <= 13) || c == 0x20 || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
         c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

/// Bytes of white space at the front.
std::size_t space_in_front(std::string_view text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const Utf8Step step = utf8_step(text.substr(at));
    if (!step.valid || !is_space(step.code)) break;
    at += step.bytes;
  }
  return at;
}

/// Where the white space at the end begins.
std::size_t space_at_end(std::string_view text) {
  std::size_t end = text.size();
  while (end > 0) {
    std::size_t start = end - 1;
    while (start > 0 && (static_cast<unsigned char>(text[start]) & 0xC0U) == 0x80) --start;
    const Utf8Step step = utf8_step(text.substr(start, end - start));
    if (!step.valid || !is_space(step.code)) break;
    end = start;
  }
  return end;
}

}  // namespace

std::string spaces_marked(std::string_view text) {
  std::string out;
  out.reserve(text.size() + std::size_t(std::count(text.begin(), text.end(), ' ')) * (kMark.size() - 1));
  for (const char c : text)
    if (c == ' ')
      out += kMark;
    else
      out += c;
  return out;
}

bool AddedTokens::Trie::add(std::string_view pattern, std::uint32_t id) {
  std::uint32_t node = 0;
  starts[static_cast<unsigned char>(pattern[0])] = true;
  for (const char c : pattern) {
    const auto [found, fresh] =
        nodes[node].next.try_emplace(static_cast<unsigned char>(c), std::uint32_t(nodes.size()));
    node = found->second;
    if (fresh) nodes.emplace_back();
  }
  if (nodes[node].id >= 0) return false;
  nodes[node].id = id;
  return true;
}

std::optional<AddedTokens::Trie::Match> AddedTokens::Trie::find(std::string_view text, std::size_t from) const {
  for (std::size_t first = from; first < text.size(); ++first) {
    if (!starts[static_cast<unsigned char>(text[first])]) continue;
    std::optional<Match> longest;
    std::uint32_t node = 0;
    for (std::size_t at = first; at < text.size(); ++at) {
      const auto next = nodes[node].next.find(static_cast<unsigned char>(text[at]));
      if (next == nodes[node].next.end()) break;
      node = next->second;
      if (nodes[node].id >= 0) longest = Match{first, at + 1, std::uint32_t(nodes[node].id)};
    }
    if (longest) return longest;
  }
  return std::nullopt;
}

void AddedTokens::add(const std::vector<AddedToken>& tokens, const Vocabulary& vocabulary) {
  auto next = std::uint32_t(vocabulary.size());
  if (!by_id_.empty() && by_id_.rbegin()->first >= next) next = by_id_.rbegin()->first + 1;
  for (const AddedToken& token : tokens) {
    if (token.content.empty()) continue;
    std::optional<std::uint32_t> id = find(token.content);
    if (!id) id = vocabulary.find(token.content);
    if (!id) id = next++;
    by_content_[token.content] = *id;
    if (token.special) special_.insert(token.content);
    by_id_[*id] = {token, token.normalized ? spaces_marked(token.content) : token.content};
  }
}

Result<void> AddedTokens::finish(const std::string& where) {
  raw_ = {};
  normalized_ = {};
  for (const auto& [id, entry] : by_id_) {
    if (entry.spelling.size() > kLongest)
      return fail({Failure::unsupported, where, "added_tokens", "at most " + std::to_string(kLongest) + " bytes",
                   std::to_string(entry.spelling.size())});
    if (!(entry.token.normalized ? normalized_ : raw_).add(entry.spelling, id))
      return fail({Failure::bad_input, where, "added_tokens", "each content once", '"' + entry.spelling + "\" twice"});
  }
  return {};
}

std::vector<AddedTokens::Span> AddedTokens::spans(std::string_view text, const Trie& trie) const {
  std::vector<Span> found;
  std::size_t done = 0;
  std::size_t from = 0;
  while (const auto match = trie.find(text, from)) {
    from = match->last;
    const AddedToken& token = by_id_.at(match->id).token;
    std::size_t first = match->first;
    std::size_t last = match->last;
    if (token.lstrip) first = std::max(space_at_end(text.substr(0, first)), done);
    if (token.rstrip) last += space_in_front(text.substr(last));
    if (done < first) found.push_back({done, first, std::nullopt});
    found.push_back({first, last, match->id});
    done = last;  // may lie before the end of a token that stripped further: tokenizers then reads those bytes again
  }
  if (done < text.size()) found.push_back({done, text.size(), std::nullopt});
  return found;
}

std::vector<AddedTokens::Piece> AddedTokens::split(std::string_view text) const {
  std::vector<Piece> pieces;
  for (const Span& outer : spans(text, raw_)) {
    if (outer.id) {
      pieces.push_back({{}, outer.id});
      continue;
    }
    const std::string marked = spaces_marked(text.substr(outer.first, outer.last - outer.first));
    for (const Span& inner : spans(marked, normalized_))
      if (inner.id)
        pieces.push_back({{}, inner.id});
      else
        pieces.push_back({marked.substr(inner.first, inner.last - inner.first), std::nullopt});
  }
  return pieces;
}

std::optional<std::uint32_t> AddedTokens::find(std::string_view content) const {
  const auto found = by_content_.find(std::string(content));
  return found == by_content_.end() ? std::nullopt : std::optional(found->second);
}

const AddedToken* AddedTokens::token(std::int64_t id) const {
  if (id < 0 || id > UINT32_MAX) return nullptr;
  const auto found = by_id_.find(std::uint32_t(id));
  return found == by_id_.end() ? nullptr : &found->second.token;
}

const std::string* AddedTokens::spelling(std::int64_t id) const {
  if (id < 0 || id > UINT32_MAX) return nullptr;
  const auto found = by_id_.find(std::uint32_t(id));
  return found == by_id_.end() ? nullptr : &found->second.spelling;
}

std::size_t AddedTokens::beyond(const Vocabulary& vocabulary) const {
  return std::size_t(std::count_if(by_content_.begin(), by_content_.end(),
                                   [&](const auto& entry) { return !vocabulary.find(entry.first); }));
}

}  // namespace assay
