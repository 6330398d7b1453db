#include "model/config.h"

#include <array>
#include <charconv>
#include <climits>
#include <cmath>
#include <map>

#include <nlohmann/json.hpp>

#include "base/files.h"
#include "json_check.h"

namespace assay {
namespace {

using nlohmann::json;

constexpr std::size_t kLargestFile = std::size_t{16} << 20;
// Sizes far beyond any model, small enough that no product of them that is ever formed leaves an int64.
constexpr std::int64_t kMostLayers = 4096, kMostHeads = 1 << 16, kWidestHead = 4096, kWidest = 1 << 20;
constexpr std::int64_t kWidestFfn = 1 << 22, kMostExperts = 1 << 16, kLargestVocab = 1 << 28;
constexpr std::int64_t kLargestPatch = 1 << 10, kLargestPool = 1 << 5, kMostChannels = 1 << 14, kMostFrames = 1 << 16;

struct Range {
  std::int64_t low, high;
};

/// The keys of one object, read one by one. The first that is wrong is kept, later ones answer with their fallback: the
/// caller asks once, at the end.
class Keys {
 public:
  Keys(const json& object, const std::string& where, std::string prefix, std::optional<Failure>& failure)
      : object_(object), where_(where), prefix_(std::move(prefix)), failure_(failure) {}

  bool has(const char* key) const { return object_.contains(key); }
  bool null(const char* key) const { return has(key) && object_[key].is_null(); }
  const json& operator[](const char* key) const { return object_[key]; }
  std::string path(std::string_view key) const { return prefix_ + std::string(key); }

  std::int64_t integer(const char* key, std::int64_t fallback, Range range) {
    return has(key) ? integer_in(object_[key], key, range).value_or(fallback) : fallback;
  }
  std::int64_t required_integer(const char* key, Range range) {
    if (has(key)) return integer(key, range.low, range);
    refuse(key, "an integer", "none");
    return range.low;
  }
  std::optional<std::int64_t> optional_integer(const char* key, std::optional<std::int64_t> fallback, Range range) {
    if (!has(key)) return fallback;
    if (null(key)) return std::nullopt;
    return integer_in(object_[key], key, range);
  }
  double real(const char* key, double fallback, double low, double high) {
    if (!has(key)) return fallback;
    const json& value = object_[key];
    if (!value.is_number()) return refuse(key, "a number", shown(value)), fallback;
    const auto number = value.get<double>();
    if (!(number >= low && number <= high)) {
      const std::string range = json(low).dump() + " to " + json(high).dump();
      return refuse(key, range, shown(value)), fallback;
    }
    return number;
  }
  bool flag(const char* key, bool fallback) {
    if (!has(key)) return fallback;
    if (object_[key].is_boolean()) return object_[key].get<bool>();
    return refuse(key, "true or false", shown(object_[key])), fallback;
  }
  std::string text(const char* key, const char* fallback) {
    if (!has(key)) return fallback;
    if (object_[key].is_string()) return object_[key].get<std::string>();
    return refuse(key, "a string", shown(object_[key])), fallback;
  }
  Keys below(const json& object, const std::string& name) const { return {object, where_, path(name) + ".", failure_}; }

  void refuse(std::string_view key, std::string expected, std::string found, Failure::Kind kind = Failure::bad_input) {
    if (!failure_) failure_ = Failure{kind, where_, path(key), std::move(expected), std::move(found)};
  }
  static std::string shown(const json& value) {
    if (value.is_structured()) return value.type_name();
    std::string text = value.dump();
    if (text.size() > 80) text.replace(77, std::string::npos, "...");
    return text;
  }

 private:
  std::optional<std::int64_t> integer_in(const json& value, const char* key, Range range) {
    const bool fits =
        value.is_number_unsigned() ? value.get<std::uint64_t>() <= std::uint64_t(INT64_MAX) : value.is_number_integer();
    if (!value.is_number_integer()) return refuse(key, "an integer", shown(value)), std::nullopt;
    if (!fits || value.get<std::int64_t>() < range.low || value.get<std::int64_t>() > range.high)
      return refuse(key, std::to_string(range.low) + " to " + std::to_string(range.high), shown(value)), std::nullopt;
    return value.get<std::int64_t>();
  }

