#include "reports/bench.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "reports/samples.h"
#include "reports/text.h"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kSchema = 1;

std::string dump(const Json& json, int indent = -1) {
  return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

Json json_of(const MachineFacts& machine) {
  return {{"fingerprint", machine.fingerprint},
          {"cpu", printable(machine.cpu)},
          {"cores", machine.cores},
          {"isa", machine.isa},
          {"governor", machine.governor},
          {"caches", machine.caches},
          {"memory_bytes", machine.memory}};
}

MachineFacts machine_of(const Json& json) {
  MachineFacts machine;
  machine.fingerprint = json.at("fingerprint").get<std::string>();
  machine.cpu = json.at("cpu").get<std::string>();
  machine.cores = json.at("cores").get<int>();
  machine.isa = json.at("isa").get<std::vector<std::string>>();
  machine.governor = json.at("governor").get<std::string>();
  machine.caches = json.at("caches").get<std::map<std::string, std::int64_t>>();
  machine.memory = json.at("memory_bytes").get<std::int64_t>();
  return machine;
}

Json json_of(const Roofs& roofs) {
  Json all = Json::array();
  for (const Roof& roof : roofs.all)
    all.push_back({{"name", roof.name},
                   {"kernel", roof.kernel},
                   {"unit", roof.name == "read" ? "byte" : "flop"},
                   {"amount", roof.amount},
                   {"per_second", roof.per_second()},
                   {"best_per_second", roof.best_per_second()},
                   {"mad_seconds", mad(roof.seconds)},
                   {"seconds", roof.seconds}});
  return {{"threads", roofs.threads}, {"all", std::move(all)}};
}

Roofs roofs_of(const Json& json) {
  Roofs roofs{.threads = json.at("threads").get<int>(), .all = {}};
  for (const Json& roof : json.at("all"))
    roofs.all.push_back({.name = roof.at("name").get<std::string>(),
                         .kernel = roof.at("kernel").get<std::string>(),
                         .amount = roof.at("amount").get<double>(),
                         .seconds = roof.at("seconds").get<std::vector<double>>()});
  return roofs;
}

Json json_of(const Must& must) { return {{"bytes", must.bytes}, {"flops", must.flops}}; }

Must must_of(const Json& json) {
  return {.bytes = json.at("bytes").get<double>(), .flops = json.at("flops").get<std::map<std::string, double>>()};
}

Json json_of(const BenchResult& result, const Roofs& roofs) {
  const double seconds = result.median_seconds();
  const auto per_second = [seconds](double amount) { return seconds > 0 ? amount / seconds : 0; };
  Json ops = Json::array();
  for (const OpShare& op : result.ops) {
    const Bound least = result.bound_by(op, roofs);
    ops.push_back({{"op", op.op},
                   {"seconds", op.seconds},
                   {"calls", op.calls},
                   {"must", json_of(op.must)},
                   {"roof", least.roof},
                   {"roof_share", op.seconds > 0 ? least.seconds / op.seconds : 0}});
  }
  Json json{{"subject", printable(result.subject)},
            {"what", printable(result.what)},
            {"how", printable(result.how)},
            {"units", result.units},
            {"unit", result.unit},
            {"median_seconds", seconds},
            {"mad_seconds", mad(result.seconds)},
            {"units_per_second", result.rate()},
            {"bytes_per_second", per_second(result.must.bytes)},
            {"flops_per_second", per_second(result.must.all_flops())},
            {"roof", result.bound_by(roofs).roof},
            {"roof_share", result.share(roofs)},
            {"must", json_of(result.must)},
            {"times", result.times},
            {"beside", result.beside},
            {"beside_ops", result.beside_ops},
            {"right", nullptr},
            {"rerun", printable(result.rerun)},
            {"note", printable(result.note)},
            {"seconds", result.seconds},
            {"ops", std::move(ops)}};
  if (result.right) json["right"] = *result.right;
  return json;
}

BenchResult result_of(const Json& json) {
  BenchResult result;
  result.subject = json.at("subject").get<std::string>();
  result.what = json.at("what").get<std::string>();
  result.how = json.at("how").get<std::string>();
  result.units = json.at("units").get<double>();
  result.unit = json.at("unit").get<std::string>();
  result.must = must_of(json.at("must"));
  result.times = json.at("times").get<std::map<std::string, double>>();
  result.beside = json.at("beside").get<std::map<std::string, double>>();
  result.beside_ops = json.at("beside_ops").get<std::map<std::string, double>>();
  if (!json.at("right").is_null()) result.right = json.at("right").get<bool>();
  result.rerun = json.at("rerun").get<std::string>();
  result.note = json.at("note").get<std::string>();
  result.seconds = json.at("seconds").get<std::vector<double>>();
  for (const Json& op : json.at("ops"))
    result.ops.push_back({.op = op.at("op").get<std::string>(),
                          .seconds = op.at("seconds").get<double>(),
                          .calls = op.at("calls").get<std::int64_t>(),
                          .must = must_of(op.at("must"))});
  return result;
}

}  // namespace

