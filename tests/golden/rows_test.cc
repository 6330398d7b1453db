#include "golden/rows.h"

#include <gmock/gmock.h>

namespace assay {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

NamedTensor integers(std::string name, std::vector<std::int64_t> shape, std::vector<std::int64_t> values) {
  return {std::move(name), Tensor::own(std::move(shape), std::move(values))};
}

/// Four patches of a picture, of which the last is padding.
NamedTensor picture(std::string name) { return integers(std::move(name), {1, 4, 2}, {0, 0, 1, 0, 0, -1, -1, -1}); }

std::string error(std::vector<NamedTensor> inputs) {
  inputs.push_back(integers("input_ids", {1, 2}, {3, 4}));
  const auto rows = CaseRows::of(inputs, {});
  return rows ? "" : rows.error().message();
}

TEST(CaseRows, TellPaddingInEveryRowSpace) {
  const std::vector<NamedTensor> inputs = {
      integers("input_ids", {2, 2}, {5, 6, 7, 8}),
      integers("attention_mask", {2, 2}, {0, 1, 1, 1}),
      picture("image_position_ids"),
      integers("video_position_ids", {1, 2, 2, 2}, {0, 0, -1, -1, -1, -1, -1, -1}),
      integers("input_features_mask", {2, 6}, {1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0}),
  };
  const auto rows = CaseRows::of(inputs, {.pool = 2, .subsampled = true});
  ASSERT_TRUE(rows) << rows.error().message();
  EXPECT_EQ(rows->batch(), 2);
  EXPECT_EQ(rows->tokens(), 2);
  EXPECT_THAT(rows->real(RowSpace::tokens), ElementsAre(false, true, true, true));
  EXPECT_THAT(rows->real(RowSpace::patches), ElementsAre(true, true, true, false, true, false, false, false))
      << "pictures, then frames; only (-1, -1) is padding";
  EXPECT_THAT(rows->real(RowSpace::vision_soft), ElementsAre(true)) << "four real patches";
  EXPECT_EQ(rows->real_count(RowSpace::frames), 9);
  EXPECT_THAT(rows->real(RowSpace::audio_frames), ElementsAre(true, true, true, false)) << "frames 0 and 4 of each";
  EXPECT_EQ(rows->count(RowSpace::audio_soft), 3);
}

TEST(CaseRows, OfUnifiedModelsAreSoftTokensThemselves) {
  const std::vector<NamedTensor> inputs = {integers("input_ids", {1, 1}, {5}), picture("image_position_ids"),
                                           integers("input_features_mask", {1, 3}, {1, 1, 0})};
  const auto rows = CaseRows::of(inputs, {.pool = 1, .subsampled = false});
  ASSERT_TRUE(rows) << rows.error().message();
  EXPECT_EQ(rows->count(RowSpace::vision_soft), 3);
  EXPECT_THAT(rows->real(RowSpace::audio_frames), IsEmpty());
  EXPECT_EQ(rows->count(RowSpace::audio_soft), 2);
}

TEST(CaseRows, OfTextAloneHaveTokensAlone) {
  const std::vector<NamedTensor> inputs = {integers("input_ids", {1, 3}, {5, 6, 7})};
  const auto rows = CaseRows::of(inputs, {});
  ASSERT_TRUE(rows) << rows.error().message();
  EXPECT_EQ(rows->real_count(RowSpace::tokens), 3);
  for (const RowSpace space :
       {RowSpace::patches, RowSpace::vision_soft, RowSpace::frames, RowSpace::audio_frames, RowSpace::audio_soft})
    EXPECT_EQ(rows->count(space), 0);
}

TEST(CaseRows, RefuseInputsOfAnotherShape) {
  EXPECT_THAT(error({integers("image_position_ids", {2, 2}, {0, 0, 0, 0})}), HasSubstr("image_position_ids"));
  EXPECT_THAT(error({integers("video_position_ids", {1, 1, 3}, {0, 0, 0})}), HasSubstr("video_position_ids"));
  EXPECT_THAT(error({integers("input_features_mask", {3}, {1, 1, 1})}), HasSubstr("input_features_mask"));
  EXPECT_THAT(error({{"input_features_mask", Tensor::own({1, 1}, std::vector<float>{1})}}),
              HasSubstr("input_features_mask"));
  EXPECT_THAT(error({integers("input_features_mask", {1, 0}, {})}), HasSubstr("input_features_mask"));
  EXPECT_FALSE(CaseRows::of({}, {}));
}

}  // namespace
}  // namespace assay