  const json& object_;
  const std::string& where_;
  std::string prefix_;
  std::optional<Failure>& failure_;
};

struct ModelType {
  std::string_view name;
  bool unified, multimodal, assistant;
};
constexpr std::array<ModelType, 6> kModelTypes = {{{"gemma4", false, true, false},
                                                   {"gemma4_text", false, false, false},
                                                   {"gemma4_unified", true, true, false},
                                                   {"gemma4_unified_text", true, false, false},
                                                   {"gemma4_assistant", false, false, true},
                                                   {"gemma4_unified_assistant", true, false, true}}};

constexpr std::string_view kSliding = "sliding_attention", kFull = "full_attention";

std::vector<AttentionKind> read_layer_types(Keys& keys, std::int64_t layers) {
  std::vector<AttentionKind> kinds(std::size_t(layers), AttentionKind::sliding);
  if (!keys.has("layer_types") || keys.null("layer_types")) {
    for (std::size_t i = 5; i < kinds.size(); i += 6) kinds[i] = AttentionKind::full;  // five sliding, one full
  } else {
    const json& names = keys["layer_types"];
    if (!names.is_array() || std::int64_t(names.size()) != layers) {
      keys.refuse("layer_types", "a list of num_hidden_layers = " + std::to_string(layers),
                  names.is_array() ? std::to_string(names.size()) : Keys::shown(names));
      return kinds;
    }
    for (std::size_t i = 0; i < kinds.size(); ++i) {
      if (names[i] == kFull)
        kinds[i] = AttentionKind::full;
      else if (names[i] != kSliding)
        keys.refuse("layer_types." + std::to_string(i), "sliding_attention or full_attention", Keys::shown(names[i]));
    }
  }
  kinds.back() = AttentionKind::full;  // as transformers forces it, with a warning
  return kinds;
}

/// The hub's spelling: full layers have another head dimension, and with K = V another number of K/V heads.
void apply_global_keys(Keys& keys, Config& config) {
  const std::int64_t head_dim = keys.integer("global_head_dim", 512, {2, kWidestHead});
  const auto kv_heads = keys.optional_integer("num_global_key_value_heads", std::nullopt, {0, kMostHeads});
  const bool honoured = kv_heads && config.attention_k_eq_v;
  if (honoured && (*kv_heads == 0 || config.num_attention_heads % *kv_heads != 0))
    keys.refuse("num_global_key_value_heads",
                "a divisor of num_attention_heads = " + std::to_string(config.num_attention_heads),
                std::to_string(*kv_heads));
  if (head_dim % 2 != 0) keys.refuse("global_head_dim", "an even number", std::to_string(head_dim));
  for (std::size_t i = 0; i < config.layer_types.size(); ++i) {
    if (config.layer_types[i] != AttentionKind::full) continue;
    config.head_dim[i] = head_dim;
    if (honoured) config.num_key_value_heads[i] = *kv_heads;
  }
}

/// transformers' own spelling since 5.22: layer index -> the keys in which that layer differs.
void apply_per_layer_config(Keys& keys, Config& config) {
  const json& all = keys["per_layer_config"];
  if (all.is_null()) return;
  if (!all.is_object()) return keys.refuse("per_layer_config", "an object", Keys::shown(all));
  std::vector<bool> seen(config.layer_types.size(), false);
  for (const auto& [name, overrides] : all.items()) {
    const std::string key = "per_layer_config." + name;
    std::size_t layer = 0;  // written with leading zeros where others are longer
    const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), layer);
    if (error != std::errc() || end != name.data() + name.size() || layer >= seen.size())
      return keys.refuse(key, "a layer index below " + std::to_string(seen.size()), name);
    if (seen[layer]) return keys.refuse(key, "each layer once", "layer " + std::to_string(layer) + " twice");
    seen[layer] = true;
    if (!overrides.is_object()) return keys.refuse(key, "an object", Keys::shown(overrides));
    Keys one = keys.below(overrides, key);
    config.head_dim[layer] = one.integer("head_dim", config.head_dim[layer], {2, kWidestHead});
    config.num_key_value_heads[layer] =
        one.integer("num_key_value_heads", config.num_key_value_heads[layer], {1, kMostHeads});
    for (const auto& [attribute, value] : overrides.items()) {
      if (attribute == "head_dim" || attribute == "num_key_value_heads") continue;
      if (attribute == "skip" && value.is_array() && value.empty()) continue;
      if (keys.has(attribute.c_str()) && keys[attribute.c_str()] == value) continue;  // as transformers: no override
      one.refuse(attribute, "head_dim and num_key_value_heads alone to differ between layers", Keys::shown(value),
                 Failure::unsupported);
    }
  }
}

