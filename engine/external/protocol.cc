#include "engine/external/protocol.h"

#include <cmath>
#include <optional>

#include <nlohmann/json.hpp>

#include "model/json_check.h"

namespace assay::external {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMostShown = 200, kMostNames = 10000;

/// Paths and names may hold bytes that are no UTF-8; a line never may.
std::string line_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

Json request(std::int64_t id, const char* verb) { return {{"id", id}, {"verb", verb}}; }

std::string_view name_of(Cache cache) {
  return cache == Cache::none ? "none" : cache == Cache::fresh ? "fresh" : "extend";
}

std::string brief(std::string_view text) {
  std::string shown(text.substr(0, kMostShown));
  for (char& c : shown)
    if (static_cast<unsigned char>(c) < ' ') c = '?';
  return text.size() > kMostShown ? shown + "..." : shown;
}

Json with_call(Json json, const ForwardFields& fields, const Files& files) {
  json["session"] = fields.session;
  json["inputs"] = files.inputs;
  json["outputs"] = files.outputs;
  json["cache"] = name_of(fields.cache);
  return json;
}

/// Reads fields of hello's answer; the first that is wrong stays.
class Fields {
 public:
  Fields(const Json& json, std::string where) : json_(json), where_(std::move(where)) {}

  void text(const char* key, std::string& into, bool required) {
    const auto at = json_.find(key);
    if (at == json_.end() && !required) return;
    if (at == json_.end() || !at->is_string() || at->get_ref<const std::string&>().empty()) return wrong(key, "a text");
    into = at->get<std::string>();
  }
  void flag(const char* key, bool& into) {
    const auto at = json_.find(key);
    if (at == json_.end()) return;
    if (!at->is_boolean()) return wrong(key, "true or false");
    into = at->get<bool>();
  }
  void texts(const char* key, std::vector<std::string>& into) {
    const auto at = json_.find(key);
    if (at == json_.end()) return;
    if (!at->is_array() || at->size() > kMostNames) return wrong(key, "a list of texts");
    for (const Json& one : *at) {
      if (!one.is_string()) return wrong(key, "a list of texts");
      into.push_back(one.get<std::string>());
    }
  }
  void logits(LogitRows& into) {
    std::string name;
    text("logits", name, false);
    if (name == "last")
      into = LogitRows::last;
    else if (name == "none")
      into = LogitRows::none;
    else if (!name.empty() && name != "all")
      wrong("logits", "all, last or none");
  }
  const Json& json() const { return json_; }
  void wrong(const std::string& key, std::string expected) {
    if (error) return;
    const auto at = json_.find(key);
    error = Failure{Failure::internal, where_, key, std::move(expected),
                    at == json_.end() ? "nothing" : brief(line_of(*at))};
  }

  std::optional<Failure> error;

 private:
  const Json& json_;
  std::string where_;
};

/// An engine's name goes into reports, file names and commands.
bool is_name(std::string_view name) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.+=";
  return !name.empty() && name.size() <= 100 && name.find_first_not_of(kAllowed) == std::string_view::npos;
}

}  // namespace

std::string hello_line(std::int64_t id, const std::string& folder) {
  Json json = request(id, "hello");
  json["protocol"] = kProtocol;
  json["folder"] = folder;
  return line_of(json);
}

std::string open_line(std::int64_t id, const std::string& checkpoint) {
  Json json = request(id, "open");
  json["checkpoint"] = checkpoint;
  return line_of(json);
}

std::string close_line(std::int64_t id, std::int64_t session) {
  Json json = request(id, "close");
  json["session"] = session;
  return line_of(json);
}

std::string bye_line(std::int64_t id) { return line_of(request(id, "bye")); }

std::string forward_line(std::int64_t id, const ForwardFields& fields, const Files& files) {
  Json json = with_call(request(id, "forward"), fields, files);
  json["logit_rows"] = fields.logit_rows;
  json["taps"] = fields.taps;
  if (fields.target >= 0) json["target"] = fields.target;
  return line_of(json);
}

std::string generate_line(std::int64_t id, const ForwardFields& fields, int tokens, const Files& files) {
  Json json = with_call(request(id, "generate"), fields, files);
  json["tokens"] = tokens;
  return line_of(json);
}

std::string step_line(std::int64_t id, std::int64_t session, const std::string& tap, const Files& files) {
  Json json = request(id, "step");
  json["session"] = session;
  json["inputs"] = files.inputs;
  json["outputs"] = files.outputs;
  json["tap"] = tap;
  return line_of(json);
}

