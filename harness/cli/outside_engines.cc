#include "harness/cli/outside_engines.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include "engine/external/external.h"
#include "harness/cli/verbs.h"
#include "harness/engines/engines.h"

namespace assay {
namespace {

constexpr double kTimeout = 300;  // seconds for an answer
constexpr double kMebi = 1 << 20;

/// What stands beside the command in a line that repeats a run: limits decide verdicts.
std::string limits_of(const OutsideEngines& outside) {
  const OutsideEngines otherwise;
  std::string text;
  if (outside.timeout) text += fmt::format(" --engine-timeout {:g}", *outside.timeout);
  if (outside.memory_mib != otherwise.memory_mib) text += fmt::format(" --engine-memory {:g}", outside.memory_mib);
  if (outside.output_mib != otherwise.output_mib) text += fmt::format(" --engine-output {:g}", outside.output_mib);
  return text;
}

/// The regular files among a command's words: a program, a script, a library, weights. Words are taken apart at spaces
/// and quotes alone: what a shell would make of more than that is not looked for.
std::vector<std::string> files_of(std::string_view command) {
  std::vector<std::string> files;
  constexpr std::string_view kBetween = " \t\n'\"=;&|<>()";
  while (!command.empty()) {
    const std::size_t end = std::min(command.find_first_of(kBetween), command.size());
    const std::string word(command.substr(0, end));
    command.remove_prefix(std::min(end + 1, command.size()));
    std::error_code error;
    if (!word.empty() && std::filesystem::is_regular_file(word, error)) files.push_back(word);
  }
  return files;
}

}  // namespace

std::string shell_word(std::string_view text) {
  constexpr std::string_view kPlain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./=:,+@%";
  if (!text.empty() && text.find_first_not_of(kPlain) == std::string_view::npos) return std::string(text);
  std::string word = "'";
  for (const char c : text) word += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return word + "'";
}

void OutsideEngines::add_to(CLI::App* verb, bool several) {
  CLI::Option* command =
      verb->add_option("--engine-cmd", commands,
                       "An engine that is a program of yours: this command, run by the shell, speaks the protocol of "
                       "docs/ENGINE_PROTOCOL.md" +
                           std::string(several ? " (again for more)" : ""))
          ->allow_extra_args(false);
  if (!several) command->expected(1);
  CLI::Option* library =
      verb->add_option("--engine-lib", libraries,
                       "An engine that is a shared library of yours: it exports what engine/assay_engine.h asks for" +
                           std::string(several ? " (again for more)" : ""))
          ->allow_extra_args(false);
  if (!several) library->expected(1)->excludes(command);
  verb->add_option("--engine-timeout", timeout, "Seconds that it may take for one answer; 300")
      ->check(CLI::Range(0.001, 86400.0));
  verb->add_option("--engine-memory", memory_mib, "MiB of memory that it may use; 0: nine tenths of the machine's")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1e9));
  verb->add_option("--engine-output", output_mib, "MiB that it may write to one file, or print")
      ->capture_default_str()
      ->check(CLI::Range(1.0, 1e9));
}

Result<std::vector<Engine>> OutsideEngines::make(bool keep, double default_timeout) const {
  ExternalOptions options;
  options.keep = keep;
  options.limits.answer = std::chrono::duration<double>(timeout.value_or(default_timeout));
  options.limits.memory = std::int64_t(memory_mib * kMebi);
  options.limits.output = std::int64_t(output_mib * kMebi);
  // So that `python -m assay_transformers` and a port's `import assay_engine` are found from everywhere.
  const char* set = std::getenv("PYTHONPATH");
  const std::string ours = (source_folder() / "engine" / "external" / "python").string();
  options.environment.emplace_back("PYTHONPATH", set == nullptr || *set == '\0' ? ours : ours + ":" + set);
  std::vector<std::string> taken;
  for (const Engine& engine : built_in_engines()) taken.push_back(engine.can.name);
  taken.emplace_back("front-end");
  std::vector<Engine> engines;
  const auto add = [&](const std::string& command, const std::string& flag, const std::string& named) -> Result<void> {
    ASSAY_TRY(engine, external_engine(command, options));
    const std::string name = engine.can.name.substr(0, engine.can.name.find('+'));
    if (std::find(taken.begin(), taken.end(), name) != taken.end() ||
        std::find(taken.begin(), taken.end(), engine.can.name) != taken.end())
      return fail({Failure::bad_input, flag, named, "a name of its own from hello, that no other engine has", name});
    taken.push_back(engine.can.name);
    engine.spelt = flag + " " + shell_word(named) + limits_of(*this);
    engine.files = flag == "--engine-lib" ? std::vector<std::string>{named} : files_of(named);
    engines.push_back(std::move(engine));
    return {};
  };
  for (const std::string& command : commands) ASSAY_CHECK(add(command, "--engine-cmd", command));
  for (const std::string& file : libraries) {
    // Foreign code runs in a process of its own: this program again, as the library's other end of the protocol.
    std::error_code error;
    const std::string self = std::filesystem::read_symlink("/proc/self/exe", error).string();
    ASSAY_CHECK(
        add(shell_word(self) + " host " + shell_word(std::filesystem::absolute(file).string()), "--engine-lib", file));
  }
  return engines;
}

void EngineChoice::add_to(CLI::App* verb, std::string otherwise, std::string_view but) {
  engine = std::move(otherwise);
  CLI::Option* named = verb->add_option("--engine", engine, "Which engine")->capture_default_str();
  flags.add_to(verb, but);
  outside.add_to(verb, false);
  for (const char* other : {"--engine-cmd", "--engine-lib"}) verb->get_option(other)->excludes(named);
}

Result<Engine> EngineChoice::make() const {
  if (!outside.any()) return make_engine(flags.spell(engine));
  if (flags.any())
    return fail({Failure::bad_input, "--engine-cmd", "", "an engine without settings of ours, which its command has",
                 flags.spell("")});
  ASSAY_TRY(engines, outside.make(true, kTimeout));
  return std::move(engines.front());
}

std::string EngineChoice::name() const {
  if (!outside.commands.empty()) return outside.commands.front();
  return outside.libraries.empty() ? flags.spell(engine) : outside.libraries.front();
}

std::string EngineChoice::spelt() const {
  const char* flag = !outside.any() ? "--engine " : outside.commands.empty() ? "--engine-lib " : "--engine-cmd ";
  return flag + shell_word(name()) + (outside.any() ? limits_of(outside) : "");
}

}  // namespace assay
