#include "harness/doctor/doctor.h"

#include <cstdio>
#include <map>
#include <sstream>

#include <dlfcn.h>
#include <sys/wait.h>

#include <fmt/format.h>

namespace assay {
namespace {

namespace fs = std::filesystem;

/// What a command prints on stdout; empty if it fails.
std::string output_of(const std::string& command) {
  FILE* pipe = ::popen((command + " 2>/dev/null").c_str(), "r");
  if (pipe == nullptr) return {};
  std::string text;
  char buffer[4096];
  for (std::size_t got = 0; (got = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) text.append(buffer, got);
  const int status = ::pclose(pipe);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? text : "";
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

/// A function of a library that this program has loaded already.
template <class Function>
Function loaded(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
}

Finding ffmpeg() {
  Finding finding{.group = "library", .name = "FFmpeg", .what_for = "pictures, sound and films"};
  if (const auto version = loaded<const char* (*)()>("av_version_info"); version != nullptr) {
    finding.there = true;
    finding.found = version();
  }
  return finding;
}

Finding hdf5() {
  Finding finding{.group = "library", .name = "HDF5", .what_for = "goldens"};
  unsigned major = 0, minor = 0, release = 0;
  if (const auto version = loaded<int (*)(unsigned*, unsigned*, unsigned*)>("H5get_libversion");
      version != nullptr && version(&major, &minor, &release) >= 0) {
    finding.there = true;
    finding.found = fmt::format("{}.{}.{}", major, minor, release);
  }
  return finding;
}

Finding tool(const std::string& name, const std::string& ask, const std::string& what_for, const std::string& package) {
  Finding finding{.group = "tool", .name = name, .found = first_line(output_of(ask)), .what_for = what_for};
  finding.there = !finding.found.empty();
  if (!finding.there) finding.get = "apt-get install " + package;
  return finding;
}

/// Versions of Python's packages, asked of their records: nothing is imported.
std::map<std::string, std::string> python_packages(const std::string& python, const std::string& names) {
  const std::string script =
      "import importlib.metadata as m, sys\n"
      "print('python', sys.version.split()[0])\n"
      "for n in sys.argv[1:]:\n"
      "    try: print(n, m.version(n))\n"
      "    except m.PackageNotFoundError: pass\n";
  std::map<std::string, std::string> versions;
  std::istringstream lines(output_of(python + " -c \"" + script + "\" " + names));
  for (std::string name, version; lines >> name >> version;) versions[name] = version;
  return versions;
}

void add_python(std::vector<Finding>& findings, const fs::path& source_folder) {
  struct Package {
    const char *name, *what_for, *get;
  };
  constexpr const char* kMake = "./assay golden make installs it into build/venv";
  constexpr Package kPackages[] = {{"torch", "making goldens", kMake},
                                   {"transformers", "making goldens", kMake},
                                   {"numpy", "making goldens", kMake},
                                   {"h5py", "making goldens", kMake},
                                   {"safetensors", "making goldens", kMake},
                                   {"gguf", "making GGUF files for tests", kMake},
                                   {"llama-cpp-python", "comparing with llama.cpp", "pip install llama-cpp-python"},
                                   {"jsonschema", "tests of reports", "apt-get install python3-jsonschema"}};
  std::string names;
  for (const Package& package : kPackages) names += std::string(" ") + package.name;
  const fs::path venv = source_folder / "build" / "venv" / "bin" / "python";
  std::error_code error;
  const bool has_venv = fs::exists(venv, error);
  const auto own = has_venv ? python_packages("'" + venv.string() + "'", names) : std::map<std::string, std::string>{};
  const auto system = python_packages("python3", names);
  const auto found = [&](const std::string& name) -> std::string {
    if (const auto at = own.find(name); at != own.end()) return at->second + " (build/venv)";
    const auto at = system.find(name);
    return at == system.end() ? "" : at->second;
  };
  Finding python{.group = "python", .name = "python", .found = found("python"), .what_for = "making goldens, tests"};
  python.there = !python.found.empty();
  if (!python.there) python.get = "apt-get install python3";
  findings.push_back(python);
  for (const Package& package : kPackages) {
    Finding finding{
        .group = "python", .name = package.name, .found = found(package.name), .what_for = package.what_for};
    finding.there = !finding.found.empty();
    if (!finding.there) finding.get = package.get;
    findings.push_back(finding);
  }
}

}  // namespace

std::vector<Finding> examine(const fs::path& source_folder) {
  std::vector<Finding> findings{ffmpeg(), hdf5()};
  findings.push_back(tool("c++", "c++ --version", "kernel watch", "g++"));
  findings.push_back(tool("nm", "nm --version", "kernel watch", "binutils"));
  findings.push_back(tool("ninja", "ninja --version", "building", "ninja-build"));
  findings.push_back(tool("clang-14", "clang-14 --version", "fuzzing, lint", "clang-14"));
  findings.push_back(tool("qemu-aarch64", "qemu-aarch64 --version", "tests of AArch64 kernels", "qemu-user"));
  add_python(findings, source_folder);
  const auto devices = vulkan_devices();
  for (const VulkanDevice& device : devices)
    findings.push_back({.group = "vulkan",
                        .name = device.name,
                        .there = true,
                        .found = fmt::format("{}, Vulkan {}, driver {}", device.kind, device.api, device.driver),
                        .what_for = "Vulkan engines"});
  if (devices.empty())
    findings.push_back({.group = "vulkan",
                        .name = "device",
                        .there = false,
                        .found = "",
                        .what_for = "Vulkan engines",
                        .get = "apt-get install libvulkan1 mesa-vulkan-drivers"});
  return findings;
}

}  // namespace assay
