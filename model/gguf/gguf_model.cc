#include "model/gguf/gguf_model.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <climits>
#include <cmath>

namespace assay {
namespace {

constexpr std::string_view kArchitecture = "gemma4";
// The bounds of config.cc, so that no product that is formed of them leaves an int64.
constexpr std::int64_t kMostLayers = 4096, kMostHeads = 1 << 16, kWidestHead = 4096, kWidest = 1 << 20;
constexpr std::int64_t kWidestFfn = 1 << 22, kMostExperts = 1 << 16, kLargestVocab = 1 << 28;
/// rope_freqs holds 1e30 for a pair that does not turn; transformers has frequency 0 there, and so has the plan.
constexpr float kNeverTurns = 1e30F;

struct NameRow {
  std::string_view gguf, text;
};
constexpr std::array<NameRow, 6> kModelNames = {{{"token_embd.weight", "embed_tokens.weight"},
                                                 {"output_norm.weight", "norm.weight"},
                                                 {"output.weight", "lm_head.weight"},
                                                 {"per_layer_token_embd.weight", "embed_tokens_per_layer.weight"},
                                                 {"per_layer_model_proj.weight", "per_layer_model_projection.weight"},
                                                 {"per_layer_proj_norm.weight", "per_layer_projection_norm.weight"}}};
constexpr std::array<NameRow, 25> kLayerNames = {{{"attn_norm.weight", "input_layernorm.weight"},
                                                  {"post_attention_norm.weight", "post_attention_layernorm.weight"},
                                                  {"ffn_norm.weight", "pre_feedforward_layernorm.weight"},
                                                  {"post_ffw_norm.weight", "post_feedforward_layernorm.weight"},
                                                  {"pre_ffw_norm_2.weight", "pre_feedforward_layernorm_2.weight"},
                                                  {"post_ffw_norm_1.weight", "post_feedforward_layernorm_1.weight"},
                                                  {"post_ffw_norm_2.weight", "post_feedforward_layernorm_2.weight"},
                                                  {"layer_output_scale.weight", "layer_scalar"},
                                                  {"attn_q.weight", "self_attn.q_proj.weight"},
                                                  {"attn_k.weight", "self_attn.k_proj.weight"},
                                                  {"attn_v.weight", "self_attn.v_proj.weight"},
                                                  {"attn_output.weight", "self_attn.o_proj.weight"},
                                                  {"attn_q_norm.weight", "self_attn.q_norm.weight"},
                                                  {"attn_k_norm.weight", "self_attn.k_norm.weight"},
                                                  {"ffn_gate.weight", "mlp.gate_proj.weight"},
                                                  {"ffn_up.weight", "mlp.up_proj.weight"},
                                                  {"ffn_down.weight", "mlp.down_proj.weight"},
                                                  {"inp_gate.weight", "per_layer_input_gate.weight"},
                                                  {"proj.weight", "per_layer_projection.weight"},
                                                  {"post_norm.weight", "post_per_layer_input_norm.weight"},
                                                  {"ffn_gate_inp.weight", "router.proj.weight"},
                                                  {"ffn_gate_inp.scale", "router.scale"},
                                                  {"ffn_down_exps.scale", "router.per_expert_scale"},
                                                  {"ffn_gate_up_exps.weight", "experts.gate_up_proj"},
                                                  {"ffn_down_exps.weight", "experts.down_proj"}}};

struct Range {
  std::int64_t low, high;
};

/// The keys of one file, read one by one. The first that is wrong is kept, later ones answer with the low end of their
/// range: the caller asks once, before it uses a number.
class Keys {
 public:
  explicit Keys(const Gguf& file) : file_(file) {}

  const Gguf& file() const { return file_; }
  static std::string name(std::string_view key) { return std::string(kArchitecture) + "." + std::string(key); }
  bool has(std::string_view key) const { return file_.find(name(key)) != nullptr; }

