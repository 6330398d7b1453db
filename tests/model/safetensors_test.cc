#include "model/safetensors.h"

#include <cstring>
#include <fstream>

#include <sys/stat.h>

#include <gmock/gmock.h>

#include "support.h"

namespace assay {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

/// A file of that header; the length before it is the header's unless told otherwise.
std::string file_of(std::string_view header, std::size_t data_bytes, std::optional<std::uint64_t> length = {}) {
  const std::uint64_t written = length.value_or(header.size());
  std::string bytes(sizeof written, '\0');
  std::memcpy(bytes.data(), &written, sizeof written);
  return bytes + std::string(header) + std::string(data_bytes, '\1');
}

Result<Safetensors> parse(const std::string& bytes) { return Safetensors::parse(std::as_bytes(std::span(bytes)), "f"); }

std::string entry(std::string_view name, std::string_view dtype, std::string_view shape, std::string_view offsets) {
  return std::string("\"").append(name).append(R"(":{"dtype":")").append(dtype).append(R"(","shape":)").append(shape) +
         R"(,"data_offsets":)" + std::string(offsets) + "}";
}

TEST(Safetensors, ReadsWhatItWrote) {
  const Temporary directory;
  const std::vector<NamedTensor> written = {{"z", Tensor::own({2, 3}, std::vector<float>{1, 2, 3, 4, 5, 6})},
                                            {"empty", Tensor::own({0, 7}, std::vector<float>{})},
                                            {"scalar", Tensor::own({}, std::vector<std::int64_t>{-5})}};
  ASSERT_EQ(message_of(write_safetensors(directory / "t.safetensors", written, {{"format", "pt"}})), "no failure");
  const auto read = Safetensors::open(directory / "t.safetensors");
  ASSERT_TRUE(read) << message_of(read);
  EXPECT_EQ(read->metadata().at("format"), "pt");
  ASSERT_EQ(read->tensors().size(), 3U);
  EXPECT_THAT(read->tensors().at("z").floats().value(), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(read->tensors().at("z").shape, ElementsAre(2, 3));
  EXPECT_TRUE(read->tensors().at("empty").bytes.empty());
  EXPECT_THAT(read->tensors().at("scalar").integers().value(), ElementsAre(-5));
}

TEST(Safetensors, WritesDataAtAMultipleOfEight) {
  const Temporary directory;
  const std::vector<NamedTensor> one = {{"odd", Tensor::own({1}, std::vector<float>{1})}};
  ASSERT_TRUE(write_safetensors(directory / "t.safetensors", one));
  EXPECT_EQ((bytes_of(directory / "t.safetensors").size() - sizeof(float)) % 8, 0U);
}

TEST(Safetensors, WritesNothingThatItWouldNotRead) {
  const Temporary directory;
  const Tensor tensor = Tensor::own({1}, std::vector<float>{1});
  const std::vector<NamedTensor> twice = {{"a", tensor}, {"a", tensor}};
  EXPECT_THAT(message_of(write_safetensors(directory / "t", twice)), HasSubstr("a: expected each name once"));
  std::vector<NamedTensor> lying = {{"a", tensor}};
  lying[0].tensor.shape = {2};
  EXPECT_THAT(message_of(write_safetensors(directory / "t", lying)), HasSubstr("expected 8 bytes"));
  EXPECT_FALSE(std::filesystem::exists(directory / "t"));
  EXPECT_EQ(write_safetensors(directory / "no/such/place", {}).error().kind, Failure::io);
}

TEST(Safetensors, KeepsTheFileMappedWhileATensorLives) {
  const Temporary directory;
  const std::vector<NamedTensor> one = {{"a", Tensor::own({2}, std::vector<float>{3, 4})}};
  ASSERT_TRUE(write_safetensors(directory / "t.safetensors", one));
  Tensor kept;
  {
    const auto read = Safetensors::open(directory / "t.safetensors");
    kept = read->tensors().at("a");
  }
  std::filesystem::remove(directory / "t.safetensors");
  EXPECT_THAT(kept.floats().value(), ElementsAre(3, 4));
}

TEST(Safetensors, AcceptsAnEmptyFileAndAPaddedHeader) {
  EXPECT_EQ(message_of(parse(file_of("{}", 0))), "no failure");
  EXPECT_EQ(message_of(parse(file_of("{}      ", 0))), "no failure");
  EXPECT_EQ(message_of(parse(file_of(R"({"__metadata__":{}})", 0))), "no failure");
}

TEST(Safetensors, RefusesALengthThatDoesNotFit) {
  EXPECT_THAT(message_of(parse("")), HasSubstr("at least 8 bytes"));
  EXPECT_THAT(message_of(parse("1234567")), HasSubstr("at least 8 bytes"));
  for (const std::uint64_t length : {std::uint64_t{3}, std::uint64_t{1} << 40, UINT64_MAX, UINT64_MAX - 7})
    EXPECT_THAT(message_of(parse(file_of("{}", 0, length))), HasSubstr("header length: expected at most 2")) << length;
  EXPECT_THAT(message_of(parse(file_of("{}", 0, 0))), HasSubstr("header"));
  EXPECT_THAT(message_of(parse(file_of("{}", 0, 1))), HasSubstr("syntax error"));
}

struct Bad {
  std::string header, message;
  std::size_t data_bytes = 8;
};

TEST(Safetensors, RefusesABadHeaderAndNamesWhatIsBad) {
  const std::vector<Bad> cases = {
      Bad{"[]", "header: expected a JSON object"},
      Bad{" {}", "header: expected a JSON object"},
      Bad{"{", "syntax error"},
      Bad{"{\"\xff\":1}", "syntax error"},
      Bad{"{}{}", "syntax error"},
      Bad{"{}\n", "expected 0 bytes of data"},
      Bad{std::string("{}\0", 3), "byte 2: expected JSON, found a zero byte"},
      Bad{R"({"a":1})", "a: expected dtype, shape and data_offsets"},
      Bad{R"({"a":{"dtype":"F32","shape":[2]}})", "a: expected dtype, shape and data_offsets"},
      Bad{"{" + entry("a", "F8_E4M3", "[8]", "[0,8]") + "}", "found F8_E4M3"},
      Bad{R"({"a":{"dtype":4,"shape":[2],"data_offsets":[0,8]}})", "a: expected a dtype"},
      Bad{"{" + entry("a", "F32", "2", "[0,8]") + "}", "a: expected a shape"},
      Bad{"{" + entry("a", "F32", "[-2]", "[0,8]") + "}", "non-negative integers, found [-2]"},
      Bad{"{" + entry("a", "F32", "[2.0]", "[0,8]") + "}", "non-negative integers, found [2.0]"},
      Bad{"{" + entry("a", "F32", "[18446744073709551615]", "[0,8]") + "}", "non-negative integers"},
      Bad{"{" + entry("a", "F32", "[4294967296,4294967296]", "[0,8]") + "}", "fewer than 2^63 bytes"},
      Bad{"{" + entry("a", "F32", "[2305843009213693952]", "[0,0]") + "}", "fewer than 2^63 bytes"},
      Bad{"{" + entry("a", "F32", "[9223372036854775807,2,0]", "[0,0]") + "}", "fewer than 2^63 bytes"},
      Bad{"{" + entry("a", "F32", "[2]", "[0]") + "}", "two data_offsets"},
      Bad{"{" + entry("a", "F32", "[2]", "[-8,0]") + "}", "two data_offsets"},
      Bad{"{" + entry("a", "F32", "[2]", "[8,0]") + "}", "data_offsets in order within 8 bytes"},
      Bad{"{" + entry("a", "F32", "[2]", "[0,16]") + "}", "data_offsets in order within 8 bytes"},
      Bad{"{" + entry("a", "F32", "[2]", "[18446744073709551608,18446744073709551615]") + "}", "within 8 bytes"},
      Bad{"{" + entry("a", "F32", "[1]", "[0,8]") + "}", "a: expected 4 bytes, as dtype and shape ask, found 8"},
      Bad{"{" + entry("a", "F32", "[3]", "[0,8]") + "}", "a: expected 12 bytes"},
      Bad{"{" + entry("a", "F32", "[1]", "[0,4]") + "}", "data: expected 4 bytes of data"},
      Bad{"{" + entry("a", "F32", "[1]", "[4,8]") + "}", "a: expected data_offsets that start at 0"},
      Bad{"{" + entry("a", "F32", "[1]", "[0,4]") + "," + entry("b", "F32", "[2]", "[0,8]") + "}",
          "b: expected data_offsets"},
      Bad{"{" + entry("a", "F32", "[1]", "[0,4]") + "," + entry("b", "F32", "[1]", "[0,4]") + "}", "that start at 4"},
      Bad{"{" + entry("a", "F32", "[1]", "[0,4]") + "," + entry("a", "F32", "[1]", "[4,8]") + "}",
          "a: expected each key once"},
      Bad{R"({"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}})", "dtype: expected each key once"},
      Bad{R"({"__metadata__":3})", "__metadata__: expected an object", 0},
      Bad{R"({"__metadata__":{"k":1}})", "__metadata__.k: expected a string", 0},
      Bad{"{\"a\":" + std::string(100'000, '['), "at most 64 levels of JSON"}};
  for (const auto& [header, message, data_bytes] : cases)
    EXPECT_THAT(message_of(parse(file_of(header, data_bytes))), HasSubstr(message)) << header.substr(0, 200);
}

TEST(Safetensors, RefusesEveryTruncation) {
  const Temporary directory;
  const std::vector<NamedTensor> two = {{"a", Tensor::own({2}, std::vector<float>{3, 4})},
                                        {"b", Tensor::own({1}, std::vector<std::int64_t>{4})}};
  ASSERT_TRUE(write_safetensors(directory / "t.safetensors", two));
  const std::string whole = bytes_of(directory / "t.safetensors");
  for (std::size_t size = 0; size < whole.size(); ++size)
    EXPECT_THAT(message_of(parse(whole.substr(0, size))), Not("no failure")) << size;
  put(directory / "short.safetensors", whole.substr(0, whole.size() - 1));
  EXPECT_THAT(message_of(Safetensors::open(directory / "short.safetensors")), HasSubstr("short.safetensors: "));
}

TEST(Safetensors, SurvivesEveryFlippedBitOfTheHeader) {
  const Temporary directory;
  const std::vector<NamedTensor> one = {{"a", Tensor::own({2, 3}, std::vector<float>(6))}};
  ASSERT_TRUE(write_safetensors(directory / "t.safetensors", one));
  std::string bytes = bytes_of(directory / "t.safetensors");
  for (std::size_t bit = 0; bit < (bytes.size() - 24) * 8; ++bit) {
    const auto flip = [&] { bytes[bit / 8] = char(bytes[bit / 8] ^ (1 << (bit % 8))); };
    flip();
    if (const auto read =
            parse(bytes)) {  // another name, or another shape of the same size: then all the bytes are there
      for (const auto& [name, tensor] : read->tensors())
        EXPECT_EQ(tensor.bytes.size(), std::size_t(tensor.elements()) * std::size_t(size_of(tensor.dtype)));
    }
    flip();
  }
}

TEST(Safetensors, NamesWhatIsNotAReadableFile) {
  const Temporary directory;
  EXPECT_EQ(Safetensors::open(directory / "none").error().kind, Failure::io);
  EXPECT_EQ(Safetensors::open(directory.path()).error().kind, Failure::bad_input);
  ASSERT_EQ(::mkfifo((directory / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(Safetensors::open(directory / "pipe").error().kind, Failure::bad_input);
  put(directory / "empty", "");
  EXPECT_THAT(message_of(Safetensors::open(directory / "empty")), HasSubstr("expected at least 8 bytes, found 0"));
}

}  // namespace
}  // namespace assay
