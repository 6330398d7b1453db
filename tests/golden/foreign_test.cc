#include <atomic>
#include <random>
#include <thread>

#include <gmock/gmock.h>

#include "golden/odd_hdf5.h"
#include "golden/store.h"
#include "temporary.h"

namespace assay {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Foreign : public testing::Test {
 protected:
  std::string error_of(const std::string& group) const {
    const auto read = read_foreign_group(folder_ / "foreign.h5", group);
    return read ? "no error" : read.error().message();
  }
  Temporary folder_;
};

TEST_F(Foreign, WidensWhateverItFinds) {
  write_odd_types(folder_ / "foreign.h5");
  for (const char* group : {"odd", "/odd", "/odd/"}) {
    const std::vector<NamedTensor> tensors = read_foreign_group(folder_ / "foreign.h5", group).value();
    ASSERT_EQ(tensors.size(), 9) << group;
    for (const char* name : {"int8", "uint16", "int32"}) {
      const Tensor* tensor = find(tensors, name);
      ASSERT_NE(tensor, nullptr) << name;
      EXPECT_EQ(tensor->dtype, Dtype::i64) << name;
      EXPECT_THAT(tensor->shape, ElementsAre(2, 3)) << name;
      EXPECT_THAT(tensor->integers().value(), ElementsAre(0, 1, 2, 3, 4, 5)) << name;
    }
    for (const char* name : {"float16", "float64"}) {
      const Tensor* tensor = find(tensors, name);
      ASSERT_NE(tensor, nullptr) << name;
      EXPECT_EQ(tensor->dtype, Dtype::f32) << name;
      EXPECT_THAT(tensor->floats().value(), ElementsAre(0, 1, 2, 3, 4, 5)) << name;
    }
    EXPECT_THAT(find(tensors, "boolean")->integers().value(), ElementsAre(1, 0, 1));
    EXPECT_EQ(find(tensors, "packed")->floats().value()[511], 511);
    EXPECT_THAT(find(tensors, "scalar")->shape, ElementsAre());
    EXPECT_THAT(find(tensors, "empty")->shape, ElementsAre(0, 3));
  }
}

TEST_F(Foreign, NamesWhatIsMissing) {
  write_odd_types(folder_ / "foreign.h5");
  const std::string file = (folder_ / "foreign.h5").string();
  EXPECT_EQ(error_of("/none"), file + ": /none: expected a member of this name, found none");
  EXPECT_EQ(error_of("/odd/below"), file + ": /odd/below: expected datasets, found none");
  EXPECT_EQ(error_of("/"), file + ": /: expected datasets, found none");
  EXPECT_THAT(error_of("/odd/int8"), HasSubstr("expected a group"));
  EXPECT_THAT(read_foreign_group(folder_ / "none.h5", "/").error().message(),
              HasSubstr("none.h5: expected a file, found none"));
}

TEST_F(Foreign, FollowsNoLinkOutOfTheFile) {
  write_odd_types(folder_ / "other.h5");
  for (const Odd odd :
       {Odd::compound, Odd::soft_link, Odd::external_link, Odd::external_data, Odd::text, Odd::null, Odd::huge}) {
    write_odd_dataset(folder_ / "foreign.h5", odd, folder_ / "other.h5");
    EXPECT_THAT(error_of("/odd"), HasSubstr("/odd/value: expected")) << int(odd);
  }
}

TEST_F(Foreign, SurvivesTruncation) {
  write_odd_types(folder_ / "whole.h5");
  const std::string whole = bytes_of(folder_ / "whole.h5");
  for (std::size_t kept = 0; kept < whole.size(); kept += 1 + whole.size() / 100) {
    put(folder_ / "foreign.h5", whole.substr(0, kept));
    EXPECT_THAT(error_of("/odd"), HasSubstr("foreign.h5")) << kept << " of " << whole.size() << " bytes";
  }
}

TEST_F(Foreign, SurvivesFlippedBits) {
  write_odd_types(folder_ / "whole.h5");
  const std::string whole = bytes_of(folder_ / "whole.h5");
  for (unsigned seed = 0; seed < 300; ++seed) {
    std::mt19937 random(seed);
    std::string bent = whole;
    for (unsigned flips = 1 + random() % 8; flips > 0; --flips)
      bent[random() % bent.size()] ^= char(1U << random() % 8);
    put(folder_ / "foreign.h5", bent);
    if (const auto read = read_foreign_group(folder_ / "foreign.h5", "/odd"); !read) {
      EXPECT_EQ(read.error().kind, Failure::bad_input) << "seed " << seed;
      EXPECT_THAT(read.error().message(), HasSubstr("foreign.h5")) << "seed " << seed;
    }
  }
}

TEST_F(Foreign, SurvivesOverwrittenLengths) {
  write_odd_types(folder_ / "whole.h5");
  const std::string whole = bytes_of(folder_ / "whole.h5");
  for (unsigned seed = 0; seed < 200; ++seed) {
    std::mt19937 random(seed);
    std::string bent = whole;
    const std::size_t at = random() % (bent.size() - 8), width = std::size_t{1} << random() % 4;
    for (std::size_t i = 0; i < width; ++i) bent[at + i] = char(random() % 2 != 0 ? 0xff : random());
    put(folder_ / "foreign.h5", bent);
    if (const auto read = read_foreign_group(folder_ / "foreign.h5", "/odd"); !read) {
      EXPECT_EQ(read.error().kind, Failure::bad_input) << "seed " << seed;
    }
  }
}

#if !defined(__SANITIZE_ADDRESS__)  // GCC 12's ASan does not lock its allocator for fork: a child may wait for ever
TEST_F(Foreign, ReadsInManyThreadsAtOnce) {
  write_odd_types(folder_ / "foreign.h5");
  std::vector<std::thread> threads;
  threads.reserve(8);
  std::atomic<int> read = 0;
  for (int i = 0; i < 8; ++i)
    threads.emplace_back([&, i] {
      const std::vector<NamedTensor> out = {{"a", Tensor::own({1}, std::vector<float>{1})}};
      const bool written = write_hdf5(folder_ / ("out" + std::to_string(i) + ".h5"), out).has_value();
      if (written && read_foreign_group(folder_ / "foreign.h5", "/odd")) ++read;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(read, 8);
}
#endif

TEST_F(Foreign, LeavesNothingBehind) {
  setenv("TMPDIR", folder_.path().c_str(), 1);
  write_odd_types(folder_ / "foreign.h5");
  const std::vector<NamedTensor> tensors = read_foreign_group(folder_ / "foreign.h5", "/odd").value();
  EXPECT_THAT(error_of("/none"), HasSubstr("/none"));
  unsetenv("TMPDIR");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_.path()), {}), 1) << "only foreign.h5";
  EXPECT_EQ(find(tensors, "packed")->floats().value()[1], 1) << "what was read outlives the file it came through";
}