  std::int64_t integer(std::string_view key, Range range, std::optional<std::int64_t> missing = {}) {
    const GgufValue* value = find(key, "an integer", missing.has_value());
    if (value == nullptr) return missing.value_or(range.low);
    const auto found = value->integer();
    if (!found) return refuse(name(key), "an integer", value->what()), range.low;
    return within(name(key), *found, range);
  }
  double real(std::string_view key, double low, double high, std::optional<double> missing = {}) {
    const GgufValue* value = find(key, "a floating-point number", missing.has_value());
    if (value == nullptr) return missing.value_or(low);
    const auto found = value->real();
    if (!found) return refuse(name(key), "a floating-point number", value->what()), low;
    if (*found >= low && *found <= high) return *found;
    return refuse(name(key), std::to_string(low) + " to " + std::to_string(high), std::to_string(*found)), low;
  }
  /// One number a layer, from an array or from one number for all of them.
  std::vector<std::int64_t> a_layer(std::string_view key, std::int64_t layers, Range range) {
    const GgufValue* value = find(key, "an integer, or one a layer", false);
    if (value == nullptr || value->type != GgufType::array)
      return std::vector<std::int64_t>(std::size_t(layers), value == nullptr ? range.low : integer(key, range));
    auto found = value->integers();
    if (!found || value->element == GgufType::boolean || std::int64_t(found->size()) != layers) {
      refuse(name(key), "an array of " + std::to_string(layers) + " integers, one a layer", value->what());
      return std::vector<std::int64_t>(std::size_t(layers), range.low);
    }
    for (std::int64_t& number : *found) number = within(name(key), number, range);
    return *found;
  }
  /// Flags as the converter writes them, or the 32-bit integers that llama.cpp itself saves them as.
  std::vector<AttentionKind> layer_types(std::int64_t layers) {
    constexpr std::string_view kKey = "attention.sliding_window_pattern";
    std::vector<AttentionKind> kinds(std::size_t(layers), AttentionKind::full);
    const GgufValue* value = find(kKey, "an array of flags, one a layer", false);
    if (value == nullptr) return kinds;
    const bool known =
        value->element == GgufType::boolean || value->element == GgufType::u32 || value->element == GgufType::i32;
    const auto flags = known ? value->integers() : std::nullopt;
    if (!flags || std::int64_t(flags->size()) != layers) {
      refuse(name(kKey), "an array of " + std::to_string(layers) + " bool, one a layer", value->what());
      return kinds;
    }
    for (std::size_t i = 0; i < kinds.size(); ++i)
      if ((*flags)[i] != 0) kinds[i] = AttentionKind::sliding;
    return kinds;
  }

  void refuse(std::string field, std::string expected, std::string found, Failure::Kind kind = Failure::bad_input) {
    if (!failure_) failure_ = Failure{kind, file_.where(), std::move(field), std::move(expected), std::move(found)};
  }
  Result<void> finish() const {
    if (failure_) return fail(*failure_);
    return {};
  }

 private:
  const GgufValue* find(std::string_view key, const char* expected, bool optional) {
    const GgufValue* value = file_.find(name(key));
    if (value == nullptr && !optional) refuse(name(key), expected, "none");
    return value;
  }
  std::int64_t within(const std::string& field, std::int64_t number, Range range) {
    if (number >= range.low && number <= range.high) return number;
    refuse(field, std::to_string(range.low) + " to " + std::to_string(range.high), std::to_string(number));
    return range.low;
  }