RopeConfig read_rope(Keys& keys, std::string_view kind, const RopeConfig& missing) {
  if (!keys.has("rope_parameters") || keys.null("rope_parameters")) return missing;
  const json& all = keys["rope_parameters"];
  const std::string key = "rope_parameters." + std::string(kind);
  const auto found = all.is_object() ? all.find(std::string(kind)) : all.end();
  if (!all.is_object() || found == all.end() || !found->is_object()) {
    keys.refuse(key, "an object, as layers of that kind exist", "none");
    return missing;
  }
  Keys rope = keys.below(*found, key);
  RopeConfig config;
  config.type = rope.text(rope.has("rope_type") ? "rope_type" : "type", "default");
  if (config.type != "default" && config.type != "proportional" && config.type != "linear")
    rope.refuse("rope_type", "default, proportional or linear", config.type, Failure::unsupported);
  // A frequency is a float: bounds that keep theta and 1 / factor finite and away from zero there.
  if (!rope.has("rope_theta")) rope.refuse("rope_theta", "a number", "none");
  config.theta = rope.real("rope_theta", 1, 1e-6, 1e30);
  if (config.type == "default") return config;  // reads nothing else
  if (config.type == "linear" && !rope.has("factor")) rope.refuse("factor", "a number", "none");
  config.factor = rope.real("factor", 1, 1e-30, 1e30);
  // transformers fills a missing one from the text model's own key.
  config.partial_rotary_factor = rope.has("partial_rotary_factor") ? rope.real("partial_rotary_factor", 1, 0, 1)
                                                                   : keys.real("partial_rotary_factor", 1, 0, 1);
  return config;
}

std::optional<std::string> read_bidirectional(Keys& keys, bool unified) {
  constexpr const char* kKey = "use_bidirectional_attention";
  if (!keys.has(kKey)) return unified ? std::optional<std::string>("vision") : std::nullopt;
  if (keys.null(kKey)) return std::nullopt;
  const std::string value = keys.text(kKey, "");
  if (value == "all")
    keys.refuse(kKey, "null or vision", value, Failure::unsupported);
  else if (value != "vision")
    keys.refuse(kKey, "null or vision", value);
  return value;
}

