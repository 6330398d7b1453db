#include "model/processor/processor_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "media/expected.h"
#include "temporary.h"

namespace assay {
namespace {

using ::testing::HasSubstr;

Result<ProcessorConfig> read(const std::string& processor, const std::string& file = "processor_config.json") {
  const Temporary folder;
  put(folder / file, processor);
  return read_processor_config(folder.path());
}

TEST(ProcessorConfig, OfAnEmptyFolderHasNoMedia) {
  const Temporary folder;
  const auto config = read_processor_config(folder.path());
  ASSERT_TRUE(config);
  EXPECT_FALSE(config->image || config->video || config->audio);
}

TEST(ProcessorConfig, DefaultsAreThePublishedSettings) {
  const auto config = read(R"({"image_processor": {}, "video_processor": {}, "feature_extractor": {}})");
  ASSERT_TRUE(config) << message_of(config);
  EXPECT_EQ(config->image->rows(), 2520);
  EXPECT_EQ(config->image->columns(), 768);
  EXPECT_FALSE(config->image->normalize);
  EXPECT_EQ(config->video->soft_tokens, 70);
  EXPECT_TRUE(config->video->normalize);
  EXPECT_EQ(config->sampling.num_frames, 32);
  EXPECT_TRUE(config->audio);
  EXPECT_EQ(config->mel.frame(), 320);
  EXPECT_EQ(config->mel.hop(), 160);
  EXPECT_EQ(config->mel.transform(), 512);
  EXPECT_EQ(config->tokens.begin_image, "<|image>");
}

TEST(ProcessorConfig, ReadsEachFileThatTransformersReads) {
  const auto images =
      read(R"({"patch_size": 8, "max_soft_tokens": 140, "do_rescale": false})", "preprocessor_config.json");
  ASSERT_TRUE(images) << message_of(images);
  EXPECT_EQ(images->image->patch, 8);
  EXPECT_EQ(images->image->soft_tokens, 140);
  EXPECT_EQ(images->image->rescale, 1.0);
  EXPECT_EQ(images->video->patch, 8);  // the video processor falls back to the image processor's file
  EXPECT_FALSE(images->audio);
  const auto films = read(R"({"num_frames": null, "fps": 2, "patch_size": 4})", "video_preprocessor_config.json");
  ASSERT_TRUE(films);
  EXPECT_FALSE(films->image);
  EXPECT_EQ(films->sampling.num_frames, std::nullopt);
  EXPECT_EQ(films->sampling.fps, 2);
}

TEST(ProcessorConfig, KnowsTheUnifiedProcessor) {
  const auto config = read(R"({"processor_class": "Gemma4UnifiedProcessor", "image_processor": {},
    "feature_extractor": {"audio_samples_per_token": 320}})");
  ASSERT_TRUE(config) << message_of(config);
  EXPECT_TRUE(config->unified);
  EXPECT_EQ(config->image->columns(), 6912);
  EXPECT_EQ(config->image->rows(), 280);
  EXPECT_EQ(config->frame_width, 320);
}

TEST(ProcessorConfig, ReadsTheTokensNames) {
  const Temporary folder;
  put(folder / "tokenizer_config.json", R"({"image_token": "[I]", "padding_side": "right",
    "model_specific_special_tokens": {"boa_token": "[A"}})");
  const auto config = read_processor_config(folder.path());
  ASSERT_TRUE(config) << message_of(config);
  EXPECT_EQ(config->tokens.image, "[I]");
  EXPECT_EQ(config->tokens.begin_audio, "[A");
  EXPECT_EQ(config->tokens.audio, "<|audio|>");
  EXPECT_FALSE(config->pad_left);
}

TEST(ProcessorConfig, NamesWhatIsWrong) {
  const auto image = [](const std::string& keys) { return message_of(read(R"({"image_processor": {)" + keys + "}}")); };
  EXPECT_THAT(image(R"("patch_size": 0)"), HasSubstr("image_processor.patch_size: expected 1 to 256, found 0"));
  EXPECT_THAT(image(R"("patch_size": "16")"), HasSubstr("patch_size"));
  EXPECT_THAT(image(R"("patch_size": 1e99)"), HasSubstr("patch_size"));
  EXPECT_THAT(image(R"("max_soft_tokens": 100)"), HasSubstr("70, 140, 280, 560 or 1120"));
  EXPECT_THAT(image(R"("pooling_kernel_size": -3)"), HasSubstr("pooling_kernel_size"));
  EXPECT_THAT(image(R"("rescale_factor": 0)"), HasSubstr("rescale_factor"));
  EXPECT_THAT(image(R"("image_std": [1, 0, 1])"), HasSubstr("image_std"));
  EXPECT_THAT(image(R"("image_mean": [1, 2])"), HasSubstr("image_mean"));
  EXPECT_THAT(image(R"("resample": 2)"), HasSubstr("bicubic"));
  EXPECT_THAT(image(R"("do_resize": 1)"), HasSubstr("true or false"));
  const auto sound = [](const std::string& keys) {
    return message_of(read(R"({"feature_extractor": {)" + keys + "}}"));
  };
  EXPECT_THAT(sound(R"("dither": 0.1)"), HasSubstr("dither"));
  EXPECT_THAT(sound(R"("feature_size": 1000000000)"), HasSubstr("feature_size"));
  EXPECT_THAT(sound(R"("max_frequency": 0)"), HasSubstr("max_frequency"));
  EXPECT_THAT(sound(R"("padding_side": "left")"), HasSubstr("padding_side"));
  EXPECT_THAT(sound(R"("per_bin_mean": [1])"), HasSubstr("per_bin_mean"));
  EXPECT_THAT(message_of(read(R"({"image_processor": 3})")), HasSubstr("an object"));
  EXPECT_FALSE(read("not JSON"));
  EXPECT_FALSE(read("[1]"));
}

}  // namespace
}  // namespace assay
