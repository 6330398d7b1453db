#include "model/chat/chat_template.h"

#include <array>
#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

#include "../json_check.h"
#include "base/files.h"
#include "base/sha256.h"
#include "gemma4.h"
#include "jinja_child.h"
#include "model/gguf/gguf_tokens.h"
#include "value.h"

namespace assay {
namespace fs = std::filesystem;
namespace {

using nlohmann::json;

constexpr std::size_t kLargestTemplate = std::size_t{1} << 20;
constexpr std::size_t kLargestConfig = std::size_t{64} << 20;  // a tokenizer_config.json may list every added token
constexpr std::size_t kLargestConversation = std::size_t{64} << 20;

/// Python reads text files with each line end as one "\n".
std::string one_line_end(std::string_view text) {
  std::string made;
  made.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\r' && i + 1 < text.size() && text[i + 1] == '\n') continue;
    made += text[i] == '\r' ? '\n' : text[i];
  }
  return made;
}

std::string hash_of(std::string_view text) { return sha256_hex(std::as_bytes(std::span(text.data(), text.size()))); }

/// Jinja drops one line end at the end of a template: with and without it, it is the same.
std::optional<Gemma4Dialect> dialect_of(const std::string& text) {
  if (auto known = gemma4_dialect(hash_of(text))) return known;
  return gemma4_dialect(hash_of(text + "\n"));
}

struct Config {
  std::string where;
  json object = json::object();
};

/// An empty object where there is no such file.
Result<Config> read_config(const fs::path& path) {
  std::error_code error;
  Config config{path.string()};
  if (!fs::exists(path, error)) return config;
  ASSAY_TRY(text, read_file(path, kLargestConfig));
  ASSAY_CHECK(check_json_object(text, config.where));
  config.object = json::parse(text, nullptr, false);
  return config;
}

/// The chat_template of a config: a text, or the one named default of a list of {name, template} or an object of names.
Result<std::optional<std::string>> template_in(const Config& config) {
  const auto found = config.object.find("chat_template");
  if (found == config.object.end() || found->is_null()) return std::optional<std::string>();
  const json* value = &*found;
  if (value->is_array()) {
    for (const json& one : *found)
      if (one.is_object() && one.value("name", json()) == "default" && one.contains("template"))
        value = &one["template"];
  } else if (value->is_object() && value->contains("default")) {
    value = &(*found)["default"];
  }
  if (!value->is_string())
    return fail({Failure::bad_input, config.where, "chat_template", "a text, or texts of which one is named default",
                 std::string(value->type_name())});
  return std::optional<std::string>(value->get<std::string>());
}

/// bos_token, eos_token... as a template sees them; GemmaTokenizer's own where the config has none.
std::map<std::string, std::string> special_tokens(const Config& config) {
  std::map<std::string, std::string> tokens = {
      {"bos_token", "<bos>"}, {"eos_token", "<eos>"}, {"unk_token", "<unk>"}, {"pad_token", "<pad>"}};
  const auto take = [&](const json& from) {
    for (const auto& [name, value] : from.items()) {
      if (!name.ends_with("_token")) continue;
      if (value.is_string())
        tokens[name] = value.get<std::string>();
      else if (value.is_object() && value.contains("content") && value["content"].is_string())
        tokens[name] = value["content"].get<std::string>();
      else if (value.is_null())
        tokens.erase(name);
    }
  };
  take(config.object);
  for (const char* key : {"model_specific_special_tokens", "extra_special_tokens"})
    if (config.object.contains(key) && config.object[key].is_object()) take(config.object[key]);
  return tokens;
}

}  // namespace

struct ChatTemplate::Parts {
  std::string text, where;
  std::map<std::string, std::string> tokens;
  std::optional<Gemma4Dialect> dialect;
};

ChatTemplate::ChatTemplate(std::shared_ptr<const Parts> parts) : parts_(std::move(parts)) {}

bool ChatTemplate::built_in() const { return parts_->dialect.has_value(); }

Result<ChatTemplate> ChatTemplate::of(std::string_view text, const std::string& where,
                                      std::map<std::string, std::string> special) {
  if (text.size() > kLargestTemplate)
    return fail({Failure::bad_input, where, "", "at most 1 MiB", std::to_string(text.size()) + " bytes"});
  Parts parts{one_line_end(text), where, std::move(special), std::nullopt};
  parts.dialect = dialect_of(parts.text);
  return ChatTemplate(std::make_shared<const Parts>(std::move(parts)));
}

