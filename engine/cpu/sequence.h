// What is known of the tokens of a batch: how many each row has cached, which are padding, and of the call's tokens
// their positions, image blocks and packed prompts. Keys are numbered in each row by themselves, from the first that it
// has cached. Not here: keys and values (kv_cache.h), which keys a token sees (visibility.h).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"

namespace assay::cpu {

class Sequence {
 public:
  struct Row {
    int shift = 0;       ///< padding on the left that other rows' longer memory has put there; the contract counts it
    int length = 0;      ///< keys, those of the call included
    int first_real = 0;  ///< keys before it are padding
    bool holes = false;  ///< whether there is padding behind it
    std::vector<std::uint8_t> real;  ///< [length]
  };

  int batch() const { return int(rows_.size()); }
  const Row& row(int b) const { return rows_[std::size_t(b)]; }
  /// Keys of every row as the contract counts them, shifts included.
  int keys() const { return rows_.empty() ? 0 : rows_[0].shift + rows_[0].length; }

  // Of the call:
  int tokens() const { return tokens_; }
  /// The key's number of the call's token t in row b.
  int key_of(int b, int t) const { return rows_[std::size_t(b)].length - tokens_ + t; }
  std::int64_t position(int b, int t) const { return positions_[at(b, t)]; }

  struct Run {
    int first, end;  ///< tokens of the call
  };
  bool has_blocks() const { return !blocks_.empty(); }
  /// The image or video block of a token; first == end: none.
  Run block(int b, int t) const { return blocks_.empty() ? Run{0, 0} : blocks_[at(b, t)]; }
  bool has_packs() const { return !packs_.empty(); }
  /// The packed prompt of a token.
  Run pack(int b, int t) const { return packs_[at(b, t)]; }
  /// Whether no row has token t - 1 and token t in one block.
  bool may_cut(int t) const;

  /// Forgets everything.
  void clear();
  /// Adds a call's tokens. Nothing changes where it fails or throws.
  /// Blocks are maximal runs of mm_token_type_ids 1 (image) or 2 (video); cached tokens belong to none. Positions that
  /// do not count up by one are several prompts packed in a row, where there is neither a mask nor a cache; elsewhere
  /// they are positions and no more. Errors: bad_input (another batch than cached; a mask, position_ids or
  /// mm_token_type_ids of a wrong shape). Source: get_block_sequence_ids_for_mask, find_packed_sequence_indices,
  /// Gemma4TextModel.forward (transformers 5.22.2).
  Result<void> extend(const Forward& call);
  /// Forgets the call's tokens; what its mask said of earlier ones stays.
  void take_back();
  /// Keeps the first keep[b] keys as the contract counts them; 0 <= keep[b] <= keys() was checked.
  void truncate(std::span<const int> keep);

 private:
  static void shorten(Row& row, int length);
  std::size_t at(int b, int t) const { return std::size_t(b) * std::size_t(tokens_) + std::size_t(t); }

  std::vector<Row> rows_;
  int tokens_ = 0;
  std::vector<std::int64_t> positions_;  ///< [batch, tokens]
  std::vector<Run> blocks_, packs_;      ///< [batch, tokens], or empty
};

}  // namespace assay::cpu
