// A small model that is no Gemma: each tap's value depends on the tap, the token's id and its position alone, so that
// every path gives the same and a test can say in advance what. It can be bent into every kind of bad engine.
#pragma once

#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "engine/media_rows.h"
#include "golden/store.h"
#include "harness/drive/drive.h"

namespace assay::fake {

/// Two layers: sliding with a window of 5, then full with experts and a donor's K/V.
inline Plan plan(Blocks blocks = Blocks::causal) {
  Plan plan;
  plan.hidden = 4;
  plan.vocab = 11;
  plan.eps = 1e-6F;
  LayerPlan sliding{.q_heads = 2,
                    .kv_heads = 1,
                    .head_dim = 2,
                    .kv = {KvSource::own, 0},
                    .window = 5,
                    .blocks = blocks,
                    .rope = {},
                    .ffn_width = 3,
                    .experts = std::nullopt};
  LayerPlan full = sliding;
  full.window = 0;
  full.kv = {KvSource::earlier, 0};
  full.experts = Experts{.count = 4, .used = 2, .width = 3};
  plan.layers = {sliding, full};
  return plan;
}

/// One forward as an engine heard it.
struct Call {
  std::vector<std::int64_t> ids, mask, positions, types;
  std::vector<std::int64_t> mask_shape;
  std::vector<std::string> more;
  Cache cache = Cache::none;
  int logit_rows = 0;
  bool wants_logits = false;

  bool operator==(const Call&) const = default;
};

/// What a correct engine computes.
inline float value(TapId id, std::int64_t token, std::int64_t position, int col) {
  const double seed = 1 + int(id.tap) * 3 + (id.layer + 1) * 7;
  if (id.tap == Tap::router_topk) return (token + col) % 2 == 0 ? 0.3F + 0.1F * float(col) : 0.0F;
  return float(0.6 + 0.4 * std::sin(seed * 1.7 + double(token) * 0.9 + double(position) * 0.35 + col * 2.3));
}

class FakeSession : public Session {
 public:
  explicit FakeSession(Plan plan) : Session(std::move(plan)) {}

  std::vector<Call> calls;
  /// Called with each tap's values before it is offered.
  std::function<void(TapId, std::vector<float>&)> bend = [](TapId, std::vector<float>&) {};
  /// Called first; a failure ends the forward.
  std::function<Result<void>(const Forward&)> before = [](const Forward&) { return Result<void>(); };
  /// How often each tap is offered, and how many columns too many it has.
  std::function<int(TapId)> times = [](TapId) { return 1; };
  std::function<int(TapId)> extra_columns = [](TapId) { return 0; };

 protected:
  Result<void> do_forward(const Forward& call, TapSink& taps) override {
    record(call, taps);
    ASSAY_CHECK(before(call));
    if (call.cache != Cache::extend) cached_ = 0;
    const int batch = call.ids.rows, tokens = call.ids.cols;
    const Tensor* positions = find(call.more, "position_ids");
    const std::vector<std::int64_t> given = positions == nullptr ? std::vector<std::int64_t>() : *positions->integers();
    ASSAY_TRY(media, media_rows(plan(), call.more));
    for (const TapId id : all_taps(plan())) {
      if (row_space(id.tap) != RowSpace::tokens) {
        offer_media(id, media, taps);
        continue;
      }
      const int cols = columns(plan(), id) + extra_columns(id);
      const int first = id.tap == Tap::logits && call.logit_rows > 0 ? tokens - call.logit_rows : 0;
      for (int n = 0; n < times(id); ++n)
        taps.offer(id.tap, id.layer, [&] {
          values_.clear();
          for (int b = 0; b < batch; ++b)
            for (int t = first; t < tokens; ++t) {
              const std::int64_t position =
                  given.empty() ? cached_ + t : given[std::size_t(b) * std::size_t(tokens) + std::size_t(t)];
              for (int c = 0; c < cols; ++c) values_.push_back(value(id, call.ids.row(b)[std::size_t(t)], position, c));
            }
          bend(id, values_);
          return Rows<const float>{values_.data(), batch * (tokens - first), cols};
        });
    }
    cached_ += tokens;
    return {};
  }

