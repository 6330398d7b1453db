#include "harness/locate/locate.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include <omp.h>
#include <nlohmann/json.hpp>

#include "harness/drive/tap_pattern.h"
#include "harness/locate/evidence.h"
#include "harness/locate/forced.h"
#include "harness/locate/hypotheses.h"
#include "harness/verify/isolate.h"
#include "harness/verify/verify_case.h"
#include "reference/reference.h"
#include "reports/json.h"

namespace assay {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kBad = "bad";  // a child's only message starts so where it could not do its work
/// Suspects a child: a fork and a golden's case cost about as much as one of them.
constexpr std::size_t kSuspectsAChild = 4;
/// The order of what is generated.
constexpr int kBehindAll = std::numeric_limits<int>::max();

bool offers(const Engine& engine, TapId id) {
  const std::string name = id.name();
  if (id.tap == Tap::logits || id.tap == Tap::assistant_logits)
    return engine.can.logits == LogitRows::all;  // a row alone would be another tensor than the golden's
  return std::ranges::any_of(engine.can.taps, [&](const std::string& pattern) { return tap_matches(pattern, name); });
}

const Checkpoint* target_of(const Subject& subject) { return subject.target ? &*subject.target : nullptr; }

template <class T>
Json packed(const std::vector<T>& values) {
  std::vector<std::uint8_t> bytes(values.size() * sizeof(T));
  if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return Json::binary(std::move(bytes));
}
template <class T>
std::vector<T> unpacked(const Json& json) {
  const Json::binary_t& bytes = json.get_binary();
  std::vector<T> values(bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

std::string cbor(const Json& json) {
  const std::vector<std::uint8_t> bytes = Json::to_cbor(json);
  return {bytes.begin(), bytes.end()};
}

/// What was observed, from a child to its parent.
std::string pack(const Observed& observed) {
  Json taps = Json::array();
  for (const auto& [id, values] : observed.driven.taps) taps.push_back({id.name(), packed(values)});
  return cbor({{"taps", std::move(taps)},
               {"ids", packed(observed.driven.generated)},
               {"logits", packed(observed.driven.generated_logits)},
               {"misshapen", observed.misshapen ? observed.misshapen->name() : ""},
               {"finite", observed.finite}});
}
Observed unpack(std::string_view message) {
  const Json json = Json::from_cbor(message);
  Observed observed;
  for (const Json& tap : json.at("taps"))
    observed.driven.taps.emplace_back(*TapId::parse(tap[0].get<std::string>()), unpacked<float>(tap[1]));
  observed.driven.generated = unpacked<std::int64_t>(json.at("ids"));
  observed.driven.generated_logits = unpacked<float>(json.at("logits"));
  observed.misshapen = TapId::parse(json.at("misshapen").get<std::string>());
  observed.finite = json.at("finite");
  return observed;
}

/// What the engine was asked for when it failed.
struct Asked {
  Watch watch;
  std::string mode;
};
Asked asked(const Engine& engine, const Plan& plan, const GoldenCase& golden, Path path, const std::string& mode) {
  Asked out{.watch = {.path = path}, .mode = mode};
  out.watch.generate = mode == "ids" || path.kind == Path::speculative;
  out.watch.golden_round = engine.can.arithmetic != "fp32";
  for (const GoldenTap& tap : golden.taps) {
    const bool logits = tap.id.tap == Tap::logits || tap.id.tap == Tap::assistant_logits;
    if (exists(plan, tap.id) && offers(engine, tap.id) && (mode != "logits" || logits))
      out.watch.taps.push_back(tap.id);
  }
  return out;
}

/// The free-running pass as results.
std::vector<TapResult> judged(const CaseView& view, const GoldenCase& golden, const Observed& observed,
                              const Asked& asked) {
  std::vector<TapResult> results;
  for (const GoldenTap& tap : golden.taps) {
    if (std::ranges::find(asked.watch.taps, tap.id) == asked.watch.taps.end()) continue;
    const std::vector<float>* values = observed.driven.find(tap.id);
    if (values == nullptr && observed.misshapen && !(tap.id == *observed.misshapen)) continue;
    results.push_back(judge_tap(view, tap, values == nullptr ? std::span<const float>() : *values));
    results.back().mode = asked.mode;
  }
  if (!asked.watch.generate || golden.generated == 0 || observed.misshapen) return results;
  const auto add = [&](std::string_view name, TapResult result) {
    result.tap = name;
    result.mode = "ids";
    results.push_back(std::move(result));
  };
  if (!observed.finite) {
    TapResult result{.verdict = Verdict::fail_nan, .note = "logits are not finite while generating"};
    add(kGeneratedLogits, std::move(result));
    return results;
  }
  if (asked.watch.path.kind != Path::speculative && asked.watch.path.kind != Path::draft)
    add(kGeneratedLogits,
        judge_generated_logits(view, golden, observed.driven.generated, observed.driven.generated_logits));
  add(kGeneratedIds, judge_ids(view, golden, observed.driven.generated));
  return results;
}

/// The first two passes. Runs in a child: sends the free-running pass and the teacher-forced ones as path results, a
/// note, and what was observed.
Result<void> both_passes(const Engine& engine, const Subject& subject, const PathResult& failing, Path path,
                         const std::string& mode, const Send& send) {
  ASSAY_TRY(one, load_case(subject, failing.case_name));
  const Plan& plan = subject.checkpoint.plan;
  ASSAY_TRY(view, case_view(plan, one.golden, one.inputs, engine.can.arithmetic));
  ASSAY_TRY(session, engine.open(subject.checkpoint));
  std::unique_ptr<Session> target;
  if (subject.target) {
    ASSAY_TRY(opened, engine.open(*subject.target));
    target = std::move(opened);
  }
  const Asked what = asked(engine, plan, one.golden, path, mode);
  ASSAY_TRY(observed, observe(*session, target.get(), one.golden, one.inputs, what.watch));
  const auto as_path = [&](std::vector<TapResult> taps) {
    PathResult result = without_taps({}, path.name(), Verdict::pass, "");
    result.taps = std::move(taps);
    return to_json(result);
  };
  send(as_path(judged(view, one.golden, observed, what)));
  send(pack(observed));
  std::string note;
  if (!engine.can.step) {
    note = "this engine offers no step: its ops cannot be fed transformers' inputs one by one";
  } else if (plan.assistant) {
    note = "a drafter's ops read its target's cache, which a step is not given";
  } else {
    ASSAY_TRY(oracle, reference_engine().open(subject.checkpoint));
    std::vector<TapId> offered;
    for (const TapId id : all_taps(plan))
      if (offers(engine, id)) offered.push_back(id);
    Forced forced = force(*session, view, one.golden, KnownTaps::from(*oracle, view, one.golden), offered);
    send(as_path(std::move(forced.ops)));
    send(as_path(std::move(forced.layers)));
    note = std::move(forced.note);
  }
  send("note" + note);
  return {};
}

/// Runs suspects against what was observed. Runs in a child: sends a Score a suspect that explains something.
Result<void> try_suspects(std::span<const Suspect> chosen, const Engine& engine, const Subject& subject,
                          const std::string& case_name, const Asked& what, const Observed& observed, const Send& send) {
  ASSAY_TRY(one, load_case(subject, case_name));
  ASSAY_TRY(view, case_view(subject.checkpoint.plan, one.golden, one.inputs, engine.can.arithmetic));
  const std::vector<Piece> seen = evidence(view, one.golden, observed, what.watch);
  for (const Suspect& suspect : chosen) {
    const auto pieces =
        suspect_evidence(suspect, subject.checkpoint, target_of(subject), view, one.golden, one.inputs, what.watch);
    if (!pieces || !*pieces) continue;
    const std::optional<Score> found = score(seen, **pieces);
    if (!found) continue;
    Json names = Json::array();
    for (const Fault* fault : suspect) names.push_back(fault->name);
    const auto reach = std::size_t(found->reach);
    send(cbor({{"faults", std::move(names)},
               {"explained", found->explained},
               {"wrong", found->wrong},
               {"before", found->before},
               {"after", found->after},
               {"left", found->left},
               {"until", reach < seen.size() ? seen[reach].name : ""}}));
  }
  return {};
}

/// Forked children run the works; a failure of one is its message.
Work guarded(std::function<Result<void>(const Send&)> work) {
  return [work = std::move(work)](const Send& send) {
    omp_set_num_threads(1);
    if (const auto done = work(send); !done) send(std::string(kBad) + done.error().message());
  };
}

/// The first two passes of a path that failed. Where they cannot be made, that is the note.
void two_passes(const Engine& engine, const Subject& subject, Path path, const std::string& mode,
                const LocateOptions& options, Location& location, std::optional<Observed>& observed) {
  const std::vector<Work> work = {
      guarded([&](const Send& send) { return both_passes(engine, subject, location.path, path, mode, send); })};
  const Outcome outcome = isolate(work, {.children = 1, .deadline = options.timeout}).front();
  std::size_t at = 0;
  const auto path_result = [&](std::string_view message) -> std::vector<TapResult> {
    auto result = path_result_from_json(message, "a pass");
    return result ? std::move(result->taps) : std::vector<TapResult>{};
  };
  for (const std::string& message : outcome.messages) {
    if (message.starts_with(kBad)) {
      location.forced_note = message.substr(kBad.size());
    } else if (message.starts_with("note")) {
      location.forced_note = message.substr(4);
    } else if (at == 0) {
      location.path.taps = path_result(message);
    } else if (at == 1) {
      observed = unpack(message);
    } else {
      (at == 2 ? location.forced : location.layers) = path_result(message);
    }
    ++at;
  }
  if (outcome.end != Outcome::finished) location.forced_note = outcome.what;
}

void name_places(Location& location) {
  const auto wrong = [](const TapResult& tap) { return failed(tap.verdict); };
  const auto first = std::ranges::find_if(location.path.taps, wrong);
  if (first != location.path.taps.end()) {
    location.first = first->tap;
    if (first != location.path.taps.begin()) location.before = (first - 1)->tap;
  }
  const auto born = std::ranges::find_if(location.forced, wrong);
  if (born != location.forced.end()) location.born = born->tap;
}

/// What try_suspects sent.
Hypothesis read_hypothesis(const std::string& message) {
  const Json json = Json::from_cbor(message);
  Suspect suspect;
  for (const Json& name : json.at("faults")) suspect.push_back(find_fault(name.get<std::string>()));
  Hypothesis out = hypothesis(suspect, {.explained = json.at("explained"),
                                        .wrong = json.at("wrong"),
                                        .before = json.at("before"),
                                        .after = json.at("after"),
                                        .left = json.at("left")});
  out.until = json.at("until");
  return out;
}

Suspect suspect_of(const Hypothesis& hypothesis) {
  Suspect suspect{find_fault(hypothesis.fault)};
  for (const std::string& name : hypothesis.with) suspect.push_back(find_fault(name));
  return suspect;
}

std::vector<Suspect> one_by_one(const std::vector<const Fault*>& faults) {
  std::vector<Suspect> out;
  for (const Fault* fault : faults) out.push_back({fault});
  return out;
}

/// Appends what explains the deviation.
void try_all(std::span<const Suspect> chosen, const Engine& engine, const Subject& subject, const Asked& what,
             const Observed& observed, const LocateOptions& options, Location& location) {
  std::vector<Work> works;
  for (std::size_t i = 0; i < chosen.size(); i += kSuspectsAChild)
    works.push_back(guarded([&, i](const Send& send) {
      return try_suspects(chosen.subspan(i, std::min(kSuspectsAChild, chosen.size() - i)), engine, subject,
                          location.path.case_name, what, observed, send);
    }));
  IsolateOptions isolation{.children = options.children, .deadline = options.timeout};
  if (options.progress)
    isolation.ended = [&](std::size_t ended) {
      options.progress(std::min(ended * kSuspectsAChild, chosen.size()), chosen.size());
    };
  location.tried += int(chosen.size());
  for (const Outcome& outcome : isolate(works, isolation))
    for (const std::string& message : outcome.messages) {
      if (message.starts_with(kBad)) continue;  // a suspect that cannot be run explains nothing
      location.hypotheses.push_back(read_hypothesis(message));
    }
  rank(location.hypotheses);
}

/// What the tied hypotheses make of another case on which the engine is run. Runs in a child: sends Scores.
Result<void> try_again(std::span<const Suspect> tied, const Engine& engine, const Subject& subject,
                       const std::string& case_name, Path path, const Send& send) {
  ASSAY_TRY(one, load_case(subject, case_name));
  const auto& paths = one.golden.paths;
  if (std::ranges::find(paths, Path{path.kind}.name()) == paths.end()) return {};
  const Asked what = asked(engine, subject.checkpoint.plan, one.golden, path, "taps");
  ASSAY_TRY(session, engine.open(subject.checkpoint));
  std::unique_ptr<Session> target;
  if (subject.target) {
    ASSAY_TRY(opened, engine.open(*subject.target));
    target = std::move(opened);
  }
  ASSAY_TRY(observed, observe(*session, target.get(), one.golden, one.inputs, what.watch));
  return try_suspects(tied, engine, subject, case_name, what, observed, send);
}

/// Other cases of the golden may tell apart what this one cannot: a fault that explains less of one of them is out.
void settle(const Engine& engine, const Subject& subject, Path path, const LocateOptions& options, Location& location) {
  for (const std::string& name : subject.cases) {
    std::vector<Suspect> tied;
    for (const Hypothesis& one : location.hypotheses)
      if (one.tied) tied.push_back(suspect_of(one));
    if (tied.size() < 2) return;
    if (name == location.path.case_name) continue;
    const std::vector<Work> work = {
        guarded([&](const Send& send) { return try_again(tied, engine, subject, name, path, send); })};
    const Outcome outcome = isolate(work, {.children = 1, .deadline = options.timeout}).front();
    std::vector<Hypothesis> there;
    for (const std::string& message : outcome.messages)
      if (!message.starts_with(kBad)) there.push_back(read_hypothesis(message));
    rank(there);
    if (there.empty()) continue;  // nothing is wrong there, or none of them explains it
    for (Hypothesis& one : location.hypotheses) {
      const auto same = std::ranges::find_if(
          there, [&](const Hypothesis& other) { return other.fault == one.fault && other.with == one.with; });
      if (one.tied) one.tied = same != there.end() && same->tied;
    }
    std::ranges::stable_partition(location.hypotheses, &Hypothesis::tied);
  }
}

/// The best hypothesis, with each fault that is born where it no longer explains anything: there may be two bugs.
std::vector<Suspect> beside(const Plan& plan, Path path, const Hypothesis& best, const Asked& what) {
  const auto until = TapId::parse(best.until);
  if (!until) return {};
  const int layers = int(plan.layers.size());
  Birth birth{.first = until->order(layers)};
  for (const TapId id : what.watch.taps)
    if (id.order(layers) < birth.first)
      birth.after = std::max(birth.after.value_or(id.order(layers)), id.order(layers));
  std::vector<Suspect> out;
  for (const Fault* second : suspects(plan, path, birth, false))
    if (second->name != best.fault) out.push_back({find_fault(best.fault), second});
  return out;
}

/// Which suspects there are, first those born where the error shows.
void hypothesise(const Engine& engine, const Subject& subject, Path path, const std::string& mode,
                 const Observed& observed, const LocateOptions& options, Location& location) {
  const Plan& plan = subject.checkpoint.plan;
  const int layers = int(plan.layers.size());
  const auto order = [&](const std::string& name) -> std::optional<int> {
    const auto id = TapId::parse(name);
    return id ? std::optional(id->order(layers)) : std::nullopt;
  };
  Birth birth{.after = order(location.before), .first = order(location.first).value_or(kBehindAll)};
  if (path.kind == Path::draft) birth.after.reset();  // taps of a later step follow those of an earlier one
  Asked what{.watch = {.path = path}, .mode = mode};
  what.watch.generate = birth.first == kBehindAll;
  what.watch.golden_round = engine.can.arithmetic != "fp32";
  for (const TapResult& tap : location.path.taps)
    if (const auto id = TapId::parse(tap.tap)) what.watch.taps.push_back(*id);
  try_all(one_by_one(suspects(plan, path, birth, false)), engine, subject, what, observed, options, location);
  if (location.hypotheses.empty() || !explains_all(location.hypotheses.front()))
    try_all(one_by_one(suspects(plan, path, birth, true)), engine, subject, what, observed, options, location);
  if (location.hypotheses.empty())
    try_all(two_at_once(suspects(plan, path, birth, false)), engine, subject, what, observed, options, location);
  if (!location.hypotheses.empty() && location.hypotheses.front().explained > 0 &&
      location.hypotheses.front().with.empty() && !explains_all(location.hypotheses.front()))
    try_all(beside(plan, path, location.hypotheses.front(), what), engine, subject, what, observed, options, location);
  if (mode == "taps") settle(engine, subject, path, options, location);
}

Location located(const Engine& engine, const Subject& subject, PathResult failing, const LocateOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  const TapResult* first = first_failure(failing);
  const std::string mode = first == nullptr ? "taps" : first->mode;
  Location location{.path = std::move(failing)};
  location.rerun = location.path.rerun;
  if (const auto verb = location.rerun.find(" verify "); verb != std::string::npos)
    location.rerun.replace(verb, 8, " locate ");
  const auto path = Path::parse(location.path.path);
  const bool ran = location.path.verdict != Verdict::crash && location.path.verdict != Verdict::timeout;
  if (path && ran) {
    std::optional<Observed> observed;
    two_passes(engine, subject, *path, mode, options, location, observed);
    name_places(location);
    if (engine.can.step && !subject.target && !location.first.empty())
      location.rerun_op = location.rerun + " --op " + (location.born.empty() ? location.first : location.born);
    if (observed && options.hypotheses && !location.first.empty())
      hypothesise(engine, subject, *path, mode, *observed, options, location);
  } else {
    location.forced_note = "the engine did not get through the case";
  }
  location.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return location;
}

}  // namespace

Result<Located> locate(const Engine& engine, std::span<Subject> subjects, const LocateOptions& options) {
  Located found;
  const Engine* const engines[] = {&engine};
  const VerifyOptions how{.selection = options.selection, .children = options.children, .timeout = options.timeout};
  for (Subject& subject : subjects) {
    for (const std::string& name : std::vector<std::string>(subject.cases)) {
      const std::vector<std::string> all = std::exchange(subject.cases, {name});
      auto results = verify(engines, std::span(&subject, 1), how);
      subject.cases = all;
      if (!results) return fail(std::move(results).error());
      for (PathResult& result : *results) {
        if (failed(result.verdict)) {
          found.location = located(engine, subject, std::move(result), options);
          return found;
        }
        found.passed += result.verdict == Verdict::pass;
        found.unsupported += result.verdict == Verdict::unsupported;
      }
    }
  }
  return found;
}

namespace {

/// Runs in a child: sends a path result with the one tap.
Result<void> step_one(const Engine& engine, const Subject& subject, const std::string& case_name, TapId id,
                      const Send& send) {
  ASSAY_TRY(one, load_case(subject, case_name));
  ASSAY_TRY(view, case_view(subject.checkpoint.plan, one.golden, one.inputs, engine.can.arithmetic));
  ASSAY_TRY(oracle, reference_engine().open(subject.checkpoint));
  ASSAY_TRY(session, engine.open(subject.checkpoint));
  const KnownTaps known = KnownTaps::from(*oracle, view, one.golden);
  if (!known.has(id))
    return fail({Failure::bad_input, subject.name + "/" + case_name, id.name(), "a tap that this case can show", ""});
  ASSAY_TRY(values, step_alone(*session, id, known));
  TapResult result = judge_step(view, one.golden, known, id, values);
  PathResult path =
      without_taps({engine.can.name, subject.name, subject.variant, case_name, subject.model, engine.spelt}, "step",
                   result.verdict, "");
  path.taps.push_back(std::move(result));
  path.rerun.replace(path.rerun.find(" verify "), 8, " locate ");
  path.rerun.replace(path.rerun.find(" --path step"), 12, " --op " + id.name());
  send(to_json(path));
  return {};
}

}  // namespace

Result<PathResult> locate_op(const Engine& engine, std::span<const Subject> subjects, const Selection& selection,
                             std::string_view tap, std::chrono::duration<double> timeout) {
  const auto id = TapId::parse(tap);
  if (!id) return fail({Failure::bad_input, "--op", "", "a tap of `assay golden taps`", std::string(tap)});
  for (const Subject& subject : subjects)
    for (const std::string& name : subject.cases) {
      // Any path takes an op: what counts of the filter is the golden and the case.
      if (!filter_matches(selection.filter, subject_of(subject.name, name, "", tap))) continue;
      if (!exists(subject.checkpoint.plan, *id))
        return fail({Failure::bad_input, "--op", subject.name, "a tap of this model", std::string(tap)});
      if (!engine.can.step || !offers(engine, *id))
        return fail(
            {Failure::unsupported, engine.can.name, "step", "an engine that can run " + id->name() + " alone", ""});
      const std::vector<Work> work = {
          guarded([&](const Send& send) { return step_one(engine, subject, name, *id, send); })};
      const Outcome outcome = isolate(work, {.children = 1, .deadline = timeout}).front();
      if (outcome.messages.empty())
        return fail({Failure::bad_output, engine.can.name, id->name(), "a result", outcome.what});
      if (outcome.messages.front().starts_with(kBad))
        return fail(
            {Failure::bad_input, engine.can.name, id->name(), "a step", outcome.messages.front().substr(kBad.size())});
      return path_result_from_json(outcome.messages.front(), "a step");
    }
  return fail({Failure::bad_input, "--filter", "", "a case of a golden", selection.filter});
}

}  // namespace assay
