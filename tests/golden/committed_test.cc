// The goldens of this repository: a suite without them would judge nothing, so their absence fails here.
#include <set>
#include <stdexcept>

#include <gmock/gmock.h>

#include "golden/check.h"
#include "golden/store.h"

namespace assay {
namespace {

const std::filesystem::path kData = ASSAY_SOURCE_DIR "/golden/data";

class Committed : public testing::Test {
 protected:
  Committed() {
    auto listed = list_goldens(kData);
    if (!listed) throw std::runtime_error(listed.error().message());
    goldens_ = *std::move(listed);
  }
  std::vector<GoldenEntry> goldens_;
};

TEST_F(Committed, AreThere) {
  std::set<std::string> variants;
  for (const GoldenEntry& entry : goldens_) variants.insert(Golden::open(entry.file).value().info().variant);
  EXPECT_THAT(variants, testing::IsSupersetOf({"E2B", "E4B", "12B", "26B-A4B", "31B"}));
}

TEST_F(Committed, AreTheFilesOfTheManifest) {
  const auto checked = check_manifest(kData);
  EXPECT_TRUE(checked) << checked.error().message();
}

TEST_F(Committed, AreFitToJudgeBy) {
  ASSERT_FALSE(goldens_.empty());
  for (const GoldenEntry& entry : goldens_)
    for (const Finding& finding : check_golden(kData, entry))
      ADD_FAILURE() << entry.name << ": " << finding.at << ": " << finding.what << "\nre-run: ./assay golden check "
                    << entry.name;
}

TEST_F(Committed, HaveThePlanThatTransformersResolved) {
  ASSERT_FALSE(goldens_.empty());
  for (const GoldenEntry& entry : goldens_) {
    if (entry.synthetic) continue;  // check_golden compares its plan without its gigabytes
    const auto golden = Golden::open(entry.file);
    const auto checkpoint = open_checkpoint(entry);
    ASSERT_TRUE(golden) << golden.error().message();
    ASSERT_TRUE(checkpoint) << checkpoint.error().message();
    Plan plan = checkpoint->plan;
    if (plan.assistant) {
      const auto target = open_target(kData, golden->info(), plan);
      ASSERT_TRUE(target) << target.error().message();
      plan = target->drafter;
    }
    for (const Finding& finding : check_plan(golden->info(), plan))
      ADD_FAILURE() << entry.name << ": " << finding.at << ": " << finding.what;
  }
}

TEST_F(Committed, SayWhatLesserCachesAndFp16Lose) {
  int with_q8_0 = 0;
  for (const GoldenEntry& entry : goldens_) {
    if (entry.synthetic) continue;
    const Golden golden = Golden::open(entry.file).value();
    for (const std::string& name : golden.info().cases) {
      const GoldenCase loaded = golden.load(name).value();
      for (const GoldenTap& tap : loaded.taps) {
        std::set<std::string> known;
        for (const auto& [arithmetic, noise] : tap.losses) known.insert(arithmetic);
        EXPECT_THAT(known, testing::IsSupersetOf({"fp16", "kv_bf16", "kv_fp16"})) << entry.name << "/" << name;
        with_q8_0 += int(known.contains("kv_q8_0"));
      }
    }
  }
  EXPECT_GT(with_q8_0, 1000);
}

TEST_F(Committed, OfFullSizeBelongToTheirDefinition) {
  int synthetic = 0;
  for (const GoldenEntry& entry : goldens_) {
    if (!entry.synthetic) continue;
    ++synthetic;
    GoldenInfo info = Golden::open(entry.file).value().info();
    SyntheticModel model = synthetic_model(*entry.synthetic).value();
    EXPECT_TRUE(check_belongs(info, model)) << entry.name;
    model.tensors.front().exponent -= 1;
    EXPECT_FALSE(check_belongs(info, model)) << entry.name << ": other numbers";
    model.tensors.front().exponent += 1;
    info.seed += 1;
    EXPECT_FALSE(check_belongs(info, model)) << entry.name << ": another seed";
  }
  EXPECT_GT(synthetic, 0);
}

}  // namespace
}  // namespace assay
