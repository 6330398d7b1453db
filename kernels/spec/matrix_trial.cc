#include "kernels/spec/matrix_trial.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/widen.h"
#include "kernels/formats.h"
#include "kernels/spec/random.h"
#include "kernels/tolerance.h"

namespace assay::kernels {
namespace {

constexpr std::uint64_t kScaleSeed = 0x5ca1e, kMagnitudeSeed = 0x3a6;
constexpr std::uint32_t kUntouched = 0x7fc5a5a5;  ///< a NaN with a payload: no arithmetic makes it
constexpr double kWorthThreads = 1e6;             ///< values, for which waking threads costs less than it saves
constexpr int kPad = 16;                          ///< untouched floats before the output, and between rows of gemm's

/// d of block `index`: of either sign, 2^-10 to 2^-7; now and then zero or subnormal, not in block 0.
std::uint16_t random_f16(std::uint64_t seed, std::uint64_t index) {
  const std::uint64_t bits = random_bits(seed ^ kScaleSeed, index);
  const std::uint16_t sign = std::uint16_t(bits & 0x8000), mantissa = std::uint16_t(bits >> 16 & 0x3ff);
  const unsigned kind = index == 0 ? 63 : unsigned(bits >> 32 & 63);
  if (kind == 0) return sign;
  if (kind == 1) return std::uint16_t(sign | mantissa);
  return std::uint16_t(sign | (5 + (bits >> 40 & 3)) << 10 | mantissa);
}

/// Four f16 of either sign, 2^-7 to 2^-3; now and then subnormal, not in a row's first word.
std::uint64_t floats_f16(std::uint64_t bits, std::size_t word) {
  const bool subnormal = word > 0 && (bits >> 26 & 31) == 0;
  return subnormal ? bits & 0x83ff83ff83ff83ffU : (bits & 0x8fff8fff8fff8fffU) | 0x2000200020002000U;
}

template <class Block>
void random_scales(int row, int cols, int values, std::uint64_t seed, std::byte* out) {
  const int blocks = cols / values;
  for (int b = 0; b < blocks; ++b) {
    const std::uint16_t d = random_f16(seed, std::uint64_t(row) * std::uint64_t(blocks) + std::uint64_t(b));
    std::memcpy(out + std::size_t(b) * sizeof(Block) + offsetof(Block, d), &d, 2);
  }
}

}  // namespace

void random_weights(Format format, int rows, int cols, std::uint64_t seed, std::byte* out) {
  const std::size_t bytes = row_bytes(format, cols), words = (bytes + 7) / 8;
#pragma omp parallel for if (double(rows) * cols > kWorthThreads)
  for (int r = 0; r < rows; ++r) {
    std::byte* row = out + std::size_t(r) * bytes;
    for (std::size_t i = 0; i < words; ++i) {
      std::uint64_t bits = random_bits(seed, std::size_t(r) * words + i);
      // Floats of either sign, 2^-4 to 1; what is left of the word stays random.
      if (format == Format::fp32) bits = (bits & 0x81ffffff81ffffffU) | 0x3c0000003c000000U;
      if (format == Format::bf16) bits = (bits & 0x81ff81ff81ff81ffU) | 0x3c003c003c003c00U;
      if (format == Format::f16) bits = floats_f16(bits, i);
      std::memcpy(row + 8 * i, &bits, std::min<std::size_t>(8, bytes - 8 * i));
    }
    if (format == Format::q8_0) random_scales<BlockQ8_0>(r, cols, 32, seed, row);
    if (format == Format::q4_0) random_scales<BlockQ4_0>(r, cols, 32, seed, row);
    if (format == Format::q6_k) random_scales<BlockQ6_K>(r, cols, 256, seed, row);
  }
}

std::vector<float> random_activations(int tokens, int cols, std::uint64_t seed) {
  constexpr float kMagnitudes[] = {1, 1, 1, 1, 0.25F, 30, 1e-3F, 1e-39F};
  std::vector<float> x(std::size_t(tokens) * std::size_t(cols));
#pragma omp parallel for if (double(tokens) * cols > kWorthThreads)
  for (int t = 0; t < tokens; ++t)
    for (int c = 0; c < cols; ++c) {
      const std::size_t i = std::size_t(t) * std::size_t(cols) + std::size_t(c);
      const std::uint64_t block = std::uint64_t(t) << 32 | std::uint64_t(c / kActsBlock);
      const std::uint64_t kind = random_bits(seed ^ kMagnitudeSeed, block) % 9;
      const float magnitude = c < kActsBlock ? 1 : kind == 8 ? 0 : kMagnitudes[kind];
      x[i] = random_signed(seed, i) * magnitude;
    }
  return x;
}

MatrixTrial::MatrixTrial(Format format, Acts acts, int rows, int cols, int tokens, std::uint64_t seed, Call call)
    : format_(format),
      acts_(acts),
      rows_(rows),
      cols_(cols),
      tokens_(tokens),
      stride_(tokens == 1 ? rows : rows + kPad),
      call_(std::move(call)),
      scale_(format == Format::i8 ? 0.0123F : 1),
      weights_(std::size_t(rows) * row_bytes(format, cols), format == Format::fp32 ? 4
                                                            : format == Format::i8 ? 1
                                                                                   : 2),
      values_(std::size_t(tokens) * std::size_t(cols) *
                  (acts == Acts::fp32   ? 4
                   : acts == Acts::bf16 ? 2
                                        : 1),
              acts == Acts::fp32   ? 4
              : acts == Acts::bf16 ? 2
                                   : 1),
      scales_(acts == Acts::int8 ? std::size_t(tokens) * std::size_t(cols / kActsBlock) * 4 : 0, 4),
      sums_(acts == Acts::int8 ? std::size_t(tokens) * std::size_t(cols / 16) * 4 : 0, 4),
      y_((kPad + std::size_t(tokens) * std::size_t(stride_)) * 4, 4) {
  random_weights(format, rows, cols, seed, weights_.data());
  const OwnActivations own(acts, random_activations(tokens, cols, seed + 1), tokens, cols);
  std::copy(own.values.begin(), own.values.end(), values_.data());
  std::copy(own.scales.begin(), own.scales.end(), scales_.as<float>());
  std::copy(own.sums.begin(), own.sums.end(), sums_.as<std::int32_t>());
  for (int t = 0; t < tokens; ++t) x_.push_back(own.row(t));
  reset();
}

void MatrixTrial::run(const Kernel& kernel, int first, int last) {
  // Awkward shapes say that what nobody may read comes next.
  const std::byte* const next = rows_ % 2 == 0 ? nullptr : weights_.data() + weights_.bytes().size();
  const Weights w{weights_.data(), rows_, cols_, scale_, next};
  const Activations x{values_.data(), scales_.as<float>(), sums_.as<std::int32_t>(), tokens_, cols_};
  call_(kernel, w, x, y_.as<float>() + kPad, stride_, first, last);
}

void MatrixTrial::reset() {
  std::fill_n(y_.as<std::uint32_t>(), kPad + std::size_t(tokens_) * std::size_t(stride_), kUntouched);
}

std::span<const std::byte> MatrixTrial::output() const {
  return {y_.data() + 4 * kPad, std::size_t(tokens_) * std::size_t(stride_) * 4};
}

void MatrixTrial::answer() {
  if (!answers_.empty()) return;
  // All of a small shape; of a large one as many rows and tokens as take a moment, the first and last among them.
  constexpr double kProducts = 1 << 24;
  const double outputs = std::max(1.0, kProducts / cols_);
  const int tokens = int(std::clamp(std::min(outputs, 24.0), 1.0, double(tokens_)));
  const bool all = double(rows_) * tokens_ <= outputs;
  const int rows = all ? rows_ : std::clamp(int(outputs / tokens), std::min(2, rows_), rows_);
  const int chosen = all ? tokens_ : tokens;
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < chosen; ++j)
      answers_.push_back({.row = rows == 1 ? 0 : int(std::int64_t{i} * (rows_ - 1) / (rows - 1)),
                          .token = chosen == 1 ? 0 : int(std::int64_t{j} * (tokens_ - 1) / (chosen - 1))});
#pragma omp parallel if (double(answers_.size()) * cols_ > kWorthThreads)
  {
    std::vector<float> w(std::size_t(cols_), 0.0F);
    int row = -1;
#pragma omp for
    for (std::size_t a = 0; a < answers_.size(); ++a) {
      Answer& answer = answers_[a];
      if (row != answer.row) {
        row = answer.row;
        dequantize(format_, weights_.data() + std::size_t(row) * row_bytes(format_, cols_), scale_, w);
      }
      const std::vector<float>& x = x_[std::size_t(answer.token)];
      double squares = 0;
      for (std::size_t c = 0; c < w.size(); ++c) {
        const double product = double{w[c]} * x[c];
        answer.exact += product;
        answer.partial = std::max(answer.partial, std::fabs(answer.exact));
        squares += product * product;
      }
      answer.partial = std::max(answer.partial, 2 * std::sqrt(squares));  // other orders meet other partial sums
      for (std::size_t c = 0; c < w.size() && answer.ordinary == 0; ++c) {
        const double product = double{w[c]} * x[c];
        if (product * product * double(w.size()) >= squares) answer.ordinary = product;
      }
    }
  }
}

