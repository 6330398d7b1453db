// Which goldens, cases, paths and taps a run of verify takes. Not here: running them.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "golden/store.h"
#include "harness/drive/drive.h"
#include "model/plan.h"

namespace assay {

/// A substring, or with *, ? or [ a glob of the whole, of `golden/case/path/tap`. Empty: everything.
bool filter_matches(std::string_view filter, std::string_view subject);

struct Selection {
  std::vector<std::string> engines, goldens;  ///< names; empty = all
  std::vector<std::string> paths;  ///< `prefill`; `chunked` for every size that verify uses; `chunked:5`; empty = all
  std::string filter;
  std::string model;  ///< the checkpoint of a golden outside the repository; then `goldens` is that one file
  std::filesystem::path cache = {};  ///< where synthetic checkpoints are kept; empty: nowhere

  bool has_engine(std::string_view name) const;
  bool has_golden(std::string_view name) const;
  /// Nothing was left out.
  bool everything() const { return goldens.empty() && paths.empty() && filter.empty() && model.empty(); }
  /// Errors: bad_input (a path of no known kind).
  Result<void> check_paths() const;
};

/// `e2b/short/chunked:7/text.norm`
std::string subject_of(std::string_view golden, std::string_view case_name, std::string_view path,
                       std::string_view tap);
/// What is judged of generating; named as taps are in a filter.
inline constexpr std::string_view kGeneratedIds = "generated_ids", kGeneratedLogits = "generated_logits";

/// Pieces of 7, of 16 and of window + 3, where window is the smallest of the plan's; those that are as long as the
/// prompt would be prefill again and fall out. A prompt too short for any is halved.
std::vector<int> chunk_sizes(const Plan& plan, int tokens);

/// The paths of a case that are selected, whether or not the engine can take them. Cases of more than one row are
/// batched and nothing else, those of one row never.
std::vector<Path> paths_of(const Plan& plan, const GoldenCase& golden, const CaseInputs& inputs,
                           const Selection& selection);

}  // namespace assay