  const Gguf& file_;
  std::optional<Failure> failure_;
};

Result<void> check_kind(const Gguf& file) {
  constexpr std::string_view kKey = "general.architecture", kSplit = "split.count";
  const GgufValue* value = file.find(kKey);
  const auto architecture = value == nullptr ? std::nullopt : value->text();
  if (!architecture)
    return fail(
        {Failure::bad_input, file.where(), std::string(kKey), "a string", value == nullptr ? "none" : value->what()});
  if (*architecture != kArchitecture)
    return fail({Failure::unsupported, file.where(), std::string(kKey), std::string(kArchitecture),
                 std::string(architecture->substr(0, 80))});
  if (const GgufValue* split = file.find(kSplit)) {
    const auto count = split->integer();
    if (!count) return fail({Failure::bad_input, file.where(), std::string(kSplit), "an integer", split->what()});
    if (*count > 1)
      return fail({Failure::unsupported, file.where(), std::string(kSplit), "1: the whole model in one file",
                   std::to_string(*count)});
  }
  return {};
}

/// The two extents of a table, within the bounds of a config's.
Result<std::array<std::int64_t, 2>> extents_of(const Gguf& file, std::string_view name) {
  const auto found = file.tensors().find(name);
  if (found == file.tensors().end())
    return fail({Failure::bad_input, file.where(), std::string(name), "a tensor", "none"});
  const auto& shape = found->second.tensor.shape;
  if (shape.size() != 2 || shape[0] < 1 || shape[0] > kLargestVocab)
    return fail({Failure::bad_input, file.where(), std::string(name),
                 "two dimensions, 1 to " + std::to_string(kLargestVocab) + " rows", shape_text(shape)});
  return std::array<std::int64_t, 2>{shape[0], shape[1]};
}

/// Whether V is K in full layers: they come without attn_v then. KV-shared layers may carry weights that nothing reads.
Result<bool> value_is_key(const Gguf& file, const Config& config) {
  std::optional<std::string> with, without;
  for (std::int64_t i = 0; i < config.num_hidden_layers - config.num_kv_shared_layers; ++i) {
    if (config.layer_types[std::size_t(i)] != AttentionKind::full) continue;
    const std::string name = "blk." + std::to_string(i) + ".attn_v.weight";
    (file.tensors().contains(name) ? with : without) = name;
  }
  if (with && without) return fail({Failure::bad_input, file.where(), *without, "it, as there is " + *with, "none"});
  return without.has_value();
}

/// rope_freqs, the divisors of the full layers' frequencies. Errors: bad_input (missing, misshapen, not positive).
Result<std::vector<float>> rope_factors(const Gguf& file, std::int64_t pairs) {
  constexpr std::string_view kName = "rope_freqs.weight";
  const auto found = file.tensors().find(kName);
  const std::string expected = "F32 " + shape_text(std::vector<std::int64_t>{pairs}) + ", as there are full layers";
  if (found == file.tensors().end())
    return fail({Failure::bad_input, file.where(), std::string(kName), expected, "none"});
  const auto& [tensor, other_type] = found->second;
  if (!other_type.empty() || tensor.dtype != Dtype::f32 || tensor.shape != std::vector<std::int64_t>{pairs})
    return fail(
        {Failure::bad_input, file.where(), std::string(kName), expected,
         (other_type.empty() ? std::string(name_of(tensor.dtype)) : other_type) + " " + shape_text(tensor.shape)});
  ASSAY_TRY(factors, tensor.floats());
  for (const float factor : factors)
    if (!(factor > 1e-30F && factor <= kNeverTurns))
      return fail(
          {Failure::bad_input, file.where(), std::string(kName), "factors of 1e-30 to 1e30", std::to_string(factor)});
  return factors;
}

/// Errors: unsupported where positions are scaled in another way than by rope_freqs. As llama.cpp reads it: a scaling
/// without a name is linear, and a factor of 0 is none.
void check_scaling(Keys& keys) {
  constexpr std::string_view kType = "rope.scaling.type";
  if (const GgufValue* type = keys.file().find(Keys::name(kType))) {
    const auto text = type->text();
    if (text == "none") return;
    if (text != "linear")
      return keys.refuse(Keys::name(kType), "none", text ? std::string(text->substr(0, 80)) : type->what(),
                         Failure::unsupported);
  }
  for (const std::string_view key : {"rope.scaling.factor", "rope.scale_linear"}) {  // the older name last
    if (!keys.has(key)) continue;
    if (const double factor = keys.real(key, 0, 1e30); factor != 0 && factor != 1)
      keys.refuse(Keys::name(key), "0 or 1: no scaling", std::to_string(factor), Failure::unsupported);
    return;
  }
}

/// Errors: unsupported where rows see those behind them, too.
void check_causal(Keys& keys) {
  const std::string name = Keys::name("attention.causal");
  const GgufValue* value = keys.file().find(name);
  if (value == nullptr || value->flag() == true) return;
  keys.refuse(name, "true", value->flag() ? "false" : value->what(), Failure::unsupported);
}

/// A part that the keys deny and the tensors have would be left out in silence. Errors: bad_input.
void check_denied(Keys& keys, const Config& config) {
  struct Part {
    std::int64_t size;
    std::string_view key, tensor;
  };
  for (const Part& part :
       {Part{config.hidden_size_per_layer_input, "embedding_length_per_layer_input", "per_layer_token_embd.weight"},
        Part{config.num_experts, "expert_count", "blk.0.ffn_gate_inp.weight"}})
    if (part.size == 0 && keys.file().tensors().contains(part.tensor))
      keys.refuse(Keys::name(part.key), "more than 0, as there is " + std::string(part.tensor),
                  keys.has(part.key) ? "0" : "none");
}

/// Errors: unsupported where RoPE turns less than whole heads.
void check_rope(Keys& keys, std::string_view key, std::int64_t head_dim) {
  if (keys.integer(key, {0, kWidestHead}, head_dim) != head_dim)
    keys.refuse(Keys::name(key), "the head dimension " + std::to_string(head_dim),
                std::to_string(keys.integer(key, {0, kWidestHead}, head_dim)), Failure::unsupported);
}

/// A head's width, the same for keys and values.
std::int64_t head_width(Keys& keys, const std::string& suffix) {
  const std::int64_t width = keys.integer("attention.key_length" + suffix, {2, kWidestHead});
  const std::string values = "attention.value_length" + suffix;
  if (const std::int64_t found = keys.integer(values, {0, kWidestHead}, width); found != width)
    keys.refuse(Keys::name(values), "the key length " + std::to_string(width), std::to_string(found),
                Failure::unsupported);
  return width;
}

Result<Config> read_config_of(Keys& keys) {
  const Gguf& file = keys.file();
  Config config;
  config.where = file.where();
  config.model_type = "gemma4_text";
  config.hidden_activation = "gelu_pytorch_tanh";
  config.hidden_size = keys.integer("embedding_length", {1, kWidest});
  config.num_hidden_layers = keys.integer("block_count", {1, kMostLayers});
  const std::int64_t layers = config.num_hidden_layers;
  config.num_kv_shared_layers = keys.integer("attention.shared_kv_layers", {0, layers - 1}, 0);
  config.rms_norm_eps = keys.real("attention.layer_norm_rms_epsilon", 0, 1);
  if (keys.has("final_logit_softcapping"))
    config.final_logit_softcapping = keys.real("final_logit_softcapping", 1e-6, 1e30);
  config.layer_types = keys.layer_types(layers);
  const std::vector<std::int64_t> heads = keys.a_layer("attention.head_count", layers, {1, kMostHeads});
  if (std::any_of(heads.begin(), heads.end(), [&](std::int64_t count) { return count != heads.front(); }))
    keys.refuse(Keys::name("attention.head_count"), "one number for all layers", "several", Failure::unsupported);
  config.num_attention_heads = heads.front();
  config.num_key_value_heads = keys.a_layer("attention.head_count_kv", layers, {1, kMostHeads});

  config.head_dim.assign(std::size_t(layers), 0);
  for (const AttentionKind kind : {AttentionKind::full, AttentionKind::sliding}) {
    if (std::find(config.layer_types.begin(), config.layer_types.end(), kind) == config.layer_types.end()) continue;
    const bool full = kind == AttentionKind::full;
    const std::string suffix = full ? "" : "_swa";
    const std::int64_t width = head_width(keys, suffix);
    for (std::size_t i = 0; i < config.head_dim.size(); ++i)
      if (config.layer_types[i] == kind) config.head_dim[i] = width;
    RopeConfig& rope = full ? config.rope_full : config.rope_sliding;
    rope.type = "default";
    rope.theta = keys.real("rope.freq_base" + suffix, 1e-6, 1e30);
    check_rope(keys, "rope.dimension_count" + suffix, width);
    if (!full) config.sliding_window = keys.integer("attention.sliding_window", {1, INT_MAX});
  }
  check_scaling(keys);
  check_causal(keys);

  config.num_experts = keys.integer("expert_count", {0, kMostExperts}, 0);
  config.enable_moe_block = config.num_experts > 0;
  if (config.enable_moe_block) {
    config.top_k_experts = keys.integer("expert_used_count", {1, kMostExperts});
    config.moe_intermediate_size = keys.integer("expert_feed_forward_length", {1, kWidestFfn});
  }
  config.hidden_size_per_layer_input = keys.integer("embedding_length_per_layer_input", {0, kWidest}, 0);
  check_denied(keys, config);
  ASSAY_CHECK(keys.finish());

  ASSAY_TRY(table, extents_of(file, "token_embd.weight"));
  config.vocab_size = table[0];
  if (config.hidden_size_per_layer_input > 0) {
    ASSAY_TRY(ple_table, extents_of(file, "per_layer_token_embd.weight"));
    config.vocab_size_per_layer_input = ple_table[0];
  }
  constexpr std::string_view kPad = "tokenizer.ggml.padding_token_id";
  if (const GgufValue* pad = file.find(kPad)) {
    const auto id = pad->integer();
    if (!id || *id < 0 || *id >= config.vocab_size)
      keys.refuse(std::string(kPad), "an id below " + std::to_string(config.vocab_size),
                  id ? std::to_string(*id) : pad->what());
    else
      config.pad_token_id = *id;
  }
  ASSAY_TRY(equal, value_is_key(file, config));
  config.attention_k_eq_v = equal;
  ASSAY_CHECK(keys.finish());
  return config;
}

/// A layer's tensor, by its number and what follows it.
struct LayerName {
  std::uint32_t layer;
  std::string_view rest;
};

std::optional<LayerName> layer_name(std::string_view gguf_name) {
  constexpr std::string_view kBlock = "blk.";
  if (!gguf_name.starts_with(kBlock)) return std::nullopt;
  const std::string_view rest = gguf_name.substr(kBlock.size());
  const std::size_t dot = rest.find('.');
  const std::string_view number = rest.substr(0, dot);
  std::uint32_t layer = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), layer);
  if (dot == rest.npos || error != std::errc() || end != number.data() + number.size() ||
      std::to_string(layer) != number)  // `03` would be a second name of layer 3
    return std::nullopt;
  return LayerName{layer, rest.substr(dot + 1)};
}

