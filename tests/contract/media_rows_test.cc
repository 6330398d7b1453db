#include "engine/media_rows.h"

#include <gmock/gmock.h>

namespace assay {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Plan tower_plan() {
  Plan plan;
  plan.placeholders = {7, 8, 9};
  plan.vision = VisionPlan{.patch_values = 3, .hidden = 4, .positions = 20, .pool = 3};
  plan.audio = AudioPlan{.features = 8, .channels = {8, 2}, .frequencies = 2, .hidden = 4, .output = 4};
  return plan;
}

Plan encoder_free_plan() {
  Plan plan = tower_plan();
  plan.vision->encoder_free = plan.audio->encoder_free = true;
  plan.vision->pool = 1;
  return plan;
}

/// Positions of grids of patches, each padded to `length`.
Tensor grids(const std::vector<std::pair<int, int>>& sizes, int length) {
  std::vector<std::int64_t> values;
  for (const auto& [width, height] : sizes) {
    const std::size_t end = values.size() + 2 * std::size_t(length);
    for (int y = 0; y < height; ++y)
      for (int x = 0; x < width; ++x) values.insert(values.end(), {x, y});
    values.resize(end, -1);
  }
  return Tensor::own({std::int64_t(sizes.size()), length, 2}, std::move(values));
}

Tensor zeros(std::vector<std::int64_t> shape) {
  std::int64_t count = 1;
  for (const std::int64_t extent : shape) count *= extent;
  return Tensor::own(std::move(shape), std::vector<float>(std::size_t(count)));
}

std::vector<NamedTensor> images(const std::vector<std::pair<int, int>>& sizes, int length) {
  return {{"pixel_values", zeros({std::int64_t(sizes.size()), length, 3})},
          {"image_position_ids", grids(sizes, length)}};
}

std::vector<NamedTensor> clips(const std::vector<int>& frames, int length, int features = 8) {
  std::vector<std::int64_t> mask;
  for (const int real : frames)
    for (int t = 0; t < length; ++t) mask.push_back(t < real ? 1 : 0);
  const auto n = std::int64_t(frames.size());
  return {{"input_features", zeros({n, length, features})},
          {"input_features_mask", Tensor::own({n, length}, std::move(mask))}};
}

std::string message_of(const Result<MediaRows>& rows) { return rows ? "no failure" : rows.error().message(); }

TEST(MediaRows, CountPatchesAndPooledCells) {
  const auto rows = media_rows(tower_plan(), images({{6, 3}, {3, 6}, {9, 6}}, 54));
  ASSERT_TRUE(rows) << rows.error().message();
  EXPECT_EQ(rows->images, (MediaGroup{3, 54, 2 + 2 + 6}));
  EXPECT_EQ(rows->rows(RowSpace::patches), 162);
  EXPECT_EQ(rows->rows(RowSpace::vision_soft), 10);
  EXPECT_THAT(rows->leading(RowSpace::patches), ElementsAre(3, 54));
  EXPECT_THAT(rows->leading(RowSpace::vision_soft), ElementsAre(10));
  EXPECT_EQ(rows->rows(RowSpace::frames), 0);
}

TEST(MediaRows, CountEveryRealPatchWithoutATower) {
  EXPECT_EQ(media_rows(encoder_free_plan(), images({{5, 3}, {2, 2}}, 16))->images, (MediaGroup{2, 16, 19}));
}

TEST(MediaRows, PutVideosBehindImages) {
  auto tensors = images({{6, 3}}, 18);
  tensors.push_back({"pixel_values_videos", zeros({4, 9, 3})});
  tensors.push_back({"video_position_ids", grids({{3, 3}, {3, 3}, {3, 3}, {3, 3}}, 9)});
  tensors.push_back({"num_frames_per_video", Tensor::own({2}, std::vector<std::int64_t>{3, 1})});
  const auto rows = media_rows(tower_plan(), tensors);
  ASSERT_TRUE(rows) << rows.error().message();
  EXPECT_EQ(rows->videos, (MediaGroup{4, 9, 4}));
  EXPECT_THAT(rows->leading(RowSpace::patches), ElementsAre(18 + 36)) << "two lengths do not fold";
  EXPECT_EQ(rows->rows(RowSpace::vision_soft), 2 + 4);
  tensors.back().tensor = Tensor::own({2}, std::vector<std::int64_t>{3, 2});
  EXPECT_THAT(message_of(media_rows(tower_plan(), tensors)),
              HasSubstr("num_frames_per_video: expected 4 frames in all, as pixel_values_videos has, found 5"));
}

TEST(MediaRows, HalveFramesTwice) {
  const auto rows = media_rows(tower_plan(), clips({9, 6}, 10));
  ASSERT_TRUE(rows) << rows.error().message();
  EXPECT_EQ(rows->audio, (MediaGroup{2, 10, 3 + 2}));
  EXPECT_EQ(rows->audio_length, 3);
  EXPECT_THAT(rows->leading(RowSpace::frames), ElementsAre(2, 10));
  EXPECT_THAT(rows->leading(RowSpace::audio_frames), ElementsAre(2, 3));
  EXPECT_EQ(media_rows(tower_plan(), clips({9}, 10, 7))->features, 7) << "7 bins leave two frequencies, as 8 do";
  EXPECT_EQ(media_rows(encoder_free_plan(), clips({9, 6}, 10))->audio, (MediaGroup{2, 10, 15}));
}

TEST(MediaRows, RefuseWhatDoesNotFit) {
  const auto refused = [](std::vector<NamedTensor> tensors) { return message_of(media_rows(tower_plan(), tensors)); };
  auto tensors = images({{3, 3}}, 9);
  EXPECT_THAT(refused({tensors[0]}), HasSubstr("image_position_ids: expected a tensor of that name"));
  EXPECT_THAT(refused({tensors[1]}), HasSubstr("pixel_values: expected a tensor of that name"));
  EXPECT_THAT(refused({{"pixel_values", zeros({1, 9, 4})}, tensors[1]}),
              HasSubstr("pixel_values: expected [n, patches, 3], found [1, 9, 4]"));
  EXPECT_THAT(refused({{"pixel_values", zeros({1, 9})}, tensors[1]}), HasSubstr("pixel_values: expected [n, length"));
  EXPECT_THAT(refused({{"pixel_values", zeros({0, 9, 3})}, tensors[1]}), HasSubstr("none of them 0"));
  EXPECT_THAT(refused({tensors[0], {"image_position_ids", grids({{3, 3}, {3, 3}}, 9)}}),
              HasSubstr("image_position_ids: expected [1, 9, 2]"));
  EXPECT_THAT(refused(images({{3, 3}}, 13)), HasSubstr("a number of patches that is a multiple of 9"));
  EXPECT_THAT(refused(images({{4, 3}}, 18)), HasSubstr("a full grid of cells"));
  EXPECT_THAT(refused(images({{3, 1}}, 9)), HasSubstr("a full grid of cells"));
  EXPECT_THAT(refused(images({{21, 3}}, 63)), HasSubstr("image_position_ids: expected -1 to 19, found 20"));
  EXPECT_THAT(refused({tensors[0], {"image_position_ids", Tensor::own({1, 9, 2}, std::vector<std::int64_t>(18, -7))}}),
              HasSubstr("found -7"));
  EXPECT_THAT(refused({tensors[0], {"image_position_ids", Tensor::own({1, 9, 2}, std::vector<std::int64_t>(18, 15))}}),
              HasSubstr("positions whose cells are below 1"));
  EXPECT_THAT(refused(clips({4}, 8, 9)), HasSubstr("input_features: expected [n, frames, 8]"));
  auto audio = clips({4}, 8);
  EXPECT_THAT(refused({audio[0]}), HasSubstr("input_features_mask: expected a tensor"));
  audio[1].tensor = Tensor::own({1, 8}, std::vector<std::int64_t>(8, 2));
  EXPECT_THAT(refused(audio), HasSubstr("input_features_mask: expected 0 or 1, found 2"));
  EXPECT_THAT(message_of(media_rows(Plan{}, tensors)), HasSubstr("no vision_config"));
  EXPECT_THAT(message_of(media_rows(Plan{}, clips({4}, 8))), HasSubstr("no audio_config"));
}

TEST(MediaRows, TakeMasksOfAnyDtype) {
  EXPECT_THAT(*mask_values("m", Tensor::own({3}, std::vector<float>{1, 0, 1})), ElementsAre(1, 0, 1));
  EXPECT_FALSE(mask_values("m", Tensor::own({1}, std::vector<float>{0.5F})));
}

TEST(Placeholders, AreOneForEachSoftToken) {
  const Plan plan = tower_plan();
  const MediaRows media{.images = {1, 18, 2}, .videos = {}, .audio = {1, 4, 1}};
  const auto check = [&](std::vector<std::int64_t> ids, bool whole) {
    const auto done = check_placeholders(plan, media, ids, whole);
    return done ? std::string() : done.error().message();
  };
  EXPECT_EQ(check({1, 7, 7, 2, 9, 8, 8}, true), "") << "videos were not passed";
  EXPECT_THAT(check({1, 7, 9}, true), HasSubstr("input_ids: expected 2 image placeholders"));
  EXPECT_EQ(check({1, 7, 9}, false), "");
  EXPECT_THAT(check({7, 7, 7, 9}, false), HasSubstr("found 3"));
  EXPECT_THAT(check({7, 7}, true), HasSubstr("expected 1 audio placeholders, one for each soft token, found 0"));
}

}  // namespace
}  // namespace assay
