#include "harness/kernel/watch.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <set>

#include <cxxabi.h>
#include <dlfcn.h>
#include <sys/wait.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace assay {
namespace {

namespace fs = std::filesystem;
using kernels::Kernel;

/// What a shell command printed, and its exit status.
struct Said {
  int status = -1;
  std::string text;
};
Said shell(const std::string& command) {
  Said said;
  FILE* pipe = ::popen(command.c_str(), "r");
  if (pipe == nullptr) return said;
  char buffer[4096];
  for (std::size_t got = 0; (got = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) said.text.append(buffer, got);
  const int status = ::pclose(pipe);
  said.status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  return said;
}

std::string in_quotes(const fs::path& path) {
  std::string out = "'";
  for (const char c : path.string()) out += c == '\'' ? "'\\''" : std::string(1, c);
  return out + "'";
}

struct Command {
  std::string text, directory;
};

/// The build's own command for a source, without its output.
Result<Command> command_of(const fs::path& source, const fs::path& build) {
  const fs::path file = build / "compile_commands.json";
  std::ifstream in(file);
  if (!in) return fail({Failure::io, file, "", "a build folder of assay", "none"});
  try {
    for (const auto& entry : nlohmann::json::parse(in)) {
      std::error_code error;
      if (!fs::equivalent(entry.at("file").get<std::string>(), source, error)) continue;
      std::string command = entry.at("command").get<std::string>();
      const std::size_t out = command.find(" -o ");
      if (out == std::string::npos) break;
      const std::size_t end = command.find(' ', out + 4);
      command.erase(out, end == std::string::npos ? end : end - out);
      return Command{std::move(command), entry.at("directory").get<std::string>()};
    }
  } catch (const std::exception& error) {
    return fail({Failure::io, file, "", "what CMake writes", error.what()});
  }
  return fail({Failure::io, file, source.string(), "a command for it", "none: build once first"});
}

/// The address of the function of that qualified name, whatever its arguments are.
void* function_named(const fs::path& object, void* handle, const std::string& qualified) {
  // Names of a shared object's functions, from its own table: dlsym asks for the mangled name, arguments included.
  const Said symbols = shell("nm -D --defined-only " + in_quotes(object) + " 2>/dev/null");
  for (std::size_t at = 0; at < symbols.text.size();) {
    const std::size_t end = std::min(symbols.text.find('\n', at), symbols.text.size());
    const std::size_t space = symbols.text.rfind(' ', end);
    const std::string mangled = symbols.text.substr(space + 1, end - space - 1);
    at = end + 1;
    int status = 0;
    const std::unique_ptr<char, decltype(&std::free)> name(
        abi::__cxa_demangle(mangled.c_str(), nullptr, nullptr, &status), &std::free);
    if (status == 0 && std::string(name.get()).starts_with(qualified + "(")) return dlsym(handle, mangled.c_str());
  }
  return nullptr;
}

}  // namespace

Result<fs::path> source_of(const Kernel& kernel, const fs::path& tree) {
  const std::string op(kernels::info(kernel.op).name), format(kernels::name(kernel.format)),
      acts(kernels::name(kernel.acts));
  const fs::path folder = tree / "kernels" / "cpu" / std::string(kernels::name(kernel.isa));
  for (const std::string& stem : {fmt::format("{}_{}_{}", op, format, acts), fmt::format("{}_{}", op, acts), op})
    if (fs::exists(folder / (stem + ".cc"))) return folder / (stem + ".cc");
  return fail({Failure::io, folder.string(), "", "the source of " + std::string(kernel.name), "none"});
}

std::vector<fs::path> files_of(const fs::path& source, const fs::path& tree) {
  std::vector<fs::path> files{source};
  std::error_code error;
  std::set<fs::path> known{fs::canonical(source, error)};
  for (std::size_t i = 0; i < files.size(); ++i) {
    const fs::path here = files[i].parent_path();
    std::ifstream in(files[i]);
    for (std::string line; std::getline(in, line);) {
      constexpr std::string_view kInclude = "#include \"";
      if (!line.starts_with(kInclude)) continue;
      const std::string name = line.substr(kInclude.size(), line.find('"', kInclude.size()) - kInclude.size());
      for (const fs::path& folder : {here, tree}) {  // in the compiler's order
        const fs::path file = fs::canonical(folder / name, error);
        if (error) continue;
        if (known.insert(file).second) files.push_back(file);
        break;
      }
    }
  }
  return files;
}

std::map<fs::path, std::int64_t> stamps_of(const std::vector<fs::path>& files) {
  std::map<fs::path, std::int64_t> stamps;
  for (const fs::path& file : files) {
    std::error_code error;
    const fs::file_time_type time = fs::last_write_time(file, error);
    stamps[file] = error ? 0 : std::int64_t(time.time_since_epoch().count());
  }
  return stamps;
}

Result<Kernel> build_kernel(const Kernel& kernel, const Workshop& workshop) {
  ASSAY_TRY(source, source_of(kernel, workshop.source));
  ASSAY_TRY(command, command_of(source, workshop.build));
  static int built = 0;  // a name once loaded is never loaded again
  const std::string stem = std::string(kernel.name) + "-" + std::to_string(built++);
  const fs::path object = workshop.scratch / (stem + ".o"), shared = workshop.scratch / (stem + ".so");
  const std::string line = "cd " + in_quotes(command.directory) + " && { " + command.text + " -fPIC -o " +
                           in_quotes(object) + " && c++ -shared -o " + in_quotes(shared) + " " + in_quotes(object) +
                           "; } 2>&1";
  const Said said = shell(line);
  if (said.status != 0) return fail({Failure::bad_input, source.string(), "", "a source that compiles", said.text});
  void* handle = dlopen(shared.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* why = dlerror();
    return fail({Failure::bad_input, source.string(), "", "a source that needs nothing beside its headers",
                 why == nullptr ? "?" : why});
  }
  const std::string function = std::string(kernels::info(kernel.op).name) + "_" +
                               std::string(kernels::name(kernel.format)) + "_" +
                               std::string(kernels::name(kernel.acts));
  const std::string qualified = "assay::kernels::cpu::" + std::string(kernels::name(kernel.isa)) + "::" + function;
  void* address = function_named(shared, handle, qualified);
  if (address == nullptr) return fail({Failure::bad_input, source.string(), "", "a function " + qualified, "none"});
  Kernel fresh = kernel;
  fresh.fn = reinterpret_cast<kernels::AnyFn*>(address);
  return fresh;
}

}  // namespace assay
