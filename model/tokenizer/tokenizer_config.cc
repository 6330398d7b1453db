#include "tokenizer_config.h"

#include <algorithm>
#include <array>

#include <nlohmann/json.hpp>

#include "../json_check.h"
#include "base/files.h"

namespace assay {
namespace {

using nlohmann::ordered_json;  // the order of keys decides the ids of tokens that are new

constexpr std::size_t kConfigLimit = 16U << 20U;
constexpr std::array kNames = {"bos_token", "eos_token", "unk_token", "sep_token",
                               "pad_token", "cls_token", "mask_token"};

bool is_standard(const std::string& name) { return std::find(kNames.begin(), kNames.end(), name) != kNames.end(); }

class Reader {
 public:
  Reader(const ordered_json& file, const std::string& where) : file_(file), where_(where) {}

  Result<void> read(TokenizerConfig& out) const {
    if (const auto found = file_.find("tokenizer_class"); found != file_.end() && found->is_string())
      out.tokenizer_class = found->get<std::string>();
    ASSAY_TRY(split, flag("split_special_tokens"));
    if (split) return refuse(Failure::unsupported, "split_special_tokens", "false", "true");
    ASSAY_TRY(bos, flag("add_bos_token"));
    ASSAY_TRY(eos, flag("add_eos_token"));
    out.add_bos = bos;
    out.add_eos = eos;
    ASSAY_CHECK(added(out));
    return names(out);
  }

  /// What special_tokens_map.json says goes over the configuration.
  Result<void> read_map(TokenizerConfig& out) const {
    for (const auto& [name, value] : file_.items()) {
      if (name == "additional_special_tokens" || name == "extra_special_tokens") {
        ASSAY_TRY(list, tokens(value, name));
        if (!out.extra) out.extra = std::move(list);
        continue;
      }
      if (value.is_null()) continue;
      ASSAY_TRY(token, special(value, name));
      const auto known = std::find_if(out.named.begin(), out.named.end(),
                                      [&name = name](const auto& one) { return one.first == name; });
      if (known != out.named.end())
        known->second = std::move(token);
      else
        out.named.emplace_back(name, std::move(token));
    }
    return {};
  }

 private:
  tl::unexpected<Failure> refuse(Failure::Kind kind, std::string field, std::string expected, std::string found) const {
    return fail({kind, where_, std::move(field), std::move(expected), std::move(found)});
  }
  Result<bool> flag(const char* name) const {
    const auto found = file_.find(name);
    if (found == file_.end() || found->is_null()) return false;
    if (!found->is_boolean()) return refuse(Failure::bad_input, name, "true or false", found->type_name());
    return found->get<bool>();
  }

  /// {"content": ..., "lstrip": ..., ...}
  Result<AddedToken> object(const ordered_json& value, const std::string& field) const {
    const auto content = value.find("content");
    if (content == value.end() || !content->is_string())
      return refuse(Failure::bad_input, field + ".content", "a string", "none");
    AddedToken token{content->get<std::string>()};
    std::optional<bool> normalized;
    for (const char* name : {"single_word", "lstrip", "rstrip", "normalized", "special"}) {
      const auto found = value.find(name);
      if (found == value.end()) continue;
      if (!found->is_boolean())
        return refuse(Failure::bad_input, field + '.' + name, "true or false", found->type_name());
      const bool on = found->get<bool>();
      const std::string_view key = name;
      if (key == "single_word" && on) return refuse(Failure::unsupported, field + ".single_word", "false", "true");
      if (key == "lstrip") token.lstrip = on;
      if (key == "rstrip") token.rstrip = on;
      if (key == "special") token.special = on;
      if (key == "normalized") normalized = on;
    }
    token.normalized = normalized.value_or(!token.special);
    return token;
  }
  /// A token's text, which makes it special, or an object.
  Result<AddedToken> special(const ordered_json& value, const std::string& field) const {
    if (value.is_string()) return AddedToken{value.get<std::string>(), false, false, false, true};
    if (value.is_object()) return object(value, field);
    return refuse(Failure::bad_input, field, "a token", value.type_name());
  }
  Result<std::vector<AddedToken>> tokens(const ordered_json& list, const std::string& field) const {
    std::vector<AddedToken> found;
    for (const ordered_json& value : list) {
      ASSAY_TRY(token, special(value, field + '[' + std::to_string(found.size()) + ']'));
      found.push_back(std::move(token));
    }
    return found;
  }

