// Engines that are not ours, as the command line names them: --engine-cmd CMD and --engine-lib FILE, with the limits
// that they are held to; and the choice of one engine for the verbs that take one. Not here: speaking with them
// (engine/external).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"
#include "harness/cli/engine_flags.h"

namespace CLI {
class App;
}

namespace assay {

struct OutsideEngines {
  std::vector<std::string> commands, libraries;
  std::optional<double> timeout;  ///< seconds for each answer
  double memory_mib = 0;          ///< 0: nine tenths of the machine's
  double output_mib = 4096;

  /// @param several  whether the verb takes more than one
  void add_to(CLI::App* verb, bool several);
  bool any() const { return !commands.empty() || !libraries.empty(); }
  /// Starts each and asks its name. Errors: those of external_engine; bad_input (a name that another engine has).
  /// @param keep     whether the first session may go on with the process that was asked
  /// @param timeout  where none is given
  Result<std::vector<Engine>> make(bool keep, double default_timeout) const;
};

/// The engine of a verb that takes one.
struct EngineChoice {
  std::string engine;  ///< as --engine spells it
  EngineFlags flags;
  OutsideEngines outside;

  /// @param otherwise  the engine where none is named
  /// @param but        a setting that the verb has a flag of its own for
  void add_to(CLI::App* verb, std::string otherwise, std::string_view but = {});
  /// Errors: those of make_engine and of OutsideEngines::make.
  Result<Engine> make() const;
  /// The built-in engine with its settings; the command or the file of another.
  std::string name() const;
  /// How a command that repeats this one names it: `--engine cpu`, `--engine-cmd 'python port.py'`.
  std::string spelt() const;
};

/// A word for a POSIX shell.
std::string shell_word(std::string_view text);

}  // namespace assay
