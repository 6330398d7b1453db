#include "harness/verify/known.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <sstream>
#include <utility>

#include <fmt/format.h>
#include <fnmatch.h>
#include <nlohmann/json.hpp>

#define TOML_HEADER_ONLY 1
#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

#include "base/files.h"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kLargest = 1 << 20;

bool glob(const std::string& pattern, const std::string& text) {
  return ::fnmatch(pattern.c_str(), text.c_str(), 0) == 0;
}

std::string day_text(std::chrono::year_month_day day) {
  return fmt::format("{:04}-{:02}-{:02}", int(day.year()), unsigned(day.month()), unsigned(day.day()));
}

std::optional<std::chrono::year_month_day> parse_day(std::string_view text) {
  constexpr std::string_view kForm = "0000-00-00";
  if (text.size() != kForm.size()) return std::nullopt;
  std::array<int, 3> parts{};
  for (std::size_t i = 0, part = 0; i < text.size(); ++i) {
    if (kForm[i] == '-') {
      if (text[i] != '-') return std::nullopt;
      ++part;
    } else if (std::isdigit(static_cast<unsigned char>(text[i])) != 0) {
      parts[part] = parts[part] * 10 + (text[i] - '0');
    } else {
      return std::nullopt;
    }
  }
  const std::chrono::year_month_day day{std::chrono::year{parts[0]}, std::chrono::month{unsigned(parts[1])},
                                        std::chrono::day{unsigned(parts[2])}};
  return day.ok() ? std::optional(day) : std::nullopt;
}

/// TOML in JSON's types; dates become their text.
Result<Json> read_toml(const std::string& text, const std::string& file) {
  const toml::parse_result parsed = toml::parse(text);
  if (!parsed) {
    const toml::parse_error& error = parsed.error();
    return fail({Failure::bad_input, file, fmt::format("line {}", error.source().begin.line), "TOML",
                 std::string(error.description())});
  }
  std::ostringstream json;
  json << toml::json_formatter(parsed.table());
  return Json::parse(json.str());
}

Result<Json> read_json(const std::string& text, const std::string& file) {
  try {
    return Json::parse(text);
  } catch (const Json::parse_error& error) {
    return fail({Failure::bad_input, file, "", "JSON", error.what()});
  }
}

Result<KnownFailure> entry_of(const Json& json, const std::string& file, const std::string& at) {
  KnownFailure entry;
  std::string expires;
  const std::array<std::pair<const char*, std::string*>, 6> fields = {{{"engine", &entry.engine},
                                                                       {"golden", &entry.golden},
                                                                       {"case", &entry.case_name},
                                                                       {"path", &entry.path},
                                                                       {"reason", &entry.reason},
                                                                       {"expires", &expires}}};
  if (!json.is_object()) return fail({Failure::bad_input, file, at, "a table", json.dump()});
  bool any_pattern = false;
  for (const auto& [key, value] : json.items()) {
    const auto field =
        std::find_if(fields.begin(), fields.end(), [&, &name = key](const auto& f) { return f.first == name; });
    if (field == fields.end())
      return fail({Failure::bad_input, file, fmt::format("{}.{}", at, key),
                   "engine, golden, case, path, reason or expires", key});
    if (!value.is_string() || value.get_ref<const std::string&>().empty())
      return fail({Failure::bad_input, file, fmt::format("{}.{}", at, key), "a text", value.dump()});
    *field->second = value.get<std::string>();
    any_pattern = any_pattern || field - fields.begin() < 4;
  }
  if (!any_pattern) return fail({Failure::bad_input, file, at, "engine, golden, case or path", "none of them"});
  if (entry.reason.empty()) return fail({Failure::bad_input, file, at + ".reason", "why it fails", "nothing"});
  const auto day = parse_day(expires);
  if (!day)
    return fail(
        {Failure::bad_input, file, at + ".expires", "a day, YYYY-MM-DD", expires.empty() ? "nothing" : expires});
  entry.expires = *day;
  return entry;
}

}  // namespace

bool KnownFailure::covers(const PathResult& result) const {
  return glob(engine, result.engine) && glob(golden, result.golden) && glob(case_name, result.case_name) &&
         glob(path, result.path);
}

Result<std::vector<KnownFailure>> read_known_failures(const std::filesystem::path& file) {
  ASSAY_TRY(text, read_file(file, kLargest));
  ASSAY_TRY(json, file.extension() == ".toml" ? read_toml(text, file) : read_json(text, file));
  if (!json.is_object()) return fail({Failure::bad_input, file, "", "a table with a list `known`", json.dump()});
  for (const auto& [key, value] : json.items())
    if (key != "known") return fail({Failure::bad_input, file, key, "known, and nothing beside it", key});
  if (!json.contains("known") || !json["known"].is_array())
    return fail({Failure::bad_input, file, "known", "a list of tables", json.contains("known") ? "none" : "nothing"});
  std::vector<KnownFailure> known;
  for (const Json& one : json["known"]) {
    ASSAY_TRY(entry, entry_of(one, file, fmt::format("known[{}]", known.size())));
    known.push_back(std::move(entry));
  }
  return known;
}

void apply_known(std::span<PathResult> results, std::span<const KnownFailure> known, std::chrono::sys_days today) {
  for (PathResult& result : results) {
    const KnownFailure *holds = nullptr, *held = nullptr;
    for (const KnownFailure& entry : known) {
      const KnownFailure*& slot = entry.expired(today) ? held : holds;
      if (slot == nullptr && entry.covers(result)) slot = &entry;
    }
    if (holds != nullptr && failed(result.verdict)) {
      result.standing = Standing::known;
      result.because = fmt::format("known until {}: {}", day_text(holds->expires), holds->reason);
    } else if (holds != nullptr && result.verdict == Verdict::pass) {
      result.standing = Standing::unexpected_pass;
      result.because = fmt::format("expected to fail until {}: {}", day_text(holds->expires), holds->reason);
    } else if (held != nullptr && failed(result.verdict)) {
      result.standing = Standing::expired;
      result.because = fmt::format("known until {}, which is over: {}", day_text(held->expires), held->reason);
    }
  }
}

std::vector<std::string> expired_lines(std::span<const KnownFailure> known, std::chrono::sys_days today) {
  std::vector<std::string> lines;
  for (const KnownFailure& entry : known)
    if (entry.expired(today))
      lines.push_back(fmt::format("{} {}/{}/{}: known until {}: {}", entry.engine, entry.golden, entry.case_name,
                                  entry.path, day_text(entry.expires), entry.reason));
  return lines;
}

}  // namespace assay
