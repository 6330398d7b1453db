// Faults of the front end: what is written a second time for them must be right where nothing is bent, or they would
// show for the wrong reason.
#include <algorithm>
#include <cmath>
#include <cstdlib>

#include <gtest/gtest.h>

#include "base/tolerance.h"
#include "harness/faults/fault.h"
#include "model/processor/front_end.h"

namespace assay {
namespace {

FrontEnd bent(const char* name) {
  FrontEnd steps = front_end();
  const Fault* fault = find_fault(name);
  EXPECT_NE(fault, nullptr) << name;
  if (fault != nullptr) fault->bend(steps);
  return steps;
}

std::vector<std::vector<float>> clips() {
  std::vector<std::vector<float>> all = {std::vector<float>(1600), std::vector<float>(700)};
  for (std::vector<float>& clip : all)
    for (std::size_t i = 0; i < clip.size(); ++i) clip[i] = float(0.4 * std::sin(0.02 * double(i * (i % 50))));
  return all;
}

TEST(FrontEndFaults, HaveAStageAndABend) {
  int count = 0;
  for (const Fault& fault : faults()) {
    EXPECT_EQ(fault.stage.empty(), !fault.bend) << fault.name;
    EXPECT_NE(bool(fault.bend), bool(fault.inject)) << fault.name;
    count += fault.bend ? 1 : 0;
  }
  EXPECT_GT(count, 150);
}

TEST(FrontEndFaults, HoldTheirRowsOfThePage) {
  for (const char* row : {"D8", "D9", "D13", "D14", "E1", "E2", "E3", "E4",  "E5", "E13", "F2", "F3", "F4", "G1",
                          "G3", "G4", "G5",  "G6",  "G7", "G8", "G9", "G10", "K5", "H2",  "H4", "H5", "H6", "H8"})
    EXPECT_TRUE(std::ranges::any_of(faults(), [&](const Fault& fault) { return fault.row == row; })) << row;
}

TEST(SecondMel, IsTheFirstWhereNothingIsBent) {
  const auto all = clips();
  const auto right = front_end().mel(all, {}), again = bent("mel-in-another-order").mel(all, {});
  ASSERT_TRUE(right && again);
  EXPECT_EQ(right->mask, again->mask);
  ASSERT_EQ(right->values.size(), again->values.size());
  for (std::size_t i = 0; i < right->values.size(); ++i)
    ASSERT_NEAR(right->values[i], again->values[i], mel_features().atol) << i;
}

TEST(SecondResize, IsNearTheFirst) {
  Image image{40, 30, {}};
  for (int i = 0; i < 40 * 30 * 3; ++i) image.rgb.push_back(std::uint8_t((i * 37 + i / 40 * 11) % 256));
  for (const auto& [width, height] : {std::pair(96, 48), std::pair(16, 20)}) {
    const auto right = front_end().resize(image, width, height);
    ASSERT_TRUE(right);
    for (const char* name : {"resize-exact-weights", "resize-in-float", "resize-down-before-across"}) {
      const auto other = bent(name).resize(image, width, height);
      ASSERT_TRUE(other) << name;
      int largest = 0;
      for (std::size_t i = 0; i < right->rgb.size(); ++i)
        largest = std::max(largest, std::abs(int(right->rgb[i]) - int(other->rgb[i])));
      EXPECT_LE(largest, 12) << name;  // clipping between the passes overshoots; noise has the most of it
    }
  }
}

TEST(SecondMerging, IsTheFirstWhereIdsAreRanks) {
  const auto tokenizer = Tokenizer::open(std::filesystem::path(ASSAY_SOURCE_DIR) / "tests/data/tokenizer");
  ASSERT_TRUE(tokenizer);
  const std::string text = "<|turn>user\nWhat is the capital of France? 日本語\n\n<turn|>";
  const auto right = front_end().encode(*tokenizer, text, {}),
             again = bent("merges-by-score").encode(*tokenizer, text, {});
  ASSERT_TRUE(right && again);
  EXPECT_EQ(*right, *again);
}

}  // namespace
}  // namespace assay
