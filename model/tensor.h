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

enum class Dtype { f32, f16, bf16, f64, i64, i32, i16, i8, u64, u32, u16, u8, boolean };

/// Bytes of one element.
int size_of(Dtype dtype);
/// As safetensors spells it: F32, BF16...
std::string_view name_of(Dtype dtype);
/// The dtype spelt so; none for another spelling, F8_E4M3 among them.
std::optional<Dtype> dtype_named(std::string_view name);

/// Row-major; the bytes stay alive as long as `keep` does, and may be unaligned.
struct Tensor {
  Dtype dtype = Dtype::f32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;
  std::shared_ptr<const void> keep;

  std::int64_t elements() const;
  /// Elements [first, first + out.size()) as float. The dtype is f32, f16, bf16 or f64; the range was checked.
  void widen(std::int64_t first, std::span<float> out) const;
  /// All elements as float. Errors: unsupported (a dtype that is not floating point).
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
