#include "model/processor/processor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "media/expected.h"
#include "temporary.h"
#include "tokenizer/small.h"

namespace assay {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr int kImage = 16, kBeginImage = 17, kEndImage = 18, kAudio = 19, kBeginAudio = 20, kEndAudio = 21, kVideo = 22;

/// A checkpoint of what a processor reads, with squares of 24 pixels and 70 tokens.
class ProcessorTest : public ::testing::Test {
 protected:
  ProcessorTest() {
    nlohmann::json tokenizer = small_tokenizer();
    const char* names[] = {"<|image|>", "<|image>", "<image|>", "<|audio|>", "<|audio>", "<audio|>", "<|video|>"};
    for (int i = 0; i < 7; ++i) tokenizer["added_tokens"].push_back(added_token(kImage + i, names[i], true));
    for (int i = 0; i < 60; ++i)
      tokenizer["added_tokens"].push_back(added_token(23 + i, "[" + std::to_string(i) + "]", false));
    put(folder_ / "tokenizer.json", tokenizer.dump());
    put(folder_ / "processor_config.json", R"({
      "image_processor": {"patch_size": 12, "pooling_kernel_size": 2, "max_soft_tokens": 70},
      "video_processor": {"patch_size": 12, "pooling_kernel_size": 2, "max_soft_tokens": 70, "num_frames": 2},
      "feature_extractor": {}})");
    const auto opened = Processor::open(folder_.path());
    EXPECT_TRUE(opened) << message_of(opened);
    if (opened) processor_ = *opened;
  }

  std::vector<std::int64_t> shape(const Prompt& prompt, std::string_view name) const {
    const Tensor* tensor = find(prompt.media, name);
    return tensor == nullptr ? std::vector<std::int64_t>{} : tensor->shape;
  }

  Temporary folder_;
  std::optional<Processor> processor_;
};

std::vector<std::int64_t> with_run(std::vector<std::int64_t> before, std::size_t count, std::int64_t id,
                                   const std::vector<std::int64_t>& after) {
  before.insert(before.end(), count, id);
  before.insert(before.end(), after.begin(), after.end());
  return before;
}

TEST_F(ProcessorTest, PutsSoftTokensWhereAnImageStands) {
  // 97 x 61 in 70 squares of 24: 10 x 6.
  const auto prompt = (*processor_)("a<|image|>b", {.images = {media_file("picture.png")}});
  ASSERT_TRUE(prompt) << message_of(prompt);
  EXPECT_EQ(prompt->ids, with_run({7, kBeginImage}, 60, kImage, {kEndImage, 8}));
  EXPECT_EQ(prompt->types, with_run({0, 0}, 60, 1, {0, 0}));
  EXPECT_EQ(shape(*prompt, "pixel_values"), (std::vector<std::int64_t>{1, 280, 432}));
  EXPECT_EQ(shape(*prompt, "image_position_ids"), (std::vector<std::int64_t>{1, 280, 2}));
}

TEST_F(ProcessorTest, TakesTheBudgetOfTheCall) {
  const auto prompt = (*processor_)("<|image|>", {.images = {media_file("picture.png")}}, {.image_tokens = 140});
  ASSERT_TRUE(prompt) << message_of(prompt);
  EXPECT_EQ(shape(*prompt, "pixel_values"), (std::vector<std::int64_t>{1, 560, 432}));
  EXPECT_EQ(std::count(prompt->ids.begin(), prompt->ids.end(), kImage), 14 * 9);
  EXPECT_FALSE((*processor_)("<|image|>", {.images = {media_file("picture.png")}}, {.image_tokens = 100}));
}

TEST_F(ProcessorTest, CountsSoundBySamples) {
  // 1600 and 1600 samples: (1600 + 160 - 321) / 160 + 1 = 9 frames, 3 tokens.
  const auto prompt =
      (*processor_)("<|audio|>a<|audio|>", {.audio = {media_file("stereo.wav"), media_file("mono-24.wav")}});
  ASSERT_TRUE(prompt) << message_of(prompt);
  const std::vector<std::int64_t> clip{kBeginAudio, kAudio, kAudio, kAudio, kEndAudio};
  EXPECT_EQ(std::count(prompt->types.begin(), prompt->types.end(), 3),
            std::count(prompt->ids.begin(), prompt->ids.end(), kAudio));
  EXPECT_TRUE(std::equal(clip.begin(), clip.end(), prompt->ids.begin()));
  EXPECT_EQ(shape(*prompt, "input_features")[0], 2);
  EXPECT_EQ(shape(*prompt, "input_features")[2], 128);
  EXPECT_EQ(shape(*prompt, "input_features_mask").size(), 2U);
}

