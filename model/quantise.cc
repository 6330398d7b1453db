#include "model/quantise.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "base/widen.h"

namespace assay {
namespace {

constexpr std::array<std::string_view, 11> kMatrices = {
    "self_attn.q_proj.weight", "self_attn.k_proj.weight",     "self_attn.v_proj.weight",    "self_attn.o_proj.weight",
    "mlp.gate_proj.weight",    "mlp.up_proj.weight",          "mlp.down_proj.weight",       "experts.gate_up_proj",
    "experts.down_proj",       "per_layer_input_gate.weight", "per_layer_projection.weight"};
constexpr std::array<std::string_view, 3> kTables = {"embed_tokens.weight", "embed_tokens_per_layer.weight",
                                                     "lm_head.weight"};

/// What is worth a thread of its own.
constexpr std::int64_t kElementsAThread = std::int64_t{1} << 18;

/// The value of largest magnitude, the first of equals.
float extreme(std::span<const float> x) {
  return *std::ranges::max_element(x, {}, [](float v) { return std::abs(v); });
}

float inverse(float d) { return d == 0 ? 0 : 1 / d; }

template <class Block>
void pack_row(std::span<const float> x, std::byte* out) {
  for (std::size_t at = 0; at < x.size(); at += Block::kElements) {
    Block block;
    quantise(x.subspan(at).first<Block::kElements>(), block);
    std::memcpy(out, &block, sizeof block);
    out += sizeof block;
  }
}

Tensor packed(const Tensor& from, Dtype to) {
  const std::int64_t columns = from.shape.back(), rows = from.elements() / columns;
  const Packing packing = packing_of(to);
  const std::size_t row_bytes = std::size_t(columns / packing.elements * packing.bytes);
  const auto bytes = std::make_shared<std::vector<std::byte>>(std::size_t(rows) * row_bytes);
  const auto pack = to == Dtype::q8_0   ? pack_row<BlockQ8_0>
                    : to == Dtype::q4_0 ? pack_row<BlockQ4_0>
                                        : pack_row<BlockQ6K>;
  const auto pack_rows = [&](std::int64_t first, std::int64_t last) {
    std::vector<float> row(static_cast<std::size_t>(columns));
    for (std::int64_t r = first; r < last; ++r) {
      from.widen(r * columns, row);
      pack(row, bytes->data() + std::size_t(r) * row_bytes);
    }
  };
  // Threads that end here, and not OpenMP's: a process that has run those may not fork children that run them too,
  // which is what becomes of a process that opens checkpoints.
  const std::int64_t threads = std::clamp<std::int64_t>(from.elements() / kElementsAThread, 1,
                                                        std::max(1U, std::thread::hardware_concurrency()));
  std::vector<std::jthread> others;
  for (std::int64_t i = 1; i < threads; ++i)
    others.emplace_back(pack_rows, rows * i / threads, rows * (i + 1) / threads);
  pack_rows(0, rows / threads);
  others.clear();
  return {.dtype = to, .shape = from.shape, .bytes = *bytes, .keep = bytes};
}

}  // namespace

void quantise(std::span<const float, 32> x, BlockQ8_0& block) {
  const float d = std::abs(extreme(x)) / 127, scale = inverse(d);
  block.d = narrow_f16(d);
  for (std::size_t i = 0; i < 32; ++i) block.q[i] = std::int8_t(std::round(x[i] * scale));
}

void quantise(std::span<const float, 32> x, BlockQ4_0& block) {
  const float d = extreme(x) / -8, scale = inverse(d);
  block.d = narrow_f16(d);
  const auto nibble = [scale](float v) {
    const float scaled = v * scale;
    return unsigned(std::clamp(std::trunc(scaled + 8.5F), 0.0F, 15.0F));
  };
  for (std::size_t i = 0; i < 16; ++i) block.q[i] = std::uint8_t(nibble(x[i]) | nibble(x[i + 16]) << 4);
}

void quantise(std::span<const float, 256> x, BlockQ6K& block) {
  std::array<float, 16> scales;
  for (std::size_t g = 0; g < 16; ++g) scales[g] = extreme(x.subspan(16 * g, 16)) / -32;
  const float over = -128 * inverse(extreme(scales));
  block.d = narrow_f16(inverse(over));
  std::ranges::fill(block.low, std::uint8_t{0});
  std::ranges::fill(block.high, std::uint8_t{0});
  for (std::size_t g = 0; g < 16; ++g) {
    block.scale[g] = std::int8_t(std::min(std::nearbyint(over * scales[g]), 127.0F));
    const float step = widen_f16(block.d) * float(block.scale[g]);
    for (std::size_t i = 16 * g; i < 16 * g + 16; ++i) {
      const float q = step == 0 ? 0 : std::clamp(std::nearbyint(x[i] / step), -32.0F, 31.0F);
      const auto bits = unsigned(int(q) + 32);
      const std::size_t half = i / 128, quarter = i / 32 % 4, lane = i % 32;
      block.low[half * 64 + quarter % 2 * 32 + lane] |= std::uint8_t((bits & 0xfU) << (quarter / 2 * 4));
      block.high[half * 32 + lane] |= std::uint8_t(bits >> 4 << (quarter * 2));
    }
  }
}

std::optional<Dtype> quantised_dtype(std::string_view name, std::int64_t columns, Dtype weights) {
  const auto ends = [name](std::string_view end) { return name.ends_with(end); };
  Dtype to = weights;
  if (name.starts_with("layers.") ? std::ranges::none_of(kMatrices, ends)
                                  : std::ranges::find(kTables, name) == kTables.end())
    return std::nullopt;
  if (!name.starts_with("layers.") && weights == Dtype::q4_0) to = Dtype::q6_k;
  if (columns % packing_of(to).elements != 0) return std::nullopt;
  return to;
}

Result<void> quantise(Checkpoint& checkpoint, Dtype weights) {
  if (weights != Dtype::q8_0 && weights != Dtype::q4_0)
    return fail({Failure::bad_input, "quantise", "weights", "q8_0 or q4_0", std::string(name_of(weights))});
  for (auto& [name, tensor] : checkpoint.tensors) {
    if (tensor.shape.empty() || tensor.elements() == 0 || is_packed(tensor.dtype) || !tensor.has_floats()) continue;
    if (const auto to = quantised_dtype(name, tensor.shape.back(), weights)) tensor = packed(tensor, *to);
  }
  return {};
}

Result<Dtype> weights_named(std::string_view text, std::string_view where) {
  if (text == "q8_0") return Dtype::q8_0;
  if (text == "q4_0") return Dtype::q4_0;
  return fail({Failure::bad_input, std::string(where), "weights", "q8_0 or q4_0", std::string(text)});
}

}  // namespace assay
