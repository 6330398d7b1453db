#include "model/generation_config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include <nlohmann/json.hpp>

#include "base/files.h"
#include "json_check.h"
#include "model/gguf/gguf_tokens.h"

namespace assay {
namespace fs = std::filesystem;
namespace {

using nlohmann::json;

constexpr std::size_t kLargestFile = std::size_t{16} << 20;
constexpr std::int64_t kLargestId = std::int64_t{1} << 31;  // ids are table rows: far beyond any vocabulary
constexpr std::size_t kMostIds = std::size_t{1} << 20;

/// The keys of one object. The first that is wrong is kept, later ones answer with their fallback.
class Reader {
 public:
  Reader(const json& object, const std::string& where) : object_(object), where_(where) {}

  bool has(const char* key) const { return object_.contains(key) && !object_[key].is_null(); }
  const json& operator[](const char* key) const { return object_[key]; }

  bool flag(const char* key, bool fallback) {
    if (!has(key)) return fallback;
    if (!object_[key].is_boolean()) return refuse(key, "true or false"), fallback;
    return object_[key].get<bool>();
  }
  /// A number in (low, high], or [low, high] where `closed`.
  double real(const char* key, double fallback, double low, double high, bool closed, const char* expected) {
    if (!has(key)) return fallback;
    const double value = object_[key].is_number() ? object_[key].get<double>() : std::nan("");
    if (!(closed ? value >= low : value > low) || value > high) return refuse(key, expected), fallback;
    return value;
  }
  std::optional<int> integer(const char* key, int low) {
    if (!has(key)) return std::nullopt;
    const json& value = object_[key];
    if (!value.is_number_integer() || !fits(value, low, std::numeric_limits<int>::max()))
      return refuse(key, "an integer of at least " + std::to_string(low)), std::nullopt;
    return value.get<int>();
  }
  std::optional<std::int64_t> id(const char* key) {
    if (!has(key)) return std::nullopt;
    if (!is_id(object_[key])) return refuse(key, "a token id"), std::nullopt;
    return object_[key].get<std::int64_t>();
  }
  /// One id or a list of them.
  std::vector<std::int64_t> ids(const char* key) {
    if (!has(key)) return {};
    const json& value = object_[key];
    if (is_id(value)) return {value.get<std::int64_t>()};
    std::vector<std::int64_t> all;
    if (!value.is_array() || value.size() > kMostIds) return refuse(key, "a token id or a list of token ids"), all;
    for (const json& item : value) {
      if (!is_id(item)) return refuse(key, "a token id or a list of token ids"), all;
      all.push_back(item.get<std::int64_t>());
    }
    return all;
  }

  std::optional<Failure> failure;

 private:
  static bool fits(const json& value, std::int64_t low, std::int64_t high) {
    if (value.is_number_unsigned() && value.get<std::uint64_t>() > std::uint64_t(high)) return false;
    return value.get<std::int64_t>() >= low && value.get<std::int64_t>() <= high;
  }
  static bool is_id(const json& value) { return value.is_number_integer() && fits(value, 0, kLargestId); }

  void refuse(const char* key, std::string expected) {
    if (failure) return;
    std::string found = object_[key].dump(-1, ' ', true, json::error_handler_t::replace);
    if (found.size() > 80) found.replace(77, std::string::npos, "...");
    failure = Failure{Failure::bad_input, where_, key, std::move(expected), std::move(found)};
  }