std::string truncate_line(std::int64_t id, std::int64_t session, std::span<const int> keep) {
  Json json = request(id, "truncate");
  json["session"] = session;
  json["keep"] = Json::array();
  for (const int tokens : keep) json["keep"].push_back(tokens);
  return line_of(json);
}

std::string cached_kv_line(std::int64_t id, std::int64_t session, int layer, const Files& files) {
  Json json = request(id, "cached_kv");
  json["session"] = session;
  json["outputs"] = files.outputs;
  json["layer"] = layer;
  return line_of(json);
}

std::string embed_line(std::int64_t id, std::int64_t session, const Files& files) {
  Json json = request(id, "embed");
  json["session"] = session;
  json["inputs"] = files.inputs;
  json["outputs"] = files.outputs;
  return line_of(json);
}

Result<void> check_answer(std::string_view line, std::int64_t id, const std::string& where, std::string_view verb,
                          bool& broken) {
  const auto wrong = [&](std::string expected, std::string found) {
    broken = true;
    return fail({Failure::internal, where, std::string(verb), std::move(expected), std::move(found)});
  };
  if (!check_json_object(line, "")) return wrong("a line of JSON that is an object", brief(line));
  const Json json = Json::parse(line, nullptr, false);
  const auto answered = json.find("id");
  if (answered == json.end() || !answered->is_number_integer() || answered->get<std::int64_t>() != id)
    return wrong("an answer to request " + std::to_string(id),
                 answered == json.end() ? "one without an id" : "one to " + brief(line_of(*answered)));
  const auto error = json.find("error");
  if (error == json.end()) return {};
  if (!error->is_object()) return wrong("an error that is an object", brief(line_of(*error)));
  const auto text = [&](const char* key) {
    const auto at = error->find(key);
    return at != error->end() && at->is_string() ? at->get<std::string>() : std::string();
  };
  const bool unsupported = text("kind") == "unsupported";
  return fail({unsupported ? Failure::unsupported : Failure::internal, where, std::string(verb), "",
               "the engine's error: " + brief(text("message").empty() ? "(no message)" : text("message"))});
}

Result<Declared> read_hello(std::string_view line, const std::string& where) {
  const Json json = Json::parse(line, nullptr, false);
  Fields fields(json, where + ": hello");
  Declared declared;
  Capabilities& can = declared.can;
  const auto protocol = json.find("protocol");
  if (protocol == json.end() || *protocol != kProtocol) fields.wrong("protocol", std::to_string(kProtocol));
  fields.text("name", can.name, true);
  if (!fields.error && !is_name(can.name)) fields.wrong("name", "at most 100 letters, digits and - _ . + =");
  fields.text("version", can.version, false);
  can.arithmetic = "fp32";
  fields.text("arithmetic", can.arithmetic, false);
  fields.texts("taps", can.taps);
  fields.flag("cache", can.cache);
  fields.flag("batch", can.batch);
  fields.flag("step", can.step);
  fields.flag("generate", can.generate);
  fields.flag("gguf", declared.gguf);
  fields.texts("dtypes", declared.dtypes);
  fields.logits(can.logits);
  if (const auto variants = json.find("variants"); variants != json.end()) {
    if (!variants->is_object()) fields.wrong("variants", "an object");
    for (const auto& [name, entry] : variants->items()) {
      if (!entry.is_object()) {
        fields.wrong("variants", "objects in it");
        break;
      }
      Fields inner(entry, where + ": hello: variants." + brief(name));
      VariantSupport support{.variant = name, .dtypes = declared.dtypes, .logits = can.logits};
      if (entry.contains("dtypes")) support.dtypes.clear();
      inner.texts("dtypes", support.dtypes);
      inner.logits(support.logits);
      if (inner.error) return fail(std::move(*inner.error));
      can.variants.push_back(std::move(support));
    }
  }
  if (fields.error) return fail(std::move(*fields.error));
  return declared;
}

Result<std::int64_t> read_session(std::string_view line, const std::string& where) {
  const Json json = Json::parse(line, nullptr, false);
  const auto session = json.find("session");
  if (session == json.end() || !session->is_number_integer() || session->get<std::int64_t>() < 0)
    return fail({Failure::internal, where, "open: session", "a number from 0 on",
                 session == json.end() ? "nothing" : brief(line_of(*session))});
  return session->get<std::int64_t>();
}

double read_seconds(std::string_view line) {
  const Json json = Json::parse(line, nullptr, false);
  const auto seconds = json.find("seconds");
  if (seconds == json.end() || !seconds->is_number()) return 0;
  const double value = seconds->get<double>();
  return std::isfinite(value) && value > 0 ? value : 0;
}

}  // namespace assay::external
