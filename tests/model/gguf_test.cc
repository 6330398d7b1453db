// The reader of GGUF files: what PyPI's gguf wrote (golden/generate/gguf_cases.py), and one file for each way to lie.
#include "model/gguf/gguf.h"

#include <cstring>
#include <limits>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "base/sha256.h"
#include "support.h"

namespace assay {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Optional;

const std::filesystem::path kData = ASSAY_SOURCE_DIR "/tests/data/gguf";

/// A GGUF, written number by number.
class Writer {
 public:
  template <class T>
  Writer& number(T value) {
    const auto* bytes = reinterpret_cast<const char*>(&value);
    bytes_.append(bytes, sizeof value);
    return *this;
  }
  Writer& text(std::string_view value) {
    number(std::uint64_t(value.size()));
    bytes_ += value;
    return *this;
  }
  Writer& header(std::uint64_t tensors, std::uint64_t entries, std::uint32_t version = 3) {
    bytes_ += "GGUF";
    return number(version).number(tensors).number(entries);
  }
  Writer& u32(std::string_view key, std::uint32_t value) {
    return text(key).number(std::uint32_t(GgufType::u32)).number(value);
  }
  Writer& tensor(std::string_view name, std::vector<std::uint64_t> extents, std::uint32_t type, std::uint64_t offset) {
    text(name).number(std::uint32_t(extents.size()));
    for (const std::uint64_t extent : extents) number(extent);
    return number(type).number(offset);
  }
  Writer& data(std::size_t bytes, std::size_t alignment = 32) {
    bytes_.resize((bytes_.size() + alignment - 1) / alignment * alignment + bytes, '\1');
    return *this;
  }
  Result<Gguf> parse() const { return Gguf::parse(std::as_bytes(std::span(bytes_)), "file"); }
  std::string message() const { return message_of(parse()); }
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

constexpr std::uint32_t kF32 = 0, kQ8_0 = 8, kQ6K = 14;

TEST(Gguf, ReadsEveryTypeOfMetadata) {
  const Gguf file = Gguf::open(kData / "formats.gguf").value();
  const auto at = [&](const std::string& name) { return *file.find("test." + name); };
  EXPECT_THAT(at("u8").integer(), Optional(200));
  EXPECT_THAT(at("i8").integer(), Optional(-100));
  EXPECT_THAT(at("u16").integer(), Optional(60000));
  EXPECT_THAT(at("i16").integer(), Optional(-30000));
  EXPECT_THAT(at("u32").integer(), Optional(4'000'000'000));
  EXPECT_THAT(at("i32").integer(), Optional(-2'000'000'000));
  EXPECT_THAT(at("u64").integer(), Optional((std::int64_t{1} << 40) + 1));
  EXPECT_THAT(at("i64").integer(), Optional(-(std::int64_t{1} << 40) - 1));
  EXPECT_THAT(at("f32").real(), Optional(0.15625));
  EXPECT_THAT(at("f64").real(), Optional(1e-300));
  EXPECT_THAT(at("bool").flag(), Optional(true));
  EXPECT_THAT(at("string").text(), Optional(std::string_view("n\xC3\xA9")));
  EXPECT_THAT(at("ints").integers(), Optional(ElementsAre(3, -1, 7)));
  EXPECT_THAT(at("floats").reals(), Optional(ElementsAre(0.5, -0.25)));
  EXPECT_THAT(at("bools").integers(), Optional(ElementsAre(1, 0, 1)));
  EXPECT_THAT(at("strings").texts(), Optional(ElementsAre("", "a", "bc")));
  EXPECT_EQ(at("nested").what(), "array of 2 array");
  EXPECT_EQ(at("strings").what(), "array of 3 string");
  EXPECT_EQ(file.find("test.other"), nullptr);
}

TEST(Gguf, GivesNoValueOfAnotherType) {
  const Gguf file = Gguf::open(kData / "formats.gguf").value();
  const auto at = [&](const std::string& name) { return *file.find("test." + name); };
  EXPECT_FALSE(at("f32").integer());
  EXPECT_FALSE(at("bool").integer());
  EXPECT_FALSE(at("u32").real());
  EXPECT_FALSE(at("u8").flag());
  EXPECT_FALSE(at("ints").text());
  EXPECT_FALSE(at("u8").integers());
  EXPECT_FALSE(at("floats").integers());
  EXPECT_FALSE(at("ints").reals());
  EXPECT_FALSE(at("strings").integers());
  EXPECT_FALSE(at("nested").texts());
  const auto large = Writer().header(0, 1).text("k").number(std::uint32_t(GgufType::u64)).number(~0ULL);
  EXPECT_FALSE(large.parse()->find("k")->integer()) << "2^64 - 1 does not fit";
}

TEST(Gguf, DequantisesAsItsReferenceDoes) {
  const Gguf file = Gguf::open(kData / "formats.gguf").value();
  const json expected = json::parse(bytes_of(kData / "formats.json"));
  ASSERT_EQ(expected["tensors"].size(), 5U);
  for (const auto& [name, tensor] : expected["tensors"].items()) {
    const Tensor& found = file.tensors().at(name).tensor;
    EXPECT_EQ(name_of(found.dtype), tensor["type"].get<std::string>());
    const std::vector<float> values = found.floats().value();
    EXPECT_EQ(sha256_hex(std::as_bytes(std::span(values))), tensor["sha256"].get<std::string>()) << name;
    // Any part of a tensor, whole blocks or not, is that part of the whole.
    for (const auto& [first, count] : {std::pair(0, 1), {31, 2}, {5, 70}, {17, 32}, {32, 64}, {90, 6}}) {
      std::vector<float> part(std::size_t(count), -1.0F);
      found.widen(first, part);
      EXPECT_EQ(std::memcmp(part.data(), values.data() + first, sizeof(float) * part.size()), 0)
          << name << ": " << count << " from " << first;
    }
  }
}

TEST(Gguf, KeepsATensorOfAnotherTypeForWhoeverDoesNotNeedIt) {
  const Gguf file = Gguf::open(kData / "formats.gguf").value();
  EXPECT_EQ(file.tensors().at("Q4_K").other_type, "Q4_K");
  EXPECT_THAT(file.tensors().at("Q4_K").tensor.shape, ElementsAre(2, 256));
  EXPECT_TRUE(file.tensors().at("Q8_0").other_type.empty());
  const auto unknown = Writer().header(1, 0).tensor("x", {5}, 77, 0).data(0).parse();
  ASSERT_TRUE(unknown) << message_of(unknown);
  EXPECT_EQ(unknown->tensors().at("x").other_type, "type 77");
}

TEST(Gguf, ReadsVersion2AndAnotherAlignment) {
  const Writer written = Writer()
                             .header(2, 1, 2)
                             .u32("general.alignment", 8)
                             .tensor("a", {2}, kF32, 0)
                             .tensor("b", {1}, kF32, 8)
                             .data(12, 8);
  const auto file = written.parse();
  ASSERT_TRUE(file) << message_of(file);
  EXPECT_EQ(file->tensors().at("b").tensor.bytes.size(), 4U);
  EXPECT_EQ(file->tensors().at("b").tensor.bytes.data() - file->tensors().at("a").tensor.bytes.data(), 8);
}

TEST(Gguf, RefusesAHeaderThatLies) {
  EXPECT_THAT(message_of(Gguf::parse({}, "file")), HasSubstr("file: expected at least 24 bytes, found 0"));
  std::string other = Writer().header(0, 0).bytes();
  EXPECT_EQ(message_of(Gguf::parse(std::as_bytes(std::span(other)), "file")), "no failure");
  other[3] = 'X';
  EXPECT_THAT(message_of(Gguf::parse(std::as_bytes(std::span(other)), "file")), HasSubstr("magic: expected GGUF"));
  for (const std::uint32_t version : {0U, 1U, 4U, 0x03000000U}) {
    const auto file = Writer().header(0, 0, version).parse();
    ASSERT_FALSE(file);
    EXPECT_EQ(file.error().kind, Failure::unsupported);
    EXPECT_THAT(message_of(file), HasSubstr("version: expected 2 or 3"));
  }
  EXPECT_THAT(Writer().header(0, 1).message(), HasSubstr("metadata count: expected at most 0, found 1"));
  EXPECT_THAT(Writer().header(~0ULL, 0).message(), HasSubstr("tensor count: expected at most 0"));
}

TEST(Gguf, RefusesMetadataThatLies) {
  const auto entry = [](std::uint32_t type) { return Writer().header(0, 1).text("key").number(type); };
  const std::uint32_t string = std::uint32_t(GgufType::string), array = std::uint32_t(GgufType::array);
  EXPECT_THAT(Writer().header(0, 1).number(~0ULL).data(64).message(), HasSubstr("a key: expected at most 65535"));
  EXPECT_THAT(Writer().header(0, 1).number(999ULL).data(64).message(), HasSubstr("a key: expected 999 more bytes"));
  EXPECT_THAT(entry(13).number(0ULL).message(), HasSubstr("key: expected a type of 0 to 12, found 13"));
  EXPECT_THAT(entry(std::uint32_t(GgufType::boolean)).number('\2').message(), HasSubstr("key: expected booleans"));
  EXPECT_THAT(entry(string).number(5ULL).number('x').message(), HasSubstr("key: expected 5 more bytes, found 1"));
  EXPECT_THAT(entry(array).number(4U).number(1ULL << 62).message(), HasSubstr("key: expected at most 0 elements"));
  EXPECT_THAT(entry(array).number(string).number(2ULL).text("a").message(), HasSubstr("key: expected 8 more bytes"));
  Writer deep = entry(array);
  for (int i = 0; i < 6; ++i) deep.number(array).number(1ULL);
  EXPECT_THAT(deep.message(), HasSubstr("key: expected arrays at most 4 deep"));
  EXPECT_THAT(Writer().header(0, 2).u32("key", 1).u32("key", 2).message(), HasSubstr("key: expected each key once"));
  for (const std::uint32_t alignment : {0U, 24U, 1U << 21U})
    EXPECT_THAT(Writer().header(0, 1).u32("general.alignment", alignment).message(),
                HasSubstr("general.alignment: expected a power of two"));
}

TEST(Gguf, RefusesTensorsThatLie) {
  const auto one = [](std::vector<std::uint64_t> extents, std::uint32_t type, std::uint64_t offset, std::size_t data) {
    return Writer().header(1, 0).tensor("x", std::move(extents), type, offset).data(data).message();
  };
  EXPECT_EQ(one({32, 3}, kQ8_0, 0, 102), "no failure");
  EXPECT_EQ(one({}, kF32, 0, 4), "no failure") << "a scalar";
  EXPECT_THAT(one({32, 3}, kQ8_0, 0, 101), HasSubstr("x: expected 102 bytes within the 101 of data"));
  EXPECT_THAT(one({33}, kQ8_0, 0, 102), HasSubstr("x: expected Q8_0 rows of a multiple of 32, found 33"));
  EXPECT_THAT(one({128, 2}, kQ6K, 0, 210), HasSubstr("x: expected Q6_K rows of a multiple of 256"));
  EXPECT_THAT(one({1, 1, 1, 1, 1}, kF32, 0, 4), HasSubstr("x: expected at most 4 dimensions, found 5"));
  EXPECT_THAT(one({1ULL << 63}, kF32, 0, 4), HasSubstr("x: expected extents below 2^63"));
  EXPECT_THAT(one({1ULL << 40, 1ULL << 40}, kF32, 0, 4), HasSubstr("x: expected fewer than 2^63 elements"));
  EXPECT_THAT(one({1ULL << 62}, kF32, 0, 4), HasSubstr("x: expected fewer than 2^63 bytes"));
  EXPECT_THAT(one({1ULL << 40, 1ULL << 40}, 77, 0, 4), HasSubstr("x: expected fewer than 2^63 elements"));
  EXPECT_THAT(one({1}, kF32, 4, 8), HasSubstr("x: expected an offset that is a multiple of 32, found 4"));
  EXPECT_THAT(one({1}, kF32, 64, 8), HasSubstr("x: expected 4 bytes within the 8 of data"));
  EXPECT_THAT(one({1}, kF32, ~0ULL - 31, 8), HasSubstr("x: expected 4 bytes within the 8 of data"));
  EXPECT_THAT(Writer().header(2, 0).tensor("x", {1}, kF32, 0).tensor("x", {1}, kF32, 32).data(64).message(),
              HasSubstr("x: expected each tensor once"));
  EXPECT_THAT(Writer().header(2, 0).tensor("x", {9}, kF32, 0).tensor("y", {1}, kF32, 32).data(64).message(),
              HasSubstr("y: expected an offset of at least 36, where x ends, found 32"));
  EXPECT_THAT(Writer().header(1, 0).text("x").number(1U).number(0ULL).number(0U).message(), HasSubstr("x: expected"));
}

TEST(Gguf, RefusesEachBeginningOfAFile) {
  const std::string whole = bytes_of(kData / "formats.gguf");
  ASSERT_EQ(message_of(Gguf::parse(std::as_bytes(std::span(whole)), "file")), "no failure");
  for (std::size_t size = 0; size < whole.size(); size += 7)
    EXPECT_FALSE(Gguf::parse(std::as_bytes(std::span(whole)).first(size), "file")) << size << " bytes";
  EXPECT_EQ(Gguf::open(kData / "none.gguf").error().kind, Failure::io);
  EXPECT_THAT(message_of(Gguf::open(kData)), HasSubstr("expected a regular file"));
}

}  // namespace
}  // namespace assay
