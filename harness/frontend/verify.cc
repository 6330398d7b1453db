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

}  // namespace

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
  const std::vector<std::string> names = front_end_cases(golden, options.selection);
  std::vector<Work> works;
  works.reserve(names.size());
  for (const std::string& name : names)
    works.push_back([&golden, &steps, &options, &name](const Send& send) {
      send(to_json(verify_front_end_case(golden, name, steps, options.selection.filter)));
    });
  IsolateOptions isolation{.children = options.children, .deadline = options.timeout, .ended = {}};
  if (options.progress) isolation.ended = [&](std::size_t ended) { options.progress(ended, works.size()); };
  const std::vector<Outcome> outcomes = isolate(works, isolation);
  std::vector<PathResult> results;
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    if (!outcomes[i].messages.empty()) {
      ASSAY_TRY(result, path_result_from_json(outcomes[i].messages.front(), "result of " + names[i]));
      results.push_back(std::move(result));
      continue;
    }
    PathResult result = blank(names[i]);
    result.verdict = outcomes[i].end == Outcome::timed_out ? Verdict::timeout : Verdict::crash;
    result.note = outcomes[i].what;
    results.push_back(std::move(result));
  }
  return results;
}

}  // namespace assay
