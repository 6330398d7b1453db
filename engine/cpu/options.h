// What a user of the CPU engine may choose. Plain data. Not here: how it is spelt on a command line (harness/engines).
#pragma once

#include <optional>

#include "kernels/formats.h"
#include "model/tensor.h"

namespace assay::cpu {

struct Options {
  /// What matrices multiply by; where a format has no such kernels, the next finer mode that it has.
  kernels::Acts acts = kernels::Acts::fp32;
  /// q8_0 or q4_0: the text decoder's weights are packed to this as they are opened (model/quantise.h); none: as
  /// stored.
  std::optional<Dtype> weights;
  /// Of cached keys and values: fp32, bf16 or q8_0.
  kernels::Format kv = kernels::Format::fp32;
  int threads = 0;  ///< most threads; 0: as OpenMP has it (OMP_NUM_THREADS)
};

}  // namespace assay::cpu
