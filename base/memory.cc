#include "base/memory.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace assay {
namespace {

namespace fs = std::filesystem;

/// The number behind `key` in a file of lines `key number`.
std::optional<std::size_t> number_of(const fs::path& file, std::string_view key) {
  std::ifstream lines(file);
  std::string name;
  for (std::size_t number = 0; lines >> name >> number; lines.ignore(64, '\n'))
    if (name == key) return number;
  return std::nullopt;
}

/// The one number that a file holds; none where it says `max`.
std::optional<std::size_t> number_in(const fs::path& file) {
  std::ifstream text(file);
  std::size_t number = 0;
  return text >> number ? std::optional(number) : std::nullopt;
}

/// What a control group may still take; nothing where it has no limit.
std::optional<std::size_t> left_of(const fs::path& group) {
  const auto limit = number_in(group / "memory.max"), used = number_in(group / "memory.current");
  if (!limit || !used) return std::nullopt;
  const std::size_t held = *used - std::min(*used, number_of(group / "memory.stat", "file").value_or(0));
  return *limit - std::min(*limit, held);
}

/// Of version 2, relative to where they are mounted; empty where the process is in none.
fs::path control_group(const fs::path& proc) {
  std::ifstream groups(proc / "self/cgroup");
  for (std::string line; std::getline(groups, line);)
    if (line.starts_with("0::/")) return line.substr(4);
  return {};
}

}  // namespace

std::optional<std::size_t> available_memory(const fs::path& proc, const fs::path& groups) {
  std::optional<std::size_t> available = number_of(proc / "meminfo", "MemAvailable:");
  if (available) *available *= 1024;
  const auto allow = [&](const fs::path& group) {
    if (const auto left = left_of(group)) available = std::min(available.value_or(*left), *left);
  };
  allow(groups);
  fs::path group = groups;
  for (const fs::path& part : control_group(proc)) allow(group /= part);  // a limit holds for all groups inside
  return available;
}

}  // namespace assay
