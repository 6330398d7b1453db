#include "harness/verify/shard.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>

#include <fmt/format.h>

#include "harness/verify/about.h"
#include "harness/verify/require.h"

namespace assay {
namespace {

constexpr int kMostShards = 100000;

Failure not_the_same(const std::string& where, std::string field, std::string expected, std::string found) {
  return {Failure::bad_input, where, std::move(field), std::move(expected), std::move(found)};
}

/// Whether a part belongs to the run that `first` is of.
Result<void> check_same_run(const Run& first, const Run& part, const std::string& where) {
  const std::string differs = difference(first.shard->about, part.shard->about);
  if (!differs.empty()) return fail(not_the_same(where, "shard.about", "a part of the same run as the first", differs));
  if (part.version != first.version) return fail(not_the_same(where, "version", first.version, part.version));
  if (part.shard->of != first.shard->of)
    return fail(not_the_same(where, "shard.of", std::to_string(first.shard->of), std::to_string(part.shard->of)));
  if (part.shard->units != first.shard->units)
    return fail(not_the_same(where, "shard.units", "those of the first", "others"));
  if (part.shard->demands != first.shard->demands)
    return fail(not_the_same(where, "shard.demands", "those of the first", "others"));
  if (part.expired != first.expired)
    return fail(not_the_same(where, "expired", "the known failures of the first", "others"));
  return {};
}

Result<std::vector<Requirement>> parse_all(const std::vector<std::string>& texts) {
  std::vector<Requirement> out;
  for (const std::string& text : texts) {
    ASSAY_TRY(requirement, parse_requirement(text));
    out.push_back(std::move(requirement));
  }
  return out;
}

std::string joined(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

}  // namespace

Result<ShardOf> ShardOf::parse(std::string_view text) {
  ShardOf shard;
  const char* const end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, shard.index);
  bool good = first.ec == std::errc() && first.ptr != end && *first.ptr == '/';
  if (good) {
    const auto second = std::from_chars(first.ptr + 1, end, shard.of);
    good = second.ec == std::errc() && second.ptr == end;
  }
  if (!good || shard.index < 1 || shard.index > shard.of || shard.of > kMostShards)
    return fail({Failure::bad_input, "--shard", "", "I/N with I from 1 to N", std::string(text)});
  return shard;
}

Result<std::vector<std::string>> find_unmet(const Run& run, const Demands& demands, bool whole) {
  ASSAY_TRY(built_in, parse_all(demands.built_in));
  ASSAY_TRY(asked, parse_all(demands.asked));
  std::vector<std::string> lines = unmet(run, built_in, whole && demands.nothing_left_out);
  const auto add = [&](const std::vector<std::string>& more) { lines.insert(lines.end(), more.begin(), more.end()); };
  add(unmet(run, asked, whole));
  if (demands.strict) add(not_strict(run));
  return lines;
}

Result<Run> merge_runs(std::span<const Run> parts, std::span<const std::string> names) {
  if (parts.empty()) return fail({Failure::bad_input, "merge", "", "parts of a run", "none"});
  std::map<int, std::size_t> seen;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (!parts[i].shard) return fail(not_the_same(names[i], "shard", "a run of verify --shard", "a whole run"));
    ASSAY_CHECK(check_same_run(parts[0], parts[i], names[i]));
    const auto [other, first] = seen.emplace(parts[i].shard->index, i);
    if (!first)
      return fail(not_the_same(names[i], "shard.index", "each part once",
                               fmt::format("{}, which {} is too", parts[i].shard->index, names[other->second])));
  }
  const Shard& shard = *parts[0].shard;
  for (int index = 1; index <= shard.of; ++index)
    if (!seen.contains(index))
      return fail({Failure::bad_input, "merge", "", fmt::format("all {} parts", shard.of),
                   fmt::format("part {} is missing", index)});

  std::map<std::string_view, std::size_t> order;
  for (const std::string& unit : shard.units) order.emplace(unit, order.size());
  Run run{.version = parts[0].version, .machine = {}, .results = {}, .unmet = {}, .expired = parts[0].expired};
  std::vector<std::vector<const PathResult*>> by_unit(shard.units.size());
  std::vector<std::string> processors;
  for (const auto& [index, at] : seen) {
    const Run& part = parts[at];
    run.seconds += part.seconds;
    run.machine.cores = std::max(run.machine.cores, part.machine.cores);
    if (std::find(processors.begin(), processors.end(), part.machine.cpu) == processors.end())
      processors.push_back(part.machine.cpu);
    for (const PathResult& result : part.results) {
      const auto unit = order.find(unit_name(result.engine, result.golden, result.case_name));
      if (unit == order.end() || !ShardOf{index, shard.of}.takes(unit->second))
        return fail(not_the_same(names[at], "results", "cases of this part", result.golden + "/" + result.case_name));
      by_unit[unit->second].push_back(&result);
    }
  }
  run.machine.cpu = joined(processors);
  for (const auto& results : by_unit)
    for (const PathResult* result : results) run.results.push_back(*result);
  ASSAY_TRY(unmet, find_unmet(run, shard.demands, true));
  run.unmet = std::move(unmet);
  return run;
}

}  // namespace assay
