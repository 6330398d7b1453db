// The engines that are built into assay, by name, and what can be chosen about them. Not here: the engines.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"

namespace assay {

/// Those that `verify` runs when nobody names one: each as it is without settings.
const std::vector<Engine>& built_in_engines();

/// A setting that some engine has.
struct EngineOption {
  std::string_view name;    ///< acts
  std::string_view values;  ///< `fp32, bf16 or int8`
  std::string_view what;    ///< one sentence
};
std::span<const EngineOption> engine_options();

/// An engine as it is spelt: `cpu`, or with settings `cpu+acts=int8+kv=q8_0`, which is then its name, so that results
/// and the commands that repeat them say how they came about. Errors: bad_input, naming what there is; unsupported (an
/// instruction set that this machine has not).
Result<Engine> make_engine(std::string_view spelt);

}  // namespace assay
