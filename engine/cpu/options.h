// What a user of the CPU engine may choose. Plain data. Not here: how it is spelt on a command line (harness/engines).
#pragma once

#include <optional>

#include "kernels/formats.h"
#include "kernels/isa.h"
#include "model/tensor.h"

namespace assay::cpu {

/// Where the text decoder's weights that a file is mapped for are read from (placement.h).
enum class Placement {
  automatic,  ///< mapped; copied once a session has decoded some tokens, where that is worth it
  mapped,     ///< where they are
  copied,     ///< huge pages of memory, as soon as a session is opened
};

struct Options {
  /// What activations are rounded to for matrices whose format has kernels for that. bf16: to that for bf16 weights;
  /// int8: to that for packed ones, and for bf16 weights to bf16. All others, and the router, whose choice a rounding
  /// could tip, multiply in fp32. In both modes attention multiplies bf16 in the vision tower and over K/V in bf16.
  kernels::Acts acts = kernels::Acts::fp32;
  /// q8_0 or q4_0: the text decoder's weights are packed to this as they are opened (model/quantise.h); none: as
  /// stored.
  std::optional<Dtype> weights;
  /// Of cached keys and values: fp32, bf16 or q8_0.
  kernels::Format kv = kernels::Format::fp32;
  Placement placement = Placement::automatic;
  /// Kernels of this instruction set, as kernels::limit_isa has it; none: the best that the machine can run.
  std::optional<kernels::Isa> isa;
  int threads = 0;  ///< most threads; 0: as OpenMP has it (OMP_NUM_THREADS)
};

}  // namespace assay::cpu