// Sources: Gemma4TextConfig and Gemma4UnifiedTextConfig; a key that is missing takes their default.
void read_text(Keys& keys, Config& config) {
  config.vocab_size = keys.integer("vocab_size", 262'144, {1, kLargestVocab});
  config.hidden_size = keys.integer("hidden_size", 2304, {1, kWidest});
  config.intermediate_size = keys.integer("intermediate_size", 9216, {1, kWidestFfn});
  config.num_hidden_layers = keys.integer("num_hidden_layers", 30, {1, kMostLayers});
  config.num_attention_heads = keys.integer("num_attention_heads", 8, {1, kMostHeads});
  config.sliding_window = keys.integer("sliding_window", config.unified ? 1024 : 512, {1, INT_MAX});
  config.rms_norm_eps = keys.real("rms_norm_eps", 1e-6, 0, 1);
  config.hidden_activation = keys.text("hidden_activation", "gelu_pytorch_tanh");
  if (keys.has("final_logit_softcapping") && !keys.null("final_logit_softcapping"))
    config.final_logit_softcapping = keys.real("final_logit_softcapping", 1, 1e-6, 1e30);
  config.attention_k_eq_v = keys.flag("attention_k_eq_v", false);
  config.attention_bias = keys.flag("attention_bias", false);
  config.use_double_wide_mlp = keys.flag("use_double_wide_mlp", false);
  const std::int64_t most_shared = config.num_hidden_layers - (config.assistant ? 0 : 1);
  config.num_kv_shared_layers = keys.integer("num_kv_shared_layers", 0, {0, most_shared});
  if (config.assistant && config.num_kv_shared_layers == 0) config.num_kv_shared_layers = config.num_hidden_layers;
  config.use_bidirectional_attention = read_bidirectional(keys, config.unified);

  config.layer_types = read_layer_types(keys, config.num_hidden_layers);
  const auto layers = std::size_t(config.num_hidden_layers);
  config.head_dim.assign(layers, keys.integer("head_dim", 256, {2, kWidestHead}));
  config.num_key_value_heads.assign(layers, keys.integer("num_key_value_heads", 4, {1, kMostHeads}));
  if (keys.has("per_layer_config"))
    apply_per_layer_config(keys, config);
  else
    apply_global_keys(keys, config);

  config.rope_sliding = {.type = "default", .theta = 10'000};
  config.rope_full = {.type = "proportional", .theta = 1'000'000, .partial_rotary_factor = 0.25};
  config.rope_full = read_rope(keys, kFull, config.rope_full);
  for (const AttentionKind kind : config.layer_types)
    if (kind == AttentionKind::sliding) {
      config.rope_sliding = read_rope(keys, kSliding, config.rope_sliding);
      break;
    }

  if (!config.unified) {
    config.hidden_size_per_layer_input = keys.integer("hidden_size_per_layer_input", 256, {0, kWidest});
    if (config.assistant)  // its class takes 0 alone, and reads no table
      keys.integer("vocab_size_per_layer_input", 262'144, {0, 0});
    else
      config.vocab_size_per_layer_input = keys.integer("vocab_size_per_layer_input", 262'144, {1, kLargestVocab});
    config.enable_moe_block = keys.flag("enable_moe_block", false);
    if (config.enable_moe_block) {
      config.num_experts = keys.required_integer("num_experts", {1, kMostExperts});
      config.top_k_experts = keys.required_integer("top_k_experts", {1, kMostExperts});
      config.moe_intermediate_size = keys.required_integer("moe_intermediate_size", {1, kWidestFfn});
    }
  }

  const auto pad = keys.optional_integer("pad_token_id", 0, {0, config.vocab_size - 1});
  if (!pad && config.multimodal) keys.refuse("pad_token_id", "an id, which placeholders take", "null");
  config.pad_token_id = pad.value_or(0);
}

// Source: Gemma4AssistantConfig; that of gemma4_unified_assistant has another default width.
AssistantConfig read_assistant(Keys& keys, bool unified) {
  AssistantConfig config;
  config.backbone_hidden_size = keys.integer("backbone_hidden_size", unified ? 3840 : 1536, {1, kWidest});
  config.use_ordered_embeddings = keys.flag("use_ordered_embeddings", false);
  config.num_centroids = keys.integer("num_centroids", 2048, {1, kLargestVocab});
  config.centroid_intermediate_top_k = keys.integer("centroid_intermediate_top_k", 32, {1, kLargestVocab});
  return config;
}

/// The model_type of a nested config, where it is written.
void check_model_type(Keys& keys, const char* expected) {
  const std::string type = keys.text("model_type", expected);
  if (type != expected) keys.refuse("model_type", expected, type, Failure::unsupported);
}

/// The vision tower turns every lane by x or y; older files call that `default`.
double read_axial_theta(Keys& keys) {
  constexpr double kTheta = 100;
  if (!keys.has("rope_parameters") || keys.null("rope_parameters")) return keys.real("rope_theta", kTheta, 1e-6, 1e30);
  const json& all = keys["rope_parameters"];
  if (!all.is_object()) return keys.refuse("rope_parameters", "an object", Keys::shown(all)), kTheta;
  Keys rope = keys.below(all, "rope_parameters");
  const std::string type = rope.text(rope.has("rope_type") ? "rope_type" : "type", "default");
  if (type != "default" && type != "axial") rope.refuse("rope_type", "default or axial", type, Failure::unsupported);
  return rope.has("rope_theta") ? rope.real("rope_theta", kTheta, 1e-6, 1e30)
                                : keys.real("rope_theta", kTheta, 1e-6, 1e30);
}

// Sources: Gemma4VisionConfig, Gemma4UnifiedVisionConfig.
VisionConfig read_vision(Keys& keys, bool unified) {
  check_model_type(keys, unified ? "gemma4_unified_vision" : "gemma4_vision");
  VisionConfig config;
  config.patch_size = keys.integer("patch_size", 16, {1, kLargestPatch});
  config.pooling_kernel_size = keys.integer("pooling_kernel_size", 3, {1, kLargestPool});
  config.rms_norm_eps = keys.real("rms_norm_eps", 1e-6, 0, 1);
  if (unified) {
    config.mm_embed_dim = keys.integer("mm_embed_dim", 3840, {1, kWidest});
    config.mm_posemb_size = keys.integer("mm_posemb_size", 1120, {1, kWidest});
    config.output_proj_dims = keys.integer("output_proj_dims", 3840, {1, kWidest});
    return config;
  }
  config.hidden_size = keys.integer("hidden_size", 768, {1, kWidest});
  config.intermediate_size = keys.integer("intermediate_size", 3072, {1, kWidestFfn});
  config.num_hidden_layers = keys.integer("num_hidden_layers", 16, {0, kMostLayers});
  config.num_attention_heads = keys.integer("num_attention_heads", 12, {1, kMostHeads});
  config.num_key_value_heads = keys.integer("num_key_value_heads", 12, {1, kMostHeads});
  config.head_dim = keys.integer("head_dim", 64, {4, kWidestHead});
  config.position_embedding_size = keys.integer("position_embedding_size", 10 * 1024, {1, kWidest});
  config.hidden_activation = keys.text("hidden_activation", "gelu_pytorch_tanh");
  config.rope_theta = read_axial_theta(keys);
  config.use_clipped_linears = keys.flag("use_clipped_linears", false);
  config.standardize = keys.flag("standardize", false);
  config.output_proj_dims = keys.integer("output_proj_dims", config.hidden_size, {1, kWidest});
  return config;
}

void read_channels(Keys& keys, AudioConfig& config) {
  constexpr const char* kKey = "subsampling_conv_channels";
  config.subsampling_conv_channels[0] = 128;
  config.subsampling_conv_channels[1] = 32;
  if (!keys.has(kKey)) return;
  const json& channels = keys[kKey];
  if (!channels.is_array() || channels.size() != 2) return keys.refuse(kKey, "a list of 2", Keys::shown(channels));
  for (std::size_t i = 0; i < 2; ++i) {
    const json one = {{"channels", channels[i]}};
    Keys nested = keys.below(one, std::string(kKey) + "." + std::to_string(i));
    config.subsampling_conv_channels[i] = nested.integer("channels", 1, {1, kMostChannels});
  }
}

// Sources: Gemma4AudioConfig, Gemma4UnifiedAudioConfig.
AudioConfig read_audio(Keys& keys, bool unified) {
  check_model_type(keys, unified ? "gemma4_unified_audio" : "gemma4_audio");
  AudioConfig config;
  config.rms_norm_eps = keys.real("rms_norm_eps", 1e-6, 0, 1);
  if (unified) {
    config.audio_embed_dim = keys.integer("audio_embed_dim", 640, {1, kWidest});
    config.output_proj_dims = config.audio_embed_dim;
    return config;
  }
  config.output_proj_dims = keys.integer("output_proj_dims", 1536, {1, kWidest});
  config.hidden_size = keys.integer("hidden_size", 1024, {2, kWidest});
  config.num_hidden_layers = keys.integer("num_hidden_layers", 12, {0, kMostLayers});
  config.num_attention_heads = keys.integer("num_attention_heads", 8, {1, kMostHeads});
  read_channels(keys, config);
  config.conv_kernel_size = keys.integer("conv_kernel_size", 5, {1, kMostFrames});
  config.attention_chunk_size = keys.integer("attention_chunk_size", 12, {1, kMostFrames});
  config.attention_context_left = keys.integer("attention_context_left", 13, {1, kMostFrames});
  config.attention_context_right = keys.integer("attention_context_right", 0, {0, kMostFrames});
  config.attention_logit_cap = keys.real("attention_logit_cap", 50, 1e-6, 1e30);
  config.attention_invalid_logits_value = keys.real("attention_invalid_logits_value", -1e9, -1e38, 1e38);
  config.residual_weight = keys.real("residual_weight", 0.5, -1e30, 1e30);
  config.gradient_clipping = keys.real("gradient_clipping", 1e10, 0, 1e300);
  config.hidden_act = keys.text("hidden_act", "silu");
  config.use_clipped_linears = keys.flag("use_clipped_linears", true);
  return config;
}

/// An object below `key`, or null where it is missing or null.
const json* nested_object(Keys& keys, const char* key) {
  if (!keys.has(key) || keys.null(key)) return nullptr;
  if (keys[key].is_object()) return &keys[key];
  keys.refuse(key, "an object or null", Keys::shown(keys[key]));
  return nullptr;
}

}  // namespace

Result<Config> parse_config(std::string_view text, std::string where) {
  ASSAY_CHECK(check_json_object(text, where));
  const json root = json::parse(text, nullptr, false);
  std::optional<Failure> failure;
  Keys keys(root, where, "", failure);
  Config config;
  config.where = where;
  config.model_type = keys.text("model_type", "");
  const ModelType* type = nullptr;
  for (const ModelType& row : kModelTypes)
    if (row.name == config.model_type) type = &row;
  if (!failure && type == nullptr)
    keys.refuse("model_type", "gemma4, gemma4_text, gemma4_assistant, or gemma4_unified in place of gemma4",
                keys.has("model_type") ? config.model_type : "none",
                keys.has("model_type") ? Failure::unsupported : Failure::bad_input);
  if (failure) return fail(std::move(*failure));
  config.unified = type->unified;
  config.multimodal = type->multimodal;
  config.tie_word_embeddings =
      keys.flag("tie_word_embeddings", true);  // the wrapper's own; text_config's is never read

  const json none = json::object();
  if (type->assistant) config.assistant = read_assistant(keys, config.unified);
  if (config.multimodal || config.assistant) {
    constexpr Range kIds = {0, INT_MAX};  // may lie outside the vocabulary: the pad id is looked up instead
    if (config.multimodal) {
      config.image_token_id = keys.optional_integer("image_token_id", 258'880, kIds);
      config.video_token_id = keys.optional_integer("video_token_id", 258'884, kIds);
      config.audio_token_id = keys.optional_integer("audio_token_id", 258'881, kIds);
    }
    const bool given = keys.has("text_config") && !keys.null("text_config");
    if (given && !root["text_config"].is_object())
      keys.refuse("text_config", "an object", Keys::shown(root["text_config"]));
    if (failure) return fail(std::move(*failure));
    config.prefix = "text_config.";
    Keys nested(given ? root["text_config"] : none, where, config.prefix, failure);
    read_text(nested, config);
    if (const json* vision = nested_object(keys, "vision_config")) {
      Keys below = keys.below(*vision, "vision_config");
      config.vision = read_vision(below, config.unified);
    }
    if (const json* audio = nested_object(keys, "audio_config")) {
      Keys below = keys.below(*audio, "audio_config");
      config.audio = read_audio(below, config.unified);
    }
  } else {
    read_text(keys, config);
  }
  if (failure) return fail(std::move(*failure));
  return config;
}

Result<Config> read_config(const std::filesystem::path& file) {
  ASSAY_TRY(text, read_file(file, kLargestFile));
  return parse_config(text, file.string());
}

}  // namespace assay