TEST_F(Foreign, ReadsWhatIsWritten) {
  const std::vector<NamedTensor> written = {{"taps/a", Tensor::own({2, 1, 2}, std::vector<float>{1, 2, 3, 4})},
                                            {"taps/b", Tensor::own({0}, std::vector<float>{})},
                                            {"outputs/ids", Tensor::own({1, 2}, std::vector<std::int64_t>{5, -6})}};
  ASSERT_TRUE(write_hdf5(folder_ / "out.h5", written));
  const auto taps = read_foreign_group(folder_ / "out.h5", "/taps").value();
  EXPECT_THAT(find(taps, "a")->shape, ElementsAre(2, 1, 2));
  EXPECT_THAT(find(taps, "a")->floats().value(), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(find(taps, "b")->shape, ElementsAre(0));
  const auto outputs = read_foreign_group(folder_ / "out.h5", "/outputs").value();
  EXPECT_THAT(find(outputs, "ids")->integers().value(), ElementsAre(5, -6));
}

TEST_F(Foreign, WritesAllOrNothing) {
  put(folder_ / "out.h5", "old");
  const Tensor tensor = Tensor::own({1}, std::vector<float>{1});
  const std::vector<NamedTensor> twice = {{"a", tensor}, {"a", tensor}};
  EXPECT_THAT(write_hdf5(folder_ / "out.h5", twice).error().message(), HasSubstr("a: expected a new dataset"));
  EXPECT_EQ(bytes_of(folder_ / "out.h5"), "old");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_.path()), {}), 1);
  const auto nowhere = write_hdf5(folder_ / "no/such/folder/out.h5", std::span(twice).first(1));
  ASSERT_FALSE(nowhere);
  EXPECT_EQ(nowhere.error().kind, Failure::io);
  EXPECT_THAT(nowhere.error().message(), HasSubstr("no/such/folder/out.h5: expected a writable place"));
}

}  // namespace
}  // namespace assay
