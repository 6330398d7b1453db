#include "harness/locate/front_end.h"

#include <algorithm>

#include <nlohmann/json.hpp>

#include "harness/frontend/stages.h"
#include "harness/frontend/verify.h"
#include "harness/locate/hypotheses.h"
#include "harness/verify/isolate.h"
#include "reports/json.h"

namespace assay {
namespace {

/// What a stage came to, as one string: steps that give the same values give the same. No value of a stage rounds
/// otherwise from run to run.
std::string signature(const TapResult& stage) {
  const ErrorStats& s = stage.stats;
  const nlohmann::json all = {stage.tap, stage.mode, int(stage.verdict), stage.shape, s.count, s.mismatches, s.rms,
                              s.max_abs, s.worst,    s.actual,           stage.note};
  return all.dump();
}

/// `image.0.resized` is `image.resized`; what has no number stays.
std::string without_number(const std::string& stage) {
  const std::size_t first = stage.find('.'), last = stage.rfind('.');
  return first == last ? stage : stage.substr(0, first) + stage.substr(last);
}

bool is_wrong(const TapResult& stage) { return failed(stage.verdict); }

}  // namespace

Result<FrontEnd> make_front_end(std::string_view spelt) {
  FrontEnd steps = front_end();
  std::string_view settings = spelt.substr(std::min(spelt.find('+'), spelt.size()));
  while (!settings.empty()) {
    settings.remove_prefix(1);
    const std::string_view setting = settings.substr(0, settings.find('+'));
    settings.remove_prefix(setting.size());
    constexpr std::string_view kSetting = "fault=";
    const Fault* fault = setting.starts_with(kSetting) ? find_fault(setting.substr(kSetting.size())) : nullptr;
    if (fault == nullptr || !fault->bend)
      return fail(
          {Failure::bad_input, "engine", "front-end", "fault= and a fault of the front end", std::string(setting)});
    fault->bend(steps);
  }
  return steps;
}

Result<std::vector<Hypothesis>> front_end_hypotheses(const FrontEndGolden& golden, const FrontEndCase& one,
                                                     const std::vector<TapResult>& seen) {
  std::vector<Hypothesis> found;
  const auto first = std::ranges::find_if(seen, is_wrong);
  if (first == seen.end()) return found;
  for (const Fault& suspect : faults()) {
    if (!suspect.bend || suspect.control || suspect.stage != without_number(first->tap)) continue;
    FrontEnd steps = front_end();
    suspect.bend(steps);
    const auto given = judge_stages(golden, one, steps);
    if (!given) continue;
    Score score;
    bool agreeing = true;
    for (std::size_t i = 0; i < seen.size(); ++i) {
      score.wrong += is_wrong(seen[i]);
      agreeing = agreeing && i < given->size() && signature((*given)[i]) == signature(seen[i]);
      score.explained += agreeing && is_wrong(seen[i]);
    }
    score.before = std::sqrt(first->stats.nmse);
    if (score.explained > 0) found.push_back(hypothesis({&suspect}, score));
  }
  rank(found);
  return found;
}

Result<Located> locate_front_end(const FrontEndGolden& golden, std::string_view spelt, const LocateOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  ASSAY_TRY(steps, make_front_end(spelt));
  const VerifyOptions how{.selection = options.selection, .children = options.children, .timeout = options.timeout};
  ASSAY_TRY(results, verify_front_end(golden, steps, how));
  Located located;
  for (PathResult& result : results) {
    located.passed += result.verdict == Verdict::pass;
    located.unsupported += result.verdict == Verdict::unsupported;
    if (!failed(result.verdict)) continue;
    Location location{.path = std::move(result)};
    location.path.engine = spelt;
    location.rerun = "./assay locate --engine " + std::string(spelt) + " --filter '/" + location.path.case_name + "/'";
    location.forced_note = "each stage is computed on transformers' own input to it: what is wrong is wrong by itself";
    const auto first = std::ranges::find_if(location.path.taps, is_wrong);
    if (first != location.path.taps.end()) {
      location.first = location.born = first->tap;
      location.forced = location.path.taps;
    }
    if (options.hypotheses && !location.first.empty()) {
      ASSAY_TRY(one, golden.load(location.path.case_name));
      ASSAY_TRY(found, front_end_hypotheses(golden, one, location.path.taps));
      location.hypotheses = std::move(found);
      location.tried = int(std::ranges::count_if(faults(), [&](const Fault& fault) {
        return fault.bend && !fault.control && fault.stage == without_number(location.first);
      }));
    }
    location.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    located.location = std::move(location);
    break;
  }
  return located;
}

}  // namespace assay
