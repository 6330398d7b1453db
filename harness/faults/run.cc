#include "harness/faults/run.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <omp.h>
#include <nlohmann/json.hpp>

#include "harness/faults/observe.h"
#include "harness/frontend/stages.h"
#include "harness/frontend/verify.h"
#include "harness/judge/arithmetic.h"
#include "harness/judge/judge.h"
#include "harness/verify/isolate.h"
#include "harness/verify/other_experts.h"
#include "model/processor/front_end.h"
#include "reference/rounded.h"

namespace assay {
namespace {

/// The paths on which a fault is tried for a case, of those that the case holds for: one forward, unless the fault
/// asks.
std::vector<Path> paths_for(const Fault& fault, const GoldenCase& golden, const CaseInputs& inputs) {
  const auto allowed = [&](Path::Kind kind) {
    if (std::ranges::find(golden.paths, Path{kind}.name()) == golden.paths.end()) return false;
    return fault.paths.empty() || std::ranges::find(fault.paths, kind) != fault.paths.end();
  };
  if (fault.of == Fault::drafter) return allowed(Path::draft) ? std::vector<Path>{{Path::draft}} : std::vector<Path>{};
  if (fault.of == Fault::target)
    return allowed(Path::speculative) ? std::vector<Path>{{Path::speculative}} : std::vector<Path>{};
  if (inputs.batch > 1) return allowed(Path::batched) ? std::vector<Path>{{Path::batched}} : std::vector<Path>{};
  std::vector<Path> paths;
  if (allowed(Path::prefill)) paths.push_back({Path::prefill});
  if (allowed(Path::nocache) && (!fault.paths.empty() || paths.empty())) paths.push_back({Path::nocache});
  if (fault.paths.empty()) return paths;
  if (allowed(Path::decode)) paths.push_back({Path::decode});
  if (allowed(Path::chunked) && inputs.tokens > 7) paths.push_back({Path::chunked, 7});
  return paths;
}

struct Seen {
  std::string first;                            ///< the first wrong tap, or `generated_logits`
  int order = std::numeric_limits<int>::max();  ///< of that tap
  Sighting::Place place = Sighting::unseen;
  double ratio = 0;
  std::string nearest;  ///< the tap of `ratio`
  double effect = 0, noise = 0;

