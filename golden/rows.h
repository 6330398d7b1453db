// What the rows of a case's taps stand for: tokens, patches, frames, soft tokens, and which of them are padding. Read
// from the inputs alone, as transformers does. Not here: taps (engine/taps.h), how they are stored (store.h).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/taps.h"
#include "model/tensor.h"

namespace assay {

/// How a checkpoint makes soft tokens of patches and frames.
struct SoftTokens {
  int pool = 1;            ///< a soft token stands for pool x pool patches
  bool subsampled = true;  ///< of four frames one is left; not in unified models
};

class CaseRows {
 public:
  /// Of inputs by transformers' argument names; input_ids [B, T] is needed, all else may be absent.
  /// Errors: bad_input, naming the input.
  static Result<CaseRows> of(std::span<const NamedTensor> inputs, const SoftTokens& soft);

  std::int64_t batch() const { return batch_; }
  std::int64_t tokens() const { return tokens_; }
  /// One flag a row: whether it is none of padding. Empty where the case has nothing of the kind.
  const std::vector<bool>& real(RowSpace space) const { return real_[std::size_t(space)]; }
  std::int64_t count(RowSpace space) const { return std::int64_t(real(space).size()); }
  std::int64_t real_count(RowSpace space) const;

 private:
  std::int64_t batch_ = 0, tokens_ = 0;
  std::array<std::vector<bool>, 6> real_;  ///< by row space
};

}  // namespace assay
