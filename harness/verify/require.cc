#include "harness/verify/require.h"

#include <algorithm>

#include <fmt/format.h>

#include "harness/drive/drive.h"

namespace assay {
namespace {

struct Row {
  std::string_view engine, variant, paths;
};
constexpr Row kRequired[] = {
#define REQUIRED(engine, variant, paths) {engine, variant, paths},
#include "harness/verify/required.inc"
#undef REQUIRED
};

bool covers(const Requirement& requirement, const PathResult& result) {
  return result.engine == requirement.engine && result.variant == requirement.variant &&
         (result.path == requirement.path || result.path.starts_with(requirement.path + ":"));
}

}  // namespace

std::vector<Requirement> built_in_requirements() {
  std::vector<Requirement> out;
  for (const Row& row : kRequired)
    for (std::string_view rest = row.paths; !rest.empty();) {
      const std::size_t space = std::min(rest.find(' '), rest.size());
      out.push_back({std::string(row.engine), std::string(row.variant), std::string(rest.substr(0, space))});
      rest.remove_prefix(std::min(space + 1, rest.size()));
    }
  return out;
}

Result<Requirement> parse_requirement(std::string_view text) {
  const std::size_t first = text.find(':');
  const std::size_t second = first == std::string_view::npos ? first : text.find(':', first + 1);
  if (first == 0 || second == std::string_view::npos || second == first + 1)
    return fail({Failure::bad_input, "--require", "", "ENGINE:VARIANT:PATH", std::string(text)});
  Requirement out{std::string(text.substr(0, first)), std::string(text.substr(first + 1, second - first - 1)),
                  std::string(text.substr(second + 1))};
  const bool front_end = out.path == "process";  // no way to drive an engine (harness/frontend)
  if (const auto path = Path::parse(out.path); !path && !front_end) return fail(path.error());
  return out;
}

std::vector<std::string> unmet(const Run& run, std::span<const Requirement> requirements, bool all_judged) {
  std::vector<std::string> lines;
  for (const Requirement& requirement : requirements) {
    int unsupported = 0, judged = 0;
    for (const PathResult& result : run.results) {
      if (!covers(requirement, result)) continue;
      if (result.verdict == Verdict::unsupported)
        ++unsupported;
      else if (result.verdict != Verdict::no_golden)
        ++judged;
    }
    const std::string name =
        fmt::format("{} must support {} {}", requirement.engine, requirement.variant, requirement.path);
    if (unsupported > 0)
      lines.push_back(fmt::format("{}: {} results are unsupported", name, unsupported));
    else if (all_judged && judged == 0)
      lines.push_back(name + ": nothing was judged");
  }
  return lines;
}

std::vector<std::string> not_strict(const Run& run) {
  std::vector<std::string> lines;
  std::vector<std::string> seen;
  for (const PathResult& result : run.results) {
    if (std::find(seen.begin(), seen.end(), result.engine) != seen.end()) continue;
    seen.push_back(result.engine);
    const Counts counts = count(run, result.engine);
    if (counts.unsupported + counts.no_golden > 0)
      lines.push_back(fmt::format("--strict: {} has {} results that are unsupported or without a golden", result.engine,
                                  counts.unsupported + counts.no_golden));
    const auto passes = std::count_if(run.results.begin(), run.results.end(), [&](const PathResult& other) {
      return other.engine == result.engine && other.standing == Standing::unexpected_pass;
    });
    if (passes > 0)
      lines.push_back(fmt::format("--strict: {} passes {} that a known failure covers", result.engine, passes));
  }
  return lines;
}

}  // namespace assay
