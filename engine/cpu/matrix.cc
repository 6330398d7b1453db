#include "engine/cpu/matrix.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>

#include "kernels/registry.h"

namespace assay::cpu {
namespace {

using kernels::Acts;
using kernels::Format;
namespace spec = kernels::spec;

/// Rows of one thread are whole grains: a few cache lines of y, and whatever number of rows a kernel works on at once.
constexpr int kGrain = 16;
/// Rows of a matrix-matrix product that a thread takes at a time: what kernels make of one look at the tokens
/// (kernels/cpu/simd/gemm_tile.h), at the end a panel.
constexpr int kMostRows = 128, kLeastRows = 32;

/// The asked mode, or the next exacter one that the format has kernels for.
void choose_kernels(Matrix& matrix, Acts asked) {
  for (const Acts acts : {Acts::int8, Acts::bf16, Acts::fp32}) {
    if (acts > asked || (acts == Acts::int8 && matrix.w.cols % kernels::kActsBlock != 0)) continue;
    matrix.gemv = kernels::best<spec::gemv>(matrix.format, acts);
    matrix.gemm = kernels::best<spec::gemm>(matrix.format, acts);
    matrix.clamp = kernels::best<spec::clamp>(Format::fp32, Acts::fp32);
    matrix.acts = acts;
    if (matrix.gemv != nullptr && matrix.gemm != nullptr) return;
  }
}

std::size_t alignment(Format format) { return format == Format::fp32 ? 4 : format == Format::i8 ? 1 : 2; }

template <class T>
void own(Matrix& matrix, std::vector<T> values) {
  const auto kept = std::make_shared<const std::vector<T>>(std::move(values));
  matrix.w.data = std::as_bytes(std::span(*kept)).data();
  matrix.bytes = std::as_bytes(std::span(*kept)).size();
  matrix.keep = kept;
}

/// Formats whose bytes kernels take as they are stored; none for the rare ones, which become floats. I8 is read in
/// whole blocks, as packed ones are, but its rows may end inside one.
std::optional<Format> stored_format(const Tensor& tensor, int cols) {
  switch (tensor.dtype) {
    case Dtype::f32: return Format::fp32;
    case Dtype::bf16: return Format::bf16;
    case Dtype::f16: return Format::f16;
    case Dtype::q8_0: return Format::q8_0;
    case Dtype::q4_0: return Format::q4_0;
    case Dtype::q6_k: return Format::q6_k;
    case Dtype::i8:
      return tensor.scale && cols % kernels::block_values(Format::i8) == 0 ? std::optional(Format::i8) : std::nullopt;
    default: return std::nullopt;
  }
}

}  // namespace

Matrix Matrix::part(int i) const {
  Matrix at = *this;
  const std::size_t before = std::size_t(i) * std::size_t(w.rows) * kernels::row_bytes(format, w.cols);
  at.w.data += before;
  at.bytes -= before;
  return at;
}

Result<Matrix> make_matrix(const Tensor& tensor, int rows, int cols, Acts acts) {
  Matrix matrix;
  matrix.w = {tensor.bytes.data(), rows, cols, tensor.scale.value_or(1)};
  matrix.bytes = tensor.bytes.size();
  matrix.keep = tensor.keep;
  if (const auto format = stored_format(tensor, cols)) {
    matrix.format = *format;
    if (reinterpret_cast<std::uintptr_t>(matrix.w.data) % alignment(*format) != 0)
      own(matrix, std::vector(tensor.bytes.begin(), tensor.bytes.end()));
  } else {
    ASSAY_TRY(floats, tensor.floats());
    own(matrix, std::move(floats));
    matrix.format = Format::fp32;
    matrix.w.scale = 1;
  }
  choose_kernels(matrix, acts);
  if (matrix.gemv == nullptr || matrix.gemm == nullptr)
    return fail({Failure::unsupported, "cpu", "kernels", "one that multiplies by " + std::string(name(matrix.format)),
                 "none that this machine can run"});
  return matrix;
}

OperandKernels OperandKernels::best() {
  return {.to_bf16 = kernels::best<spec::narrow>(Format::fp32, Acts::bf16),
          .to_int8 = kernels::best<spec::narrow>(Format::fp32, Acts::int8),
          .clamp = kernels::best<spec::clamp>(Format::fp32, Acts::fp32)};
}

Operands Operands::carve(Carver& carver, std::size_t tokens, const Widths& widths, bool clipped,
                         const OperandKernels& kernels) {
  Operands operands;
  operands.kernels = kernels;
  if (widths[Acts::bf16] > 0) operands.bf16.values = carver.take<std::byte>(tokens * widths[Acts::bf16] * 2);
  if (const std::size_t values = tokens * widths[Acts::int8]; values > 0) {
    operands.int8.values = carver.take<std::byte>(values);
    operands.int8.scales = carver.take<float>(values / 32 + 1);
    operands.int8.sums = carver.take<std::int32_t>(values / 16 + 1);
  }
  if (clipped) operands.clamped = carver.take<float>(tokens * std::ranges::max(widths.of_mode));
  return operands;
}

kernels::Activations Operands::view(Acts acts, const float* x, int tokens, int cols) const {
  switch (acts) {
    case Acts::fp32: return {x, nullptr, nullptr, tokens, cols};
    case Acts::bf16: return {bf16.values, nullptr, nullptr, tokens, cols};
    case Acts::int8: return {int8.values, int8.scales, int8.sums, tokens, cols};
  }
  return {};
}

namespace {

void narrow_to(const Operands& operands, Acts acts, const float* x, int cols, int first, int last) {
  if (first >= last) return;
  if (acts == Acts::bf16) operands.kernels.to_bf16(x, cols, {operands.bf16.values, nullptr, nullptr}, first, last);
  if (acts == Acts::int8)
    operands.kernels.to_int8(x, cols, {operands.int8.values, operands.int8.scales, operands.int8.sums}, first, last);
}

bool narrows(std::span<const Product> products) {
  return std::ranges::any_of(products, [](const Product& one) { return one.matrix->acts != Acts::fp32; });
}

/// Rows [first, last) of all products, counted one product behind the other.
/// @param x_of  (mode) -> x as it has it
template <class Narrowed>
void multiply_piece(std::span<const Product> products, const Narrowed& x_of, int first, int last) {
  int before = 0;
  for (const Product& product : products) {
    const int from = std::max(first, before), to = std::min(last, before + product.rows());
    if (from < to)
      multiply_rows(product, x_of(product.matrix->acts), product.first + from - before, product.first + to - before);
    before += product.rows();
  }
}

/// Of one token each thread reads its part of the weights from front to back.
template <class Narrowed>
void multiply_all(const Team& team, std::string_view op, int tokens, std::span<const Product> products,
                  const Narrowed& x_of) {
  int total = 0;
  for (const Product& product : products) total += product.rows();
  const auto piece = [&](int first, int last) { multiply_piece(products, x_of, first, last); };
  if (tokens > 1) {
    team.take_pieces(total, kMostRows, kLeastRows, piece);
  } else {
    const Team::Part part = team.split(total, kGrain);
    piece(part.first, part.last);
  }
  team.sync();
  if (team.clock != nullptr) team.lap(op, needs_of(products, tokens));
}

void multiply_shared(const Team& team, std::string_view op, const Operands& operands, const float* x, int tokens,
                     int cols, std::span<const Product> products) {
  if (narrows(products)) {
    const Team::Part part = team.split(tokens);
    narrow_rows(operands, products, x, cols, part.first, part.last);
    team.sync();
    team.lap("narrow");
  }
  multiply_narrowed(team, op, operands, x, tokens, cols, products);
}

}  // namespace

kernels::Activations narrow(const Team& team, const Operands& operands, Acts acts, const float* x, int tokens,
                            int cols) {
  if (acts != Acts::fp32) {
    const Team::Part part = team.split(tokens);
    narrow_to(operands, acts, x, cols, part.first, part.last);
    team.sync();
  }
  return operands.view(acts, x, tokens, cols);
}

void narrow_slice(const Operands& operands, Acts acts, const float* x, int cols, int token, int col, int all) {
  const std::size_t at = std::size_t(token) * std::size_t(all) + std::size_t(col);
  if (acts == Acts::bf16) operands.kernels.to_bf16(x, cols, {operands.bf16.values + 2 * at, nullptr, nullptr}, 0, 1);
  if (acts == Acts::int8)
    operands.kernels.to_int8(x, cols,
                             {operands.int8.values + at, operands.int8.scales + at / kernels::kActsBlock,
                              operands.int8.sums + at / (kernels::kActsBlock / 2)},
                             0, 1);
}

kernels::Activations slice(const kernels::Activations& x, Acts acts, int first, int count) {
  constexpr std::array<int, kernels::kActs> kBytes = {4, 2, 1};
  const std::ptrdiff_t values = std::ptrdiff_t(first) * x.cols;
  return {static_cast<const std::byte*>(x.values) + values * kBytes[std::size_t(acts)],
          x.scales == nullptr ? nullptr : x.scales + values / kernels::kActsBlock,
          x.sums == nullptr ? nullptr : x.sums + values / (kernels::kActsBlock / 2), count, x.cols};
}

void multiply_rows(const Product& product, const kernels::Activations& x, int first, int last) {
  const Matrix& matrix = *product.matrix;
  float* y = product.y - product.first;  // kernels count W's rows
  kernels::Weights w = matrix.w;
  w.next = product.next;
  if (x.tokens == 1)
    matrix.gemv(w, x, y, first, last);
  else
    matrix.gemm(w, x, y, product.stride, first, last);
  if (matrix.bias.empty() && !matrix.output) return;
  for (int t = 0; t < x.tokens; ++t) {
    float* const row = y + std::ptrdiff_t(t) * product.stride;
    if (!matrix.bias.empty())
      for (int r = first; r < last; ++r) row[r] += matrix.bias[std::size_t(r)];
    if (matrix.output)
      matrix.clamp(row + first, matrix.output->low, matrix.output->high, last - first, row + first, 0, 1);
  }
}

OpNeeds needs_of(std::span<const Product> products, int tokens) {
  OpNeeds needs;
  for (const Product& product : products) {
    const Matrix& matrix = *product.matrix;
    needs.bytes += double(product.rows()) * double(kernels::row_bytes(matrix.format, matrix.w.cols));
    needs.flops += 2.0 * product.rows() * matrix.w.cols * tokens;
    needs.acts = matrix.acts;
  }
  return needs;
}

void narrow_rows(const Operands& operands, std::span<const Product> products, const float* x, int cols, int first,
                 int last) {
  for (const Acts acts : {Acts::bf16, Acts::int8})
    if (std::ranges::any_of(products, [acts](const Product& one) { return one.matrix->acts == acts; }))
      narrow_to(operands, acts, x, cols, first, last);
}

void multiply_narrowed(const Team& team, std::string_view op, const Operands& operands, const float* x, int tokens,
                       int cols, std::span<const Product> products) {
  multiply_all(team, op, tokens, products, [&](Acts acts) { return operands.view(acts, x, tokens, cols); });
}

namespace {

/// x within the product's bounds, narrowed for it while a few rows are at hand; complete for all threads then.
void clamp_rows(const Team& team, const Operands& operands, const Product& product, const float* x, int tokens,
                int cols) {
  constexpr int kAtOnce = 16;
  const Bounds bounds = product.matrix->input.value_or(Bounds{});
  const bool whole = product.matrix->acts == Acts::fp32;
  const Team::Part part = team.split(tokens);
  const auto at = [cols](int row) { return std::ptrdiff_t(row) * cols; };
  for (int first = part.first; first < part.last; first += kAtOnce) {
    const int last = std::min(first + kAtOnce, part.last);
    float* const to = operands.clamped + (whole ? 0 : at(part.first) - at(first));  // narrowed: the same few rows again
    operands.kernels.clamp(x, bounds.low, bounds.high, cols, to, first, last);
    narrow_rows(operands, {&product, 1}, to, cols, first, last);
  }
  team.sync();
  team.lap("clamp");
}

}  // namespace

void multiply(const Team& team, std::string_view op, const Operands& operands, const float* x, int tokens, int cols,
              std::span<const Product> products) {
  if (tokens == 0) return;
  if (std::ranges::none_of(products, [](const Product& one) { return one.matrix->input.has_value(); })) {
    multiply_shared(team, op, operands, x, tokens, cols, products);
    return;
  }
  for (const Product& product : products) {  // each has bounds of its own
    clamp_rows(team, operands, product, x, tokens, cols);
    multiply_narrowed(team, op, operands, operands.clamped, tokens, cols, {&product, 1});
  }
}

}  // namespace assay::cpu
