// Timing an engine end to end, on the tiny checkpoint: that everything is timed as often as asked, that what a pass
// needs follows from the checkpoint. Not here: how fast anything is.
#include "harness/bench/bench.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "engine/op_times.h"
#include "reference/reference.h"

namespace assay {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;
using testing::UnorderedElementsAre;

const Checkpoint& tiny() {
  static const Checkpoint checkpoint = Checkpoint::open(ASSAY_SOURCE_DIR "/golden/data/tiny").value();
  return checkpoint;
}

EngineBenchOptions few() {
  EngineBenchOptions options;
  options.lengths = {3, 9};
  options.depths = {0, 5};
  options.decode = 2;
  options.repetitions = 4;
  options.threads = 1;
  options.warm_up = 0;
  return options;
}

TEST(EngineBench, TimesEverythingAsOftenAsAsked) {
  BenchRun run;
  const auto done = bench_engine(reference_engine(), tiny(), few(), run);
  ASSERT_TRUE(done) << done.error().message();
  std::vector<std::string> names;
  for (const BenchResult& result : run.results) {
    names.push_back(result.what + " " + result.how);
    EXPECT_EQ(result.seconds.size(), result.what == "first-token" ? 3U : 4U) << names.back();
    for (const double seconds : result.seconds) EXPECT_GT(seconds, 0);
    EXPECT_GT(result.rate(), 0);
    EXPECT_EQ(result.subject, "reference");
    EXPECT_TRUE(result.ops.empty());
    const std::vector<double>& reads = run.roofs.find("read")->seconds;
    ASSERT_EQ(result.beside.count("read"), 1U) << names.back();
    const double beside = run.roofs.find("read")->amount / result.beside.at("read");
    EXPECT_GE(beside, 0.999 * *std::min_element(reads.begin(), reads.end())) << names.back();
    EXPECT_LE(beside, 1.001 * *std::max_element(reads.begin(), reads.end())) << names.back();
  }
  EXPECT_THAT(names, UnorderedElementsAre("prefill 3 tokens", "prefill 9 tokens", "prefill 3 tokens at depth 5",
                                          "prefill 9 tokens at depth 5", "decode depth 0", "decode depth 5",
                                          "first-token 3 tokens", "vision 1120 patches", "audio 10 s"));
  EXPECT_GE(run.roofs.find("read")->seconds.size(), 4U) << "between the samples";
  EXPECT_GT(run.facts["peak_memory_bytes"], 0);
  EXPECT_GT(run.facts["weights_bytes"], 1e5);
  EXPECT_EQ(run.facts["warm_up_settled"], 0) << "there was no time for one";
}

TEST(EngineBench, LeavesOutWhatNobodyAsksFor) {
  EngineBenchOptions options = few();
  options.lengths = {};
  options.depths = {1};
  options.encoders = false;
  BenchRun run;
  ASSERT_TRUE(bench_engine(reference_engine(), tiny(), options, run));
  ASSERT_EQ(run.results.size(), 1U);
  EXPECT_EQ(run.results[0].what, "decode");
}

TEST(EngineBench, RefusesWhatCannotBeTimed) {
  const auto message = [](auto change) {
    EngineBenchOptions options = few();
    change(options);
    BenchRun run;
    const auto done = bench_engine(reference_engine(), tiny(), options, run);
    return done ? std::string() : done.error().message();
  };
  EXPECT_THAT(message([](auto& o) { o.lengths = {0}; }), HasSubstr("--lengths"));
  EXPECT_THAT(message([](auto& o) { o.depths = {-1}; }), HasSubstr("--depths"));
  EXPECT_THAT(message([](auto& o) { o.lengths = o.depths = {}; }), HasSubstr("--lengths"));
  EXPECT_THAT(message([](auto& o) { o.decode = 0; }), HasSubstr("--decode"));
  EXPECT_THAT(message([](auto& o) { o.repetitions = 0; }), HasSubstr("--reps"));
  EXPECT_THAT(message([](auto& o) { o.threads = 0; }), HasSubstr("--threads"));
  const auto drafter = Checkpoint::open(ASSAY_SOURCE_DIR "/golden/data/tiny/assistant");
  ASSERT_TRUE(drafter);
  BenchRun run;
  EXPECT_FALSE(bench_engine(reference_engine(), *drafter, few(), run));
}

/// The reference, and a watch over its ops.
class Timed : public Session, public TimesOps {
 public:
  explicit Timed(std::unique_ptr<Session> inner) : Session(inner->plan()), inner_(std::move(inner)) {}
  void time_ops(bool on) override {
    on_ = on;
    calls_ = 0;
  }
  std::vector<OpTime> op_times() const override {
    return {{.op = "everything", .seconds = 2, .calls = calls_, .bytes = 6, .flops = 8, .roof = "fp32"}};
  }