TEST_F(ProcessorTest, WritesTheTimeBeforeEachFrame) {
  // The clock's digits have no token: what stands for them is the layout's matter, tried on the text.
  const std::string text = processor_->steps().video_text({}, std::vector<double>{0, 59.99, 61.5, 6000}, 2);
  EXPECT_EQ(text,
            "00:00 <|image><|video|><|video|><image|> 00:59 <|image><|video|><|video|><image|> "
            "01:01 <|image><|video|><|video|><image|> 100:00 <|image><|video|><|video|><image|>");
  const auto prompt = (*processor_)("<|video|>", {.videos = {media_file("clip.mp4")}});
  ASSERT_TRUE(prompt) << message_of(prompt);
  EXPECT_EQ(std::count(prompt->ids.begin(), prompt->ids.end(), kVideo), 2 * 9 * 7);
  EXPECT_EQ(std::count(prompt->types.begin(), prompt->types.end(), 2), 2 * 9 * 7);
  EXPECT_EQ(shape(*prompt, "pixel_values_videos"), (std::vector<std::int64_t>{2, 280, 432}));
  EXPECT_EQ(find(prompt->media, "num_frames_per_video")->integers().value(), (std::vector<std::int64_t>{2}));
}

TEST_F(ProcessorTest, PadsABatchOnTheLeft) {
  const std::vector<std::string> texts{"a", "ab<|image|>"};
  const std::vector<MediaFiles> media{{}, {.images = {media_file("picture.png")}}};
  const auto batch = processor_->batch(texts, media);
  ASSERT_TRUE(batch) << message_of(batch);
  EXPECT_EQ(batch->rows, 2);
  EXPECT_EQ(batch->tokens, 63);  // ab, begin, 60, end
  EXPECT_EQ(batch->ids[0], 0);
  EXPECT_EQ(batch->mask[0], 0);
  EXPECT_EQ(batch->ids[62], 7);
  EXPECT_EQ(batch->mask[62], 1);
  EXPECT_EQ(batch->types[62], 0);
  EXPECT_EQ(batch->types[63 + 5], 1);
}

TEST_F(ProcessorTest, RefusesPlaceholdersAndFilesThatDiffer) {
  const std::filesystem::path picture = media_file("picture.png");
  EXPECT_THAT(message_of((*processor_)("a", {.images = {picture}})),
              HasSubstr("<|image|>: expected 1, one for each image file, found 0"));
  EXPECT_THAT(message_of((*processor_)("<|image|><|image|>", {.images = {picture}})), HasSubstr("found more"));
  EXPECT_THAT(message_of((*processor_)("<|image|>", {})), HasSubstr("expected 0"));
  EXPECT_THAT(message_of((*processor_)("<|audio|>a<|audio|>", {.audio = {media_file("stereo.wav")}})),
              HasSubstr("found more"));
  // As transformers: without files of its kind a placeholder of sound or film is a token like any other.
  EXPECT_THAT((*processor_)("a<|audio|>", {})->ids, ElementsAre(7, kAudio));
  EXPECT_FALSE(processor_->batch(std::vector<std::string>{"a"}, {}));
}

TEST_F(ProcessorTest, RefusesMediaThatItIsNotConfiguredFor) {
  put(folder_ / "processor_config.json", R"({"image_processor": {}})");
  const auto processor = Processor::open(folder_.path());
  ASSERT_TRUE(processor);
  EXPECT_THAT(message_of((*processor)("<|audio|>", {.audio = {media_file("stereo.wav")}})),
              HasSubstr("feature_extractor"));
  EXPECT_THAT(message_of((*processor)("<|video|>", {.videos = {media_file("clip.mp4")}})),
              HasSubstr("video_processor"));
}

TEST_F(ProcessorTest, TakesAnotherStepFromTheTable) {
  FrontEnd steps = front_end();
  steps.image_text = [](const MediaTokens&, int count) { return "[" + std::to_string(count) + "]"; };
  const auto bent = Processor::open(folder_.path(), steps);
  ASSERT_TRUE(bent);
  const auto prompt = (*bent)("<|image|>", {.images = {media_file("picture.png")}});
  ASSERT_TRUE(prompt);
  EXPECT_EQ(std::count(prompt->ids.begin(), prompt->ids.end(), kImage), 0);
}

}  // namespace
}  // namespace assay
