#include "engine/engine.h"

#include <algorithm>

#include "engine/media_rows.h"

namespace assay {
namespace {

/// Passes taps on while it checks the contract: right shape, once, and none forgotten.
class CheckedSink : public TapSink {
 public:
  CheckedSink(const Plan& plan, const MediaRows& media, TapSink& inner, int tokens, int logit_rows)
      : TapSink(inner.layers()), plan_(plan), media_(media), inner_(inner), tokens_(tokens), logit_rows_(logit_rows) {
    for (const TapId id : all_taps(plan))  // no media: no rows, and nothing to offer
      if (inner.wants(id.tap, id.layer) && rows_of(id) > 0) want(id);
  }

  void take(TapId id, Rows<const float> rows) override {
    if (error_) return;
    const int expected_rows = rows_of(id);
    const int expected_cols = id.tap == Tap::audio_mel ? media_.features : columns(plan_, id);
    if (std::find(seen_.begin(), seen_.end(), id) != seen_.end()) {
      error_ = Failure{Failure::bad_output, "engine", id.name(), "once", "a second time"};
    } else if (rows.rows != expected_rows || rows.cols != expected_cols) {
      error_ = Failure{Failure::bad_output, "engine", id.name(), shape(expected_rows, expected_cols),
                       shape(rows.rows, rows.cols)};
    } else {
      seen_.push_back(id);
      inner_.take(id, rows);
    }
  }

  Result<void> finish() const {
    if (error_) return fail(*error_);
    for (const TapId id : all_taps(plan_))
      if (wants(id.tap, id.layer) && std::find(seen_.begin(), seen_.end(), id) == seen_.end())
        return fail({Failure::bad_output, "engine", id.name(), "offered once", "never"});
    return {};
  }

 private:
  static std::string shape(int rows, int cols) {
    return "[" + std::to_string(rows) + ", " + std::to_string(cols) + "]";
  }

  int rows_of(TapId id) const {
    if (id.tap == Tap::logits) return logit_rows_;
    const RowSpace space = row_space(id.tap);
    return space == RowSpace::tokens ? tokens_ : media_.rows(space);
  }

  const Plan& plan_;
  const MediaRows& media_;
  TapSink& inner_;
  int tokens_, logit_rows_;
  std::vector<TapId> seen_;
  std::optional<Failure> error_;
};

Result<void> check(const Plan& plan, const Forward& call) {
  const auto bad = [](std::string field, std::string expected, std::string found) {
    return fail({Failure::bad_input, "forward", std::move(field), std::move(expected), std::move(found)});
  };
  if (call.ids.rows < 1 || call.ids.cols < 1) return bad("input_ids", "[B, T] with at least one token", "none");
  if (call.target != nullptr && !plan.assistant) return bad("target", "none but for a drafter", "a session");
  for (const std::int64_t id : call.ids.all())
    if (!plan.assistant && (id < 0 || id >= plan.vocab))  // a drafter's are its target's, who embeds them
      if (std::find(plan.placeholder_ids.begin(), plan.placeholder_ids.end(), id) == plan.placeholder_ids.end())
        return bad("input_ids", "ids from 0 to " + std::to_string(plan.vocab - 1), std::to_string(id));
  if (!call.mask.empty() && (call.mask.rows != call.ids.rows || call.mask.cols < call.ids.cols))
    return bad("attention_mask",
               "[" + std::to_string(call.ids.rows) + ", cached + " + std::to_string(call.ids.cols) + "]",
               "[" + std::to_string(call.mask.rows) + ", " + std::to_string(call.mask.cols) + "]");
  if (call.logit_rows < 0 || call.logit_rows > call.ids.cols)
    return bad("logit_rows", "0 to " + std::to_string(call.ids.cols), std::to_string(call.logit_rows));
  return {};
}

Result<void> check_media(const Plan& plan, const MediaRows& media, const Forward& call) {
  if (call.cache == Cache::extend)
    return fail({Failure::bad_input, "forward", "cache", "media with the first call of a prompt", "a cached prompt"});
  return check_placeholders(plan, media, call.ids.all(), call.cache == Cache::none || call.ids.rows > 1);
}

}  // namespace

Result<void> Session::forward(const Forward& call, TapSink& taps) {
  ASSAY_CHECK(check(plan_, call));
  const int logit_rows = call.ids.rows * (call.logit_rows == 0 ? call.ids.cols : call.logit_rows);
  ASSAY_TRY(media, media_rows(plan_, call.more));
  if (media.any()) ASSAY_CHECK(check_media(plan_, media, call));
  CheckedSink checked(plan_, media, taps, call.ids.rows * call.ids.cols, logit_rows);
  ASSAY_CHECK(do_forward(call, checked));
  return checked.finish();
}

Result<void> Session::step(TapId tap, std::span<const NamedTensor> inputs, TapSink& taps) {
  if (!exists(plan_, tap)) return fail({Failure::bad_input, "step", tap.name(), "a tap of this model", ""});
  return do_step(tap, inputs, taps);
}

Result<void> Session::truncate(std::span<const int> keep) { return do_truncate(keep); }

Result<CachedKv> Session::cached_kv(int layer) {
  if (layer < 0 || layer >= int(plan_.layers.size()) || plan_.layers[std::size_t(layer)].kv.kind != KvSource::own)
    return fail({Failure::bad_input, "cached_kv", "layer", "a layer that has K/V of its own", std::to_string(layer)});
  return do_cached_kv(layer);
}

Result<std::vector<float>> Session::embed(std::span<const std::int64_t> ids) {
  for (const std::int64_t id : ids)
    if (id < 0 || id >= plan_.vocab)
      return fail({Failure::bad_input, "embed", "input_ids", "ids from 0 to " + std::to_string(plan_.vocab - 1),
                   std::to_string(id)});
  return do_embed(ids);
}

Result<std::vector<std::int64_t>> Session::generate(const Forward& call, int tokens) {
  ASSAY_CHECK(check(plan_, call));
  if (tokens < 1) return fail({Failure::bad_input, "generate", "tokens", "at least 1", std::to_string(tokens)});
  ASSAY_TRY(media, media_rows(plan_, call.more));
  if (media.any()) ASSAY_CHECK(check_media(plan_, media, call));
  ASSAY_TRY(ids, do_generate(call, tokens));
  const std::size_t expected = std::size_t(call.ids.rows) * std::size_t(tokens);
  if (ids.size() != expected)
    return fail({Failure::bad_output, "engine", "generated_ids", std::to_string(expected) + " ids",
                 std::to_string(ids.size())});
  return ids;
}

Result<std::vector<std::int64_t>> Session::do_generate(const Forward&, int) {
  return fail({Failure::unsupported, "engine", "generate", "", ""});
}

Result<void> Session::do_step(TapId, std::span<const NamedTensor>, TapSink&) {
  return fail({Failure::unsupported, "engine", "step", "", ""});
}

Result<void> Session::do_truncate(std::span<const int>) {
  return fail({Failure::unsupported, "engine", "truncate", "", ""});
}

Result<CachedKv> Session::do_cached_kv(int) { return fail({Failure::unsupported, "engine", "cached_kv", "", ""}); }

Result<std::vector<float>> Session::do_embed(std::span<const std::int64_t>) {
  return fail({Failure::unsupported, "engine", "embed", "", ""});
}

}  // namespace assay