 protected:
  Result<void> do_forward(const Forward& call, TapSink& taps) override {
    calls_ += on_ ? 1 : 0;
    return inner_->forward(call, taps);
  }

 private:
  std::unique_ptr<Session> inner_;
  bool on_ = false;
  std::int64_t calls_ = 0;
};

TEST(EngineBench, AsksSessionsThatTimeThemselves) {
  Engine engine = reference_engine();
  engine.open = [open = engine.open](const Checkpoint& checkpoint) -> Result<std::unique_ptr<Session>> {
    ASSAY_TRY(inner, open(checkpoint));
    return std::make_unique<Timed>(std::move(inner));
  };
  EngineBenchOptions options = few();
  options.encoders = false;
  options.depths = {3};
  options.acts = kernels::Acts::int8;
  BenchRun run;
  ASSERT_TRUE(bench_engine(engine, tiny(), options, run));
  for (const char* roof : {"read", "fp32", "bf16", "int8"})
    EXPECT_NE(run.roofs.find(roof), nullptr) << "an op may multiply more exactly than the mode has it";
  for (const BenchResult& result : run.results) {
    if (result.what == "first-token") {
      EXPECT_TRUE(result.ops.empty());
      continue;
    }
    ASSERT_EQ(result.ops.size(), 1U);
    EXPECT_GT(result.beside_ops.at("read"), 0);
    EXPECT_EQ(result.ops[0].op, "everything");
    EXPECT_EQ(result.ops[0].calls, result.what == "decode" ? 2 : 1) << result.what;  // two tokens, without their prompt
    EXPECT_EQ(result.ops[0].must.bytes, 6);
    EXPECT_EQ(result.ops[0].must.flops.at("fp32"), 8);
  }
}

/// The reference, and a record of what it was asked; truncates only where it may.
class Recorded : public Session {
 public:
  struct Log {
    std::vector<std::string> lines;
    std::vector<int> cached;  ///< before each call that extends
    bool truncates = true;
  };
  Recorded(std::unique_ptr<Session> inner, Log& log) : Session(inner->plan()), inner_(std::move(inner)), log_(log) {}

 protected:
  Result<void> do_forward(const Forward& call, TapSink& taps) override {
    if (call.cache == Cache::extend)
      log_.cached.push_back(cached_);
    else
      cached_ = 0;
    log_.lines.push_back(std::to_string(call.ids.cols) + " at " + std::to_string(cached_));
    cached_ += call.ids.cols;
    return inner_->forward(call, taps);
  }
  Result<void> do_truncate(std::span<const int> keep) override {
    if (!log_.truncates) return fail({Failure::unsupported, "test", "truncate", "", ""});
    log_.lines.push_back("back to " + std::to_string(keep[0]));
    cached_ = keep[0];
    return inner_->truncate(keep);
  }

