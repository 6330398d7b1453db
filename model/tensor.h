// A named array as a file holds it: dtype, shape, bytes. Not here: owning the bytes (safetensors.h maps them),
// arithmetic.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace assay {

/// The last three are packed: a row is a run of llama.cpp's blocks (quantised.h).
enum class Dtype { f32, f16, bf16, f64, i64, i32, i16, i8, u64, u32, u16, u8, boolean, q8_0, q4_0, q6_k };

/// How a dtype lies in memory: `bytes` hold `elements` that follow each other in a row. One element a block, unless the
/// dtype is packed.
struct Packing {
  int elements, bytes;
};
Packing packing_of(Dtype dtype);
bool is_packed(Dtype dtype);
/// Bytes of one element. The dtype is not packed.
int size_of(Dtype dtype);
/// As safetensors spells it: F32, BF16...; as llama.cpp does where the dtype is packed: Q8_0, Q4_0, Q6_K.
std::string_view name_of(Dtype dtype);
/// The dtype that safetensors spells so; none for another spelling, F8_E4M3 and Q8_0 among them.
std::optional<Dtype> dtype_named(std::string_view name);

/// Row-major; the bytes stay alive as long as `keep` does, and may be unaligned. Packed: the last extent is a multiple
/// of the block's elements.
struct Tensor {
  Dtype dtype = Dtype::f32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> keep;
  std::optional<float> scale;  ///< i8 as quantised weights: an element is worth scale * integer, in fp32

  std::int64_t elements() const;
  /// Whether elements can be had as float: f32, f16, bf16, f64, packed, or i8 with a scale.
  bool has_floats() const;
  /// Elements [first, first + out.size()) as float; has_floats() holds, and the range was checked.
  void widen(std::int64_t first, std::span<float> out) const;
  /// All elements as float. Errors: unsupported (has_floats() does not hold).
  Result<std::vector<float>> floats() const;
  /// All elements as int64, from any integer or boolean dtype. Errors: unsupported.
  Result<std::vector<std::int64_t>> integers() const;
  /// A tensor that owns a copy of `values`.
  static Tensor own(std::vector<std::int64_t> shape, std::vector<float> values);
  static Tensor own(std::vector<std::int64_t> shape, std::vector<std::int64_t> values);
};

/// `[3, 4]`
std::string shape_text(std::span<const std::int64_t> shape);

struct NamedTensor {
  std::string name;
  Tensor tensor;
};

/// The tensor of that name, or null.
const Tensor* find(std::span<const NamedTensor> tensors, std::string_view name);

}  // namespace assay
