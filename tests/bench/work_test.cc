// What E2B and its sisters compute, against numbers worked out by hand from the published dimensions.
#include "harness/kernel/work.h"

#include <set>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/cpu/kv_cache.h"
#include "harness/kernel/shapes.h"
#include "model/config.h"

namespace assay {
namespace {

using testing::Contains;

Plan plan_of(const std::string& name) {
  const auto config = read_config(ASSAY_SOURCE_DIR "/tests/model/configs/" + name + ".json");
  return make_plan(config.value()).value();
}

/// Q4_0, but the head Q6_K and the projection of per-layer inputs BF16: a file of llama.cpp.
double llama_bytes(const std::string& tensor, double values) {
  if (tensor == "embed_tokens.weight") return values * 210 / 256;
  if (tensor == "embed_tokens_per_layer.weight") return values * 210 / 256;
  if (tensor == "per_layer_model_projection.weight") return values * 2;
  return values * 18 / 32;
}

double macs(const ModelWork& work, bool head = true) {
  double sum = 0;
  for (const Product& product : work.products)
    if (head || product.part != "head") sum += double(product.rows) * product.cols * product.vectors;
  return sum;
}

// A layer's weights: q and o 2 x 1536 x 2048 (4096 where full), k and v 2 x 1536 x 256 (512), FFN 3 x 1536 x 6144
// (12288 from layer 15 on, where K and V are shared), per-layer gate and projection 2 x 1536 x 256.
constexpr double kSliding = 2 * 1536 * 2048 + 2 * 1536 * 256, kFull = 2 * kSliding;
constexpr double kSharedSliding = 2 * 1536 * 2048, kSharedFull = 2 * kSharedSliding;
constexpr double kFfn = 3 * 1536 * 6144, kPle = 2 * 1536 * 256, kPleIn = 1536 * 256;

TEST(Work, DecodingE2bTouchesEveryWeightOnce) {
  const ModelWork work = text_work(plan_of("e2b"), {.tokens = 1, .cached = 0, .wanted = 1});
  const double layers = 12 * kSliding + 3 * kFull + 16 * kSharedSliding + 4 * kSharedFull + 15 * kFfn + 20 * 2 * kFfn +
                        35 * (kPle + kPleIn);
  EXPECT_EQ(macs(work, false), layers);
  EXPECT_EQ(macs(work), layers + 262144.0 * 1536);
  const Must must = must_of(work, {.roof = "int8", .kv_bytes = 2, .bytes = llama_bytes});
  EXPECT_NEAR(must.bytes, 1.41e9, 0.005e9);                // what the file's tensors add up to
  const double keys = 28 * 2 * 256 * 2 + 7 * 2 * 512 * 2;  // one position of 28 sliding and 7 full layers, in bf16
  const double weights = layers - 35 * kPleIn;
  EXPECT_DOUBLE_EQ(must.bytes, weights * 18 / 32 + 35 * kPleIn * 2 + 262144.0 * 1536 * 210 / 256 + keys +
                                   (1536 + 35 * 256) * 210.0 / 256);
}

TEST(Work, AtDepthSlidingLayersReadTheirWindow) {
  const Plan plan = plan_of("e2b");
  const auto bytes = [&](int cached) {
    return must_of(text_work(plan, {.tokens = 1, .cached = cached, .wanted = 1}),
                   {.roof = "int8", .kv_bytes = 2, .bytes = [](const std::string&, double) { return 0.0; }})
        .bytes;
  };
  EXPECT_EQ(bytes(2048), 28 * 512 * 2 * 256 * 2 + 7 * 2049.0 * 2 * 512 * 2);
  EXPECT_EQ(bytes(511) - bytes(510), 28 * 2 * 256 * 2 + 7 * 2 * 512 * 2);
  EXPECT_EQ(bytes(512) - bytes(511), 7 * 2 * 512 * 2);
}

TEST(Work, APromptOfE2bSparesRowsThatNobodyAsksFor) {
  const Plan plan = plan_of("e2b");
  // All rows: layers 0 to 13, K and V of layer 14. One row: the rest of layer 14 and all behind it.
  const double all = 12 * kSliding + 2 * kFull + 14 * (kFfn + kPle + kPleIn) + 2 * 1536 * 512;
  const double one = kSharedFull + kFfn + 16 * kSharedSliding + 4 * kSharedFull + 20 * 2 * kFfn + 21 * (kPle + kPleIn) +
                     262144.0 * 1536;
  EXPECT_EQ(macs(text_work(plan, {.tokens = 512, .cached = 0, .wanted = 1})), 512 * all + one);
  EXPECT_NEAR(all, 0.53e9, 0.005e9);
  const ModelWork work = text_work(plan, {.tokens = 512, .cached = 0, .wanted = 512});
  EXPECT_EQ(macs(work), 512 * macs(text_work(plan, {.tokens = 1, .cached = 0, .wanted = 1})));
}

TEST(Work, AttentionCountsWhatEachQuerySees) {
  const ModelWork work = text_work(plan_of("e2b"), {.tokens = 600, .cached = 0, .wanted = 1});
  ASSERT_EQ(work.attention.size(), 35U);
  const Attending& sliding = work.attention[0];
  EXPECT_EQ(sliding.pairs, 512 * 513 / 2 + 88 * 512);
  EXPECT_EQ(sliding.keys, 600);
  EXPECT_EQ(work.attention[4].pairs, 600 * 601 / 2);
  EXPECT_EQ(work.attention[14].queries, 1);
  EXPECT_EQ(work.attention[14].pairs, 600);
  EXPECT_EQ(work.attention[15].pairs, 512);
  EXPECT_EQ(work.attention[15].keys, 512);
  EXPECT_EQ(work.attention[15].heads, 8);
}

TEST(Work, ExpertsAreThoseThatAreHit) {
  const Plan plan = plan_of("26b-a4b");
  const auto of = [&](int tokens) {
    for (const Product& product : text_work(plan, {.tokens = tokens, .cached = 0, .wanted = tokens}).products)
      if (product.part == "experts.gate_up") return product;
    return Product{};
  };
  const Product one = of(1), many = of(512);
  EXPECT_EQ(one.calls, 8);
  EXPECT_EQ(one.tokens, 1);
  EXPECT_EQ(one.vectors, 8);
  EXPECT_EQ(one.rows, 2 * 704);
  EXPECT_EQ(one.cols, 2816);
  EXPECT_EQ(many.calls, 128);
  EXPECT_EQ(many.tokens, 32);
  EXPECT_EQ(many.vectors, 512 * 8);
  EXPECT_EQ(of(10).calls, 61);  // 128 (1 - (15/16)^10) = 60.9
}

double calls_of(const std::vector<KernelUse>& uses, kernels::Op op, kernels::Shape shape) {
  for (const KernelUse& use : uses)
    if (use.op->op == op && use.shape == shape) return use.calls;
  return 0;
}

TEST(Shapes, OfADecodingStepAreThoseOfThePlan) {
  const auto uses = text_uses(plan_of("e2b"), {.tokens = 1, .cached = 10, .wanted = 1});
  const auto calls = [&](kernels::Op op, kernels::Shape shape) { return calls_of(uses, op, shape); };
  using kernels::Op;
  EXPECT_EQ(calls(Op::gemv, {2048, 1536}), 28);
  EXPECT_EQ(calls(Op::gemv, {4096, 1536}), 7);
  EXPECT_EQ(calls(Op::gemv, {256, 1536}), 24 + 35);  // K and V of 12 layers, the gate of per-layer inputs of all
  EXPECT_EQ(calls(Op::gemv, {512, 1536}), 6);
  EXPECT_EQ(calls(Op::gemv, {6144, 1536}), 30);
  EXPECT_EQ(calls(Op::gemv, {12288, 1536}), 40);
  EXPECT_EQ(calls(Op::gemv, {1536, 12288}), 20);
  EXPECT_EQ(calls(Op::gemv, {8960, 1536}), 1);
  EXPECT_EQ(calls(Op::gemv, {262144, 1536}), 1);
  EXPECT_EQ(calls(Op::gemm, {2048, 1536, 1}), 0);
  for (const KernelUse& use : uses) EXPECT_NE(use.op->op, Op::gemm);
}

TEST(Shapes, ChunksOfKeysAreTheEngines) {
  using kernels::Op;
  const Plan plan = plan_of("e2b");
  const auto uses = text_uses(plan, {.tokens = 1, .cached = 700, .wanted = 1});
  // 701 keys of 7 full layers: 4 chunks. 512 of 28 sliding ones: 2.
  EXPECT_EQ(calls_of(uses, Op::attention, {1, 8, 1, 512, 701, 0, 176}), 7);
  EXPECT_EQ(calls_of(uses, Op::attention_merge, {8, 4, 512}), 7);
  EXPECT_EQ(calls_of(uses, Op::attention, {1, 8, 1, 256, 701, 512, 256, 1}), 28);
  EXPECT_EQ(calls_of(uses, Op::attention_merge, {8, 2, 256}), 28);
  const auto few = text_uses(plan, {.tokens = 1, .cached = 80, .wanted = 1});
  EXPECT_EQ(calls_of(few, Op::attention, {1, 8, 1, 512, 81, 0, 81}), 7);
  for (const KernelUse& use : few) EXPECT_NE(use.op->op, Op::attention_merge) << "one chunk needs none";
}

TEST(Shapes, PromptsGoThroughRingsInTheEnginesUnits) {
  using kernels::Op;
  EXPECT_EQ(kRealUnit, cpu::KvCache::kSpare);
  // 15 layers have K/V of their own; 13 and 14 lend theirs: the ring of 13 holds the whole prompt.
  const auto uses = text_uses(plan_of("e2b"), {.tokens = 150, .cached = 500, .wanted = 1});
  EXPECT_EQ(calls_of(uses, Op::attention, {64, 8, 1, 256, 564, 512, 0, 1}), 11);
  EXPECT_EQ(calls_of(uses, Op::attention, {64, 8, 1, 256, 628, 512, 0, 1}), 11);
  EXPECT_EQ(calls_of(uses, Op::attention, {22, 8, 1, 256, 650, 512, 0, 1}), 11);
  EXPECT_EQ(calls_of(uses, Op::attention, {150, 8, 1, 256, 650, 512, 0, 1}), 1);
  EXPECT_EQ(calls_of(uses, Op::attention, {150, 8, 1, 512, 650}), 2);
}

TEST(Shapes, EveryModelHasRealOnesOfEveryProduct) {
  for (const char* name : {"e2b", "e4b", "12b", "26b-a4b", "31b"}) {
    std::set<kernels::Op> seen;
    for (const KernelUse& use : real_uses(plan_of(name))) {
      seen.insert(use.op->op);
      const auto acts = use.op->op == kernels::Op::narrow ? kernels::Acts::bf16 : kernels::Acts::fp32;
      EXPECT_EQ(use.op->invalid(kernels::Format::fp32, acts, use.shape), "") << use.op->name << " " << use.parts;
      EXPECT_GT(use.calls, 0);
    }
    for (const kernels::Op op : {kernels::Op::gemv, kernels::Op::gemm, kernels::Op::narrow})
      EXPECT_THAT(seen, Contains(op)) << name;
  }
}

TEST(Shapes, MergedOnesKeepThePartsOfBoth) {
  const auto use = [](const char* parts, double calls) {
    return KernelUse{.op = &kernels::info(kernels::Op::gemv), .shape = {8, 32}, .parts = parts, .calls = calls};
  };
  std::vector<KernelUse> uses{use("attn.q", 7)};
  merge(uses, {use("mlp.gate, attn.q, mlp.up", 3)});
  ASSERT_EQ(uses.size(), 1U);
  EXPECT_EQ(uses[0].parts, "attn.q, mlp.gate, mlp.up");
  EXPECT_EQ(uses[0].calls, 7);
}

TEST(Shapes, CutKeepsColumnsAndStaysValid) {
  using kernels::Acts, kernels::Format;
  const kernels::OpInfo& gemm = kernels::info(kernels::Op::gemm);
  const kernels::Shape whole{262144, 1536, 512};
  const kernels::Shape less = cut(gemm, Format::q4_0, Acts::int8, whole, 1e7, 1e8);
  EXPECT_EQ(less[1], 1536);
  const kernels::Cost cost = gemm.cost(Format::q4_0, Acts::int8, less);
  EXPECT_LE(cost.bytes, 1e7);
  EXPECT_LE(cost.flops, 1e8);
  EXPECT_GE(less[0], 48);
  EXPECT_EQ(cut(gemm, Format::q4_0, Acts::int8, {64, 64, 4}, 1e7, 1e8), (kernels::Shape{64, 64, 4}));
}

}  // namespace
}  // namespace assay