namespace {

Result<ChatTemplate> open_gguf(const fs::path& path) {
  constexpr std::string_view kKey = "tokenizer.chat_template";
  ASSAY_TRY(file, Gguf::open(path));
  const GgufValue* value = file.find(kKey);
  const auto text = value == nullptr ? std::nullopt : value->text();
  if (!text)
    return fail(
        {Failure::bad_input, path.string(), std::string(kKey), "a string", value == nullptr ? "none" : value->what()});
  ASSAY_TRY(tokens, read_gguf_tokens(file));
  std::map<std::string, std::string> special;
  using Name = std::pair<const char*, const char*>;
  for (const auto& [name, key] : std::array{Name{"bos_token", "bos"}, Name{"eos_token", "eos"},
                                            Name{"unk_token", "unknown"}, Name{"pad_token", "padding"}})
    if (const std::string_view token = tokens.text(key); !token.empty()) special[name] = token;
  return ChatTemplate::of(*text, path.string(), std::move(special));
}

}  // namespace

Result<ChatTemplate> ChatTemplate::open(const fs::path& checkpoint) {
  std::error_code unreadable;
  if (fs::is_regular_file(checkpoint, unreadable)) return open_gguf(checkpoint);
  ASSAY_TRY(tokenizer, read_config(checkpoint / "tokenizer_config.json"));
  std::map<std::string, std::string> tokens = special_tokens(tokenizer);
  const fs::path file = checkpoint / "chat_template.jinja";
  std::error_code error;
  if (fs::exists(file, error)) {
    ASSAY_TRY(text, read_file(file, kLargestTemplate));
    return of(text, file.string(), std::move(tokens));
  }
  for (const char* name : {"chat_template.json", "processor_config.json"}) {
    ASSAY_TRY(config, read_config(checkpoint / name));
    ASSAY_TRY(text, template_in(config));
    if (text) return of(*text, config.where, std::move(tokens));
  }
  ASSAY_TRY(text, template_in(tokenizer));
  if (text) return of(*text, tokenizer.where, std::move(tokens));
  return fail({Failure::bad_input, checkpoint.string(), "chat_template",
               "chat_template.jinja, or a chat_template in tokenizer_config.json", "neither"});
}

Result<std::string> ChatTemplate::render(std::string_view messages_json, std::string_view tools_json,
                                         const ChatOptions& options) const {
  if (messages_json.size() + tools_json.size() > kLargestConversation)
    return fail({Failure::bad_input, "messages", "", "at most 64 MiB", "more"});
  ASSAY_TRY(messages, parse_value(messages_json, "messages"));
  if (messages.kind != Value::list || messages.items.empty())
    return fail({Failure::bad_input, "messages", "", "a list of at least one message",
                 messages.kind == Value::list ? "an empty list" : "something else"});
  for (std::size_t i = 0; i < messages.items.size(); ++i)
    if (messages.items[i].kind != Value::object)
      return fail({Failure::bad_input, "messages", "[" + std::to_string(i) + "]", "an object", "something else"});
  Value tools;
  if (!tools_json.empty()) {
    ASSAY_TRY(read, parse_value(tools_json, "tools"));
    if (read.kind != Value::list && read.kind != Value::none)
      return fail({Failure::bad_input, "tools", "", "a list of tools", "something else"});
    for (std::size_t i = 0; i < read.items.size(); ++i)
      if (read.items[i].kind != Value::object)
        return fail({Failure::bad_input, "tools", "[" + std::to_string(i) + "]", "a JSON schema", "something else"});
    tools = std::move(read);
  }
  if (parts_->dialect) {
    const auto bos = parts_->tokens.find("bos_token");
    ASSAY_TRY(text, render_gemma4(*parts_->dialect, bos == parts_->tokens.end() ? "" : bos->second, messages, tools,
                                  options));
    if (text) return *std::move(text);
  }
  return render_with_jinja({parts_->text, parts_->where, messages_json, tools_json, parts_->tokens, options});
}

}  // namespace assay