double Roof::per_second() const {
  const double time = median(seconds);
  return time > 0 ? amount / time : 0;
}

double Roof::best_per_second() const {
  const double time = seconds.empty() ? 0 : *std::min_element(seconds.begin(), seconds.end());
  return time > 0 ? amount / time : 0;
}

const Roof* Roofs::find(std::string_view name) const {
  for (const Roof& roof : all)
    if (roof.name == name) return &roof;
  return nullptr;
}

std::map<std::string, double> Roofs::rates() const {
  std::map<std::string, double> rates;
  for (const Roof& roof : all) rates[roof.name] = roof.per_second();
  return rates;
}

Must& Must::operator+=(const Must& other) {
  bytes += other.bytes;
  for (const auto& [roof, count] : other.flops) flops[roof] += count;
  return *this;
}

double Must::all_flops() const {
  double sum = 0;
  for (const auto& [roof, count] : flops) sum += count;
  return sum;
}

Bound bound(const Must& must, const std::map<std::string, double>& rates) {
  const auto seconds = [&](const std::string& name, double amount) {
    const auto rate = rates.find(name);
    return rate != rates.end() && rate->second > 0 ? amount / rate->second : 0;
  };
  Bound most{.seconds = seconds("read", must.bytes), .roof = "read"};
  double arithmetic = 0, largest = 0;
  std::string widest;
  for (const auto& [name, count] : must.flops) {
    const double part = seconds(name, count);
    arithmetic += part;
    if (part > largest) largest = part, widest = name;
  }
  if (arithmetic > most.seconds) most = {.seconds = arithmetic, .roof = widest};
  if (most.seconds == 0) most.roof.clear();
  return most;
}

double BenchResult::median_seconds() const { return median(seconds); }

double BenchResult::rate() const {
  const double time = median_seconds();
  return time > 0 ? units / time : 0;
}

Bound BenchResult::bound_by(const Roofs& roofs) const {
  Must counted = must;
  if (how == "warm") counted.bytes = 0;
  return bound(counted, beside.empty() ? roofs.rates() : beside);
}

Bound BenchResult::bound_by(const OpShare& op, const Roofs& roofs) const {
  return bound(op.must, beside_ops.empty() ? roofs.rates() : beside_ops);
}

double BenchResult::share(const Roofs& roofs) const {
  const double time = median_seconds();
  return time > 0 ? bound_by(roofs).seconds / time : 0;
}

std::string to_json(const MachineFacts& machine) { return dump(json_of(machine)); }
std::string to_json(const Roofs& roofs) { return dump(json_of(roofs)); }

std::string to_json(const BenchRun& run) {
  std::string out = "{\"schema\":" + std::to_string(kSchema);
  const auto add = [&](std::string_view key, const Json& value) {
    out += ",\n\"" + std::string(key) + "\":" + dump(value);
  };
  add("version", printable(run.version));
  add("command", printable(run.command));
  add("model", printable(run.model));
  add("machine", json_of(run.machine));
  add("roofs", json_of(run.roofs));
  add("facts", run.facts);
  out += ",\n\"results\":[";
  for (const BenchResult& result : run.results)
    out += (out.back() == '[' ? "\n" : ",\n") + dump(json_of(result, run.roofs));
  return out + "]}\n";
}

Result<BenchRun> bench_run_from_json(std::string_view text, std::string_view where) {
  try {
    const Json json = Json::parse(text);
    if (json.at("schema").get<int>() != kSchema) throw std::invalid_argument("schema " + json.at("schema").dump());
    BenchRun run;
    run.version = json.at("version").get<std::string>();
    run.command = json.at("command").get<std::string>();
    run.model = json.at("model").get<std::string>();
    run.machine = machine_of(json.at("machine"));
    run.roofs = roofs_of(json.at("roofs"));
    run.facts = json.at("facts").get<std::map<std::string, double>>();
    for (const Json& result : json.at("results")) run.results.push_back(result_of(result));
    return run;
  } catch (const std::exception& error) {
    return fail({Failure::bad_input, std::string(where), "", "a bench run as assay writes it", error.what()});
  }
}

std::string short_number(double value) {
  constexpr const char* kUnits[] = {"", " k", " M", " G", " T", " P"};
  std::size_t unit = 0;
  while (std::fabs(value) >= 999.5 && unit + 1 < std::size(kUnits)) value /= 1000, ++unit;
  const double magnitude = std::fabs(value);
  const int digits = unit == 0 && value == std::round(value) ? 0 : magnitude >= 99.95 ? 0 : magnitude >= 9.995 ? 1 : 2;
  return fmt::format("{:.{}f}{}", value, digits, kUnits[unit]);
}

}  // namespace assay