Checked MatrixTrial::check(int first, int last) {
  answer();
  Checked checked;
  const float* y = y_.as<float>() + kPad;
  // int8: blocks are summed as integers, then scaled by two roundings.
  const int terms = acts_ == Acts::int8 ? cols_ / 16 + 8 : cols_ + 2;
  for (const Answer& answer : answers_) {
    if (answer.row < first || answer.row >= last) continue;
    const std::size_t at = std::size_t(answer.token) * std::size_t(stride_) + std::size_t(answer.row);
    const double error = std::fabs(double{y[at]} - answer.exact), atol = dot_fp32(terms, answer.partial).atol;
    const double ratio = std::isfinite(y[at]) ? error / atol : std::numeric_limits<double>::infinity();
    ++checked.judged;
    checked.wrong += ratio > 1;
    if (ratio > checked.worst_ratio) {
      checked.worst_ratio = ratio;
      checked.worst = at;
      checked.expected = answer.exact;
      checked.actual = y[at];
    }
  }
  const auto* bits = y_.as<std::uint32_t>();
  for (int i = 0; i < kPad; ++i) checked.guards_intact &= bits[i] == kUntouched;
  for (int t = 0; t < tokens_; ++t)
    for (int r = 0; r < stride_; ++r)
      if (r < first || r >= last)
        checked.guards_intact &= bits[kPad + std::size_t(t) * std::size_t(stride_) + std::size_t(r)] == kUntouched;
  return checked;
}

