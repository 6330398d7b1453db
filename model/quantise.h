// Weights packed as they are opened: what an engine makes of Q8_0 or Q4_0 can be tried on any checkpoint, without a
// converter. Not here: reading packed weights (quantised.h), engines' own packings.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include "base/result.h"
#include "model/checkpoint.h"
#include "model/quantised.h"

namespace assay {

/// x to blocks. All arithmetic is fp32, a rounding an operation; scales are rounded to fp16.
/// d = max |x| / 127, q = x * (1 / d), halves away from zero. Source: quantize_row_q8_0_ref (llama.cpp).
void quantise(std::span<const float, 32> x, BlockQ8_0& block);
/// d = the value of largest magnitude / -8, q = trunc(x * (1 / d) + 8.5). Source: quantize_row_q4_0_ref (llama.cpp).
void quantise(std::span<const float, 32> x, BlockQ4_0& block);
/// Scales of 16 as in Q4_0, with -32 for -8, over one scale for all with -128; halves to even. llama.cpp searches for
/// better scales: its files differ.
void quantise(std::span<const float, 256> x, BlockQ6K& block);

/// What a tensor of the text decoder becomes where weights are wanted as `weights` (q8_0 or q4_0); none: it stays as it
/// is. As llama-quantize chooses: projections and experts become `weights`; the embedding tables and an untied head
/// too, or Q6_K beside Q4_0; norms, scalars, the router, per_layer_model_projection, biases, and rows that are no whole
/// blocks stay.
std::optional<Dtype> quantised_dtype(std::string_view name, std::int64_t columns, Dtype weights);

/// Packs a checkpoint's tensors in place; the originals stay mapped only as long as somebody else holds them.
/// Errors: bad_input (`weights` is neither q8_0 nor q4_0).
Result<void> quantise(Checkpoint& checkpoint, Dtype weights);

/// "q8_0" or "q4_0". Errors: bad_input, as from `where`.
Result<Dtype> weights_named(std::string_view text, std::string_view where);

}  // namespace assay
