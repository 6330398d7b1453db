#include "engine/taps.h"

#include <algorithm>
#include <fstream>
#include <set>

#include <gtest/gtest.h>
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

TEST(Taps, RefuseOtherNames) {
  for (const char* name :
       {"", "text", "text.", "text.layer", "text.layer.", "text.layer.0.out", "text.layer.-1.out", "text.layer.xx.out",
        "text.layer.00.norm", "text.out", "text.layer.99999999999.out", "vision.layer.00.out"})
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
  const char* scopes[] = {"model_in", "layer", "model_out"};
  for (std::size_t i = 0; i < rows.size(); ++i) {
    EXPECT_EQ(rows[i]["id"], kTaps[i].id);
    EXPECT_EQ(rows[i]["name"], kTaps[i].name);
    EXPECT_EQ(rows[i]["scope"], scopes[int(kTaps[i].scope)]);
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