/// Tensors that would be left out although they change what llama.cpp computes. Errors: bad_input (a layer more than
/// the keys say), unsupported (a scale beside weights, as NVFP4 has them).
Result<void> check_left_out(const Gguf& file, std::int64_t layers) {
  for (const auto& [name, tensor] : file.tensors()) {
    const auto of = layer_name(name);
    if (!of) continue;
    if (text_model_name(name)) {
      if (of->layer >= layers)
        return fail({Failure::bad_input, file.where(), name, "layers below " + std::to_string(layers),
                     "layer " + std::to_string(of->layer)});
    } else if (of->rest.ends_with(".scale")) {
      return fail({Failure::unsupported, file.where(), name.substr(0, 80), "weights without a scale of their own",
                   shape_text(tensor.tensor.shape)});
    }
  }
  return {};
}

}  // namespace

std::optional<std::string> text_model_name(std::string_view gguf_name) {
  for (const NameRow& row : kModelNames)
    if (row.gguf == gguf_name) return std::string(row.text);
  const auto of = layer_name(gguf_name);
  if (!of) return std::nullopt;
  for (const NameRow& row : kLayerNames)
    if (row.gguf == of->rest) return "layers." + std::to_string(of->layer) + "." + std::string(row.text);
  return std::nullopt;
}

