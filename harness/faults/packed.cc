// Faults of reading packed weights: rows K2, K3, K7. They show on the goldens of packed weights alone.
#include <algorithm>
#include <array>
#include <cstring>
#include <functional>
#include <utility>

#include "base/widen.h"
#include "harness/faults/bend.h"
#include "model/quantised.h"

namespace assay {

using namespace bend;  // NOLINT: the catalogue's own words

namespace {

using Bytes = std::span<const std::byte>;
/// A tensor's floats as somebody reads its bytes.
using Read = std::function<std::vector<float>(const Tensor&)>;

template <class Block>
Block block_at(Bytes bytes, std::size_t i) {
  Block block;
  std::memcpy(&block, bytes.data() + i * sizeof block, sizeof block);
  return block;
}

/// Reads a tensor block by block. @param one  (block, its values)
template <class Block>
Read blockwise(std::function<void(const Block&, std::span<float, Block::kElements>)> one) {
  return [one = std::move(one)](const Tensor& tensor) {
    std::vector<float> values(static_cast<std::size_t>(tensor.elements()));
    for (std::size_t i = 0; i * Block::kElements < values.size(); ++i)
      one(block_at<Block>(tensor.bytes, i),
          std::span(values).subspan(i * Block::kElements).template first<Block::kElements>());
    return values;
  };
}

/// Every matrix, or the tables alone, that is stored as `dtype`; true if there was one.
bool reread(Parts& parts, Dtype dtype, bool tables_alone, const Read& read) {
  bool any = false;
  const auto bend = [&](reference::Weight& weight) {
    if (weight.empty() || weight.tensor.dtype != dtype) return;
    weight.tensor = Tensor::own(weight.tensor.shape, read(weight.tensor));
    any = true;
  };
  bend(parts.weights.embed_tokens);
  bend(parts.weights.embed_tokens_per_layer);
  bend(parts.weights.lm_head);
  if (tables_alone) return any;
  for (Layer& layer : parts.layers) {
    reference::LayerWeights& w = layer.weights;
    for (reference::Weight* weight :
         {&w.q_proj, &w.k_proj, &w.v_proj, &w.o_proj, &w.gate_proj, &w.up_proj, &w.down_proj, &w.per_layer_input_gate,
          &w.per_layer_projection, &w.experts_gate_up, &w.experts_down})
      bend(*weight);
  }
  return any;
}

Fault fault(std::string_view name, std::string_view row, std::string_view what, std::string_view shipped_in,
            Dtype dtype, Tap shows, Read read, bool tables_alone = false) {
  return {.name = name,
          .row = row,
          .what = what,
          .shipped_in = shipped_in,
          .shows_at = shows == Tap::embed ? model(shows) : at(shows),
          .inject = [=](Parts& oracle) { return reread(oracle, dtype, tables_alone, read); },
          .of = Fault::packed};
}

/// The nibbles of a block in the order in which they lie: low and high of each byte.
std::array<int, 32> nibbles(const BlockQ4_0& block) {
  std::array<int, 32> all;
  for (std::size_t i = 0; i < 16; ++i) {
    all[2 * i] = block.q[i] & 0xf;
    all[2 * i + 1] = block.q[i] >> 4;
  }
  return all;
}

Fault q4_0(std::string_view name, std::string_view row, std::string_view what, std::string_view shipped_in,
           std::function<void(const BlockQ4_0&, std::span<float, 32>)> one) {
  return fault(name, row, what, shipped_in, Dtype::q4_0, Tap::attn_q, blockwise<BlockQ4_0>(std::move(one)));
}
Fault q8_0(std::string_view name, std::string_view what,
           std::function<void(const BlockQ8_0&, std::span<float, 32>)> one) {
  return fault(name, "x", what, "", Dtype::q8_0, Tap::embed, blockwise<BlockQ8_0>(std::move(one)));
}
Fault q6_k(std::string_view name, std::string_view row, std::string_view what, std::string_view shipped_in,
           std::function<void(const BlockQ6K&, std::span<float, 256>)> one) {
  return fault(name, row, what, shipped_in, Dtype::q6_k, Tap::embed, blockwise<BlockQ6K>(std::move(one)));
}

}  // namespace

std::vector<Fault> packed_faults() {
  return {
      q4_0("q4_0-nibbles-in-pairs", "K3", "Neighbouring values share a byte, instead of values i and i + 16.",
           "chrishayuk/larql#178",
           [](const BlockQ4_0& block, std::span<float, 32> out) {
             const std::array<int, 32> all = nibbles(block);
             for (std::size_t i = 0; i < 32; ++i) out[i] = widen_f16(block.d) * float(all[i] - 8);
           }),
      q4_0("q4_0-nibbles-swapped", "K3", "The upper nibbles hold the first sixteen values.", "chrishayuk/larql#178",
           [](const BlockQ4_0& block, std::span<float, 32> out) {
             dequantise(block, out);
             std::ranges::rotate(out, out.begin() + 16);
           }),
      q4_0("q4_0-without-offset", "x", "Nibbles count from 0, not from -8.", "",
           [](const BlockQ4_0& block, std::span<float, 32> out) {
             dequantise(block, out);
             for (float& v : out) v += 8 * widen_f16(block.d);
           }),
      q4_0("q4_0-offset-7", "x", "Nibbles are biased by 7, half of 15.", "",
           [](const BlockQ4_0& block, std::span<float, 32> out) {
             dequantise(block, out);
             for (float& v : out) v += widen_f16(block.d);
           }),
      q4_0("q4_0-two-complement", "x", "Nibbles are read as signed integers of four bits.", "",
           [](const BlockQ4_0& block, std::span<float, 32> out) {
             const std::array<int, 32> all = nibbles(block);
             for (std::size_t i = 0; i < 32; ++i) {
               const int nibble = all[i % 16 * 2 + i / 16];
               out[i] = widen_f16(block.d) * float(nibble >= 8 ? nibble - 16 : nibble);
             }
           }),
      q4_0("q4_0-scale-of-next-block", "x", "Scales are kept apart from nibbles, and start one block late.", "",
           [last = 0.0F](const BlockQ4_0& block, std::span<float, 32> out) mutable {
             BlockQ4_0 other = block;
             other.d = narrow_f16(std::exchange(last, widen_f16(block.d)));
             dequantise(other, out);
           }),
      q8_0("q8_0-scale-as-bf16", "A block's scale is read as bf16.",
           [](const BlockQ8_0& block, std::span<float, 32> out) {
             for (std::size_t i = 0; i < 32; ++i) out[i] = widen_bf16(block.d) * float(block.q[i]);
           }),
      q8_0("q8_0-unsigned", "Bytes are read as unsigned.",
           [](const BlockQ8_0& block, std::span<float, 32> out) {
             for (std::size_t i = 0; i < 32; ++i) out[i] = widen_f16(block.d) * float(std::uint8_t(block.q[i]));
           }),
      q8_0("q8_0-scale-over-127", "Bytes are taken for shares of 127.",
           [](const BlockQ8_0& block, std::span<float, 32> out) {
             dequantise(block, out);
             for (float& v : out) v /= 127;
           }),
      q6_k("q6_k-without-offset", "x", "Values count from 0, not from -32.", "",
           [](const BlockQ6K& block, std::span<float, 256> out) {
             dequantise(block, out);
             for (std::size_t i = 0; i < 256; ++i) out[i] += 32 * widen_f16(block.d) * float(block.scale[i / 16]);
           }),
      q6_k("q6_k-scales-unsigned", "x", "The scales of 16 are read as unsigned.", "",
           [](const BlockQ6K& block, std::span<float, 256> out) {
             dequantise(block, out);
             for (std::size_t i = 0; i < 256; ++i)
               if (block.scale[i / 16] < 0)
                 out[i] *= float(std::uint8_t(block.scale[i / 16])) / float(block.scale[i / 16]);
           }),
      q6_k("q6_k-one-scale-for-32", "x", "A scale serves 32 values instead of 16.", "",
           [](const BlockQ6K& block, std::span<float, 256> out) {
             BlockQ6K other = block;
             for (std::size_t i = 1; i < 16; i += 2) other.scale[i] = other.scale[i - 1];
             dequantise(other, out);
           }),
      q6_k("q6_k-high-bits-reversed", "K3", "The upper two bits are taken from the other end of their byte.",
           "chrishayuk/larql#178",
           [](const BlockQ6K& block, std::span<float, 256> out) {
             BlockQ6K other = block;
             for (std::uint8_t& byte : other.high)
               byte = std::uint8_t((byte & 3) << 6 | (byte & 12) << 2 | (byte >> 2 & 12) | byte >> 6);
             dequantise(other, out);
           }),
      q6_k("q6_k-quarters-in-order", "K3", "Quarters 0 and 1 share the first 32 bytes, 2 and 3 the next.",
           "chrishayuk/larql#178",
           [](const BlockQ6K& block, std::span<float, 256> out) {
             dequantise(block, out);
             for (std::size_t half = 0; half < 2; ++half)  // what lies where quarter 1 belongs is read as quarter 2
               std::ranges::swap_ranges(out.subspan(128 * half + 32, 32), out.subspan(128 * half + 64, 32));
           }),
      fault(
          "table-assumed-q6_k", "K2", "The embedding table is read as Q6_K, whatever the file says.",
          "FlashML-org/FreeToken#188", Dtype::q8_0, Tap::embed,
          [](const Tensor& tensor) {
            std::vector<float> values(static_cast<std::size_t>(tensor.elements()));
            for (std::size_t i = 0; i * 256 < values.size(); ++i)
              dequantise(block_at<BlockQ6K>(tensor.bytes, i), std::span(values).subspan(i * 256).first<256>());
            return values;
          },
          true),
      fault(
          "packed-table-as-halves", "K7", "The packed embedding table is read as if it held fp16 values.",
          "vllm-project/vllm#30424", Dtype::q6_k, Tap::embed,
          [](const Tensor& tensor) {
            std::vector<float> values(static_cast<std::size_t>(tensor.elements()));
            for (std::size_t i = 0; i < values.size(); ++i) {
              std::uint16_t half = 0;
              std::memcpy(&half, tensor.bytes.data() + i % (tensor.bytes.size() / 2) * 2, 2);
              values[i] = widen_f16(half);
            }
            return values;
          },
          true),
  };
}

}  // namespace assay
