// A weight matrix where its file maps it, with the kernels that multiply by it, and the product itself. Not here: which
// matrices a model has (weights.h), the kernels (kernels/).
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/cpu/options.h"
#include "engine/cpu/pages.h"
#include "engine/cpu/team.h"
#include "kernels/formats.h"
#include "kernels/spec/clamp.h"
#include "kernels/spec/gemm.h"
#include "kernels/spec/gemv.h"
#include "kernels/spec/narrow.h"
#include "kernels/spec/operands.h"
#include "model/tensor.h"

namespace assay::cpu {

struct Bounds {
  float low = -std::numeric_limits<float>::infinity(), high = std::numeric_limits<float>::infinity();
};

struct Matrix {
  kernels::Weights w{nullptr, 0, 0, 1};
  kernels::Format format = kernels::Format::fp32;
  kernels::Acts acts = kernels::Acts::fp32;  ///< what its kernels take
  kernels::spec::gemv::Fn* gemv = nullptr;
  kernels::spec::gemm::Fn* gemm = nullptr;
  kernels::spec::clamp::Fn* clamp = nullptr;
  std::vector<float> bias;              ///< [rows], or empty
  std::optional<Bounds> input, output;  ///< of towers' clipped linears
  std::size_t bytes = 0;                ///< at w.data, those of the matrices behind this one included
  std::shared_ptr<const void> keep;     ///< of the bytes

  bool empty() const { return w.data == nullptr; }
  const std::byte* row(int r) const { return w.data + std::size_t(r) * kernels::row_bytes(format, w.cols); }
  /// The i-th matrix of this shape behind this one: experts lie so.
  Matrix part(int i) const;
};

/// Columns of the widest matrix that takes each mode, 0 of a mode that none takes: how much room activations need.
struct Widths {
  std::array<std::size_t, 3> of_mode{};

  void add(const Matrix& matrix) {
    std::size_t& widest = of_mode[std::size_t(matrix.acts)];
    if (!matrix.empty()) widest = std::max(widest, std::size_t(matrix.w.cols));
  }
  std::size_t operator[](kernels::Acts acts) const { return of_mode[std::size_t(acts)]; }
};

/// @param tensor  of rows * cols elements, or of several such matrices one behind the other
/// @param acts    of the engine; the matrix gets what Options says of it
/// Errors: unsupported (a dtype without floats, a format without a kernel).
Result<Matrix> make_matrix(const Tensor& tensor, int rows, int cols, kernels::Acts acts);

/// The kernels that activations go through on their way, as dispatch has chosen them when a session was opened.
struct OperandKernels {
  kernels::spec::narrow::Fn *to_bf16 = nullptr, *to_int8 = nullptr;
  kernels::spec::clamp::Fn* clamp = nullptr;

  static OperandKernels best();
};

/// Activations on their way into kernels: memory for the narrow modes, for a call's rows and for one row of each
/// thread.
struct Operands {
  struct Mode {
    std::byte* values = nullptr;
    float* scales = nullptr;
    std::int32_t* sums = nullptr;
  };
  Mode bf16, int8;
  float* clamped = nullptr;  ///< [tokens, the widest], for clipped linears
  OperandKernels kernels;

  /// What narrow() leaves, of which x remains itself in fp32.
  kernels::Activations view(kernels::Acts acts, const float* x, int tokens, int cols) const;

  /// @param clipped  whether there are clipped linears
  static Operands carve(Carver& carver, std::size_t tokens, const Widths& widths, bool clipped,
                        const OperandKernels& kernels);
};

/// y[t, r] = bias[r] + sum over c of W[r, c] x[t, c], for rows [first, last) of W.
struct Product {
  const Matrix* matrix;
  float* y;                         ///< of row `first`
  int stride;                       ///< between tokens
  int first = 0, last = -1;         ///< rows of W; -1: all of them
  const std::byte* next = nullptr;  ///< rows of W's size that this thread multiplies next, where that is known

  int rows() const { return (last < 0 ? matrix->w.rows : last) - first; }
};

/// Rows [first, last) of x as the products' modes have them, made by this thread.
/// @param x  [tokens, cols]
void narrow_rows(const Operands& operands, std::span<const Product> products, const float* x, int cols, int first,
                 int last);
/// x as a mode has it, made by all threads together; they leave when it is there. @param x  [tokens, cols]
kernels::Activations narrow(const Team& team, const Operands& operands, kernels::Acts acts, const float* x, int tokens,
                            int cols);
/// Columns [col, col + cols) of token `token`, as a mode has it. Those of one call lie side by side in x; col and cols
/// are multiples of 32, or cols ends where `all` does.
/// @param all  columns of a token
void narrow_slice(const Operands& operands, kernels::Acts acts, const float* x, int cols, int token, int col, int all);
/// Tokens [first, first + count).
kernels::Activations slice(const kernels::Activations& x, kernels::Acts acts, int first, int count);

/// What products of so many tokens cannot do without.
OpNeeds needs_of(std::span<const Product> products, int tokens);

/// The same of an x that narrow_rows() has been called with, by matrices without bounds on the way in.
void multiply_narrowed(const Team& team, std::string_view op, const Operands& operands, const float* x, int tokens,
                       int cols, std::span<const Product> products);
/// Rows [first, last) of one product's W, on this thread alone.
void multiply_rows(const Product& product, const kernels::Activations& x, int first, int last);

/// Several products of one x. All threads of the team come here, with x complete, and leave when all y are.
/// @param op  what they are timed as
/// @param x   [tokens, cols]
void multiply(const Team& team, std::string_view op, const Operands& operands, const float* x, int tokens, int cols,
              std::span<const Product> products);

}  // namespace assay::cpu
