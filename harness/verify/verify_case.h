// One case of one golden on one engine, in this process. Not here: processes and whole runs (verify.h).
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.h"
#include "golden/store.h"
#include "harness/drive/drive.h"
#include "harness/verify/select.h"
#include "model/checkpoint.h"
#include "reports/run.h"

namespace assay {

/// Names alone, for results of what could not even start.
struct CaseId {
  std::string engine, golden, variant, case_name;
  std::string model = {};  ///< as Selection has it
  std::string spelt = {};  ///< as Engine has it
};

struct CaseUnderTest {
  CaseId id;
  const Engine& engine;
  const Checkpoint& checkpoint;
  const GoldenCase& golden;
  const CaseInputs& inputs;            ///< of the golden
  const Checkpoint* target = nullptr;  ///< drafters: whose prompt the inputs are
};

/// A result for each path: `done` hears of each as soon as it is there. On every path the prompt runs with all taps
/// wanted that the golden holds and the engine has, again with text.logits alone (what is timed is checked), and a
/// third time with none to generate ids. `selection` narrows the taps by its filter. A golden that proves nothing is a
/// failure too.
std::vector<PathResult> verify_case(const CaseUnderTest& test, std::span<const Path> paths, const Selection& selection,
                                    const std::function<void(const PathResult&)>& done = {});

/// A result without taps, for what ended otherwise.
PathResult without_taps(const CaseId& id, std::string_view path, Verdict verdict, std::string note);

/// `./assay verify --engine E --golden G --filter '/CASE/' --path P`
std::string rerun_command(const CaseId& id, std::string_view path);

}  // namespace assay