 private:
  std::unique_ptr<Session> inner_;
  Log& log_;
  int cached_ = 0;
};

TEST(EngineBench, EachSampleAtADepthStartsThere) {
  for (const bool truncates : {true, false}) {
    Recorded::Log log{.lines = {}, .cached = {}, .truncates = truncates};
    Engine engine = reference_engine();
    engine.open = [open = engine.open, &log](const Checkpoint& checkpoint) -> Result<std::unique_ptr<Session>> {
      ASSAY_TRY(inner, open(checkpoint));
      return std::make_unique<Recorded>(std::move(inner), log);
    };
    EngineBenchOptions options = few();
    options.lengths = {3};
    options.depths = {5};
    options.encoders = false;
    BenchRun run;
    const auto done = bench_engine(engine, tiny(), options, run);
    ASSERT_TRUE(done) << done.error().message();
    const auto count = [&](const char* line) { return std::count(log.lines.begin(), log.lines.end(), line); };
    EXPECT_EQ(count("3 at 5"), 5) << "a warm-up and four samples";
    EXPECT_EQ(count("1 at 5"), 5);
    EXPECT_EQ(count("1 at 6"), 5);
    for (const int cached : log.cached) EXPECT_TRUE(cached == 5 || cached == 6) << cached;
    EXPECT_EQ(count("5 at 0") + count("back to 5"), 10) << "each sample goes back";
    if (truncates) {
      EXPECT_GT(count("back to 5"), 0) << "prompts are long: they are not run again without need";
    } else {
      EXPECT_EQ(count("5 at 0"), 10);
    }
  }
}

TEST(EngineBench, WhatATokenNeedsFollowsFromTheFilesTypes) {
  const Must must = decode_must(tiny(), few(), 0);
  double weights = 0;  // everything in the text model but tables, norms and what is no matrix
  for (const auto& [name, tensor] : tiny().tensors)
    if (name.starts_with("layers.") && tensor.shape.size() == 2) weights += double(tensor.bytes.size());
  EXPECT_GT(must.bytes, weights);
  EXPECT_LT(must.bytes, 3 * weights);
  EXPECT_EQ(counting(tiny(), few()).bytes("embed_tokens.weight", 10), 20) << "bf16";
  EXPECT_EQ(counting(tiny(), few()).bytes("no such tensor", 10), 0);
  EXPECT_GT(decode_must(tiny(), few(), 100).bytes, must.bytes);
  EXPECT_GT(prefill_must(tiny(), few(), 9, 0).all_flops(), must.all_flops());
  EXPECT_GT(prefill_must(tiny(), few(), 9, 100).all_flops(), prefill_must(tiny(), few(), 9, 0).all_flops());
  EXPECT_GT(prefill_must(tiny(), few(), 9, 100).bytes, prefill_must(tiny(), few(), 9, 0).bytes) << "cached K/V";
}

TEST(EngineBench, CountsWhatAnEngineMakesOfTheWeights) {
  const std::string gate = "layers.0.mlp.gate_proj.weight", norm = "layers.0.input_layernorm.weight";
  ASSERT_EQ(tiny().tensors.at(gate).shape.back() % 32, 0);
  EngineBenchOptions options = few();
  options.acts = kernels::Acts::int8;
  EXPECT_EQ(counting(tiny(), options).roof_of(gate), "bf16") << "int8 has no kernels for bf16 weights: the next finer";
  EXPECT_EQ(counting(tiny(), options).bytes(gate, 64), 128);
  options.weights = Dtype::q4_0;
  EXPECT_EQ(counting(tiny(), options).roof_of(gate), "int8");
  EXPECT_EQ(counting(tiny(), options).bytes(gate, 64), 36);
  EXPECT_EQ(counting(tiny(), options).bytes(norm, 64), 128) << "norms stay";
  options.acts = kernels::Acts::bf16;
  EXPECT_EQ(counting(tiny(), options).roof_of(gate), "fp32") << "bf16 has none for q4_0";
  Checkpoint halves = tiny();
  halves.tensors.at(gate).dtype = Dtype::f16;
  options = few();
  options.acts = kernels::Acts::int8;
  EXPECT_EQ(counting(halves, options).roof_of(gate), "fp32") << "nor has f16 any but fp32";
  EXPECT_EQ(counting(halves, options).bytes(gate, 64), 128);
}

TEST(EngineBench, FillerNeverStandsForMedia) {
  const auto ids = filler_ids(tiny().plan, 5000);
  EXPECT_EQ(ids.size(), 5000U);
  const auto fewer = filler_ids(tiny().plan, 4000);
  EXPECT_TRUE(std::equal(fewer.begin(), fewer.end(), ids.begin()));
  for (const std::int64_t id : tiny().plan.placeholder_ids) EXPECT_THAT(ids, Not(Contains(id)));
  EXPECT_THAT(ids, Not(Contains(tiny().plan.pad_id)));
  for (const std::int64_t id : ids) ASSERT_TRUE(id >= 0 && id < tiny().plan.vocab);
}

}  // namespace
}  // namespace assay
