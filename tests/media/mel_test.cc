#include "model/media/mel.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/tolerance.h"
#include "media/expected.h"

namespace assay {
namespace {

std::vector<float> noise(std::size_t count) {
  std::vector<float> samples(count);
  std::uint32_t state = 1;
  for (float& sample : samples) sample = float(int((state = state * 1664525U + 1013904223U) >> 16U) - 32768) * 0x1p-16F;
  return samples;
}

AudioFeatures features_of(std::vector<std::vector<float>> clips, const MelSettings& settings = {}) {
  const auto features = log_mel(clips, settings);
  EXPECT_TRUE(features) << message_of(features);
  return features.value_or(AudioFeatures{});
}

int valid(const AudioFeatures& features, int clip = 0) {
  int count = 0;
  for (int t = 0; t < features.frames; ++t)
    count += features.mask[std::size_t(clip * features.frames + t)] != 0 ? 1 : 0;
  return count;
}

TEST(Mel, IsWhatTheFeatureExtractorMakesOfABatch) {
  const std::vector<std::vector<float>> clips{expected_tensor("stereo.wav").floats().value(),
                                              expected_tensor("bytes.wav").floats().value()};
  const AudioFeatures features = features_of(clips);
  const Tensor expected = expected_tensor("mel");
  ASSERT_EQ(expected.shape, (std::vector<std::int64_t>{features.clips, features.frames, features.columns}));
  EXPECT_EQ(features.mask, expected_tensor("mask").integers());
  const auto values = expected.floats();
  const Tolerance allowed = mel_features();
  for (std::size_t i = 0; i < values->size(); ++i)
    ASSERT_NEAR(features.values[i], (*values)[i], allowed.atol + allowed.rtol * std::abs((*values)[i])) << i;
}

TEST(Mel, FramesAreValidWhereTheirLastSampleIsTheClips) {
  // n samples: (n + 160 - 321) / 160 + 1 valid frames, a soft token for each four.
  for (const auto& [samples, frames, tokens] : std::vector<std::array<int, 3>>{
           {100, 0, 0}, {160, 0, 0}, {161, 1, 1}, {1000, 6, 2}, {16000, 99, 25}, {48000, 299, 75}}) {
    const AudioFeatures features = features_of({noise(std::size_t(samples))});
    EXPECT_EQ(valid(features), frames) << samples;
    EXPECT_EQ(soft_tokens_of_mel(features.mask), tokens) << samples;
  }
}

TEST(Mel, CutsAtThirtySeconds) {
  const AudioFeatures features = features_of({noise(500'000)});
  EXPECT_EQ(features.frames, 2999);
  EXPECT_EQ(valid(features), 2999);
  EXPECT_EQ(soft_tokens_of_mel(features.mask), 750);
}

TEST(Mel, PadsTheShorterClipWithZeroRows) {
  const AudioFeatures features = features_of({noise(4000), noise(1000)});
  EXPECT_EQ(valid(features, 0), 24);
  EXPECT_EQ(valid(features, 1), 6);
  const std::size_t row = std::size_t(features.frames + 6) * 128;
  EXPECT_EQ(features.values[row], 0);
  EXPECT_NE(features.values[row - 1], 0);
}

TEST(Mel, OfSilenceIsTheFloorsLogarithmAndSoIsTheLowestBin) {
  const AudioFeatures silent = features_of({std::vector<float>(4000, 0.0F)});
  EXPECT_FLOAT_EQ(silent.values[0], float(std::log(1e-3)));
  EXPECT_FLOAT_EQ(silent.values[127], float(std::log(1e-3)));
  EXPECT_FLOAT_EQ(features_of({noise(4000)}).values[0], float(std::log(1e-3)));  // its triangle holds no bin
}

TEST(Mel, RefusesSettingsThatMakeNoFilters) {
  const std::vector<std::vector<float>> clips{noise(1000)};
  EXPECT_FALSE(log_mel({}, {}));
  EXPECT_FALSE(log_mel(clips, {.mels = 0}));
  EXPECT_FALSE(log_mel(clips, {.rate = 10}));
  EXPECT_FALSE(log_mel(clips, {.frame_ms = 1e9}));
  EXPECT_FALSE(log_mel(clips, {.hop_ms = 0}));
  EXPECT_FALSE(log_mel(clips, {.low_hz = 8000}));
  EXPECT_FALSE(log_mel(clips, {.floor = 0}));
  EXPECT_FALSE(log_mel(clips, {.mean = {1, 2}}));
}

TEST(RawFrames, FillUpTheLastOneAndShorterClips) {
  const std::vector<std::vector<float>> clips{{1, 2, 3, 4, 5}, {6}};
  const auto features = raw_frames(clips, 2);
  ASSERT_TRUE(features);
  EXPECT_THAT(features->values, testing::ElementsAre(1, 2, 3, 4, 5, 0, 6, 0, 0, 0, 0, 0));
  EXPECT_THAT(features->mask, testing::ElementsAre(1, 1, 1, 1, 0, 0));
  EXPECT_FALSE(raw_frames(std::vector<std::vector<float>>{{}}, 2));
  EXPECT_FALSE(raw_frames(clips, 0));
}

}  // namespace
}  // namespace assay
