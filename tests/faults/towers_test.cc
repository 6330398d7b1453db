// Faults of towers, of the encoder-free embedders and of merging, on goldens that hold media.
#include <algorithm>

#include <gtest/gtest.h>

#include "harness/faults/run.h"

namespace assay {
namespace {

GoldenEntry golden(const std::string& name) {
  const std::filesystem::path folder = std::filesystem::path(ASSAY_SOURCE_DIR) / "golden/data" / name;
  return {.name = name, .file = folder / "golden.h5", .checkpoint = folder / "checkpoint"};
}

struct Born {
  const char *fault, *golden, *tap;
};

void PrintTo(const Born& born, std::ostream* out) { *out << born.fault << " in " << born.golden; }

class WhereItIsBorn : public testing::TestWithParam<Born> {};

TEST_P(WhereItIsBorn, IsWhatTheGoldenShows) {
  const Born& born = GetParam();
  const Fault* fault = find_fault(born.fault);
  ASSERT_NE(fault, nullptr);
  const auto seen = run_fault(*fault, golden(born.golden));
  ASSERT_TRUE(seen) << seen.error().message();
  ASSERT_EQ(seen->size(), 1U);
  EXPECT_EQ(seen->front().place, Sighting::exact);
  EXPECT_EQ(seen->front().first, born.tap);
}

INSTANTIATE_TEST_SUITE_P(
    Towers, WhereItIsBorn,
    testing::Values(Born{"tower-pixels-not-centred", "e2b-media", "vision.patch_embed"},
                    Born{"vision-clips-ignored", "e2b-media", "vision.layer.00.attn.q"},
                    Born{"vision-padding-attended", "e2b-media", "vision.layer.00.attn.ctx"},
                    Born{"standardize-ignored", "31b-media", "vision.pooled"},
                    Born{"projector-norm-behind", "e2b-media", "vision.projected"},
                    Born{"unified-pixels-centred", "12b-media", "vision.patch_embed"},
                    Born{"audio-mask-of-odd-frames", "e2b-media", "audio.subsample"},
                    Born{"audio-span-one-too-long", "e2b-media", "audio.layer.00.attn"},
                    Born{"soft-tokens-scaled-as-text", "12b-media", "text.embed"},
                    Born{"batch-rows-start-over", "e2b-media", "text.embed"},
                    Born{"ple-before-merge", "e2b-media", "text.ple"},
                    Born{"later-chunk-is-a-block", "12b-media", "text.layer.00.attn.ctx"},
                    // Another number of rows, which the engine's contract forbids: seen where it is born all the same.
                    Born{"pool-keeps-empty-cells", "e2b-media", "vision.pooled"},
                    Born{"audio-padding-sent", "e2b-media", "audio.projected"}),
    [](const auto& param) {
      std::string name = param.param.fault;
      std::ranges::replace(name, '-', '_');
      return name;
    });

TEST(Control, IsNotFlagged) {
  for (const char* name : {"padding-patches-embed-anything", "pool-divides-by-patches-present",
                           "audio-attention-without-blocks", "audio-padding-seen"}) {
    const auto seen = run_fault(*find_fault(name), golden("e2b-media"));
    ASSERT_TRUE(seen) << seen.error().message();
    ASSERT_EQ(seen->size(), 1U) << name;
    EXPECT_EQ(seen->front().place, Sighting::unseen) << name;
    EXPECT_LT(seen->front().ratio, 1) << name;
  }
}

TEST(TowerFaults, HaveNothingToBendInTextModels) {
  for (const char* name : {"pixels-not-over-255", "vision-rope-missing", "audio-softplus-missing", "pictures-dropped",
                           "projector-norm-missing", "unified-norm-is-rms"}) {
    const auto seen = run_fault(*find_fault(name), golden("headless"));
    ASSERT_TRUE(seen) << seen.error().message();
    EXPECT_TRUE(seen->empty()) << name;
  }
}

}  // namespace
}  // namespace assay
