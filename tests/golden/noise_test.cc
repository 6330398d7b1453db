// noise.h5: read into the case it belongs to, refused where it belongs to another.
#include "golden/noise.h"

#include <limits>

#include <gmock/gmock.h>

#include "base/sha256.h"
#include "golden/tiny_golden.h"
#include "temporary.h"

namespace assay {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

class NoiseFile : public testing::Test {
 protected:
  NoiseFile() {
    write_golden(folder_ / "golden.h5", golden_);
    sha256_ = sha256_file(folder_ / "golden.h5").value();
  }

  /// Two arithmetics for the case `short`: tap i moves by i and i / 2 in the first, the second was not measured.
  void write(const std::function<void(std::vector<float>&)>& bend = {}, std::int64_t taps_more = 0) {
    const GoldenCase& of = golden_.cases[1];
    std::vector<float> taps;
    for (std::size_t i = 0; i < of.taps.size() + std::size_t(taps_more); ++i)
      taps.insert(taps.end(), {float(i), float(i) / 2, kNan, kNan});
    if (bend) bend(taps);
    const auto layers = std::int64_t(golden_.plan.layers.size());
    std::vector<float> router(std::size_t(layers) * 2, kNan);
    router[3] = 0.25F;  // layer 1, bf16
    auto file = hdf5::Writer::create(folder_ / "noise.h5").value();
    EXPECT_TRUE(file.attribute("/", "schema", std::int64_t{1}));
    EXPECT_TRUE(file.attribute("/", "golden_sha256", sha256_));
    EXPECT_TRUE(file.attribute("/", "arithmetics", std::string("kv_bf16 fp16")));
    EXPECT_TRUE(file.attribute("/", "router", std::string("fp16 bf16")));
    EXPECT_TRUE(file.dataset("/cases/" + of.name + "/taps",
                             Tensor::own({std::int64_t(of.taps.size()) + taps_more, 2, 2}, std::move(taps))));
    EXPECT_TRUE(file.dataset("/cases/" + of.name + "/router", Tensor::own({layers, 2}, std::move(router))));
    EXPECT_TRUE(file.close());
  }

  std::string error() const {
    const auto golden = Golden::open(folder_ / "golden.h5");
    if (!golden) return golden.error().message();
    const auto loaded = golden->load(golden_.cases[1].name);
    return loaded ? "no error" : loaded.error().message();
  }

  Temporary folder_;
  TinyGolden golden_ = tiny_golden();
  std::string sha256_;
};

TEST_F(NoiseFile, GivesTapsTheirLossesAndRoutersTheirs) {
  write();
  const Golden golden = Golden::open(folder_ / "golden.h5").value();
  const GoldenCase found = golden.load(golden_.cases[1].name).value();
  for (std::size_t i = 0; i < found.taps.size(); ++i) {
    ASSERT_EQ(found.taps[i].losses.size(), 1U) << "what was not measured is not there";
    EXPECT_EQ(found.taps[i].losses[0].first, "kv_bf16");
    EXPECT_EQ(found.taps[i].losses[0].second.most, double(i));
    EXPECT_EQ(found.taps[i].losses[0].second.rms, double(i) / 2);
  }
  ASSERT_EQ(found.router_noise.size(), 2U);
  EXPECT_EQ(found.router_noise[1].first, "bf16");
  EXPECT_EQ(found.router_noise[1].second[1], 0.25);
  const GoldenCase other = golden.load(golden_.cases[0].name).value();
  EXPECT_THAT(other.taps[0].losses, IsEmpty()) << "a case that the file does not hold";
}

TEST_F(NoiseFile, MayBeMissing) {
  EXPECT_EQ(error(), "no error");
  EXPECT_EQ(noise_beside(folder_ / "golden.h5"), "");
}

TEST_F(NoiseFile, OfAnotherGoldenIsRefused) {
  sha256_[0] = sha256_[0] == '0' ? '1' : '0';
  write();
  EXPECT_THAT(error(), HasSubstr("@golden_sha256"));
}

TEST_F(NoiseFile, IsRefusedWhereItDoesNotFit) {
  write({}, 1);
  EXPECT_THAT(error(), HasSubstr("/taps: expected ["));
  for (const float wrong : {-1.0F, std::numeric_limits<float>::infinity()}) {
    write([&](std::vector<float>& taps) { taps[4] = wrong; });
    EXPECT_THAT(error(), HasSubstr("finite numbers from 0, or NaN"));
  }
}

TEST_F(NoiseFile, ThatIsNoHdf5IsRefused) {
  put(folder_ / "noise.h5", "no HDF5");
  EXPECT_THAT(error(), HasSubstr("noise.h5"));
}

}  // namespace
}  // namespace assay
