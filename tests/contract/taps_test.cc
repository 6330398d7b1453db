#include "engine/taps.h"

#include <algorithm>
#include <fstream>
#include <set>
#include <sstream>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

namespace assay {
namespace {

/// Two layers: one of each kind, the second shares the first's K/V and has experts.
Plan small_plan() {
  Plan plan;
  plan.hidden = 6;
  plan.vocab = 11;
  plan.ple_width = 3;
  LayerPlan own{
      .q_heads = 2, .kv_heads = 1, .head_dim = 4, .kv = {}, .rope = {}, .ffn_width = 5, .ple_width = 3, .experts = {}};
  LayerPlan shared = own;
  shared.kv = {KvSource::earlier, 0};
  shared.experts = Experts{.count = 7, .used = 2, .width = 9};
  plan.layers = {own, shared};
  return plan;
}

TEST(Taps, NamesParseBack) {
  const std::vector<TapId> ids = all_taps(small_plan());
  std::set<std::string> names;
  for (const TapId id : ids) {
    names.insert(id.name());
    EXPECT_EQ(TapId::parse(id.name()), id) << id.name();
  }
  EXPECT_EQ(names.size(), ids.size());
  EXPECT_EQ((TapId{Tap::attn_k_rope, 7}.name()), "text.layer.07.attn.k_rope");
  EXPECT_EQ((TapId{Tap::out, 123}.name()), "text.layer.123.out");
}

/// The small plan with three vision layers and one of audio.
Plan with_towers() {
  Plan plan = small_plan();
  plan.vision = VisionPlan{.hidden = 8, .pool = 3};
  plan.vision->layers.resize(3, {.heads = 3, .kv_heads = 1, .head_dim = 4, .rope = {}});
  plan.audio = AudioPlan{.features = 12, .hidden = 10, .output = 9};
  plan.audio->layers.resize(1);
  return plan;
}

Plan encoder_free() {
  Plan plan = small_plan();
  plan.vision = VisionPlan{.encoder_free = true, .hidden = 8};
  plan.audio = AudioPlan{.encoder_free = true, .features = 9, .output = 9};
  return plan;
}

Plan drafter() {
  Plan plan = small_plan();
  plan.ple_width = 0;
  plan.assistant = AssistantPlan{.backbone = 20};
  return plan;
}

std::vector<std::string> names_of(const Plan& plan, TapPart part) {
  std::vector<std::string> names;
  for (const TapId id : all_taps(plan))
    if (part_of(id.tap) == part) names.push_back(id.name());
  return names;
}

TEST(Taps, OfTowersAndDraftersParseBackToo) {
  for (const Plan& plan : {with_towers(), encoder_free(), drafter()})
    for (const TapId id : all_taps(plan)) EXPECT_EQ(TapId::parse(id.name()), id) << id.name();
  EXPECT_EQ((TapId{Tap::vision_attn_k_rope, 2}.name()), "vision.layer.02.attn.k_rope");
  EXPECT_EQ((TapId{Tap::audio_conv, 0}.name()), "audio.layer.00.conv");
  EXPECT_EQ((TapId{Tap::assistant_state, -1}.name()), "assistant.state");
}

TEST(Taps, OfTowersComeBeforeTextAndThoseOfDraftersBehind) {
  for (const Plan& plan : {with_towers(), encoder_free(), drafter()}) {
    const std::vector<TapId> ids = all_taps(plan);
    for (std::size_t i = 1; i < ids.size(); ++i)
      EXPECT_LT(ids[i - 1].order(2), ids[i].order(2)) << ids[i - 1].name() << " " << ids[i].name();
  }
  EXPECT_EQ(all_taps(with_towers()).front().name(), "vision.patch_embed");
  EXPECT_EQ((TapId{Tap::embed, -1}.order(2)), 0) << "text is counted alone";
  EXPECT_LT((TapId{Tap::audio_out, 4095}.order(2)), (TapId{Tap::audio_encoded, -1}.order(2)));
  EXPECT_LT((TapId{Tap::vision_projected, -1}.order(2)), (TapId{Tap::audio_mel, -1}.order(2)));
  EXPECT_LT((TapId{Tap::logits, -1}.order(4096)), (TapId{Tap::assistant_in, -1}.order(4096)));
}

TEST(Taps, ExistWhereTheModelHasThePart) {
  using testing::ElementsAre;
  EXPECT_THAT(names_of(small_plan(), TapPart::vision), ElementsAre());
  EXPECT_EQ(names_of(with_towers(), TapPart::vision).size(), 3U + 3 * 12);
  EXPECT_THAT(
      names_of(with_towers(), TapPart::audio),
      ElementsAre("audio.mel", "audio.subsample", "audio.layer.00.ffn1", "audio.layer.00.attn", "audio.layer.00.conv",
                  "audio.layer.00.ffn2", "audio.layer.00.out", "audio.encoded", "audio.projected"));
  EXPECT_THAT(names_of(encoder_free(), TapPart::vision), ElementsAre("vision.patch_embed", "vision.projected"));
  EXPECT_THAT(names_of(encoder_free(), TapPart::audio), ElementsAre("audio.mel", "audio.projected"));
  EXPECT_THAT(names_of(drafter(), TapPart::text), ElementsAre());
  EXPECT_EQ(names_of(drafter(), TapPart::assistant).size(), 4U + 2 * 10);
  EXPECT_EQ(deepest(with_towers()), 3);
}

TEST(Taps, OfTowersHaveTheirPlansShapes) {
  const Plan plan = with_towers();
  using Shape = std::vector<std::int64_t>;
  EXPECT_EQ(row_shape(plan, {Tap::vision_attn_q, 2}), (Shape{3, 4}));
  EXPECT_EQ(row_shape(plan, {Tap::vision_attn_v, 0}), (Shape{1, 4}));
  EXPECT_EQ(row_shape(plan, {Tap::vision_attn_ctx, 0}), (Shape{12}));
  EXPECT_EQ(row_shape(plan, {Tap::vision_pooled, -1}), (Shape{8}));
  EXPECT_EQ(row_shape(plan, {Tap::vision_projected, -1}), (Shape{6}));
  EXPECT_EQ(row_shape(plan, {Tap::audio_mel, -1}), (Shape{12}));
  EXPECT_EQ(row_shape(plan, {Tap::audio_conv, 0}), (Shape{10}));
  EXPECT_EQ(row_shape(plan, {Tap::audio_encoded, -1}), (Shape{9}));
  EXPECT_EQ(row_shape(drafter(), {Tap::assistant_state, -1}), (Shape{20}));
  EXPECT_EQ(row_shape(drafter(), {Tap::assistant_attn_ctx, 1}), (Shape{8}));
}

TEST(Taps, KnowTheirInputs) {
  const Plan plan = with_towers();
  EXPECT_EQ(input_tap(plan, {Tap::vision_attn_norm, 0}, "in"), (TapId{Tap::vision_patch_embed, -1}));
  EXPECT_EQ(input_tap(plan, {Tap::vision_attn_norm, 2}, "in"), (TapId{Tap::vision_out, 1}));
  EXPECT_EQ(input_tap(plan, {Tap::vision_pooled, -1}, "vision_out"), (TapId{Tap::vision_out, 2}));
  EXPECT_EQ(input_tap(plan, {Tap::audio_ffn1, 0}, "in"), (TapId{Tap::audio_subsample, -1}));
  EXPECT_EQ(input_tap(plan, {Tap::norm, -1}, "out"), (TapId{Tap::out, 1}));
  EXPECT_EQ(input_tap(plan, {Tap::attn_ctx, 1}, "kv:attn_v"), (TapId{Tap::attn_v, 0}));
  EXPECT_EQ(input_tap(plan, {Tap::attn_ctx, 1}, "mask"), std::nullopt);
  const std::vector<std::string> of_the_model = {"ids", "mask", "positions", "types", "pixels", "features"};
  for (const TapInfo& row : kTaps) {  // every word is a tap or an input of the model
    std::istringstream words{std::string(row.inputs)};
    for (std::string word; words >> word;) {
      if (input_tap(plan, {row.tap, is_layer(row.scope) ? 0 : -1}, word)) continue;
      EXPECT_THAT(of_the_model, testing::Contains(word)) << row.id;
    }
  }
}

TEST(Taps, RefuseOtherNames) {
  for (const char* name :
       {"", "text", "text.", "text.layer", "text.layer.", "text.layer.0.out", "text.layer.-1.out", "text.layer.xx.out",
        "text.layer.00.norm", "text.out", "text.layer.99999999999.out", "video.layer.00.out", "vision.layer.00.attn",
        "vision.embed", "audio.layer.00", "visionpooled", "audio.layer.00.attn.q"})
    EXPECT_EQ(TapId::parse(name), std::nullopt) << name;
}

TEST(Taps, ComeInCausalOrder) {
  const std::vector<TapId> ids = all_taps(small_plan());
  for (std::size_t i = 1; i < ids.size(); ++i) EXPECT_LT(ids[i - 1].order(2), ids[i].order(2)) << ids[i].name();
  EXPECT_EQ(ids.front().name(), "text.embed");
  EXPECT_EQ(ids.back().name(), "text.logits");
}

TEST(Taps, ExistWhereTheLayerHasThem) {
  const Plan plan = small_plan();
  EXPECT_TRUE(exists(plan, {Tap::attn_k, 0}));
  EXPECT_FALSE(exists(plan, {Tap::attn_k, 1}));
  EXPECT_FALSE(exists(plan, {Tap::experts, 0}));
  EXPECT_TRUE(exists(plan, {Tap::experts, 1}));
  EXPECT_FALSE(exists(plan, {Tap::out, 2}));
  EXPECT_FALSE(exists(plan, {Tap::out, -1}));
  EXPECT_FALSE(exists(plan, {Tap::norm, 0}));
}

TEST(Taps, HaveTheShapesOfTheDesign) {
  const Plan plan = small_plan();
  using Shape = std::vector<std::int64_t>;
  EXPECT_EQ(row_shape(plan, {Tap::attn_q, 0}), (Shape{2, 4}));
  EXPECT_EQ(row_shape(plan, {Tap::attn_v, 0}), (Shape{1, 4}));
  EXPECT_EQ(row_shape(plan, {Tap::attn_ctx, 0}), (Shape{8}));
  EXPECT_EQ(row_shape(plan, {Tap::ple, -1}), (Shape{2, 3}));
  EXPECT_EQ(row_shape(plan, {Tap::router_topk, 1}), (Shape{7}));
  EXPECT_EQ(columns(plan, {Tap::ple, -1}), 6);
  EXPECT_EQ(columns(plan, {Tap::logits, -1}), 11);
}

TEST(Taps, PythonHasTheSameTable) {
  const nlohmann::json rows = nlohmann::json::parse(std::ifstream(ASSAY_SOURCE_DIR "/golden/generate/taps.json"));
  ASSERT_EQ(rows.size(), std::size_t(kTapCount));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(rows[i]["id"], kTaps[i].id);
    EXPECT_EQ(rows[i]["name"], kTaps[i].name);
    EXPECT_EQ(rows[i]["scope"], kTaps[i].scope_name);
    EXPECT_EQ(rows[i]["columns"], kTaps[i].columns_name);
    EXPECT_EQ(rows[i]["kind"], kTaps[i].kind_name);
    EXPECT_EQ(rows[i]["op"], kTaps[i].op);
    EXPECT_EQ(rows[i]["inputs"], kTaps[i].inputs);
  }
}

class Counting : public TapSink {
 public:
  Counting() : TapSink(2) {}
  void take(TapId, Rows<const float>) override { ++taken; }
  int taken = 0;
};

TEST(TapSink, RunsTheMakerOnlyIfAsked) {
  Counting sink;
  int made = 0;
  const auto offer = [&](Tap tap, int layer) {
    sink.offer(tap, layer, [&] {
      ++made;
      return Rows<const float>{};
    });
  };
  offer(Tap::out, 1);
  EXPECT_EQ(made, 0);
  sink.want({Tap::out, 1});
  offer(Tap::out, 0);
  offer(Tap::attn_q, 1);
  EXPECT_EQ(made, 0);
  offer(Tap::out, 1);
  EXPECT_EQ(made, 1);
  EXPECT_EQ(sink.taken, 1);
}

}  // namespace
}  // namespace assay
