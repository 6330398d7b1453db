#include "harness/cli/engine_flags.h"

#include <algorithm>

#include <CLI/CLI.hpp>

#include "harness/engines/engines.h"

namespace assay {

void EngineFlags::add_to(CLI::App* verb, std::string_view but) {
  values.resize(engine_options().size());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const EngineOption& option = engine_options()[i];
    if (option.name == but) continue;
    verb->add_option("--" + std::string(option.name), values[i],
                     std::string(option.what) + ": " + std::string(option.values) + " (an engine that has it)");
  }
}

bool EngineFlags::any() const {
  return std::ranges::any_of(values, [](const std::string& value) { return !value.empty(); });
}

std::string EngineFlags::spell(std::string engine) const {
  for (std::size_t i = 0; i < values.size(); ++i)
    if (!values[i].empty()) engine += "+" + std::string(engine_options()[i].name) + "=" + values[i];
  return engine;
}

}  // namespace assay
