#include "golden/hdf5.h"

#include <gmock/gmock.h>

#include "golden/odd_hdf5.h"
#include "temporary.h"

namespace assay {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr std::int64_t kPlenty = 1 << 20;

template <class T>
std::string error_of(const Result<T>& result) {
  return result ? "no error" : result.error().message();
}

class Hdf5 : public testing::Test {
 protected:
  hdf5::Group odd(std::int64_t bytes = kPlenty) {
    write_odd_types(folder_ / "odd.h5");
    return hdf5::Group::open(folder_ / "odd.h5", bytes).value().group("odd").value();
  }
  Temporary folder_;
};

TEST_F(Hdf5, ReadsIntegersOfEveryWidth) {
  const hdf5::Group group = odd();
  for (const char* name : {"int8", "uint16", "int32"}) {
    const hdf5::Dataset dataset = group.dataset(name).value();
    EXPECT_EQ(dataset.kind(), hdf5::Dataset::Kind::integer) << name;
    EXPECT_THAT(dataset.shape(), ElementsAre(2, 3)) << name;
    EXPECT_THAT(dataset.integers().value(), ElementsAre(0, 1, 2, 3, 4, 5)) << name;
  }
  EXPECT_THAT(group.dataset("boolean").value().integers().value(), ElementsAre(1, 0, 1));
  EXPECT_THAT(group.dataset("scalar").value().integers().value(), ElementsAre(7));
}

TEST_F(Hdf5, ReadsFloatsOfEveryWidth) {
  const hdf5::Group group = odd();
  for (const char* name : {"float16", "float64"})
    EXPECT_THAT(group.dataset(name).value().floats().value(), ElementsAre(0, 1, 2, 3, 4, 5)) << name;
  const std::vector<float> packed = group.dataset("packed").value().floats().value();
  ASSERT_EQ(packed.size(), 512);
  for (std::size_t i = 0; i < packed.size(); ++i) ASSERT_EQ(packed[i], float(i));
  EXPECT_THAT(group.dataset("empty").value().floats().value(), ElementsAre());
}

TEST_F(Hdf5, ReadsAttributesOfEveryKind) {
  const hdf5::Group group = odd();
  EXPECT_EQ(group.text("fixed").value(), "four");
  EXPECT_EQ(group.text("padded").value(), "five!");
  EXPECT_EQ(group.text("variable").value(), "as long as it likes");
  EXPECT_THAT(group.integers("vector").value(), ElementsAre(1, 2, 3));
  EXPECT_EQ(group.number("real").value(), 0.5);
  EXPECT_EQ(group.integer("flag").value(), 1);
}

TEST_F(Hdf5, NamesWhatIsWrong) {
  const hdf5::Group group = odd();
  const std::string at = (folder_ / "odd.h5").string() + ": /odd";
  EXPECT_EQ(error_of(group.text("none")), at + "@none: expected an attribute, found none");
  EXPECT_EQ(error_of(group.text("real")), at + "@real: expected a string, found floating-point numbers");
  EXPECT_EQ(error_of(group.integer("vector")), at + "@vector: expected one integer, found 3");
  EXPECT_EQ(error_of(group.integer("real")), at + "@real: expected integers, found floating-point numbers");
  EXPECT_EQ(error_of(group.number("fixed")), at + "@fixed: expected a number, found strings");
  EXPECT_EQ(error_of(group.integer("flag", 2, 3)), at + "@flag: expected 2 to 3, found 1");
  EXPECT_EQ(error_of(group.dataset("none")), at + "/none: expected a member of this name, found none");
  EXPECT_THAT(error_of(group.dataset("below")), HasSubstr(at + "/below: expected a dataset"));
  EXPECT_THAT(error_of(group.group("int8")), HasSubstr(at + "/int8: expected a group"));
  EXPECT_EQ(error_of(group.dataset("int8").value().floats()),
            at + "/int8: expected floating-point numbers, found integers");
}

TEST_F(Hdf5, ListsMembers) {
  const hdf5::Group group = odd();
  EXPECT_THAT(group.names().value(), testing::Contains("below"));
  EXPECT_THAT(group.dataset_names().value(), testing::Not(testing::Contains("below")));
  EXPECT_EQ(group.names().value().size(), group.dataset_names().value().size() + 1);
  EXPECT_TRUE(group.has("below"));
  EXPECT_FALSE(group.has("below/nothing"));
}

TEST_F(Hdf5, ReadsNoMoreThanItMay) {
  const hdf5::Group group = odd(512 * 4 + 8);
  EXPECT_TRUE(group.dataset("packed").value().floats());
  EXPECT_TRUE(group.dataset("scalar").value().integers());
  EXPECT_THAT(error_of(group.dataset("scalar").value().integers()), HasSubstr("expected at most 0 bytes more"));
}

TEST_F(Hdf5, RefusesWhatIsNoBoxOfNumbersInThisFile) {
  write_odd_types(folder_ / "odd.h5");
  const auto of = [&](Odd odd) {
    write_odd_dataset(folder_ / "value.h5", odd, folder_ / "odd.h5");
    const hdf5::Group root = hdf5::Group::open(folder_ / "value.h5", kPlenty).value();
    const auto dataset = root.dataset("odd/value");
    return dataset ? error_of(dataset->floats()) : error_of(dataset);
  };
  EXPECT_THAT(of(Odd::compound), HasSubstr("expected numbers, found compounds"));
  EXPECT_THAT(of(Odd::text), HasSubstr("expected numbers, found strings"));
  EXPECT_THAT(of(Odd::soft_link), HasSubstr("found a soft or external link"));
  EXPECT_THAT(of(Odd::external_link), HasSubstr("found a soft or external link"));
  EXPECT_THAT(of(Odd::external_data), HasSubstr("found values in another file"));
  EXPECT_THAT(of(Odd::null), HasSubstr("dimensions"));
  EXPECT_THAT(of(Odd::huge), HasSubstr("expected a size that fits memory"));
}

TEST_F(Hdf5, RefusesWhatIsNoHdf5) {
  put(folder_ / "text.h5", "not HDF5 at all");
  EXPECT_THAT(error_of(hdf5::Group::open(folder_ / "text.h5", kPlenty)), HasSubstr("text.h5: expected an HDF5 file"));
  EXPECT_THAT(error_of(hdf5::Group::open(folder_ / "none.h5", kPlenty)),
              HasSubstr("none.h5: expected a file, found none"));
  EXPECT_THAT(error_of(hdf5::Group::open(folder_.path(), kPlenty)), HasSubstr("expected a file"));
}

TEST_F(Hdf5, WritesEqualBytesForEqualContents) {
  const auto write = [&](const char* name) {
    hdf5::Writer writer = hdf5::Writer::create(folder_ / name).value();
    EXPECT_TRUE(writer.dataset("/a/b/c", Tensor::own({2}, std::vector<float>{1, 2})));
    EXPECT_TRUE(writer.attribute("/a/b", "text", std::string("word")));
    EXPECT_TRUE(writer.close());
    return bytes_of(folder_ / name);
  };
  EXPECT_EQ(write("one.h5"), write("other.h5"));
}

TEST_F(Hdf5, WritesNothingTwice) {
  hdf5::Writer writer = hdf5::Writer::create(folder_ / "twice.h5").value();
  const Tensor tensor = Tensor::own({1}, std::vector<float>{1});
  EXPECT_TRUE(writer.dataset("a/b", tensor));
  EXPECT_THAT(error_of(writer.dataset("a/b", tensor)), HasSubstr("a/b: expected a new dataset"));
  EXPECT_THAT(error_of(writer.dataset("a/b/c", tensor)), HasSubstr("a/b/c: expected a new dataset"));
  EXPECT_THAT(error_of(writer.attribute("none", "x", std::int64_t{1})), HasSubstr("none@x"));
}

}  // namespace
}  // namespace assay
