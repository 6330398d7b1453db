// Valid configurations that kernels have no room for are refused before anything is computed.
#include "engine/cpu/limits.h"

#include <gmock/gmock.h>

#include "engine/cpu/engine.h"
#include "model_of_test.h"

namespace assay::cpu {
namespace {

using testing::HasSubstr;

/// What opening says of such a model.
std::string refusal(const Checkpoint& checkpoint) {
  const auto session = cpu_engine({}).open(checkpoint);
  if (session) return "";
  EXPECT_EQ(session.error().kind, Failure::unsupported);
  return session.error().message();
}

TEST(CpuLimits, HeadsOfTheText) {
  Config config = media_config();
  config.head_dim.back() = 512;
  EXPECT_EQ(refusal(media_checkpoint(config)), "");
  config.head_dim.back() = 514;
  EXPECT_EQ(refusal(media_checkpoint(config)), "cpu: text_config.head_dim: expected at most 512, found 514 in layer 1");
}

TEST(CpuLimits, HeadsOfADrafter) {
  const Config config = parse_config(R"({"model_type": "gemma4_assistant", "backbone_hidden_size": 64, "text_config":
      {"hidden_size": 64, "intermediate_size": 96, "vocab_size": 256, "hidden_size_per_layer_input": 0,
      "vocab_size_per_layer_input": 0, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1,
      "head_dim": 32, "global_head_dim": 1024, "num_kv_shared_layers": 1}})",
                                     "test")
                            .value();
  const auto refused = check_limits(make_plan(config).value(), kernels::Format::fp32);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("text_config.head_dim: expected at most 512, found 1024"));
}

TEST(CpuLimits, HeadsOfTheVisionTower) {
  Config config = media_config();
  config.vision->head_dim = 516;
  EXPECT_THAT(refusal(media_checkpoint(config)), HasSubstr("vision_config.head_dim: expected at most 512, found 516"));
}

TEST(CpuLimits, FramesThatTheAudioTowerAttendsTo) {
  Config config = media_config();
  config.audio->attention_chunk_size = 100;
  config.audio->attention_context_left = 101;
  config.audio->attention_context_right = 56;
  EXPECT_EQ(refusal(media_checkpoint(config)), "");
  config.audio->attention_context_right = 57;
  EXPECT_THAT(refusal(media_checkpoint(config)), HasSubstr("attention_context_right: expected at most 256, found 257"));
}

}  // namespace
}  // namespace assay::cpu
