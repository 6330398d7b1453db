// A tree of its own with one kernel, edited as someone writing it would.
#include "harness/kernel/watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "harness/kernel/check.h"
#include "temporary.h"

namespace assay {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

class Watch : public testing::Test {
 protected:
  void SetUp() override {
    const fs::path real = fs::path(ASSAY_SOURCE_DIR) / "kernels";
    fs::create_directories(folder_ / "kernels/cpu/portable");
    fs::create_directories(folder_ / "scratch");
    fs::copy(real / "cpu/portable/read.cc", source());
    fs::create_directories(folder_ / "kernels/spec");
    fs::copy(real / "spec/read.h", folder_ / "kernels/spec/read.h");
    const std::string root = folder_.path().string();
    put(folder_ / "compile_commands.json",
        nlohmann::json::array({{{"directory", root},
                                {"command", "c++ -std=c++20 -O1 -I" + root + " -o out.o -c " + source().string()},
                                {"file", source().string()}}})
            .dump());
  }
  fs::path source() const { return folder_ / "kernels/cpu/portable/read.cc"; }
  void edit(const std::string& from, const std::string& to) {
    std::string text = bytes_of(source());
    const std::size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos);
    put(source(), text.replace(at, from.size(), to));
  }
  Result<kernels::Kernel> build() {
    return build_kernel(kernel_, {.source = folder_.path(), .build = folder_.path(), .scratch = folder_ / "scratch"});
  }

  const kernels::Kernel& kernel_ = *kernels::find_kernel("read_fp32_fp32_portable");
  Temporary folder_;
};

TEST_F(Watch, LoadsWhatWasSavedBesideWhatWasThere) {
  const auto first = build();
  ASSERT_TRUE(first) << first.error().message();
  EXPECT_NE(first->fn, kernel_.fn);
  edit("y[r] = all", "y[r] = all ^ 1");
  const auto second = build();
  ASSERT_TRUE(second) << second.error().message();
  KernelReport report;
  EXPECT_FALSE(check_shape(*first, {4, 256}, {}, report));
  EXPECT_TRUE(check_shape(*second, {4, 256}, {}, report)) << "the edit computes something else";
}

TEST_F(Watch, SaysWhatTheCompilerSays) {
  edit("y[r] = all", "y[r] = nothing_of_the_kind");
  const auto built = build();
  ASSERT_FALSE(built);
  EXPECT_THAT(built.error().found, HasSubstr("nothing_of_the_kind"));
}

TEST_F(Watch, SaysWhenTheKernelIsGone) {
  edit("read_fp32_fp32", "read_fp32_fp33");
  const auto built = build();
  ASSERT_FALSE(built);
  EXPECT_THAT(built.error().message(), HasSubstr("a function assay::kernels::cpu::portable::read_fp32_fp32"));
  fs::remove(source());
  EXPECT_FALSE(build());
}

TEST_F(Watch, KnowsTheFilesThatMatterAndWhenTheyChange) {
  const fs::path spec = folder_ / "kernels/spec/read.h";
  const auto files = files_of(source(), folder_.path());
  EXPECT_THAT(files, UnorderedElementsAre(source(), spec));
  const auto before = stamps_of(files);
  fs::last_write_time(spec, fs::last_write_time(spec) + std::chrono::seconds(1));
  EXPECT_NE(stamps_of(files), before);
  fs::remove(spec);
  EXPECT_EQ(stamps_of(files).at(spec), 0);
}

TEST_F(Watch, KnowsHeadersThatAreIncludedFromWhereTheyLie) {
  const fs::path simd = folder_ / "kernels/cpu/simd", spec = folder_ / "kernels/spec/read.h";
  fs::create_directories(simd);
  edit("#include \"kernels/spec/read.h\"", "#include \"kernels/spec/read.h\"\n#include \"../simd/tile.h\"");
  put(simd / "tile.h", "#include \"lanes.h\"\n#include \"../simd/lanes.h\"\n#include \"no_such.h\"\n");
  put(simd / "lanes.h", "#include \"tile.h\"\n#include \"kernels/spec/read.h\"\n");
  put(folder_ / "lanes.h", "");  // the one beside the including file goes before it
  const auto files = files_of(source(), folder_.path());
  EXPECT_THAT(files, UnorderedElementsAre(source(), spec, simd / "tile.h", simd / "lanes.h"));
  const auto before = stamps_of(files);
  fs::last_write_time(simd / "lanes.h", fs::last_write_time(simd / "lanes.h") + std::chrono::seconds(1));
  EXPECT_NE(stamps_of(files), before);
}

TEST_F(Watch, TakesTheMostParticularSource) {
  const fs::path folder = folder_ / "kernels/cpu/portable";
  EXPECT_EQ(source_of(kernel_, folder_.path()), folder / "read.cc");
  put(folder / "read_fp32.cc", "");
  EXPECT_EQ(source_of(kernel_, folder_.path()), folder / "read_fp32.cc");
  put(folder / "read_fp32_fp32.cc", "");
  EXPECT_EQ(source_of(kernel_, folder_.path()), folder / "read_fp32_fp32.cc");
}

}  // namespace
}  // namespace assay
