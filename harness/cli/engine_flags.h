// Flags that stand for an engine's settings: `--engine cpu --acts int8` is `--engine cpu+acts=int8`. Not here: which
// settings there are (harness/engines).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
}

namespace assay {

struct EngineFlags {
  std::vector<std::string> values;  ///< an engine_options() each; empty: not given

  /// @param but  a setting that the verb has a flag of its own for
  void add_to(CLI::App* verb, std::string_view but = {});
  bool any() const;
  /// The engine with these settings behind those that it is spelt with.
  std::string spell(std::string engine) const;
};

}  // namespace assay
