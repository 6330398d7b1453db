// Files that an engine says it wrote.
#include "engine/external/outputs.h"

#include <filesystem>

#include <sys/stat.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "temporary.h"

namespace assay::external {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Outputs : public testing::Test {
 protected:
  std::filesystem::path good() const {
    const std::vector<NamedTensor> tensors{{"x", Tensor::own({1, 2}, std::vector<float>{3, 4})},
                                           {"ids", Tensor::own({1, 1}, std::vector<std::int64_t>{7})}};
    auto file = folder_ / "out.safetensors";
    EXPECT_TRUE(write_safetensors(file, tensors));
    return file;
  }
  static std::string why(const std::filesystem::path& file, std::int64_t limit = 1 << 20) {
    const auto read = read_outputs(file, limit, "engine");
    if (read) return "";
    EXPECT_EQ(read.error().kind, Failure::bad_output);
    return read.error().message();
  }
  Temporary folder_;
};

TEST_F(Outputs, TensorsAreReadAndOutliveTheFile) {
  const auto file = good();
  const auto read = read_outputs(file, 1 << 20, "engine");
  ASSERT_TRUE(read) << read.error().message();
  std::filesystem::resize_file(file, 3);
  EXPECT_THAT(*floats_of(*read, "x", {{9, 9}, {1, 2}}, "engine"), ElementsAre(3, 4));
  EXPECT_THAT(*integers_of(*read, "ids", std::vector<std::int64_t>{1, 1}, "engine"), ElementsAre(7));
  EXPECT_THAT(floats_of(*read, "y", {{1, 2}}, "engine").error().message(),
              HasSubstr("y: expected it among the outputs"));
  EXPECT_THAT(floats_of(*read, "ids", {{1, 1}}, "engine").error().message(), HasSubstr("dtype F32, found I64"));
  EXPECT_THAT(floats_of(*read, "x", {{2, 1}}, "engine").error().message(), HasSubstr("[2, 1], found [1, 2]"));
}

TEST_F(Outputs, WhateverElseLiesThereIsRefused) {
  EXPECT_THAT(why(folder_ / "none"), HasSubstr("No such file"));
  EXPECT_THAT(why(folder_.path()), HasSubstr("a regular file"));
  std::filesystem::create_symlink(good(), folder_ / "link");
  EXPECT_THAT(why(folder_ / "link"), HasSubstr("a link"));
  ASSERT_EQ(::mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  EXPECT_THAT(why(folder_ / "pipe"), HasSubstr("a regular file"));
  EXPECT_THAT(why(good(), 10), HasSubstr("at most 10 bytes"));
  put(folder_ / "junk", std::string(100, 'j'));
  EXPECT_THAT(why(folder_ / "junk"), HasSubstr("safetensors"));
  EXPECT_EQ(why(good()), "");
}

}  // namespace
}  // namespace assay::external