void MatrixTrial::lose_one_product() {
  answer();
  for (std::size_t a = answers_.size() / 2; a < answers_.size(); ++a)
    if (const Answer& answer = answers_[a]; answer.ordinary != 0) {
      y_.as<float>()[kPad + std::size_t(answer.token) * std::size_t(stride_) + std::size_t(answer.row)] -=
          float(answer.ordinary);
      return;
    }
}

std::string invalid_matrix(Format format, Acts acts, int rows, int cols, int tokens) {
  const int block = std::max(block_values(format), acts == Acts::int8 ? kActsBlock : 1);
  if (rows < 1 || cols < 1 || tokens < 1) return "a dimension below 1";
  if (cols % block != 0) return "columns are not a multiple of " + std::to_string(block);
  return {};
}

std::vector<int> awkward_cols(Format format, Acts acts) {
  const int block = std::max(block_values(format), acts == Acts::int8 ? kActsBlock : 1);
  if (block == 1) return {1, 2, 3, 7, 15, 16, 17, 31, 33, 63, 65, 96, 257, 1000};
  if (block == 32) return {32, 64, 96, 160, 224, 256, 288, 480, 1056, 2080};
  return {block, 2 * block, 3 * block, 5 * block, 9 * block};
}

Cost matrix_cost(Format format, Acts acts, int rows, int cols, int tokens) {
  const double x = acts == Acts::fp32 ? 4 : acts == Acts::bf16 ? 2 : 1 + 4.0 / kActsBlock + 4.0 / 16;
  return {.bytes = double(rows) * double(row_bytes(format, cols)) + double(tokens) * (cols * x + 4.0 * rows),
          .flops = 2.0 * rows * cols * tokens};
}

}  // namespace assay::kernels
