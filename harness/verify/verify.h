// Engines against goldens: every case of every golden on every engine, each in a child process of its own, so that a
// hang or a crash is a verdict. Not here: judging one case (verify_case.h), reports.
#pragma once

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"
#include "golden/store.h"
#include "harness/drive/drive.h"
#include "harness/verify/select.h"
#include "model/checkpoint.h"
#include "reports/run.h"

namespace assay {

/// A golden to hold engines against. `load` reads one case; it runs in the children.
struct Subject {
  std::string name, variant;
  Checkpoint checkpoint;
  std::vector<std::string> cases;
  std::function<Result<GoldenCase>(std::string_view)> load;
  std::string model = {};                 ///< as Selection has it
  std::optional<Checkpoint> target = {};  ///< drafters
};

/// A case of a golden, and what it hands to an engine.
struct SubjectCase {
  GoldenCase golden;
  CaseInputs inputs;
};
/// Errors: those of `load`; bad_input (inputs that do not fit together).
Result<SubjectCase> load_case(const Subject& subject, const std::string& name);

/// The selected goldens below `data`: hashed against the manifest, then opened, with their checkpoints. With
/// `selection.model`, the one file that is selected: read in child processes, and held to that checkpoint's hash and
/// plan. Goldens of full size are taken only by name. Errors: io, bad_input, unsupported; bad_input too for a golden
/// that was selected and does not exist.
/// @param weights  false: of those of full size the plan alone, which is what plan_of needs
Result<std::vector<Subject>> open_goldens(const std::filesystem::path& data, const Selection& selection,
                                          bool weights = true);

/// What is done about each unit (unit_name) of a run before and after it is run. Each may be empty.
struct Units {
  std::function<bool(const std::string& unit)> takes;                             ///< false: left out
  std::function<const std::vector<PathResult>*(const std::string& unit)> recall;  ///< results from before, or null
  std::function<Result<void>(const std::string& unit, std::span<const PathResult>)> keep;  ///< as soon as it is done
};

struct VerifyOptions {
  Selection selection;
  int children = 0;                                                 ///< processes at once; 0 = as many as cores
  std::chrono::duration<double> timeout{300};                       ///< of one case on one engine, all paths
  std::function<void(std::size_t done, std::size_t all)> progress;  ///< cases
  Units units = {};
};

/// The units of a run, in its order.
std::vector<std::string> units_of(std::span<const Engine* const> engines, std::span<const Subject> subjects);

/// Results by engine, golden, case and path, in that order, however many children there are. A crash costs the path it
/// happens on, a timeout that path and the case's later ones. Errors: bad_input (a golden's case that cannot be read);
/// those of `units.keep`; internal.
Result<std::vector<PathResult>> verify(std::span<const Engine* const> engines, std::span<const Subject> subjects,
                                       const VerifyOptions& options);

/// What verify would run: golden, case and path of each.
struct Planned {
  std::string golden, case_name, path;
};
Result<std::vector<Planned>> plan_of(std::span<const Subject> subjects, const Selection& selection);

/// This machine, for a run's fingerprint.
Machine this_machine();

}  // namespace assay