  Result<void> added(TokenizerConfig& out) const {
    const auto found = file_.find("added_tokens_decoder");
    if (found == file_.end()) return {};
    if (!found->is_object()) return refuse(Failure::bad_input, "added_tokens_decoder", "an object", found->type_name());
    out.added.emplace();
    for (const auto& [name, value] : found->items()) {
      const std::string field = "added_tokens_decoder[\"" + name.substr(0, 20) + "\"]";
      if (name.empty() || name.size() > 9 || name.find_first_not_of("0123456789") != std::string::npos)
        return refuse(Failure::bad_input, field, "an id below 10^9", "another key");
      if (!value.is_object()) return refuse(Failure::bad_input, field, "an object", value.type_name());
      ASSAY_TRY(token, object(value, field));
      (*out.added)[std::uint32_t(std::stoul(name))] = std::move(token);
    }
    return {};
  }

  Result<void> names(TokenizerConfig& out) const {
    for (const char* name : kNames)
      if (const auto found = file_.find(name); found != file_.end()) {
        std::optional<AddedToken> token;
        if (!found->is_null()) {
          ASSAY_TRY(given, special(*found, name));
          token = std::move(given);
        }
        out.named.emplace_back(name, std::move(token));
      }
    // The model's own: top-level keys first; those of an extra_special_tokens object; else the object of that name.
    std::vector<std::pair<std::string, AddedToken>> own;
    for (const auto& [name, value] : file_.items())
      if (!is_standard(name) && name.ends_with("_token") && (value.is_string() || value.is_object())) {
        ASSAY_TRY(token, special(value, name));
        own.emplace_back(name, std::move(token));
      }
    const char* list = truthy("extra_special_tokens") || !file_.contains("additional_special_tokens")
                           ? "extra_special_tokens"
                           : "additional_special_tokens";
    if (const auto extra = file_.find(list); extra != file_.end() && !extra->is_null()) {
      if (extra->is_object()) {
        for (const auto& [name, value] : extra->items()) {
          ASSAY_TRY(token, special(value, "extra_special_tokens." + name));
          own.emplace_back(name, std::move(token));
        }
      } else if (extra->is_array()) {
        ASSAY_TRY(tokens_found, tokens(*extra, list));
        out.extra = std::move(tokens_found);
      } else {
        return refuse(Failure::bad_input, list, "an array or an object", extra->type_name());
      }
    }
    if (const auto model = file_.find("model_specific_special_tokens");
        own.empty() && model != file_.end() && model->is_object())
      for (const auto& [name, value] : model->items()) {
        ASSAY_TRY(token, special(value, "model_specific_special_tokens." + name));
        own.emplace_back(name, std::move(token));
      }
    for (auto& [name, token] : own) out.named.emplace_back(name, std::move(token));
    return {};
  }
  bool truthy(const char* name) const {
    const auto found = file_.find(name);
    return found != file_.end() && !found->is_null() && !found->empty();
  }

  const ordered_json& file_;
  const std::string& where_;
};

}  // namespace

bool TokenizerConfig::has(const std::string& name) const {
  return std::any_of(named.begin(), named.end(), [&](const auto& one) { return one.first == name; });
}

std::optional<std::string> TokenizerConfig::text(const std::string& name) const {
  for (const auto& [key, token] : named)
    if (key == name && token) return token->content;
  return std::nullopt;
}

Result<TokenizerConfig> parse_tokenizer_config(std::string_view text, const std::string& where) {
  ASSAY_CHECK(check_json_object(text, where));
  TokenizerConfig config;
  ASSAY_CHECK(Reader(ordered_json::parse(text), where).read(config));
  return config;
}

Result<TokenizerConfig> read_tokenizer_config(const std::filesystem::path& directory) {
  TokenizerConfig config;
  std::error_code ignored;
  const auto path = directory / "tokenizer_config.json";
  if (std::filesystem::exists(path, ignored)) {
    ASSAY_TRY(text, read_file(path, kConfigLimit));
    ASSAY_TRY(parsed, parse_tokenizer_config(text, path.string()));
    config = std::move(parsed);
  }
  const auto map = directory / "special_tokens_map.json";
  if (!config.added && std::filesystem::exists(map, ignored)) {
    ASSAY_TRY(text, read_file(map, kConfigLimit));
    const std::string where = map.string();
    ASSAY_CHECK(check_json_object(text, where));
    ASSAY_CHECK(Reader(ordered_json::parse(text), where).read_map(config));
  }
  return config;
}

}  // namespace assay
