#include "harness/locate/forced.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <map>
#include <optional>
#include <utility>

#include "engine/media_rows.h"

namespace assay {
namespace {

class Keep : public TapSink {
 public:
  explicit Keep(const Plan& plan) : TapSink(deepest(plan)) {}
  void take(TapId, Rows<const float> rows) override { values.assign(rows.all().begin(), rows.all().end()); }
  std::vector<float> values;
};

Result<std::vector<float>> step_on(Session& session, TapId id, std::span<const NamedTensor> inputs) {
  Keep keep(session.plan());
  keep.want(id);
  ASSAY_CHECK(session.step(id, inputs, keep));
  if (keep.values.empty()) return fail({Failure::bad_output, "step", id.name(), "values", "none"});
  return std::move(keep.values);
}

const GoldenTap* kept(const GoldenCase& golden, TapId id) {
  const auto found = std::ranges::find(golden.taps, id, &GoldenTap::id);
  return found == golden.taps.end() ? nullptr : &*found;
}

Tensor shaped(const CaseView& view, TapId id, std::vector<float> values) {
  std::vector<std::int64_t> shape = tap_shape(view.plan, view.media, id, view.batch, view.tokens);
  return Tensor::own(std::move(shape), std::move(values));
}

}  // namespace

KnownTaps KnownTaps::from(Session& oracle, const CaseView& view, const GoldenCase& golden) {
  KnownTaps known;
  known.inputs_ = golden.inputs;
  for (const TapId id : all_taps(view.plan)) {
    const GoldenTap* tap = kept(golden, id);
    if (tap != nullptr && tap->rows.empty()) {
      known.taps_.push_back({id.name(), Tensor::own(tap->shape, tap->values)});
      continue;
    }
    auto made = step_on(oracle, id, known.inputs_of(view.plan, id));
    if (!made) continue;  // nothing to make it from: no such media, or a golden that keeps less than a layer's inputs
    if (tap != nullptr) {
      const std::size_t cols = tap->values.size() / tap->rows.size();
      for (std::size_t i = 0; i < tap->rows.size(); ++i)
        if ((std::size_t(tap->rows[i]) + 1) * cols <= made->size())
          std::copy_n(tap->values.begin() + std::ptrdiff_t(i * cols), cols,
                      made->begin() + std::ptrdiff_t(std::size_t(tap->rows[i]) * cols));
    }
    known.taps_.push_back({id.name(), shaped(view, id, *std::move(made))});
  }
  return known;
}

std::vector<NamedTensor> KnownTaps::inputs_of(const Plan& plan, TapId id) const {
  std::vector<NamedTensor> tensors = inputs_;
  for (const TapId input : input_taps(plan, id))
    if (const Tensor* values = find(input)) tensors.push_back({input.name(), *values});
  return tensors;
}

const Tensor* KnownTaps::find(TapId id) const { return assay::find(taps_, id.name()); }
bool KnownTaps::has(TapId id) const { return find(id) != nullptr; }

void KnownTaps::set(TapId id, Tensor values) {
  const std::string name = id.name();
  const auto found = std::ranges::find(taps_, name, &NamedTensor::name);
  if (found == taps_.end())
    taps_.push_back({name, std::move(values)});
  else
    found->tensor = std::move(values);
}

Result<std::vector<float>> step_alone(Session& session, TapId id, const KnownTaps& known) {
  ASSAY_TRY(made, step_on(session, id, known.inputs_of(session.plan(), id)));
  const Tensor* values = known.find(id);
  if (values != nullptr && std::int64_t(made.size()) != values->elements())
    return fail({Failure::bad_output, "step", id.name(), std::to_string(values->elements()) + " values",
                 std::to_string(made.size())});
  return made;
}

TapResult judge_step(const CaseView& view, const GoldenCase& golden, const KnownTaps& known, TapId id,
                     std::span<const float> made) {
  if (const GoldenTap* tap = kept(golden, id)) {
    TapResult result = judge_tap(view, *tap, made);
    result.mode = "step";
    return result;
  }
  const Tensor* values = known.find(id);
  GoldenTap tap{.id = id, .noise_bf16 = NAN, .noise_bf16_rms = NAN, .noise_int8 = NAN, .noise_int8_rms = NAN};
  auto floats = values == nullptr ? fail({Failure::internal, "step", id.name(), "", ""}) : values->floats();
  if (!floats) return not_judged(view, id, Verdict::no_golden, "nothing to hold it against");
  tap.shape = values->shape;
  tap.values = *std::move(floats);
  TapResult result = judge_tap(view, tap, made);
  result.mode = "step";
  result.note += std::string(result.note.empty() ? "" : "; ") + "held against the oracle: this case does not keep it";
  return result;
}

Forced force(Session& session, const CaseView& view, const GoldenCase& golden, const KnownTaps& known,
             std::span<const TapId> offered) {
  Forced forced;
  std::size_t skipped = 0;
  std::string why;
  const auto is_offered = [&](TapId id) { return std::ranges::find(offered, id) != offered.end(); };
  for (const TapId id : all_taps(view.plan)) {
    if (!is_offered(id) || !known.has(id)) continue;
    const auto made = step_alone(session, id, known);
    if (!made) {
      if (skipped++ == 0) why = made.error().message();
      continue;
    }
    forced.ops.push_back(judge_step(view, golden, known, id, *made));
  }
  if (skipped > 0) forced.note = std::to_string(skipped) + " taps could not be stepped: " + why;

  // Layers: within one, an op gets what the engine itself made before it.
  std::map<std::pair<TapPart, int>, std::vector<TapId>> layers;
  for (const TapId id : all_taps(view.plan))
    if (id.layer >= 0 && known.has(id)) layers[{part_of(id.tap), id.layer}].push_back(id);
  for (const auto& [at, ids] : layers) {
    if (!std::ranges::all_of(ids, is_offered)) continue;
    KnownTaps own = known;
    std::vector<float> values;
    for (const TapId id : ids) {
      auto made = step_alone(session, id, own);
      if (!made) {
        values.clear();
        break;
      }
      values = *std::move(made);
      own.set(id, shaped(view, id, values));
    }
    if (values.empty()) continue;
    forced.layers.push_back(judge_step(view, golden, known, ids.back(), values));
    forced.layers.back().mode = "layer";
  }
  return forced;
}

}  // namespace assay
