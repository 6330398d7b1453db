// What makes a golden fit to judge by: whole, in step with the C++ plan and the tap table, quiet enough, and not
// vacuous. A golden that some wrong engine could pass is reported here. Not here: reading it (store.h), judging
// engines.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "golden/store.h"
#include "model/checkpoint.h"

namespace assay {

struct Finding {
  std::string at;    ///< `/cases/short/taps/text.norm`, `/plan/layer.03`, a file, or a tensor of the checkpoint
  std::string what;  ///< one sentence
};

/// Everything below, and the manifest, for a golden in the repository. What cannot be read is a finding too.
std::vector<Finding> check_golden(const std::filesystem::path& data, const GoldenEntry& golden);

/// That a golden was made from this checkpoint directory. Errors: io; bad_input, where its hash is another.
Result<void> check_belongs(const GoldenInfo& info, const std::filesystem::path& checkpoint);
/// The same of a synthetic one: that its definition, by the golden's seed, has the golden's digest. Draws nothing.
Result<void> check_belongs(const GoldenInfo& info, const SyntheticModel& model);

/// A drafter's plan with the layers of the target that its golden names, whose checkpoint must be the one it was made
/// with. Errors: as Checkpoint::open; bad_input (another hash, a target that does not fit).
struct Target {
  Checkpoint checkpoint;
  Plan drafter;
};
Result<Target> open_target(const std::filesystem::path& data, const GoldenInfo& info, const Plan& drafter);

/// The facts that transformers resolved against our plan, field by field; inverse frequencies within one ULP.
std::vector<Finding> check_plan(const GoldenInfo& info, const Plan& plan);

/// One case by itself: taps with their shapes and the rows that teacher forcing needs, paths, noise, margins, no NaN,
/// nothing that zeros would pass, rows that differ, outputs that agree with the taps. Taps that no teacher forcing
/// starts from may be left to other cases.
/// @param exposing  as GoldenInfo has it; else no layer need start from a case's rows
std::vector<Finding> check_case(const Plan& plan, const GoldenCase& golden, bool exposing = true);

/// All cases of a golden together: every tap is in some case, and for each some case must tell it from its op's own
/// input and from the same tap of every other layer, and somewhere the generated ids must vary.
std::vector<Finding> check_cases(const Plan& plan, std::span<const GoldenCase> cases);

/// Weights that are drawn away from what transformers initialises them to: no constant tensor or row, no scalar that is
/// 0 or 1, no two equal experts, rows or tensors.
std::vector<Finding> check_weights(const Checkpoint& checkpoint);

}  // namespace assay
