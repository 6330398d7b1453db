#include "model/tensor.h"

#include <bit>
#include <cmath>
#include <cstring>

#include <gmock/gmock.h>

namespace assay {
namespace {

using ::testing::ElementsAre;

template <class T>
Tensor view(Dtype dtype, std::vector<std::int64_t> shape, const std::vector<T>& values) {
  return {.dtype = dtype, .shape = std::move(shape), .bytes = std::as_bytes(std::span(values)), .keep = {}};
}

TEST(Dtypes, HaveTheNamesAndSizesOfTheFormat) {
  for (const auto& [name, size] : {std::pair("F32", 4),
                                   {"F16", 2},
                                   {"BF16", 2},
                                   {"F64", 8},
                                   {"I64", 8},
                                   {"I32", 4},
                                   {"I16", 2},
                                   {"I8", 1},
                                   {"U64", 8},
                                   {"U32", 4},
                                   {"U16", 2},
                                   {"U8", 1},
                                   {"BOOL", 1}}) {
    const auto dtype = dtype_named(name);
    ASSERT_TRUE(dtype) << name;
    EXPECT_EQ(name_of(*dtype), name);
    EXPECT_EQ(size_of(*dtype), size);
  }
  EXPECT_FALSE(dtype_named("F8_E4M3"));
  EXPECT_FALSE(dtype_named("f32"));
  EXPECT_FALSE(dtype_named(""));
}

TEST(Tensor, WidensEachFloatingPointDtypeExactly) {
  const std::vector<float> f32 = {1.5F, -0.0F, 3e-40F};
  EXPECT_THAT(view(Dtype::f32, {3}, f32).floats().value(), ElementsAre(1.5F, -0.0F, 3e-40F));
  const std::vector<std::uint16_t> bf16 = {0x3fc0, 0xff80, 0x0001};
  EXPECT_THAT(view(Dtype::bf16, {3}, bf16).floats().value(),
              ElementsAre(1.5F, -INFINITY, std::bit_cast<float>(0x10000U)));
  const std::vector<std::uint16_t> f16 = {0x3e00, 0x0001, 0xfbff};
  EXPECT_THAT(view(Dtype::f16, {3}, f16).floats().value(), ElementsAre(1.5F, 0x1p-24F, -65504.0F));
  const std::vector<double> f64 = {1.5, 1e300, 0.1};
  EXPECT_THAT(view(Dtype::f64, {3}, f64).floats().value(), ElementsAre(1.5F, INFINITY, 0.1F));
}

TEST(Tensor, WidensARangeFromUnalignedBytes) {
  const std::vector<float> values = {1, 2, 3, 4};
  std::vector<std::byte> bytes(1 + sizeof(float) * values.size());
  std::memcpy(bytes.data() + 1, values.data(), sizeof(float) * values.size());
  const Tensor tensor{.dtype = Dtype::f32, .shape = {2, 2}, .bytes = std::span(bytes).subspan(1), .keep = {}};
  std::vector<float> middle(2);
  tensor.widen(1, middle);
  EXPECT_THAT(middle, ElementsAre(2, 3));
  tensor.widen(4, {});
}

TEST(Tensor, ReadsEveryIntegerDtype) {
  EXPECT_THAT(view(Dtype::i64, {1}, std::vector<std::int64_t>{INT64_MIN}).integers().value(), ElementsAre(INT64_MIN));
  EXPECT_THAT(view(Dtype::i32, {2}, std::vector<std::int32_t>{-1, 7}).integers().value(), ElementsAre(-1, 7));
  EXPECT_THAT(view(Dtype::i16, {1}, std::vector<std::int16_t>{-300}).integers().value(), ElementsAre(-300));
  EXPECT_THAT(view(Dtype::i8, {1}, std::vector<std::int8_t>{-3}).integers().value(), ElementsAre(-3));
  EXPECT_THAT(view(Dtype::u64, {1}, std::vector<std::uint64_t>{INT64_MAX}).integers().value(), ElementsAre(INT64_MAX));
  EXPECT_THAT(view(Dtype::u32, {1}, std::vector<std::uint32_t>{0xffffffffU}).integers().value(),
              ElementsAre(0xffffffffLL));
  EXPECT_THAT(view(Dtype::u16, {1}, std::vector<std::uint16_t>{65535}).integers().value(), ElementsAre(65535));
  EXPECT_THAT(view(Dtype::u8, {1}, std::vector<std::uint8_t>{255}).integers().value(), ElementsAre(255));
  EXPECT_THAT(view(Dtype::boolean, {3}, std::vector<std::uint8_t>{0, 1, 2}).integers().value(), ElementsAre(0, 1, 1));
}

TEST(Tensor, RefusesTheOtherKindOfNumber) {
  EXPECT_EQ(view(Dtype::i32, {1}, std::vector<std::int32_t>{1}).floats().error().kind, Failure::unsupported);
  EXPECT_EQ(view(Dtype::f32, {1}, std::vector<float>{1}).integers().error().kind, Failure::unsupported);
  EXPECT_EQ(view(Dtype::u64, {1}, std::vector<std::uint64_t>{UINT64_MAX}).integers().error().kind,
            Failure::unsupported);
}

TEST(Tensor, OwnsWhatItIsGiven) {
  const Tensor floats = Tensor::own({2, 1}, std::vector<float>{1, 2});
  EXPECT_THAT(floats.floats().value(), ElementsAre(1, 2));
  EXPECT_THAT(Tensor::own({1}, std::vector<std::int64_t>{9}).integers().value(), ElementsAre(9));
  EXPECT_TRUE(Tensor::own({0}, std::vector<float>{}).floats().value().empty());
  EXPECT_EQ(Tensor::own({}, std::vector<float>{4}).elements(), 1);
}

TEST(Tensor, IsFoundByName) {
  const std::vector<NamedTensor> tensors = {{"a", Tensor::own({}, std::vector<float>{1})},
                                            {"b", Tensor::own({}, std::vector<float>{2})}};
  EXPECT_EQ(find(tensors, "b"), &tensors[1].tensor);
  EXPECT_EQ(find(tensors, "c"), nullptr);
}

TEST(ShapeText, IsAsPeopleWriteIt) {
  EXPECT_EQ(shape_text({}), "[]");
  EXPECT_EQ(shape_text(std::vector<std::int64_t>{3, 4}), "[3, 4]");
}

}  // namespace
}  // namespace assay
