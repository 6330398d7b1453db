#include "harness/faults/run.h"

#include <algorithm>
#include <limits>
#include <utility>

#include <nlohmann/json.hpp>

#include "harness/judge/judge.h"
#include "harness/verify/isolate.h"
#include "reference/session.h"

namespace assay {
namespace {

/// The paths on which a fault is tried for a case, of those that the case holds for: one forward, unless the fault
/// asks.
std::vector<Path> paths_for(const Fault& fault, const GoldenCase& golden, const CaseInputs& inputs) {
  const auto allowed = [&](Path::Kind kind) {
    if (std::ranges::find(golden.paths, Path{kind}.name()) == golden.paths.end()) return false;
    return fault.paths.empty() || std::ranges::find(fault.paths, kind) != fault.paths.end();
  };
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
};

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
    if (std::isfinite(result.stats.worst_ratio)) seen.ratio = std::max(seen.ratio, result.stats.worst_ratio);
    if (!failed(result.verdict) || !seen.first.empty()) continue;
    seen.first = tap.id.name();
    seen.order = tap.id.order(layers);
    seen.place = expected == tap.id && !fault.generating ? Sighting::exact
                 : later == 1                            ? Sighting::right_after
                                                         : Sighting::elsewhere;
  }
  if (seen.first.empty() && golden.generated > 0) {
    const TapResult logits = judge_generated_logits(view, golden, driven.generated, driven.generated_logits);
    seen.ratio = std::max(seen.ratio, logits.stats.worst_ratio);
    if (failed(logits.verdict)) {
      seen.first = logits.tap;
      seen.order = std::numeric_limits<int>::max() - 1;
      seen.place = fault.generating ? Sighting::exact : Sighting::generating;
    }
  }
  return seen;
}

Result<Seen> try_case(const Fault& fault, const Checkpoint& checkpoint, const GoldenCase& golden,
                      const CaseInputs& inputs, Path path, bool& bent) {
  ASSAY_TRY(oracle, reference::assemble(checkpoint));
  bent = fault.inject(oracle);
  if (!bent) return Seen{};
  const std::unique_ptr<Session> session = reference::make_session(std::move(oracle));
  DriveOptions options{.path = path, .generate = golden.generated, .taps = {}};
  for (const GoldenTap& tap : golden.taps) options.taps.push_back(tap.id);
  auto driven = drive(*session, inputs, options);
  if (!driven && driven.error().kind == Failure::bad_output) {
    // Not finite while generating: seen, and later than any tap of the prompt can tell.
    options.generate = 0;
    driven = drive(*session, inputs, options);
  }
  // A tap with another number of rows breaks the engine's contract: it is wrong, if none before it is.
  std::optional<TapId> misshapen;
  if (!driven && driven.error().kind == Failure::bad_output) misshapen = TapId::parse(driven.error().field);
  if (misshapen) {
    const int layers = int(checkpoint.plan.layers.size()), at = misshapen->order(layers);
    std::erase_if(options.taps, [&](TapId id) { return id.order(layers) >= at; });
    driven = drive(*session, inputs, options);
  }
  if (!driven) return fail(driven.error());
  const CaseView view{.plan = checkpoint.plan,
                      .batch = inputs.batch,
                      .tokens = inputs.tokens,
                      .mask = inputs.mask,
                      .positions = inputs.positions,
                      .media = media_rows(checkpoint.plan, inputs.more).value_or(MediaRows{}),
                      .taps = golden.taps,
                      .arithmetic = "fp32"};
  return look(view, golden, *driven, fault, fault.shows_at(checkpoint.plan));
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

Result<std::vector<Sighting>> run_fault(const Fault& fault, const GoldenEntry& entry) {
  ASSAY_TRY(checkpoint, Checkpoint::open(entry.checkpoint));
  ASSAY_TRY(golden, Golden::open(entry.file));
  const std::optional<TapId> expected = fault.shows_at(checkpoint.plan);
  Sighting sighting{.golden = entry.name, .expected = expected ? expected->name() : ""};
  if (expected && fault.generating) sighting.expected = "generated_logits";
  bool tried = false;
  int earliest = std::numeric_limits<int>::max();
  for (const std::string& name : golden.info().cases) {
    ASSAY_TRY(one, golden.load(name));
    ASSAY_TRY(inputs, CaseInputs::from(one.inputs, entry.name + "/" + name));
    for (const Path path : paths_for(fault, one, inputs)) {
      bool bent = false;
      ASSAY_TRY(seen, try_case(fault, checkpoint, one, inputs, path, bent));
      if (!bent || (!expected && !fault.control)) return std::vector<Sighting>{};
      tried = true;
      sighting.ratio = std::max(sighting.ratio, seen.ratio);
      if (seen.order >= earliest) continue;
      earliest = seen.order;
      sighting.case_name = name;
      sighting.path = path.name();
      sighting.first = seen.first;
      sighting.place = seen.place;
      if (seen.place == Sighting::exact) return std::vector<Sighting>{sighting};
    }
  }
  return tried ? std::vector<Sighting>{sighting} : std::vector<Sighting>{};
}

std::vector<FaultOutcome> run_faults(const std::vector<const Fault*>& chosen, const std::vector<GoldenEntry>& goldens,
                                     int children, const std::function<void(std::size_t)>& ended) {
  std::vector<Work> works;
  works.reserve(chosen.size());
  for (const Fault* fault : chosen)
    works.push_back([fault, &goldens](const Send& send) {
      nlohmann::json sightings = nlohmann::json::array();
      for (const GoldenEntry& golden : goldens) {
        const auto seen = run_fault(*fault, golden);
        if (!seen) return send(nlohmann::json{{"error", golden.name + ": " + seen.error().message()}}.dump());
        for (const Sighting& s : *seen)
          sightings.push_back({s.golden, s.case_name, s.path, s.expected, s.first, int(s.place), s.ratio});
      }
      send(nlohmann::json{{"sightings", sightings}}.dump());
    });
  const std::vector<Outcome> outcomes =
      isolate(works, {.children = children, .deadline = std::chrono::seconds(600), .ended = ended});

  std::vector<FaultOutcome> results;
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    FaultOutcome result{.fault = std::string(chosen[i]->name), .control = chosen[i]->control};
    if (outcomes[i].end != Outcome::finished || outcomes[i].messages.empty()) {
      result.error = outcomes[i].what.empty() ? "no result" : outcomes[i].what;
    } else {
      const nlohmann::json message = nlohmann::json::parse(outcomes[i].messages.front());
      if (message.contains("error")) result.error = message["error"];
      if (message.contains("sightings"))
        for (const nlohmann::json& s : message["sightings"])
          result.sightings.push_back({.golden = s[0],
                                      .case_name = s[1],
                                      .path = s[2],
                                      .expected = s[3],
                                      .first = s[4],
                                      .place = Sighting::Place(s[5].get<int>()),
                                      .ratio = s[6]});
    }
    results.push_back(std::move(result));
  }
  return results;
}

}  // namespace assay