Result<GgufModel> read_gguf_model(const Gguf& file) {
  ASSAY_CHECK(check_kind(file));
  Keys keys(file);
  ASSAY_TRY(config, read_config_of(keys));
  const std::vector<std::int64_t> widths =
      keys.a_layer("feed_forward_length", config.num_hidden_layers, {1, kWidestFfn});
  ASSAY_CHECK(keys.finish());
  ASSAY_CHECK(check_left_out(file, config.num_hidden_layers));
  config.intermediate_size = widths.front();
  GgufModel model;
  ASSAY_TRY(plan, make_plan(config));
  model.plan = std::move(plan);
  std::vector<float> factors;
  for (std::size_t i = 0; i < model.plan.layers.size(); ++i) {
    LayerPlan& layer = model.plan.layers[i];
    layer.ffn_width = int(widths[i]);
    if (config.layer_types[i] != AttentionKind::full) continue;
    if (factors.empty()) {
      ASSAY_TRY(found, rope_factors(file, layer.head_dim / 2));
      factors = std::move(found);
    }
    for (std::size_t pair = 0; pair < factors.size(); ++pair)
      layer.rope.inv_freq[pair] = factors[pair] >= kNeverTurns ? 0.0F : layer.rope.inv_freq[pair] / factors[pair];
  }
  model.config = std::move(config);
  for (const auto& [name, tensor] : file.tensors())
    if (const auto text_name = text_model_name(name)) model.tensors.emplace(*text_name, tensor);
  return model;
}

}  // namespace assay
