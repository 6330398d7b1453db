#include "golden/generator.h"

#include <cerrno>
#include <cstring>
#include <system_error>

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/files.h"

namespace assay {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kMaxRequirements = 1U << 20U;

/// Runs a program to its end. A signal counts as status 128 + its number, as in a shell.
Result<int> run(std::vector<std::string> words, const fs::path& folder) {
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
  pid_t child = 0;
  const int refused = posix_spawnp(&child, words.front().c_str(), &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (refused != 0) return fail({Failure::io, words.front(), "", "a program that starts", std::strerror(refused)});
  int status = 0;
  while (waitpid(child, &status, 0) < 0)
    if (errno != EINTR) return fail({Failure::io, words.front(), "", "an exit status", std::strerror(errno)});
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

Result<void> step(std::vector<std::string> words, const fs::path& folder) {
  const std::string name = words.front() + " -m " + words[2];
  ASSAY_TRY(status, run(std::move(words), folder));
  if (status != 0) return fail({Failure::io, name, "", "exit status 0", std::to_string(status)});
  return {};
}

/// The interpreter of an environment that holds what requirements.txt lists. A copy of that list, written last, says
/// so.
Result<std::string> environment(const Generator& generator) {
  ASSAY_TRY(wanted, read_file(generator.folder / "generate" / "requirements.txt", kMaxRequirements));
  const fs::path stamp = generator.venv / "requirements.txt";
  const std::string python = (generator.venv / "bin" / "python").string();
  if (const auto has = read_file(stamp, kMaxRequirements); has && *has == wanted) return python;
  std::error_code error;
  fs::create_directories(generator.venv.parent_path(), error);
  if (!fs::exists(python, error))
    ASSAY_CHECK(step({"python3", "-m", "venv", generator.venv.string()}, generator.folder));
  ASSAY_CHECK(step({python, "-m", "pip", "install", "-r", "generate/requirements.txt"}, generator.folder));
  ASSAY_CHECK(write_file(stamp, wanted));
  return python;
}

}  // namespace

Result<int> run_generator(const Generator& generator, const std::vector<std::string>& arguments) {
  std::string python = generator.python;
  if (python.empty()) {
    ASSAY_TRY(made, environment(generator));
    python = std::move(made);
  }
  std::vector<std::string> words = {python, "-m", "generate"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  return run(std::move(words), generator.folder);
}

}  // namespace assay
