#include "reports/json.h"

#include <cmath>
#include <limits>
#include <utility>

#include <nlohmann/json.hpp>

#include "reports/text.h"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kSchema = 1;

Json number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return value;
}

double number(const Json& value) {
  if (!value.is_string()) return value.get<double>();
  const auto& text = value.get_ref<const std::string&>();
  if (text == "NaN") return std::numeric_limits<double>::quiet_NaN();
  if (text == "Infinity") return std::numeric_limits<double>::infinity();
  if (text == "-Infinity") return -std::numeric_limits<double>::infinity();
  throw std::invalid_argument("a number, \"NaN\", \"Infinity\" or \"-Infinity\", not \"" + text + "\"");
}

Verdict verdict(const Json& value) {
  const auto& text = value.get_ref<const std::string&>();
  if (const auto parsed = parse_verdict(text)) return *parsed;
  throw std::invalid_argument("a verdict, not \"" + text + "\"");
}

Standing standing(const Json& value) {
  const auto& text = value.get_ref<const std::string&>();
  if (const auto parsed = parse_standing(text)) return *parsed;
  throw std::invalid_argument("a standing, not \"" + text + "\"");
}

Json json_of(const std::optional<Agreement>& agreement) {
  if (!agreement) return nullptr;
  return {{"rows", agreement->rows},
          {"same_top", agreement->same_top},
          {"kl_mean", number(agreement->kl_mean)},
          {"kl_most", number(agreement->kl_most)}};
}

std::optional<Agreement> agreement(const Json& json) {
  if (json.is_null()) return std::nullopt;
  return Agreement{.rows = json.at("rows").get<std::size_t>(),
                   .same_top = json.at("same_top").get<std::size_t>(),
                   .kl_mean = number(json.at("kl_mean")),
                   .kl_most = number(json.at("kl_most"))};
}

Json json_of(const TapResult& tap) {
  const ErrorStats& stats = tap.stats;
  return {{"tap", tap.tap},
          {"mode", tap.mode},
          {"verdict", name_of(tap.verdict)},
          {"shape", tap.shape},
          {"worst", tap.worst},
          {"expected", number(stats.expected)},
          {"actual", number(stats.actual)},
          {"max_abs", number(stats.max_abs)},
          {"max_rel", number(stats.max_rel)},
          {"max_ulp", stats.max_ulp},
          {"rms", number(stats.rms)},
          {"nmse", number(stats.nmse)},
          {"cosine", number(stats.cosine)},
          {"worst_ratio", number(stats.worst_ratio)},
          {"worst_flat", stats.worst},
          {"count", stats.count},
          {"mismatches", stats.mismatches},
          {"not_finite", stats.not_finite},
          {"atol", number(tap.tolerance.atol)},
          {"rtol", number(tap.tolerance.rtol)},
          {"rms_limit", number(tap.rms_limit)},
          {"agreement", json_of(tap.agreement)},
          {"note", printable(tap.note)}};
}

TapResult tap_of(const Json& json) {
  TapResult tap;
  tap.tap = json.at("tap").get<std::string>();
  tap.mode = json.at("mode").get<std::string>();
  tap.verdict = verdict(json.at("verdict"));
  tap.shape = json.at("shape").get<std::vector<std::int64_t>>();
  tap.worst = json.at("worst").get<std::vector<std::int64_t>>();
  tap.stats.expected = float(number(json.at("expected")));
  tap.stats.actual = float(number(json.at("actual")));
  tap.stats.max_abs = number(json.at("max_abs"));
  tap.stats.max_rel = number(json.at("max_rel"));
  tap.stats.max_ulp = json.at("max_ulp").get<std::int64_t>();
  tap.stats.rms = number(json.at("rms"));
  tap.stats.nmse = number(json.at("nmse"));
  tap.stats.cosine = number(json.at("cosine"));
  tap.stats.worst_ratio = number(json.at("worst_ratio"));
  tap.stats.worst = json.at("worst_flat").get<std::size_t>();
  tap.stats.count = json.at("count").get<std::size_t>();
  tap.stats.mismatches = json.at("mismatches").get<std::size_t>();
  tap.stats.not_finite = json.at("not_finite").get<std::size_t>();
  tap.tolerance.atol = number(json.at("atol"));
  tap.tolerance.rtol = number(json.at("rtol"));
  tap.rms_limit = number(json.at("rms_limit"));
  if (json.contains("agreement")) tap.agreement = agreement(json["agreement"]);  // runs of earlier versions have none
  tap.note = json.at("note").get<std::string>();
  return tap;
}

