#include "harness/machine/machine.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>

#include <sched.h>
#include <unistd.h>

#include "base/sha256.h"
#include "kernels/isa.h"

namespace assay {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kGibi = std::int64_t{1} << 30;

/// A small file of /proc or /sys; empty if it cannot be read.
std::string contents(const fs::path& file) {
  std::ifstream in(file);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\n";
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(kBlank) - first + 1));
}

/// What stands behind `key` and a colon at the start of a line; the first such line.
std::string value_of(std::string_view text, std::string_view key) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    const std::size_t colon = line.find(':');
    if (colon != std::string_view::npos && trimmed(line.substr(0, colon)) == key)
      return trimmed(line.substr(colon + 1));
    at = end + 1;
  }
  return {};
}

std::int64_t kilobytes(std::string_view text) {
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value * 1024;
}

int usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, int(sysconf(_SC_NPROCESSORS_ONLN)));
}

std::vector<std::string> usable_isas() {
  using namespace kernels;  // isas.inc names its flags
  constexpr std::pair<std::string_view, std::uint32_t> kIsas[] = {
#define ISA(name, architecture, needs) {#name, needs},
#include "kernels/cpu/isas.inc"
#undef ISA
  };
  std::vector<std::string> names;
  for (const auto& [name, needs] : kIsas)
    if (needs != 0 && (needs & ~kernels::machine_features()) == 0 && name != "eigen") names.emplace_back(name);
  return names;
}

std::map<std::string, std::int64_t> caches() {
  std::map<std::string, std::int64_t> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/sys/devices/system/cpu/cpu0/cache", error)) {
    const std::string level = trimmed(contents(entry.path() / "level")),
                      type = trimmed(contents(entry.path() / "type"));
    const std::int64_t size = parse_size(trimmed(contents(entry.path() / "size")));
    if (level.empty() || size == 0 || type == "Instruction") continue;
    found["L" + level + (type == "Data" ? "d" : "")] = size;
  }
  return found;
}

MachineFacts ask() {
  MachineFacts machine{.cpu = cpu_of(contents("/proc/cpuinfo")),
                       .cores = usable_cores(),
                       .isa = usable_isas(),
                       .governor = trimmed(contents("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")),
                       .caches = caches(),
                       .memory = kilobytes(value_of(contents("/proc/meminfo"), "MemTotal")),
                       .fingerprint = {}};
  machine.fingerprint = fingerprint_of(machine);
  return machine;
}

}  // namespace

const MachineFacts& machine_facts() {
  static const MachineFacts facts = ask();
  return facts;
}

std::string fingerprint_of(const MachineFacts& machine) {
  std::string all = machine.cpu + "\n" + std::to_string(machine.cores) + "\n";
  for (const std::string& isa : machine.isa) all += isa + " ";
  all += "\n" + machine.governor + "\n";
  for (const auto& [level, bytes] : machine.caches) all += level + " " + std::to_string(bytes) + "\n";
  all += std::to_string((machine.memory + kGibi / 2) / kGibi);
  return sha256_hex(std::as_bytes(std::span(all))).substr(0, 16);
}

std::int64_t last_level_cache(const MachineFacts& machine) {
  std::int64_t most = 0;
  for (const auto& [level, bytes] : machine.caches) most = std::max(most, bytes);
  return most > 0 ? most : std::int64_t{32} << 20;
}

std::string cpu_of(std::string_view cpuinfo) {
  const std::string name = value_of(cpuinfo, "model name"), family = value_of(cpuinfo, "cpu family");
  if (name.empty()) {  // AArch64 has numbers alone
    const std::string part = value_of(cpuinfo, "CPU part");
    return part.empty() ? "unknown" : "implementer " + value_of(cpuinfo, "CPU implementer") + ", part " + part;
  }
  if (family.empty()) return name;
  return name + " (family " + family + ", model " + value_of(cpuinfo, "model") + ", stepping " +
         value_of(cpuinfo, "stepping") + ")";
}

std::int64_t parse_size(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || value < 0 || value > (std::int64_t{1} << 40)) return 0;
  const std::string_view unit = text.substr(std::size_t(end - text.data()));
  if (unit.empty()) return value;
  if (unit == "K") return value << 10;
  if (unit == "M") return value << 20;
  if (unit == "G") return value << 30;
  return 0;
}

std::int64_t peak_memory() { return kilobytes(value_of(contents("/proc/self/status"), "VmHWM")); }

bool reset_peak_memory() {
  std::ofstream out("/proc/self/clear_refs");
  out << "5";  // man 5 proc: resets the peak resident set size
  out.flush();
  return bool(out);
}

}  // namespace assay
