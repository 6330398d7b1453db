#include "harness/engines/engines.h"

#include <string>

#include "engine/cpu/engine.h"
#include "reference/reference.h"

namespace assay {

const std::vector<Engine>& built_in_engines() {
  static const std::vector<Engine> engines{reference_engine(), cpu_engine()};
  return engines;
}

Result<const Engine*> find_engine(std::string_view name) {
  std::string known;
  for (const Engine& engine : built_in_engines()) {
    if (engine.can.name == name) return &engine;
    known += (known.empty() ? "" : ", ") + engine.can.name;
  }
  return fail({Failure::bad_input, "engine", "", known, std::string(name)});
}

}  // namespace assay
