#include "bpe.h"

#include <algorithm>
#include <queue>
#include <unordered_map>

#include "utf8.h"

namespace assay {
namespace {

constexpr std::size_t kFew = 40;  // up to here a scan of all ranks beats a queue (measured: 24 to 64 are alike)
constexpr std::uint32_t kNone = ~std::uint32_t{0};

std::uint64_t pair_of(std::uint32_t left, std::uint32_t right) { return std::uint64_t{left} << 32U | right; }

/// Fibonacci hashing; the high half is the well mixed one.
std::size_t mixed(std::uint64_t pair) {
  const std::uint64_t product = pair * 0x9E3779B97F4A7C15ULL;
  return product ^ (product >> 32U);
}

/// For each token, the symbols that it may begin (or end) with. Nearly always one: a token that is spelt like a byte,
/// and can also be merged from characters, has two.
class Ends {
 public:
  explicit Ends(std::size_t ids) : first_(ids, kNone) {}
  void add(std::uint32_t id, std::uint32_t symbol) {
    if (first_[id] == kNone) {
      first_[id] = symbol;
      return;
    }
    if (first_[id] == symbol) return;
    auto& more = more_[id];
    if (std::find(more.begin(), more.end(), symbol) == more.end()) more.push_back(symbol);
  }
  template <class Visit>
  void each(std::uint32_t id, const Visit& visit) const {
    if (first_[id] == kNone) return;
    visit(first_[id]);
    if (more_.empty()) return;
    if (const auto found = more_.find(id); found != more_.end())
      for (const std::uint32_t symbol : found->second) visit(symbol);
  }

