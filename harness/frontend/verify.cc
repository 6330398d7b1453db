#include "harness/frontend/verify.h"

#include <algorithm>
#include <chrono>

#include "harness/frontend/stages.h"
#include "harness/verify/isolate.h"
#include "reports/json.h"

namespace assay {
namespace {

PathResult blank(const std::string& name) {
  PathResult result{.engine = std::string(kFrontEnd),
                    .golden = std::string(kFrontEnd),
                    .variant = std::string(kFrontEnd),
                    .case_name = name,
                    .path = std::string(kProcess)};
  result.rerun = "./assay verify --engine front-end --filter '/" + name + "/'";
  return result;
}

bool takes(const std::vector<std::string>& names, std::string_view name) {
  return names.empty() || std::ranges::find(names, name) != names.end();
}

/// Whether a list of names asks for something beside `name`.
bool takes_others(const std::vector<std::string>& names, std::string_view name) {
  return names.empty() || std::ranges::any_of(names, [&](const std::string& one) { return one != name; });
}

std::vector<std::string> without(std::vector<std::string> names, std::string_view name) {
  std::erase(names, name);
  return names;
}

std::string unit_of(const std::string& name) { return unit_name(kFrontEnd, kFrontEnd, name); }

Result<PathResult> result_of(const Outcome& outcome, const std::string& name) {
  if (!outcome.messages.empty()) return path_result_from_json(outcome.messages.front(), "result of " + name);
  PathResult result = blank(name);
  result.verdict = outcome.end == Outcome::timed_out ? Verdict::timeout : Verdict::crash;
  result.note = outcome.what;
  return result;
}

}  // namespace

std::vector<std::string> front_end_units(const FrontEndGolden& golden, const Selection& selection) {
  std::vector<std::string> units;
  for (const std::string& name : front_end_cases(golden, selection)) units.push_back(unit_of(name));
  return units;
}

Split split_front_end(const Selection& selection) {
  Split split{.rest = selection};
  split.front_end = takes(selection.engines, kFrontEnd) && takes(selection.goldens, kFrontEnd) &&
                    takes(selection.paths, kProcess) && selection.model.empty();
  split.engines = takes_others(selection.engines, kFrontEnd) && takes_others(selection.goldens, kFrontEnd) &&
                  takes_others(selection.paths, kProcess);
  split.rest.engines = without(selection.engines, kFrontEnd);
  split.rest.goldens = without(selection.goldens, kFrontEnd);
  split.rest.paths = without(selection.paths, kProcess);
  return split;
}

std::vector<std::string> front_end_cases(const FrontEndGolden& golden, const Selection& selection) {
  std::vector<std::string> names = golden.cases();
  if (selection.filter.empty()) return names;
  std::erase_if(names, [&](const std::string& name) {
    const auto one = golden.load(name);  // what cannot be read is run, and then says so
    return one && std::ranges::none_of(one->stages, [&](const FrontEndStage& stage) {
             return filter_matches(selection.filter, subject_of(kFrontEnd, name, kProcess, stage.name));
           });
  });
  return names;
}

PathResult verify_front_end_case(const FrontEndGolden& golden, const std::string& name, const FrontEnd& steps,
                                 std::string_view filter) {
  PathResult result = blank(name);
  const auto start = std::chrono::steady_clock::now();
  const auto one = golden.load(name);
  auto taps = one ? judge_stages(golden, *one, steps, filter) : fail(one.error());
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  if (!taps) {
    result.verdict = taps.error().kind == Failure::unsupported ? Verdict::unsupported : Verdict::crash;
    result.note = taps.error().message();
    return result;
  }
  result.taps = *std::move(taps);
  const auto first = std::ranges::find_if(result.taps, [](const TapResult& tap) { return failed(tap.verdict); });
  const auto none = std::ranges::find(result.taps, Verdict::unsupported, &TapResult::verdict);
  if (first != result.taps.end())
    result.verdict = first->verdict;
  else if (none != result.taps.end())
    result.verdict = Verdict::unsupported;
  return result;
}

Result<std::vector<PathResult>> verify_front_end(const FrontEndGolden& golden, const FrontEnd& steps,
                                                 const VerifyOptions& options) {
  const Units& units = options.units;
  std::vector<std::string> names = front_end_cases(golden, options.selection);
  if (units.takes) std::erase_if(names, [&](const std::string& name) { return !units.takes(unit_of(name)); });
  std::vector<PathResult> results(names.size());
  std::vector<std::size_t> waiting;  // indices of names
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::vector<PathResult>* before = units.recall ? units.recall(unit_of(names[i])) : nullptr;
    if (before != nullptr && before->size() == 1)
      results[i] = before->front();
    else
      waiting.push_back(i);
  }
  std::vector<Work> works;
  works.reserve(waiting.size());
  for (const std::size_t i : waiting)
    works.push_back([&golden, &steps, &options, name = names[i]](const Send& send) {
      send(to_json(verify_front_end_case(golden, name, steps, options.selection.filter)));
    });
  IsolateOptions isolation{.children = options.children, .deadline = options.timeout, .ended = {}};
  const std::size_t done = names.size() - waiting.size();
  if (options.progress) isolation.ended = [&](std::size_t ended) { options.progress(done + ended, names.size()); };
  Result<void> taken;
  isolation.came = [&](std::size_t work, const Outcome& outcome) {
    if (!taken) return;
    const std::string& name = names[waiting[work]];
    auto result = result_of(outcome, name);
    if (!result) {
      taken = fail(std::move(result).error());
      return;
    }
    results[waiting[work]] = *std::move(result);
    if (units.keep) taken = units.keep(unit_of(name), std::span(&results[waiting[work]], 1));
  };
  isolate(works, isolation);
  ASSAY_CHECK(taken);
  return results;
}

}  // namespace assay