  const json& object_;
  const std::string& where_;
};

/// A key that _get_logits_processor turns into a processor (or generate into another way of searching) when its value
/// is not `off`.
struct Unapplied {
  const char* key;
  json off;
};
const std::array<Unapplied, 19>& unapplied() {
  static const std::array<Unapplied, 19> all = {{{"begin_suppress_tokens", nullptr},
                                                 {"bad_words_ids", nullptr},
                                                 {"epsilon_cutoff", 0.0},
                                                 {"eta_cutoff", 0.0},
                                                 {"exponential_decay_length_penalty", nullptr},
                                                 {"forced_bos_token_id", nullptr},
                                                 {"forced_eos_token_id", nullptr},
                                                 {"guidance_scale", 1.0},
                                                 {"min_length", 0},
                                                 {"min_new_tokens", 0},
                                                 {"min_p", nullptr},
                                                 {"no_repeat_ngram_size", 0},
                                                 {"num_beams", 1},
                                                 {"repetition_penalty", 1.0},
                                                 {"sequence_bias", nullptr},
                                                 {"stop_strings", nullptr},
                                                 {"top_h", nullptr},
                                                 {"typical_p", 1.0},
                                                 {"watermarking_config", nullptr}}};
  return all;
}

Result<json> object_of(std::string_view text, const std::string& where) {
  ASSAY_CHECK(check_json_object(text, where));
  json object = json::parse(text, nullptr, false);
  if (!object.is_object()) return fail({Failure::bad_input, where, "", "a JSON object", ""});
  return object;
}

/// What transformers takes from config.json where a checkpoint has no generation_config.json.
Result<GenerationConfig> from_config(const fs::path& path) {
  const std::string where = path.string();
  GenerationConfig config;
  config.stop_ids = {1};
  config.bos_id = 2;
  config.pad_id = 0;
  std::error_code error;
  if (!fs::exists(path, error)) return config;
  ASSAY_TRY(text, read_file(path, kLargestFile));
  ASSAY_TRY(object, object_of(text, where));
  const json empty = json::object();
  const json& inner =
      object.contains("text_config") && object["text_config"].is_object() ? object["text_config"] : empty;
  for (const json* level : {&inner, static_cast<const json*>(&object)}) {  // the outer one has the last word
    Reader keys(*level, where);
    if (keys.has("eos_token_id")) config.stop_ids = keys.ids("eos_token_id");
    if (keys.has("bos_token_id")) config.bos_id = keys.id("bos_token_id");
    if (keys.has("pad_token_id")) config.pad_id = keys.id("pad_token_id");
    if (keys.failure) return fail(std::move(*keys.failure));
  }
  return config;
}

}  // namespace

namespace {

/// Gemma 4 ends a turn, or waits for a tool, with these; converters name <eos> alone.
constexpr std::string_view kAlsoStop[] = {"<turn|>", "<|tool_response>"};

/// Samplers of llama.cpp that are not here, and the number at which each is off.
constexpr std::pair<const char*, double> kUnappliedOfGguf[] = {{"general.sampling.min_p", 0},
                                                               {"general.sampling.mirostat", 0},
                                                               {"general.sampling.penalty_repeat", 1},
                                                               {"general.sampling.xtc_probability", 0}};

Result<GenerationConfig> from_gguf(const fs::path& path) {
  ASSAY_TRY(file, Gguf::open(path));
  GenerationConfig config;
  if (file.find("tokenizer.ggml.tokens") == nullptr) return from_config({});
  ASSAY_TRY(tokens, read_gguf_tokens(file));
  for (const char* name : {"eos", "eot", "eom"})
    if (const auto id = tokens.named.find(name); id != tokens.named.end()) config.stop_ids.push_back(id->second);
  for (const std::string_view text : kAlsoStop)
    if (const auto found = std::find(tokens.texts.begin(), tokens.texts.end(), text); found != tokens.texts.end())
      config.stop_ids.push_back(found - tokens.texts.begin());
  std::sort(config.stop_ids.begin(), config.stop_ids.end());
  config.stop_ids.erase(std::unique(config.stop_ids.begin(), config.stop_ids.end()), config.stop_ids.end());
  if (const auto id = tokens.named.find("bos"); id != tokens.named.end()) config.bos_id = id->second;
  if (const auto id = tokens.named.find("padding"); id != tokens.named.end()) config.pad_id = id->second;
  const auto refuse = [&](const char* key, const std::string& expected, std::string found) {
    return fail({Failure::bad_input, file.where(), key, expected, std::move(found)});
  };
  const auto real = [&](const char* key, double most, const char* expected, double& into) -> Result<bool> {
    const GgufValue* value = file.find(key);
    if (value == nullptr) return false;
    const auto found = value->real();
    if (!found || !(*found >= 0 && *found <= most))
      return refuse(key, expected, found ? std::to_string(*found) : value->what());
    into = *found;
    return true;
  };
  ASSAY_TRY(has_temperature, real("general.sampling.temp", std::numeric_limits<float>::max(), "a number of at least 0",
                                  config.temperature));
  ASSAY_TRY(has_top_p, real("general.sampling.top_p", 1, "0 to 1", config.top_p));
  constexpr const char* kTopK = "general.sampling.top_k";
  const GgufValue* top_k = file.find(kTopK);
  if (top_k != nullptr) {
    const auto found = top_k->integer();
    if (!found || *found < 0 || *found > std::numeric_limits<int>::max())
      return refuse(kTopK, "an integer of at least 0", found ? std::to_string(*found) : top_k->what());
    config.top_k = int(*found);
  }
  constexpr const char* kSuppressed = "tokenizer.ggml.suppress_tokens";
  if (const GgufValue* listed = file.find(kSuppressed)) {
    auto ids = listed->element == GgufType::boolean ? std::nullopt : listed->integers();
    if (!ids) return refuse(kSuppressed, "a list of token ids", listed->what());
    config.suppress_ids = std::move(*ids);  // those outside the vocabulary suppress nothing
  }
  for (const auto& [key, off] : kUnappliedOfGguf) {
    const GgufValue* value = file.find(key);
    if (value != nullptr && value->real() != off && value->integer() != std::int64_t(off))
      config.unapplied.emplace_back(key);
  }
  config.do_sample = (has_temperature || has_top_p || top_k != nullptr) && config.temperature > 0;
  if (config.temperature == 0) config.temperature = 1;  // greedy
  return config;
}

}  // namespace

Result<GenerationConfig> parse_generation_config(std::string_view text, const std::string& where) {
  ASSAY_TRY(object, object_of(text, where));
  Reader keys(object, where);
  GenerationConfig config;
  config.do_sample = keys.flag("do_sample", false);
  config.temperature = keys.real("temperature", 1.0, 0, std::numeric_limits<double>::max(), false, "a number above 0");
  config.top_k = keys.integer("top_k", 0).value_or(50);
  config.top_p = keys.real("top_p", 1.0, 0, 1, true, "0 to 1");
  config.stop_ids = keys.ids("eos_token_id");
  config.suppress_ids = keys.ids("suppress_tokens");
  config.bos_id = keys.id("bos_token_id");
  config.pad_id = keys.id("pad_token_id");
  config.max_new_tokens = keys.integer("max_new_tokens", 1);
  config.max_length = keys.integer("max_length", 1);
  config.assistant_tokens = keys.integer("num_assistant_tokens", 1);
  if (keys.failure) return fail(std::move(*keys.failure));
  for (const auto& [key, off] : unapplied())
    if (keys.has(key) && keys[key] != off) config.unapplied.emplace_back(key);
  return config;
}

Result<GenerationConfig> read_generation_config(const fs::path& checkpoint) {
  const fs::path path = checkpoint / "generation_config.json";
  std::error_code error;
  if (fs::is_regular_file(checkpoint, error)) return from_gguf(checkpoint);
  if (!fs::exists(path, error)) return from_config(checkpoint / "config.json");
  ASSAY_TRY(text, read_file(path, kLargestFile));
  return parse_generation_config(text, path.string());
}

}  // namespace assay
