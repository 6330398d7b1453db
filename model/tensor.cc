#include "model/tensor.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/widen.h"
#include "model/quantised.h"

namespace assay {
namespace {

struct DtypeRow {
  Dtype dtype;
  int size;  ///< of a block
  std::string_view name;
  int elements = 1;  ///< of a block
};
constexpr std::array<DtypeRow, 16> kDtypes = {{{Dtype::f32, 4, "F32"},
                                               {Dtype::f16, 2, "F16"},
                                               {Dtype::bf16, 2, "BF16"},
                                               {Dtype::f64, 8, "F64"},
                                               {Dtype::i64, 8, "I64"},
                                               {Dtype::i32, 4, "I32"},
                                               {Dtype::i16, 2, "I16"},
                                               {Dtype::i8, 1, "I8"},
                                               {Dtype::u64, 8, "U64"},
                                               {Dtype::u32, 4, "U32"},
                                               {Dtype::u16, 2, "U16"},
                                               {Dtype::u8, 1, "U8"},
                                               {Dtype::boolean, 1, "BOOL"},
                                               {Dtype::q8_0, sizeof(BlockQ8_0), "Q8_0", BlockQ8_0::kElements},
                                               {Dtype::q4_0, sizeof(BlockQ4_0), "Q4_0", BlockQ4_0::kElements},
                                               {Dtype::q6_k, sizeof(BlockQ6K), "Q6_K", BlockQ6K::kElements}}};
static_assert(
    [] {
      for (std::size_t i = 0; i < kDtypes.size(); ++i)
        if (std::size_t(kDtypes[i].dtype) != i) return false;
      return true;
    }(),
    "a row's place is its dtype");

/// Element i, whatever its alignment.
template <class T>
T load(std::span<const std::byte> bytes, std::size_t i) {
  T value;
  std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
  return value;
}

template <class T, class Out, class Convert>
void convert_all(std::span<const std::byte> bytes, std::size_t first, std::span<Out> out, Convert convert) {
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = convert(load<T>(bytes, first + i));
}

/// Elements [first, first + out.size()) of a run of blocks; whole blocks go straight to `out`.
template <class Block>
void unpack(std::span<const std::byte> bytes, std::size_t first, std::span<float> out) {
  constexpr auto kElements = std::size_t(Block::kElements);
  for (std::size_t done = 0; done < out.size();) {
    const std::size_t block = (first + done) / kElements, skip = (first + done) % kElements;
    const std::size_t count = std::min(kElements - skip, out.size() - done);
    const auto packed = load<Block>(bytes, block);
    if (count == kElements) {
      dequantise(packed, out.subspan(done).template first<kElements>());
    } else {
      std::array<float, kElements> whole;
      dequantise(packed, whole);
      std::copy_n(whole.begin() + std::ptrdiff_t(skip), count, out.begin() + std::ptrdiff_t(done));
    }
    done += count;
  }
}

template <class T>
void as_integers(std::span<const std::byte> bytes, std::span<std::int64_t> out) {
  convert_all<T>(bytes, 0, out, [](T v) { return std::int64_t(v); });
}

template <class T>
Tensor owned(Dtype dtype, std::vector<std::int64_t> shape, std::vector<T> values) {
  const auto keep = std::make_shared<const std::vector<T>>(std::move(values));
  return {.dtype = dtype, .shape = std::move(shape), .bytes = std::as_bytes(std::span(*keep)), .keep = keep};
}

}  // namespace

Packing packing_of(Dtype dtype) {
  const DtypeRow& row = kDtypes[std::size_t(dtype)];
  return {row.elements, row.size};
}
bool is_packed(Dtype dtype) { return kDtypes[std::size_t(dtype)].elements > 1; }
int size_of(Dtype dtype) { return kDtypes[std::size_t(dtype)].size; }
std::string_view name_of(Dtype dtype) { return kDtypes[std::size_t(dtype)].name; }

std::optional<Dtype> dtype_named(std::string_view name) {
  for (const DtypeRow& row : kDtypes)
    if (row.name == name && row.elements == 1) return row.dtype;
  return std::nullopt;
}

std::int64_t Tensor::elements() const {
  std::int64_t product = 1;
  for (const std::int64_t extent : shape) product *= extent;
  return product;
}

bool Tensor::has_floats() const {
  return dtype == Dtype::f32 || dtype == Dtype::f16 || dtype == Dtype::bf16 || dtype == Dtype::f64 ||
         is_packed(dtype) || (dtype == Dtype::i8 && scale);
}

void Tensor::widen(std::int64_t first, std::span<float> out) const {
  const auto start = std::size_t(first);
  switch (dtype) {
    case Dtype::f32:
      if (!out.empty()) std::memcpy(out.data(), bytes.data() + start * sizeof(float), out.size_bytes());
      break;
    case Dtype::bf16: convert_all<std::uint16_t>(bytes, start, out, widen_bf16); break;
    case Dtype::f16: convert_all<std::uint16_t>(bytes, start, out, widen_f16); break;
    case Dtype::f64: convert_all<double>(bytes, start, out, [](double v) { return float(v); }); break;
    case Dtype::i8:
      convert_all<std::int8_t>(bytes, start, out, [by = scale.value_or(1)](std::int8_t v) { return by * float(v); });
      break;
    case Dtype::q8_0: unpack<BlockQ8_0>(bytes, start, out); break;
    case Dtype::q4_0: unpack<BlockQ4_0>(bytes, start, out); break;
    case Dtype::q6_k: unpack<BlockQ6K>(bytes, start, out); break;
    default: break;  // excluded by the contract
  }
}

Result<std::vector<float>> Tensor::floats() const {
  if (!has_floats())
    return fail({Failure::unsupported, "tensor", "dtype", "F32, F16, BF16, F64 or quantised weights",
                 std::string(name_of(dtype))});
  std::vector<float> values(std::size_t(elements()), 0.0F);
  widen(0, values);
  return values;
}

Result<std::vector<std::int64_t>> Tensor::integers() const {
  std::vector<std::int64_t> values(std::size_t(elements()), 0);
  switch (dtype) {
    case Dtype::i64: as_integers<std::int64_t>(bytes, values); break;
    case Dtype::i32: as_integers<std::int32_t>(bytes, values); break;
    case Dtype::i16: as_integers<std::int16_t>(bytes, values); break;
    case Dtype::i8: as_integers<std::int8_t>(bytes, values); break;
    case Dtype::u32: as_integers<std::uint32_t>(bytes, values); break;
    case Dtype::u16: as_integers<std::uint16_t>(bytes, values); break;
    case Dtype::u8: as_integers<std::uint8_t>(bytes, values); break;
    case Dtype::boolean: convert_all<std::uint8_t>(bytes, 0, std::span(values), [](auto v) { return v != 0; }); break;
    case Dtype::u64:
      as_integers<std::uint64_t>(bytes, values);
      for (const std::int64_t value : values)
        if (value < 0) return fail({Failure::unsupported, "tensor", "U64 value", "below 2^63", "a larger one"});
      break;
    default: return fail({Failure::unsupported, "tensor", "dtype", "an integer or BOOL", std::string(name_of(dtype))});
  }
  return values;
}

Tensor Tensor::own(std::vector<std::int64_t> shape, std::vector<float> values) {
  return owned(Dtype::f32, std::move(shape), std::move(values));
}
Tensor Tensor::own(std::vector<std::int64_t> shape, std::vector<std::int64_t> values) {
  return owned(Dtype::i64, std::move(shape), std::move(values));
}

std::string shape_text(std::span<const std::int64_t> shape) {
  std::string text = "[";
  for (const std::int64_t extent : shape) {
    if (text.size() > 1) text += ", ";
    text += std::to_string(extent);
  }
  return text + "]";
}

const Tensor* find(std::span<const NamedTensor> tensors, std::string_view name) {
  for (const NamedTensor& named : tensors)
    if (named.name == name) return &named.tensor;
  return nullptr;
}

}  // namespace assay