Json json_of(const PathResult& result) {
  Json taps = Json::array();
  for (const TapResult& tap : result.taps) taps.push_back(json_of(tap));
  return {{"engine", printable(result.engine)},
          {"golden", printable(result.golden)},
          {"variant", printable(result.variant)},
          {"case", printable(result.case_name)},
          {"path", result.path},
          {"verdict", name_of(result.verdict)},
          {"note", printable(result.note)},
          {"seconds", number(result.seconds)},
          {"rerun", printable(result.rerun)},
          {"standing", name_of(result.standing)},
          {"because", printable(result.because)},
          {"budget_before", result.budget_before ? number(*result.budget_before) : Json()},
          {"taps", std::move(taps)}};
}

PathResult result_of(const Json& json) {
  PathResult result;
  result.engine = json.at("engine").get<std::string>();
  result.golden = json.at("golden").get<std::string>();
  result.variant = json.at("variant").get<std::string>();
  result.case_name = json.at("case").get<std::string>();
  result.path = json.at("path").get<std::string>();
  result.verdict = verdict(json.at("verdict"));
  result.note = json.at("note").get<std::string>();
  result.seconds = number(json.at("seconds"));
  result.rerun = json.at("rerun").get<std::string>();
  if (json.contains("standing")) {  // earlier runs have none
    result.standing = standing(json["standing"]);
    result.because = json.at("because").get<std::string>();
    if (const Json& before = json.at("budget_before"); !before.is_null()) result.budget_before = number(before);
  }
  for (const Json& tap : json.at("taps")) result.taps.push_back(tap_of(tap));
  return result;
}

Json json_of(const Shard& shard) {
  Json about = Json::object();
  for (const auto& [name, value] : shard.about) about[name] = value;
  const Demands& demands = shard.demands;
  return {{"index", shard.index},
          {"of", shard.of},
          {"about", std::move(about)},
          {"units", shard.units},
          {"demands",
           {{"built_in", demands.built_in},
            {"nothing_left_out", demands.nothing_left_out},
            {"asked", demands.asked},
            {"strict", demands.strict}}}};
}

Shard shard_of(const Json& json) {
  Shard shard{.index = json.at("index").get<int>(),
              .of = json.at("of").get<int>(),
              .about = {},
              .units = json.at("units").get<std::vector<std::string>>(),
              .demands = {}};
  for (const auto& [name, value] : json.at("about").items()) shard.about.emplace_back(name, value.get<std::string>());
  const Json& demands = json.at("demands");
  shard.demands = {.built_in = demands.at("built_in").get<std::vector<std::string>>(),
                   .nothing_left_out = demands.at("nothing_left_out").get<bool>(),
                   .asked = demands.at("asked").get<std::vector<std::string>>(),
                   .strict = demands.at("strict").get<bool>()};
  return shard;
}

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

template <class Read>
auto guarded(std::string_view json, std::string_view where, Read&& read) -> Result<decltype(read(Json()))> {
  try {
    return read(Json::parse(json));
  } catch (const std::exception& error) {
    return fail({Failure::bad_input, std::string(where), "", "a run as assay writes it", error.what()});
  }
}

}  // namespace

std::string to_json(const PathResult& result) { return dump(json_of(result)); }

std::string to_json(const Run& run) {
  const Counts counts = count(run);
  std::string out = "{\"schema\":" + std::to_string(kSchema);
  const auto add = [&](std::string_view key, const Json& value) {
    out += ",\n\"" + std::string(key) + "\":" + dump(value);
  };
  add("version", run.version);
  add("machine", {{"cpu", printable(run.machine.cpu)}, {"cores", run.machine.cores}});
  add("seconds", number(run.seconds));
  add("counts", {{"passed", counts.passed},
                 {"failed", counts.failed},
                 {"unsupported", counts.unsupported},
                 {"no_golden", counts.no_golden},
                 {"known", counts.known},
                 {"as_before", counts.as_before}});
  add("unmet", run.unmet);
  add("expired", run.expired);
  if (run.shard) add("shard", json_of(*run.shard));
  out += ",\n\"results\":[";
  for (const PathResult& result : run.results) out += (out.back() == '[' ? "\n" : ",\n") + to_json(result);
  return out + "]}\n";
}

Result<Run> run_from_json(std::string_view json, std::string_view where) {
  return guarded(json, where, [](const Json& read) {
    if (read.at("schema").get<int>() != kSchema) throw std::invalid_argument("schema " + read.at("schema").dump());
    Run run;
    run.version = read.at("version").get<std::string>();
    run.machine.cpu = read.at("machine").at("cpu").get<std::string>();
    run.machine.cores = read.at("machine").at("cores").get<int>();
    run.seconds = number(read.at("seconds"));
    run.unmet = read.at("unmet").get<std::vector<std::string>>();
    if (read.contains("expired")) run.expired = read["expired"].get<std::vector<std::string>>();
    if (read.contains("shard")) run.shard = shard_of(read["shard"]);
    for (const Json& result : read.at("results")) run.results.push_back(result_of(result));
    return run;
  });
}

Result<PathResult> path_result_from_json(std::string_view json, std::string_view where) {
  return guarded(json, where, [](const Json& read) { return result_of(read); });
}

}  // namespace assay