 private:
  std::vector<std::uint32_t> first_;
  std::unordered_map<std::uint32_t, std::vector<std::uint32_t>> more_;
};

}  // namespace

MergeTable::MergeTable(std::size_t merges) {
  std::size_t slots = 16;
  while (slots < merges * 2) slots *= 2;
  slots_.resize(slots);
}

std::size_t MergeTable::slot_of(std::uint64_t pair) const {
  const std::size_t last = slots_.size() - 1;
  for (std::size_t slot = mixed(pair) & last;; slot = (slot + 1) & last)
    if (slots_[slot].pair == pair || slots_[slot].pair == kFree) return slot;
}

void MergeTable::put(std::uint32_t left, std::uint32_t right, Merge merge) {
  slots_[slot_of(pair_of(left, right))] = {pair_of(left, right), merge};
}

const MergeTable::Merge* MergeTable::find(std::uint32_t left, std::uint32_t right) const {
  const Slot& slot = slots_[slot_of(pair_of(left, right))];
  return slot.pair == kFree ? nullptr : &slot.merge;
}

std::size_t PairSet::slot_of(std::uint64_t pair) const {
  const std::size_t last = slots_.size() - 1;
  for (std::size_t slot = mixed(pair) & last;; slot = (slot + 1) & last)
    if (slots_[slot] == pair || slots_[slot] == kFree) return slot;
}

void PairSet::insert(std::uint32_t left, std::uint32_t right) {
  const std::size_t slot = slot_of(pair_of(left, right));
  if (slots_[slot] != kFree) return;
  slots_[slot] = pair_of(left, right);
  if (++used_ * 2 < slots_.size()) return;
  std::vector<std::uint64_t> old(slots_.size() * 2, kFree);
  old.swap(slots_);
  for (const std::uint64_t pair : old)
    if (pair != kFree) slots_[slot_of(pair)] = pair;
}

bool PairSet::contains(std::uint32_t left, std::uint32_t right) const {
  return slots_[slot_of(pair_of(left, right))] != kFree;
}

void MergeList::add(std::string_view left, std::string_view right) {
  text += left;
  text += right;
  bytes.emplace_back(left.size(), right.size());
}

Result<Bpe> Bpe::make(Vocabulary vocabulary, const MergeList& merges, BpeOptions options, const std::string& where) {
  Bpe bpe;
  bpe.merges_ = MergeTable(merges.bytes.size());
  std::vector<Joined> joined;
  joined.reserve(merges.bytes.size());
  std::size_t at = 0;
  for (std::size_t i = 0; i < merges.bytes.size(); ++i) {
    const auto [left, right] = merges.bytes[i];
    const std::string_view whole = std::string_view(merges.text).substr(at, std::size_t{left} + right);
    at += whole.size();
    const auto left_id = vocabulary.find(whole.substr(0, left));
    const auto right_id = vocabulary.find(whole.substr(left));
    const auto id = vocabulary.find(whole);
    if (left == 0 || right == 0 || !left_id || !right_id || !id)
      return fail({Failure::bad_input, where, "model.merges[" + std::to_string(i) + "]",
                   "two tokens of the vocabulary that join into a third",
                   '"' + std::string(whole.substr(0, left)) + "\" and \"" + std::string(whole.substr(left)) + '"'});
    bpe.merges_.put(*left_id, *right_id, {std::uint32_t(i), *id});
    joined.push_back({*left_id, *right_id, *id, std::uint32_t(whole.size())});
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
  bpe.find_joins(std::move(joined));
  return bpe;
}

/// A merge may bring together the last symbol of its left token and the first of its right one, and nothing else ever
/// does. Where no merge does, the text falls into parts that merge on their own, mostly words: short ones, in cache.
void Bpe::find_joins(std::vector<Joined> joined) {
  std::uint32_t highest = 0;
  for (std::size_t i = 0; i < vocabulary_.size(); ++i) highest = std::max(highest, vocabulary_.id(i));
  // Shorter tokens first, so that what a merge joins is known before it.
  std::sort(joined.begin(), joined.end(), [](const Joined& a, const Joined& b) { return a.bytes < b.bytes; });
  Ends first(std::size_t{highest} + 1);
  Ends last(std::size_t{highest} + 1);
  const auto symbol = [&](std::uint32_t id) {
    first.add(id, id);
    last.add(id, id);
  };
  for (const std::int32_t id : characters_)
    if (id >= 0) symbol(std::uint32_t(id));
  for (const std::int64_t id : bytes_)
    if (id >= 0) symbol(std::uint32_t(id));
  if (options_.unknown)
    if (const auto id = vocabulary_.find(*options_.unknown)) symbol(*id);
  for (const Joined& merge : joined) {
    first.each(merge.left, [&](std::uint32_t id) { first.add(merge.whole, id); });
    last.each(merge.right, [&](std::uint32_t id) { last.add(merge.whole, id); });
    last.each(merge.left,
              [&](std::uint32_t l) { first.each(merge.right, [&](std::uint32_t r) { joins_.insert(l, r); }); });
  }
}

Result<void> Bpe::symbols_of(std::string_view piece, std::vector<std::uint32_t>& symbols) const {
  const auto add = [&symbols](std::uint32_t id) { symbols.push_back(id); };
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

/// Joins the lowest rank until none is left, looking at all of them each time.
void Bpe::merge_few(std::span<const std::uint32_t> given, std::vector<std::int64_t>& ids) const {
  std::array<std::uint32_t, kFew> symbols;
  std::array<MergeTable::Merge, kFew> merges;  // of a symbol and the next
  std::size_t count = given.size();
  std::copy(given.begin(), given.end(), symbols.begin());
  const auto look_up = [&](std::size_t i) {
    const auto* merge = merges_.find(symbols[i], symbols[i + 1]);
    merges[i] = merge == nullptr ? MergeTable::Merge{kNone, 0} : *merge;
  };
  for (std::size_t i = 0; i + 1 < count; ++i) look_up(i);
  while (count > 1) {
    std::size_t best = 0;
    for (std::size_t i = 1; i + 1 < count; ++i)
      if (merges[i].rank < merges[best].rank) best = i;
    if (merges[best].rank == kNone) break;
    symbols[best] = merges[best].id;
    for (std::size_t i = best + 1; i + 1 < count; ++i) {
      symbols[i] = symbols[i + 1];
      merges[i - 1] = merges[i];
    }
    --count;
    if (best > 0) look_up(best - 1);
    if (best + 1 < count) look_up(best);
  }
  ids.insert(ids.end(), symbols.begin(), symbols.begin() + std::ptrdiff_t(count));
}

/// The same with a queue. What it holds may be outdated: then the pair now there joins into another token, or none.
void Bpe::merge_many(std::span<const std::uint32_t> given, std::vector<std::int64_t>& ids) const {
  struct Symbol {
    std::uint32_t id;
    std::int32_t previous, next;  // positions; -1 at the ends
    bool live;
  };
  struct Candidate {
    std::uint32_t rank;
    std::int32_t at;
    std::uint32_t id;
    bool operator<(const Candidate& other) const {  // the queue's top is the greatest
      return rank != other.rank ? rank > other.rank : at > other.at;
    }
  };
  const auto count = std::int32_t(given.size());
  std::vector<Symbol> symbols(given.size());
  std::vector<Candidate> first;
  first.reserve(given.size());
  for (std::int32_t i = 0; i < count; ++i) {
    symbols[i] = {given[i], i - 1, i + 1 < count ? i + 1 : -1, true};
    if (i + 1 == count) break;
    if (const auto* merge = merges_.find(given[i], given[i + 1])) first.push_back({merge->rank, i, merge->id});
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
  for (const Symbol& symbol : symbols)
    if (symbol.live) ids.push_back(symbol.id);
}

Result<void> Bpe::encode(std::string_view piece, std::vector<std::int64_t>& ids) const {
  if (piece.empty()) return {};
  if (options_.ignore_merges)
    if (const auto id = vocabulary_.find(piece)) {
      ids.push_back(*id);
      return {};
    }
  std::vector<std::uint32_t> symbols;
  ASSAY_CHECK(symbols_of(piece, symbols));
  for (std::size_t begin = 0; begin < symbols.size();) {
    std::size_t end = begin + 1;
    while (end < symbols.size() && joins_.contains(symbols[end - 1], symbols[end])) ++end;
    const auto part = std::span(symbols).subspan(begin, end - begin);
    if (part.size() <= kFew)
      merge_few(part, ids);
    else
      merge_many(part, ids);
    begin = end;
  }
  return {};
}

}  // namespace assay
