#include "kernels/formats.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "base/widen.h"

namespace assay::kernels {
namespace {

constexpr std::array<std::string_view, kFormats> kFormatNames{"fp32", "bf16", "f16", "q8_0", "q4_0", "q6_k", "i8"};
constexpr std::array<std::string_view, kActs> kActsNames{"fp32", "bf16", "int8"};

void from_q8_0(const BlockQ8_0& block, float* out) {
  const float d = widen_f16(block.d);
  for (int i = 0; i < 32; ++i) out[i] = d * float(block.q[i]);
}

void from_q4_0(const BlockQ4_0& block, float* out) {
  const float d = widen_f16(block.d);
  for (int i = 0; i < 16; ++i) {
    out[i] = d * float((block.q[i] & 15) - 8);
    out[16 + i] = d * float((block.q[i] >> 4) - 8);
  }
}

void from_q6_k(const BlockQ6_K& block, float* out) {
  const float d = widen_f16(block.d);
  for (int v = 0; v < 256; ++v) {
    const int half = v / 128, j = v % 128 / 32, i = v % 32, group = v / 16;
    const int low = block.low[64 * half + 32 * (j % 2) + i] >> (j >= 2 ? 4 : 0) & 15;
    const int high = block.high[32 * half + i] >> (2 * j) & 3;
    out[v] = d * float(block.scales[group]) * float((low | high << 4) - 32);
  }
}

/// The value of largest magnitude, sign kept; the first of equals.
float extreme(const float* x, int n) {
  float magnitude = 0, value = 0;
  for (int i = 0; i < n; ++i)
    if (std::fabs(x[i]) > magnitude) magnitude = std::fabs(x[i]), value = x[i];
  return value;
}

void to_q8_0(const float* x, BlockQ8_0& block) {
  const float d = std::fabs(extreme(x, 32)) / 127;
  const float inverse = d != 0 ? 1 / d : 0;
  block.d = narrow_f16(d);
  for (int i = 0; i < 32; ++i) block.q[i] = std::int8_t(std::round(x[i] * inverse));
}

void to_q4_0(const float* x, BlockQ4_0& block) {
  const float d = extreme(x, 32) / -8;
  const float inverse = d != 0 ? 1 / d : 0;
  block.d = narrow_f16(d);
  const auto nibble = [&](float v) { return std::uint8_t(std::min(15, int(std::int8_t(v * inverse + 8.5F)))); };
  for (int i = 0; i < 16; ++i) block.q[i] = std::uint8_t(nibble(x[i]) | nibble(x[16 + i]) << 4);
}

constexpr float kNothing = 1e-15F;  ///< magnitudes that llama.cpp takes for zero

int nearest(float v, int low, int high) { return std::clamp(int(std::nearbyint(v)), low, high); }

/// The scale s that makes the sum of x^2 (x - s (q - 32))^2 over 16 values least, q = round(x / candidate) + 32, among
/// 19 candidates around extreme / -32. The weights x^2 favour large values.
float fit_six_bits(const float* x, std::uint8_t* q) {
  std::fill_n(q, 16, std::uint8_t{0});
  const float largest = extreme(x, 16);
  if (std::fabs(largest) < kNothing) return 0;
  float scale = 0, best = 0;
  const auto attempt = [&](float inverse, bool first) {
    std::array<std::uint8_t, 16> rounded{};
    float xq = 0, qq = 0;
    for (int i = 0; i < 16; ++i) {
      const int l = nearest(inverse * x[i], -32, 31);
      const float weight = x[i] * x[i];
      xq += weight * x[i] * float(l);
      qq += weight * float(l) * float(l);
      rounded[std::size_t(i)] = std::uint8_t(l + 32);
    }
    if (!first && !(qq > 0 && xq * xq > best * qq)) return;
    std::copy_n(rounded.data(), 16, q);
    scale = qq != 0 ? xq / qq : 0;
    best = scale * xq;
  };
  attempt(-32 / largest, true);
  for (int step = -9; step <= 9; ++step)
    if (step != 0) attempt(-(32 + 0.1F * float(step)) / largest, false);
  return scale;
}

void to_q6_k(const float* x, BlockQ6_K& block) {
  block = {};
  std::array<float, 16> fitted{};
  std::array<std::uint8_t, 256> q{};
  for (std::size_t g = 0; g < 16; ++g) fitted[g] = fit_six_bits(x + 16 * g, q.data() + 16 * g);
  const float largest = extreme(fitted.data(), 16);
  if (std::fabs(largest) < kNothing) return;
  const float inverse = -128 / largest;
  block.d = narrow_f16(1 / inverse);
  for (std::size_t g = 0; g < 16; ++g)
    block.scales[g] = std::int8_t(std::min(127, int(std::nearbyint(inverse * fitted[g]))));
  for (int v = 0; v < 256; ++v) {
    const int group = v / 16;
    const float d = widen_f16(block.d) * float(block.scales[group]);
    std::uint8_t& six = q[std::size_t(v)];
    if (d != 0) six = std::uint8_t(nearest(x[v] / d, -32, 31) + 32);  // else the fit's: any integer stands for 0
    const int half = v / 128, j = v % 128 / 32, i = v % 32;
    block.low[64 * half + 32 * (j % 2) + i] |= std::uint8_t((six & 15) << (j >= 2 ? 4 : 0));
    block.high[32 * half + i] |= std::uint8_t(six >> 4 << (2 * j));
  }
}

template <class From>
void each_half_from(const std::byte* row, std::span<float> out, From from) {
  for (std::size_t i = 0; i < out.size(); ++i) {
    std::uint16_t bits;
    std::memcpy(&bits, row + 2 * i, 2);
    out[i] = from(bits);
  }
}

template <class To>
void each_half_to(std::span<const float> x, std::byte* row, To to) {
  for (std::size_t i = 0; i < x.size(); ++i) {
    const std::uint16_t bits = to(x[i]);
    std::memcpy(row + 2 * i, &bits, 2);
  }
}

template <class Block, int kValues, class From>
void each_block_from(const std::byte* row, std::span<float> out, From from) {
  for (std::size_t b = 0; b < out.size() / kValues; ++b) {
    Block block;
    std::memcpy(&block, row + b * sizeof(Block), sizeof(Block));
    from(block, out.data() + b * kValues);
  }
}

template <class Block, int kValues, class To>
void each_block_to(std::span<const float> x, std::byte* row, To to) {
  for (std::size_t b = 0; b < x.size() / kValues; ++b) {
    Block block;
    to(x.data() + b * kValues, block);
    std::memcpy(row + b * sizeof(Block), &block, sizeof(Block));
  }
}

}  // namespace

std::string_view name(Format format) { return kFormatNames[std::size_t(format)]; }
std::string_view name(Acts acts) { return kActsNames[std::size_t(acts)]; }

std::optional<Format> parse_format(std::string_view name) {
  const auto* found = std::find(kFormatNames.begin(), kFormatNames.end(), name);
  if (found == kFormatNames.end()) return {};
  return Format(found - kFormatNames.begin());
}

std::optional<Acts> parse_acts(std::string_view name) {
  const auto* found = std::find(kActsNames.begin(), kActsNames.end(), name);
  if (found == kActsNames.end()) return {};
  return Acts(found - kActsNames.begin());
}

int block_values(Format format) {
  switch (format) {
    case Format::q8_0:
    case Format::q4_0:
    case Format::i8: return 32;
    case Format::q6_k: return 256;
    default: return 1;
  }
}

std::size_t row_bytes(Format format, int cols) {
  const std::size_t n = std::size_t(cols);
  switch (format) {
    case Format::fp32: return n * 4;
    case Format::bf16:
    case Format::f16: return n * 2;
    case Format::q8_0: return n / 32 * sizeof(BlockQ8_0);
    case Format::q4_0: return n / 32 * sizeof(BlockQ4_0);
    case Format::q6_k: return n / 256 * sizeof(BlockQ6_K);
    case Format::i8: return n;
  }
  return 0;
}

void dequantize(Format format, const std::byte* row, float scale, std::span<float> out) {
  switch (format) {
    case Format::fp32: std::memcpy(out.data(), row, out.size_bytes()); break;
    case Format::bf16: each_half_from(row, out, widen_bf16); break;
    case Format::f16: each_half_from(row, out, widen_f16); break;
    case Format::q8_0: each_block_from<BlockQ8_0, 32>(row, out, from_q8_0); break;
    case Format::q4_0: each_block_from<BlockQ4_0, 32>(row, out, from_q4_0); break;
    case Format::q6_k: each_block_from<BlockQ6_K, 256>(row, out, from_q6_k); break;
    case Format::i8:
      for (std::size_t i = 0; i < out.size(); ++i) out[i] = scale * float(std::int8_t(row[i]));
      break;
  }
}

void quantize(Format format, std::span<const float> x, std::byte* row) {
  switch (format) {
    case Format::fp32: std::memcpy(row, x.data(), x.size_bytes()); break;
    case Format::bf16: each_half_to(x, row, narrow_bf16); break;
    case Format::f16: each_half_to(x, row, narrow_f16); break;
    case Format::q8_0: each_block_to<BlockQ8_0, 32>(x, row, to_q8_0); break;
    case Format::q4_0: each_block_to<BlockQ4_0, 32>(x, row, to_q4_0); break;
    case Format::q6_k: each_block_to<BlockQ6_K, 256>(x, row, to_q6_k); break;
    case Format::i8: break;
  }
}

float quantize_i8(std::span<const float> x, std::byte* out) {
  const float absmax = std::fabs(extreme(x.data(), int(x.size())));
  const bool zero = absmax < kSmallestAbsmax;
  const float inverse = zero ? 0 : 127 / absmax;
  for (std::size_t i = 0; i < x.size(); ++i) out[i] = std::byte(std::int8_t(std::nearbyint(x[i] * inverse)));
  return zero ? 0 : absmax / 127;
}

OwnActivations::OwnActivations(Acts mode, std::span<const float> x, int token_count, int col_count)
    : acts(mode), tokens(token_count), cols(col_count) {
  switch (acts) {
    case Acts::fp32:
      values.resize(x.size_bytes());
      std::memcpy(values.data(), x.data(), x.size_bytes());
      break;
    case Acts::bf16:
      values.resize(x.size() * 2);
      quantize(Format::bf16, x, values.data());
      break;
    case Acts::int8:
      values.resize(x.size());
      scales.resize(x.size() / kActsBlock);
      sums.resize(x.size() / 16);
      for (std::size_t b = 0; b < scales.size(); ++b)
        scales[b] = quantize_i8(x.subspan(b * kActsBlock, kActsBlock), values.data() + b * kActsBlock);
      for (std::size_t i = 0; i < values.size(); ++i) {
        const int q = kSumsFactor * std::int8_t(values[i]);
        if (i % kActsBlock < kActsBlock / 2) sums[i / kActsBlock * 2] += q;
        sums[i / kActsBlock * 2 + 1] += q;
      }
      break;
  }
}

Activations OwnActivations::view() const { return {values.data(), scales.data(), sums.data(), tokens, cols}; }

std::vector<float> OwnActivations::row(int token) const {
  const std::size_t n = std::size_t(cols), first = std::size_t(token) * n;
  std::vector<float> out(n);
  if (acts == Acts::int8) {
    for (std::size_t i = 0; i < n; ++i)
      out[i] = scales[(first + i) / kActsBlock] * float(std::int8_t(values[first + i]));
  } else {
    const Format format = acts == Acts::fp32 ? Format::fp32 : Format::bf16;
    dequantize(format, values.data() + first * (acts == Acts::fp32 ? 4 : 2), 1, out);
  }
  return out;
}

}  // namespace assay::kernels