 private:
  /// A tower's tap: values depend on the row alone.
  void offer_media(TapId id, const MediaRows& media, TapSink& taps) {
    const int rows = media.rows(row_space(id.tap)), cols = columns(plan(), id);
    if (rows == 0) return;
    taps.offer(id.tap, id.layer, [&] {
      values_.clear();
      for (int r = 0; r < rows; ++r)
        for (int c = 0; c < cols; ++c) values_.push_back(value(id, r, r, c));
      bend(id, values_);
      return Rows<const float>{values_.data(), rows, cols};
    });
  }

  void record(const Forward& call, const TapSink& taps) {
    const auto all = [](Rows<const std::int64_t> rows) {
      return std::vector<std::int64_t>(rows.data, rows.data + rows.size());
    };
    Call heard{.ids = all(call.ids),
               .mask = all(call.mask),
               .positions = {},
               .types = {},
               .mask_shape = {},
               .more = {},
               .cache = call.cache,
               .logit_rows = call.logit_rows,
               .wants_logits = taps.wants(Tap::logits, -1)};
    if (!call.mask.empty()) heard.mask_shape = {call.mask.rows, call.mask.cols};
    for (const NamedTensor& named : call.more) {
      if (named.name == "position_ids")
        heard.positions = *named.tensor.integers();
      else if (named.name == "mm_token_type_ids")
        heard.types = *named.tensor.integers();
      else
        heard.more.push_back(named.name);
    }
    calls.push_back(std::move(heard));
  }

  int cached_ = 0;
  std::vector<float> values_;
};

inline CaseInputs inputs(int batch, int tokens) {
  CaseInputs out;
  out.batch = batch;
  out.tokens = tokens;
  for (int i = 0; i < batch * tokens; ++i) out.ids.push_back((i * 3 + 1) % 11);
  return out;
}

inline std::vector<NamedTensor> named(const CaseInputs& in) {
  const std::vector<std::int64_t> shape{in.batch, in.tokens};
  std::vector<NamedTensor> out{{"input_ids", Tensor::own(shape, in.ids)}};
  if (!in.mask.empty()) out.push_back({"attention_mask", Tensor::own(shape, in.mask)});
  if (!in.positions.empty()) out.push_back({"position_ids", Tensor::own(shape, in.positions)});
  if (!in.types.empty()) out.push_back({"mm_token_type_ids", Tensor::own(shape, in.types)});
  return out;
}

/// The golden that a correct engine meets exactly: every tap, all rows, and greedy ids.
inline GoldenCase golden(const Plan& plan, const CaseInputs& in, int generate = 3) {
  GoldenCase out;
  out.name = "case";
  out.paths = in.batch > 1 ? std::vector<std::string>{"batched"}
                           : std::vector<std::string>{"prefill", "nocache", "chunked", "decode"};
  out.inputs = named(in);
  FakeSession session(plan);
  const Result<Driven> driven = drive(session, in, {.path = {}, .generate = generate, .taps = all_taps(plan)});
  for (const auto& [id, values] : driven->taps) {
    GoldenTap tap{.id = id, .shape = row_shape(plan, id), .rows = {}, .values = values};
    tap.shape.insert(tap.shape.begin(), {in.batch, in.tokens});
    tap.noise_fp32 = 1e-7;
    tap.margin = id.tap == Tap::router_topk ? 1e-3 : 0;
    out.taps.push_back(std::move(tap));
  }
  out.generated = generate;
  out.generated_ids = driven->generated;
  out.generated_logits = driven->generated_logits;
  out.generated_logits = driven->generated_logits;
  out.generated_margin = 1e-3;
  return out;
}

inline GoldenTap& tap(GoldenCase& golden, std::string_view name) {
  for (GoldenTap& tap : golden.taps)
    if (tap.id.name() == name) return tap;
  throw std::out_of_range(std::string(name));
}

/// An engine whose sessions `prepare` may bend.
inline Engine engine(std::function<void(FakeSession&)> prepare = {}) {
  Engine out;
  out.can = {.name = "fake", .version = "1", .arithmetic = "fp32", .taps = {"text.*"}, .cache = true, .batch = true};
  out.open = [prepare = std::move(prepare)](const Checkpoint& checkpoint) -> Result<std::unique_ptr<Session>> {
    auto session = std::make_unique<FakeSession>(checkpoint.plan);
    if (prepare) prepare(*session);
    return session;
  };
  return out;
}

}  // namespace assay::fake