  void take(const TapResult& result, double lost) {
    const double mean = result.rms_limit > 0 ? result.stats.rms / result.rms_limit : 0;
    const double most = std::max(result.stats.worst_ratio, mean);
    if (!std::isfinite(most) || most <= ratio) return;
    ratio = most;
    nearest = result.tap;
    effect = result.stats.max_abs;
    noise = lost;
  }
};

/// How the oracle computes, and what is allowed for it.
struct Precision {
  std::string_view arithmetic = "fp32";
  std::optional<reference::Rounding> rounding = {};
};

double noise_on(const GoldenTap& tap, std::string_view arithmetic) {
  return noise(tap, Arithmetic::parse(arithmetic).value_or(Arithmetic{"fp32", ""})).value_or(Noise{}).most;
}

/// Compares what a bent oracle gave with the golden.
Seen look(const CaseView& view, const GoldenCase& golden, const Driven& driven, const Fault& fault,
          const std::optional<TapId>& expected) {
  Seen seen;
  const int layers = int(view.plan.layers.size());
  int later = 0;  // taps that the case holds behind the expected one, this one included
  for (const GoldenTap& tap : golden.taps) {
    if (expected && !fault.generating && tap.id.order(layers) > expected->order(layers)) ++later;
    const std::vector<float>* values = driven.find(tap.id);  // null: it has a wrong shape, or follows one that has
    const TapResult result = judge_tap(view, tap, values == nullptr ? std::span<const float>{} : std::span(*values));
    seen.take(result, noise_on(tap, view.arithmetic));
    if (!failed(result.verdict) || !seen.first.empty()) continue;
    seen.first = tap.id.name();
    seen.order = tap.id.order(layers);
    seen.place = expected == tap.id && !fault.generating ? Sighting::exact
                 : later == 1                            ? Sighting::right_after
                                                         : Sighting::elsewhere;
  }
  if (seen.first.empty() && golden.generated > 0) {
    const TapResult logits = judge_generated_logits(view, golden, driven.generated, driven.generated_logits);
    seen.take(logits, noise_on(golden.taps.back(), view.arithmetic));
    if (failed(logits.verdict)) {
      seen.first = logits.tap;
      seen.order = std::numeric_limits<int>::max() - 1;
      seen.place = fault.generating ? Sighting::exact : Sighting::generating;
    }
  }
  return seen;
}

/// The first `kept` of a round's steps, of taps [B, steps, ...].
std::vector<float> first_steps(std::span<const float> values, int batch, int steps, int kept) {
  const std::size_t row = values.size() / std::size_t(batch), part = row / std::size_t(steps) * std::size_t(kept);
  std::vector<float> out;
  for (std::size_t b = 0; b < std::size_t(batch); ++b) {
    const auto of_row = values.subspan(b * row, part);
    out.insert(out.end(), of_row.begin(), of_row.end());
  }
  return out;
}

/// A drafter's round, step by step: what one step gets wrong goes into all taps of the next.
Seen look_by_steps(CaseView view, const GoldenCase& golden, const Driven& driven, const Fault& fault,
                   const std::optional<TapId>& expected) {
  const int steps = golden.draft_steps;
  for (int kept = 1; kept < steps; ++kept) {
    GoldenCase part = golden;
    Driven drawn = driven;
    part.generated = 0;
    for (GoldenTap& tap : part.taps) {
      tap.shape[1] = kept;
      tap.values = first_steps(tap.values, view.batch, steps, kept);
    }
    for (auto& [id, values] : drawn.taps) values = first_steps(values, view.batch, steps, kept);
    view.tokens = kept;
    view.taps = part.taps;
    if (Seen seen = look(view, part, drawn, fault, expected); !seen.first.empty()) return seen;
  }
  view.tokens = steps;
  view.taps = golden.taps;
  return look(view, golden, driven, fault, expected);
}

/// What speculative decoding gave, by its ids alone.
Seen look_at_ids(const GoldenCase& golden, const Driven& driven) {
  if (driven.generated == golden.generated_ids) return {};
  return {std::string(kGeneratedIds), std::numeric_limits<int>::max() - 1, Sighting::exact};
}

/// A drafter whose logits are not finite chooses nothing: a round ends there, and that tap is all that is seen of it.
Seen not_finite(const Plan& plan, const std::string& tap, const std::optional<TapId>& expected) {
  const std::optional<TapId> id = TapId::parse(tap);
  Seen seen{.first = tap, .place = id && expected == id ? Sighting::exact : Sighting::elsewhere};
  if (id) seen.order = id->order(int(plan.layers.size()));
  return seen;
}

Result<Seen> try_case(const Fault& fault, const Models& models, const GoldenCase& golden, const CaseInputs& inputs,
                      Path path, Precision precision, bool& bent) {
  const Fault* const one[] = {&fault};
  const Checkpoint* const beside = models.target ? &*models.target : nullptr;
  ASSAY_TRY(oracle, bent_oracle(one, models.checkpoint, beside, precision.rounding));
  bent = oracle.bent;
  if (!bent) return Seen{};
  const Plan& plan = models.checkpoint.plan;
  Watch watch{.path = path, .taps = {}, .generate = true, .golden_round = precision.rounding.has_value()};
  for (const GoldenTap& tap : golden.taps) watch.taps.push_back(tap.id);
  const auto observed = observe(*oracle.session, oracle.target.get(), golden, inputs, watch);
  if (!observed && plan.assistant && observed.error().expected == kFiniteLogits)
    return not_finite(plan, observed.error().field, fault.shows_at(plan));
  if (!observed) return fail(observed.error());
  const Driven& driven = observed->driven;
  if (path.kind == Path::speculative) return look_at_ids(golden, driven);
  ASSAY_TRY(view, case_view(plan, golden, inputs, precision.arithmetic));
  if (plan.assistant) return look_by_steps(view, golden, driven, fault, fault.shows_at(plan));
  const std::optional<TapId> expected = fault.shows_at(plan);
  Seen seen = look(view, golden, driven, fault, expected);
  if (!may_choose_otherwise(plan, precision.arithmetic) || seen.ratio <= 1) return seen;
  const auto other = with_experts_of(*oracle.session, models.checkpoint, golden, inputs, path, precision.arithmetic);
  if (!other || !*other) return seen;
  view.taps = (*other)->golden.taps;
  return look(view, (*other)->golden, driven, fault, expected);
}

std::optional<reference::Rounding> rounding_of(std::string_view arithmetic) {
  if (arithmetic == "bf16") return reference::Rounding::bf16;
  if (arithmetic == "fp16") return reference::Rounding::fp16;
  return std::nullopt;
}

/// `image.0.resized` is `image.resized`; what has no number stays.
std::string without_number(const std::string& stage) {
  const std::size_t first = stage.find('.'), last = stage.rfind('.');
  return first == last ? stage : stage.substr(0, first) + stage.substr(last);
}

/// The cases in order, those first that hold the stage.
Result<std::vector<FrontEndCase>> cases_for(std::string_view stage, const FrontEndGolden& golden) {
  std::vector<FrontEndCase> cases;
  for (const std::string& name : golden.cases()) {
    ASSAY_TRY(one, golden.load(name));
    cases.push_back(std::move(one));
  }
  std::ranges::stable_partition(cases, [&](const FrontEndCase& one) {
    return std::ranges::any_of(one.stages, [&](const auto& held) { return without_number(held.name) == stage; });
  });
  return cases;
}

/// What a child sent, or how it ended.
FaultOutcome outcome_of(const Fault& fault, const Outcome& outcome) {
  FaultOutcome result{.fault = std::string(fault.name), .control = fault.control};
  if (outcome.end != Outcome::finished || outcome.messages.empty()) {
    result.error = outcome.what.empty() ? "no result" : outcome.what;
    return result;
  }
  const nlohmann::json message = nlohmann::json::parse(outcome.messages.front());
  if (message.contains("error")) result.error = message["error"];
  if (message.contains("sightings"))
    for (const nlohmann::json& s : message["sightings"])
      result.sightings.push_back({.golden = s[0],
                                  .case_name = s[1],
                                  .path = s[2],
                                  .expected = s[3],
                                  .first = s[4],
                                  .place = Sighting::Place(s[5].get<int>()),
                                  .ratio = s[6],
                                  .nearest = s[7],
                                  .effect = s[8],
                                  .noise = s[9]});
  return result;
}

}  // namespace

int FaultOutcome::count(Sighting::Place place) const {
  return int(std::ranges::count(sightings, place, &Sighting::place));
}

bool FaultOutcome::detected() const { return count(Sighting::unseen) < int(sightings.size()); }

bool FaultOutcome::placed() const {
  return count(Sighting::exact) + count(Sighting::right_after) > 0 && count(Sighting::elsewhere) == 0;
}

bool FaultOutcome::as_it_should() const {
  if (!error.empty() || sightings.empty()) return false;
  return control ? !detected() : placed();
}

double FaultOutcome::ratio() const {
  double largest = 0;
  for (const Sighting& sighting : sightings) largest = std::max(largest, sighting.ratio);
  return largest;
}

bool FaultOutcome::below_budget() const { return error.empty() && !sightings.empty() && !detected() && ratio() <= 1; }

bool has_budget(const Fault& fault) { return fault.inject != nullptr && fault.of != Fault::target; }

Result<std::vector<Sighting>> run_fault(const Fault& fault, const GoldenEntry& entry, std::string_view arithmetic) {
  ASSAY_TRY(golden, Golden::open(entry.file));
  const bool by_itself = fault.of == Fault::model || fault.of == Fault::packed;
  if (golden.info().target.empty() != by_itself) return std::vector<Sighting>{};
  // Packing changes nothing but how weights are read: what else may be wrong shows on the goldens they were packed
  // from.
  if (entry.weights.has_value() != (fault.of == Fault::packed)) return std::vector<Sighting>{};
  if (!golden.info().exposing)
    return std::vector<Sighting>{};  // it keeps few taps, and what was learnt hides some faults
  ASSAY_TRY(models, open_models(entry, golden.info()));
  const std::optional<TapId> expected = fault.shows_at(models.checkpoint.plan);
  Sighting sighting{.golden = entry.name, .expected = expected ? expected->name() : ""};
  if (expected && fault.generating)
    sighting.expected = fault.of == Fault::target ? kGeneratedIds : std::string_view("generated_logits");
  const Precision rounded{arithmetic, rounding_of(arithmetic)};
  const Precision exact{arithmetic, std::nullopt};
  bool tried = false;
  int earliest = std::numeric_limits<int>::max();
  for (const std::string& name : golden.info().cases) {
    ASSAY_TRY(one, golden.load(name));
    ASSAY_TRY(inputs, CaseInputs::from(one.inputs, entry.name + "/" + name));
    for (const Path path : paths_for(fault, one, inputs)) {
      bool bent = false;
      ASSAY_TRY(seen, try_case(fault, models, one, inputs, path, rounded, bent));
      if (!bent || (!expected && !fault.control)) return std::vector<Sighting>{};
      tried = true;
      if (rounded.rounding && seen.first.empty()) {
        ASSAY_TRY(alone, try_case(fault, models, one, inputs, path, exact, bent));
        if (alone.ratio > sighting.ratio) {
          sighting.nearest = name + "/" + path.name() + " " + alone.nearest;
          sighting.ratio = alone.ratio;
          sighting.effect = alone.effect;
          sighting.noise = alone.noise;
        }
        continue;
      }
      if (rounded.rounding) {  // what the rounded oracle is told for without any fault shows none
        Fault none = fault;
        none.inject = [](reference::Parts&) { return true; };
        ASSAY_TRY(unbent, try_case(none, models, one, inputs, path, rounded, bent));
        if (!unbent.first.empty()) continue;
      }
      sighting.ratio = std::max(sighting.ratio, seen.ratio);
      if (seen.order >= earliest) continue;
      earliest = seen.order;
      sighting.case_name = name;
      sighting.path = path.name();
      sighting.first = seen.first;
      sighting.place = seen.place;
      if (seen.place == Sighting::exact || rounded.rounding) return std::vector<Sighting>{sighting};
    }
  }
  return tried ? std::vector<Sighting>{sighting} : std::vector<Sighting>{};
}

Result<Sighting> run_fault(const Fault& fault, const FrontEndGolden& golden) {
  FrontEnd steps = front_end();
  fault.bend(steps);
  ASSAY_TRY(cases, cases_for(fault.stage, golden));
  Sighting sighting{
      .golden = std::string(kFrontEnd), .path = std::string(kProcess), .expected = std::string(fault.stage)};
  int earliest = std::numeric_limits<int>::max();
  for (const FrontEndCase& one : cases) {
    ASSAY_TRY(stages, judge_stages(golden, one, steps));
    for (const TapResult& stage : stages)
      if (std::isfinite(stage.stats.worst_ratio)) sighting.ratio = std::max(sighting.ratio, stage.stats.worst_ratio);
    const auto first = std::ranges::find_if(stages, [](const TapResult& stage) { return failed(stage.verdict); });
    if (first == stages.end() || stage_order(first->tap) >= earliest) continue;
    earliest = stage_order(first->tap);
    sighting.case_name = one.name;
    sighting.first = first->tap;
    sighting.place = without_number(first->tap) == fault.stage ? Sighting::exact : Sighting::elsewhere;
    if (sighting.place == Sighting::exact && !fault.control) break;
  }
  return sighting;
}

std::vector<FaultOutcome> run_faults(const std::vector<const Fault*>& chosen, const FaultGoldens& goldens, int children,
                                     const std::function<void(const FaultOutcome&, std::size_t)>& ended,
                                     std::string_view arithmetic) {
  const bool exact = !rounding_of(arithmetic);
  std::vector<Work> works;
  works.reserve(chosen.size());
  for (const Fault* fault : chosen)
    works.push_back([fault, &goldens, arithmetic, exact](const Send& send) {
      omp_set_num_threads(1);  // there is a child a core
      nlohmann::json sightings = nlohmann::json::array();
      const auto add = [&](const Sighting& s) {
        sightings.push_back(
            {s.golden, s.case_name, s.path, s.expected, s.first, int(s.place), s.ratio, s.nearest, s.effect, s.noise});
      };
      const auto wrong = [&](std::string_view golden, const Failure& why) {
        send(nlohmann::json{{"error", std::string(golden) + ": " + why.message()}}.dump());
      };
      if (fault->bend && goldens.front_end) {
        const auto seen = run_fault(*fault, *goldens.front_end);
        if (!seen) return wrong(kFrontEnd, seen.error());
        add(*seen);
      }
      if (fault->inject)
        for (const GoldenEntry& golden : goldens.models) {
          const auto seen = run_fault(*fault, golden, arithmetic);
          if (!seen) return wrong(golden.name, seen.error());
          for (const Sighting& s : *seen) add(s);
          if (!exact && std::ranges::any_of(*seen, [](const Sighting& s) { return s.place != Sighting::unseen; }))
            break;
        }
      send(nlohmann::json{{"sightings", sightings}}.dump());
    });
  std::vector<FaultOutcome> results(chosen.size());
  std::size_t done = 0;
  isolate(works, {.children = children,
                  .deadline = std::chrono::seconds(600),
                  .ended = {},
                  .came = [&](std::size_t i, const Outcome& outcome) {
                    results[i] = outcome_of(*chosen[i], outcome);
                    if (ended) ended(results[i], ++done);
                  }});
  return results;
}

}  // namespace assay
