#include "bpe.h"

#include <algorithm>
#include <queue>

#include "utf8.h"

namespace assay {

MergeTable::MergeTable(std::size_t merges) {
  std::size_t slots = 16;
  while (slots < merges * 2) slots *= 2;
  slots_.resize(slots);
}

std::size_t MergeTable::slot_of(std::uint64_t pair) const {
  const std::size_t last = slots_.size() - 1;
  std::uint64_t mixed = pair * 0x9E3779B97F4A7C15ULL;  // Fibonacci hashing; the high half is the well mixed one
  mixed ^= mixed >> 32;
  for (std::size_t slot = mixed & last;; slot = (slot + 1) & last)
    if (slots_[slot].pair == pair || slots_[slot].pair == kFree) return slot;
}

void MergeTable::put(std::uint32_t left, std::uint32_t right, Merge merge) {
  const std::uint64_t pair = std::uint64_t{left} << 32 | right;
  slots_[slot_of(pair)] = {pair, merge};
}

const MergeTable::Merge* MergeTable::find(std::uint32_t left, std::uint32_t right) const {
  const Slot& slot = slots_[slot_of(std::uint64_t{left} << 32 | right)];
  return slot.pair == kFree ? nullptr : &slot.merge;
}

void MergeList::add(std::string_view left, std::string_view right) {
  text += left;
  text += right;
  bytes.emplace_back(left.size(), right.size());
}

Result<Bpe> Bpe::make(Vocabulary vocabulary, const MergeList& merges, BpeOptions options, const std::string& where) {
  Bpe bpe;
  bpe.merges_ = MergeTable(merges.bytes.size());
  std::size_t at = 0;
  for (std::size_t i = 0; i < merges.bytes.size(); ++i) {
    const auto [left, right] = merges.bytes[i];
    const std::string_view whole = std::string_view(merges.text).substr(at, std::size_t{left} + right);
    at += whole.size();
    const auto left_id = vocabulary.find(whole.substr(0, left));
    const auto right_id = vocabulary.find(whole.substr(left));
    const auto id = vocabulary.find(whole);
    if (!left_id || !right_id || !id)
      return fail({Failure::bad_input, where, "model.merges[" + std::to_string(i) + "]",
                   "two tokens of the vocabulary that join into a third",
                   '"' + std::string(whole.substr(0, left)) + "\" and \"" + std::string(whole.substr(left)) + '"'});
    bpe.merges_.put(*left_id, *right_id, {std::uint32_t(i), *id});
  }
  for (std::size_t i = 0; i < vocabulary.size(); ++i) {
    const std::string_view name = vocabulary.name(i);
    if (name.empty() || name.size() > 4) continue;
    const Utf8Step step = utf8_step(name);
    if (!step.valid || step.bytes != name.size()) continue;
    if (step.code >= bpe.characters_.size()) bpe.characters_.resize(step.code + 1, -1);
    bpe.characters_[step.code] = std::int32_t(vocabulary.id(i));
  }
  constexpr std::string_view kHex = "0123456789ABCDEF";
  for (std::size_t byte = 0; byte < 256; ++byte) {
    const std::string name = std::string("<0x") + kHex[byte >> 4] + kHex[byte & 15] + '>';
    bpe.bytes_[byte] = std::int64_t{vocabulary.find(name) ? std::int64_t{*vocabulary.find(name)} : -1};
  }
  bpe.vocabulary_ = std::move(vocabulary);
  bpe.options_ = std::move(options);
  return bpe;
}

Result<void> Bpe::symbols_of(std::string_view piece, std::vector<Symbol>& symbols) const {
  const auto add = [&symbols](std::uint32_t id) { symbols.push_back({id, 0, 0, true}); };
  std::optional<std::uint32_t> unknown;
  symbols.reserve(piece.size());
  while (!piece.empty()) {
    const Utf8Step step = utf8_step(piece);
    const std::string_view bytes = piece.substr(0, step.bytes);
    piece.remove_prefix(step.bytes);
    if (step.code < characters_.size() && characters_[step.code] >= 0) {
      if (unknown) add(*std::exchange(unknown, std::nullopt));
      add(std::uint32_t(characters_[step.code]));
      continue;
    }
    const auto id_of_byte = [this](char byte) { return bytes_[static_cast<unsigned char>(byte)]; };
    if (options_.byte_fallback &&
        std::all_of(bytes.begin(), bytes.end(), [&](char byte) { return id_of_byte(byte) >= 0; })) {
      for (const char byte : bytes) add(std::uint32_t(id_of_byte(byte)));
      continue;
    }
    if (!options_.unknown) continue;  // left out, as tokenizers does
    if (unknown && options_.fuse_unknown) continue;
    if (unknown) add(*unknown);
    unknown = vocabulary_.find(*options_.unknown);
    if (!unknown)
      return fail({Failure::bad_input, "tokenizer", "unk_token", "a token of the vocabulary", *options_.unknown});
  }
  if (unknown) add(*unknown);
  return {};
}

void Bpe::merge(std::vector<Symbol>& symbols) const {
  struct Candidate {
    std::uint32_t rank;
    std::int32_t at;
    std::uint32_t id;
    bool operator<(const Candidate& other) const {  // the queue's top is the greatest
      return rank != other.rank ? rank > other.rank : at > other.at;
    }
  };
  const auto count = std::int32_t(symbols.size());
  std::vector<Candidate> first;
  first.reserve(symbols.size());
  for (std::int32_t i = 0; i < count; ++i) {
    symbols[i].previous = i - 1;
    symbols[i].next = i + 1 < count ? i + 1 : -1;
    if (i + 1 == count) break;
    if (const auto* merge = merges_.find(symbols[i].id, symbols[i + 1].id))
      first.push_back({merge->rank, i, merge->id});
  }
  std::priority_queue<Candidate> queue({}, std::move(first));
  while (!queue.empty()) {
    const Candidate top = queue.top();
    queue.pop();
    Symbol& left = symbols[top.at];
    if (!left.live || left.next == -1) continue;
    Symbol& right = symbols[left.next];
    const auto* now = merges_.find(left.id, right.id);
    if (now == nullptr || now->id != top.id) continue;
    left.id = top.id;
    left.next = right.next;
    right.live = false;
    if (left.next >= 0) symbols[left.next].previous = top.at;
    if (left.previous >= 0)
      if (const auto* merge = merges_.find(symbols[left.previous].id, left.id))
        queue.push({merge->rank, left.previous, merge->id});
    if (left.next >= 0)
      if (const auto* merge = merges_.find(left.id, symbols[left.next].id))
        queue.push({merge->rank, top.at, merge->id});
  }
}

Result<void> Bpe::encode(std::string_view piece, std::vector<std::int64_t>& ids) const {
  if (piece.empty()) return {};
  if (options_.ignore_merges)
    if (const auto id = vocabulary_.find(piece)) {
      ids.push_back(*id);
      return {};
    }
  std::vector<Symbol> symbols;
  ASSAY_CHECK(symbols_of(piece, symbols));
  merge(symbols);
  for (const Symbol& symbol : symbols)
    if (symbol.live) ids.push_back(symbol.id);
  return {};
}

}  // namespace assay
