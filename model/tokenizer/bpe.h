// Byte pair encoding by merge rank: characters (or their bytes) become symbols, and of all neighbours that a merge
// joins, the lowest rank goes first, the leftmost among equals. Private to this folder. Not here: what cuts the text
// into pieces (added_tokens.h), sentencepiece's own algorithm by score, which gives other ids.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "vocabulary.h"

namespace assay {

/// (left id, right id) -> rank and the id of the two joined. Open addressing; the last of equal pairs counts, as in a
/// Rust map built from a list.
class MergeTable {
 public:
  struct Merge {
    std::uint32_t rank, id;
  };
  explicit MergeTable(std::size_t merges = 0);
  void put(std::uint32_t left, std::uint32_t right, Merge merge);
  const Merge* find(std::uint32_t left, std::uint32_t right) const;

 private:
  struct Slot {
    std::uint64_t pair = kFree;
    Merge merge{};
  };
  static constexpr std::uint64_t kFree = ~std::uint64_t{0};
  std::size_t slot_of(std::uint64_t pair) const;
  std::vector<Slot> slots_;
};

/// Pairs of ids. Open addressing, as above.
class PairSet {
 public:
  void insert(std::uint32_t left, std::uint32_t right);
  bool contains(std::uint32_t left, std::uint32_t right) const;

 private:
  static constexpr std::uint64_t kFree = ~std::uint64_t{0};
  std::size_t slot_of(std::uint64_t pair) const;
  std::vector<std::uint64_t> slots_ = std::vector<std::uint64_t>(16, kFree);
  std::size_t used_ = 0;
};

/// The merges of a file in rank order: pairs of token strings, end to end in one block.
struct MergeList {
  std::string text;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> bytes;  ///< of the left and of the right token
  void add(std::string_view left, std::string_view right);
};

struct BpeOptions {
  std::optional<std::string> unknown = "<unk>";
  bool fuse_unknown = true;    ///< several unknown characters in a row are one token
  bool byte_fallback = true;   ///< a character without a token becomes its bytes' tokens, if all are there
  bool ignore_merges = false;  ///< a piece that is a token itself is taken whole
};

class Bpe {
 public:
  /// Errors: bad_input (a merge of tokens, or into one, that the vocabulary lacks), naming `where`.
  static Result<Bpe> make(Vocabulary vocabulary, const MergeList& merges, BpeOptions options, const std::string& where);

  /// Appends the ids of one piece of valid UTF-8, at most 2^31 bytes, in O(n log n).
  /// Errors: bad_input (an unknown character, and the vocabulary lacks the unknown token).
  /// Source: models/bpe of tokenizers 0.23, with its oddity: bytes come before unknown characters not yet flushed.
  Result<void> encode(std::string_view piece, std::vector<std::int64_t>& ids) const;

  const Vocabulary& vocabulary() const { return vocabulary_; }

 private:
  Result<void> symbols_of(std::string_view piece, std::vector<std::uint32_t>& symbols) const;
  struct Joined {
    std::uint32_t left, right, whole;  ///< ids of a merge
    std::uint32_t bytes;               ///< of the whole
  };
  void find_joins(std::vector<Joined> joined);
  void merge_few(std::span<const std::uint32_t> symbols, std::vector<std::int64_t>& ids) const;
  void merge_many(std::span<const std::uint32_t> symbols, std::vector<std::int64_t>& ids) const;

  Vocabulary vocabulary_;
  MergeTable merges_;
  PairSet joins_;  ///< symbols that some merge brings together as neighbours; between others the text is cut
  BpeOptions options_;
  std::vector<std::int32_t> characters_;   ///< by code point; -1: no token
  std::array<std::int64_t, 256> bytes_{};  ///< ids of <0x00> ... <0xFF>; -1: no token
};

}  // namespace assay
