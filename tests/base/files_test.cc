#include "base/files.h"

#include <cstdlib>
#include <filesystem>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/sha256.h"
#include "temporary.h"

namespace assay {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class Files : public testing::Test {
 protected:
  Temporary temporary_;
  const fs::path folder_ = temporary_.path();
};

TEST_F(Files, ReadsBackWhatItWrote) {
  const std::string bytes("a\0b", 3);
  ASSERT_TRUE(write_file(folder_ / "x", bytes));
  EXPECT_EQ(read_file(folder_ / "x", 3).value(), bytes);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1);
}

TEST_F(Files, RefusesMoreThanTheLimit) {
  ASSERT_TRUE(write_file(folder_ / "x", "four"));
  const auto read = read_file(folder_ / "x", 3);
  ASSERT_FALSE(read);
  EXPECT_THAT(read.error().message(), HasSubstr("size: expected at most 3 bytes, found 4"));
}

TEST_F(Files, NamesWhatIsMissingOrNoFile) {
  EXPECT_EQ(read_file(folder_ / "none", 9).error().kind, Failure::io);
  EXPECT_EQ(read_file(folder_, 9).error().kind, Failure::bad_input);
}

TEST_F(Files, AFailedWriteLeavesTheOldFile) {
  ASSERT_TRUE(write_file(folder_ / "x", "old"));
  const auto written = write_beside(folder_ / "x", [](const fs::path&) -> Result<void> {
    return fail({Failure::io, "disk", "", "", ""});
  });
  EXPECT_FALSE(written);
  EXPECT_EQ(read_file(folder_ / "x", 9).value(), "old");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1);
}

TEST_F(Files, HashesAsEverybodyDoes) {
  ASSERT_TRUE(write_file(folder_ / "x", "abc"));
  const std::string abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
  EXPECT_EQ(sha256_file(folder_ / "x").value(), abc);
  EXPECT_EQ(sha256_hex(std::as_bytes(std::span("abc", 3))), abc);
  EXPECT_FALSE(sha256_file(folder_ / "none"));
}

TEST(Failure, SaysFileFieldExpectedAndFound) {
  EXPECT_EQ((Failure{Failure::bad_input, "e2b/config.json", "text_config.head_dim", "2 to 4096", "-8"}.message()),
            "e2b/config.json: text_config.head_dim: expected 2 to 4096, found -8");
  EXPECT_EQ((Failure{Failure::unsupported, "engine", "step", "", ""}.message()), "engine: step");
  EXPECT_EQ((Failure{Failure::io, "x", "", "", "no space"}.message()), "x: found no space");
}

}  // namespace
}  // namespace assay
