#include "model/plan.h"

#include <array>
#include <climits>
#include <cmath>
#include <limits>

namespace assay {
namespace {

Failure contradiction(const Config& config, std::string_view key, std::string expected, std::string found,
                      Failure::Kind kind = Failure::bad_input) {
  return {kind, config.where, config.prefix + std::string(key), std::move(expected), std::move(found)};
}

std::string_view name_of(AttentionKind kind) {
  return kind == AttentionKind::full ? "full_attention" : "sliding_attention";
}

struct ActivationName {
  std::string_view name;
  Activation activation;
};
// ACT2FN's spellings. The tanh forms are one formula; they differ in how torch is asked for it.
constexpr std::array<ActivationName, 10> kActivations = {{{"gelu_pytorch_tanh", Activation::gelu_tanh},
                                                          {"gelu_python_tanh", Activation::gelu_tanh},
                                                          {"gelu_new", Activation::gelu_tanh},
                                                          {"gelu_fast", Activation::gelu_tanh},
                                                          {"gelu_accurate", Activation::gelu_tanh},
                                                          {"gelu", Activation::gelu_erf},
                                                          {"gelu_python", Activation::gelu_erf},
                                                          {"silu", Activation::silu},
                                                          {"swish", Activation::silu},
                                                          {"relu", Activation::relu}}};

/// @param key  the full key, for the message
Result<Activation> activation_of(const Config& config, std::string key, const std::string& name) {
  for (const ActivationName& row : kActivations)
    if (row.name == name) return row.activation;
  return fail({Failure::unsupported, config.where, std::move(key), "gelu_pytorch_tanh, gelu, silu or relu", name});
}

/// One RoPE table serves all layers of a kind, and shared K/V go from one to another, so these must not differ there.
Result<void> check_alike(const Config& config) {
  for (const AttentionKind kind : {AttentionKind::sliding, AttentionKind::full}) {
    std::optional<std::size_t> first;
    for (std::size_t i = 0; i < config.layer_types.size(); ++i) {
      if (config.layer_types[i] != kind) continue;
      if (!first) first = i;
      if (config.head_dim[i] != config.head_dim[*first] ||
          config.num_key_value_heads[i] != config.num_key_value_heads[*first])
        return fail(
            contradiction(config, "per_layer_config",
                          "one head_dim and num_key_value_heads for all layers of " + std::string(name_of(kind)),
                          "layers " + std::to_string(*first) + " and " + std::to_string(i) + " to differ"));
    }
  }
  return {};
}

Result<void> check_heads(const Config& config, std::size_t layer) {
  const std::int64_t heads = config.num_attention_heads, kv_heads = config.num_key_value_heads[layer];
  const std::int64_t head_dim = config.head_dim[layer];
  const std::string at = " in layer " + std::to_string(layer);
  if (kv_heads < 1 || heads % kv_heads != 0)
    return fail(contradiction(config, "num_key_value_heads",
                              "a divisor of num_attention_heads = " + std::to_string(heads),
                              std::to_string(kv_heads) + at));
  if (head_dim % 2 != 0)
    return fail(contradiction(config, "head_dim", "an even number", std::to_string(head_dim) + at));
  if (heads * head_dim > INT_MAX)
    return fail(contradiction(config, "num_attention_heads", "num_attention_heads * head_dim below 2^31",
                              std::to_string(heads * head_dim) + at));
  return {};
}

Result<Rope> make_rope(const Config& config, AttentionKind kind, std::int64_t head_dim) {
  const RopeConfig& rope = kind == AttentionKind::full ? config.rope_full : config.rope_sliding;
  const auto dim = int(head_dim);
  if (rope.type == "default") return Rope{rope.theta, inverse_frequencies(rope.theta, dim, dim / 2, 1)};
  if (rope.type == "linear") {
    // A shorter table would not fit the head: transformers fails in the first forward.
    if (int(head_dim * rope.partial_rotary_factor) != dim)
      return fail(contradiction(config, "rope_parameters." + std::string(name_of(kind)) + ".partial_rotary_factor",
                                "1 with rope_type linear", std::to_string(rope.partial_rotary_factor)));
    return Rope{rope.theta, inverse_frequencies(rope.theta, dim, dim / 2, rope.factor)};
  }
  const int pairs = int(std::floor(rope.partial_rotary_factor * double(dim) / 2));
  return Rope{rope.theta, inverse_frequencies(rope.theta, dim, pairs, rope.factor)};
}

/// The layer whose K/V are read: the last one of the same kind that has its own.
Result<KvSource> kv_source(const Config& config, std::size_t layer) {
  if (config.assistant) return KvSource{KvSource::target, -1};
  const auto first_shared = std::size_t(config.num_hidden_layers - config.num_kv_shared_layers);
  if (layer < first_shared) return KvSource{KvSource::own, int(layer)};
  for (std::size_t donor = first_shared; donor-- > 0;)
    if (config.layer_types[donor] == config.layer_types[layer]) return KvSource{KvSource::earlier, int(donor)};
  return fail(contradiction(config, "num_kv_shared_layers",
                            "a layer of " + std::string(name_of(config.layer_types[layer])) + " before layer " +
                                std::to_string(first_shared) + ", whose K/V layer " + std::to_string(layer) + " shares",
                            "none with " + std::to_string(config.num_kv_shared_layers)));
}

Result<std::optional<Experts>> make_experts(const Config& config) {
  if (!config.enable_moe_block) return std::nullopt;
  if (config.top_k_experts > config.num_experts)
    return fail(contradiction(config, "top_k_experts", "at most num_experts = " + std::to_string(config.num_experts),
                              std::to_string(config.top_k_experts)));
  return Experts{int(config.num_experts), int(config.top_k_experts), int(config.moe_intermediate_size)};
}

/// Only the multimodal wrapper builds masks with blocks. gemma4 and gemma4_unified disagree:
/// create_masks_for_vision_model bounds a block by the window and leaves full layers causal, create_masks_for_generate
/// does neither.
Blocks blocks_of(const Config& config, AttentionKind kind) {
  if (!config.multimodal || config.use_bidirectional_attention != "vision") return Blocks::causal;
  if (config.unified) return Blocks::beyond_window;
  return kind == AttentionKind::sliding ? Blocks::inside_window : Blocks::causal;
}

Failure wrong(const Config& config, std::string key, std::string expected, std::int64_t found,
              Failure::Kind kind = Failure::bad_input) {
  return {kind, config.where, std::move(key), std::move(expected), std::to_string(found)};
}

int pixels_of(std::int64_t side) { return int(3 * side * side); }

/// Sources: Gemma4VisionModel and the modules below it.
Result<VisionPlan> make_vision_tower(const Config& config) {
  const VisionConfig& from = *config.vision;
  const std::string at = "vision_config.";
  if (from.num_attention_heads % from.num_key_value_heads != 0)
    return fail(wrong(config, at + "num_key_value_heads",
                      "a divisor of num_attention_heads = " + std::to_string(from.num_attention_heads),
                      from.num_key_value_heads));
  if (from.head_dim % 4 != 0)
    return fail(wrong(config, at + "head_dim", "a multiple of 4: half turns by x, half by y", from.head_dim));
  if (from.num_attention_heads * from.head_dim > INT_MAX)
    return fail(wrong(config, at + "num_attention_heads", "num_attention_heads * head_dim below 2^31",
                      from.num_attention_heads * from.head_dim));
  if (from.output_proj_dims != from.hidden_size)
    return fail(wrong(config, at + "output_proj_dims", "hidden_size = " + std::to_string(from.hidden_size),
                      from.output_proj_dims));
  if (from.pooling_kernel_size < 2)  // transformers then takes the padding for the soft tokens
    return fail(
        wrong(config, at + "pooling_kernel_size", "at least 2", from.pooling_kernel_size, Failure::unsupported));
  VisionPlan plan;
  plan.patch_values = pixels_of(from.patch_size);
  plan.hidden = int(from.hidden_size);
  plan.positions = int(from.position_embedding_size);
  plan.pool = int(from.pooling_kernel_size);
  plan.eps = float(from.rms_norm_eps);
  plan.standardize = from.standardize;
  ASSAY_TRY(activation, activation_of(config, at + "hidden_activation", from.hidden_activation));
  plan.activation = activation;
  const int half = int(from.head_dim / 2);
  const VisionLayerPlan layer{.heads = int(from.num_attention_heads),
                              .kv_heads = int(from.num_key_value_heads),
                              .head_dim = int(from.head_dim),
                              .rope = {from.rope_theta, inverse_frequencies(from.rope_theta, half, half / 2, 1)},
                              .ffn_width = int(from.intermediate_size),
                              .clipped = from.use_clipped_linears};
  plan.layers.assign(std::size_t(from.num_hidden_layers), layer);
  return plan;
}

/// Source: Gemma4UnifiedVisionEmbedder.
Result<VisionPlan> make_pixel_embedder(const Config& config) {
  const VisionConfig& from = *config.vision;
  if (from.output_proj_dims != from.mm_embed_dim)
    return fail(wrong(config, "vision_config.output_proj_dims", "mm_embed_dim = " + std::to_string(from.mm_embed_dim),
                      from.output_proj_dims));
  VisionPlan plan;
  plan.encoder_free = true;
  plan.patch_values = pixels_of(from.patch_size * from.pooling_kernel_size);
  plan.hidden = int(from.mm_embed_dim);
  plan.positions = int(from.mm_posemb_size);
  plan.pool = 1;
  plan.eps = float(from.rms_norm_eps);
  plan.layer_norm_eps = 1e-5F;  // torch.nn.LayerNorm's own
  return plan;
}

/// Sources: Gemma4AudioModel and the modules below it.
Result<AudioPlan> make_audio_tower(const Config& config) {
  const AudioConfig& from = *config.audio;
  const std::string at = "audio_config.";
  if (from.hidden_size % from.num_attention_heads != 0 || from.hidden_size % 2 != 0)
    return fail(wrong(config, at + "hidden_size",
                      "an even multiple of num_attention_heads = " + std::to_string(from.num_attention_heads),
                      from.hidden_size));
  if (from.subsampling_conv_channels[0] < 4)
    return fail(wrong(config, at + "subsampling_conv_channels.0", "at least 4, a frequency for each 4 channels",
                      from.subsampling_conv_channels[0]));
  AudioPlan plan;
  plan.channels[0] = int(from.subsampling_conv_channels[0]);
  plan.channels[1] = int(from.subsampling_conv_channels[1]);
  plan.frequencies = plan.channels[0] / 4;
  plan.features = 4 * plan.frequencies;
  plan.hidden = int(from.hidden_size);
  plan.output = int(from.output_proj_dims);
  plan.eps = float(from.rms_norm_eps);
  ASSAY_TRY(activation, activation_of(config, at + "hidden_act", from.hidden_act));
  const double largest = double(std::numeric_limits<float>::max());
  const AudioLayerPlan layer{.heads = int(from.num_attention_heads),
                             .head_dim = int(from.hidden_size / from.num_attention_heads),
                             .chunk = int(from.attention_chunk_size),
                             .past = int(from.attention_context_left - 1),
                             .future = int(from.attention_context_right),
                             .logit_cap = float(from.attention_logit_cap),
                             .invalid_logit = float(from.attention_invalid_logits_value),
                             .ffn_width = int(4 * from.hidden_size),
                             .kernel = int(from.conv_kernel_size),
                             .residual_weight = float(from.residual_weight),
                             .clamp = float(std::min(from.gradient_clipping, largest)),
                             .eps = 1e-6F,  // these norms' class default; they never see the config's
                             .conv_eps = float(from.rms_norm_eps),
                             .clipped = from.use_clipped_linears,
                             .activation = activation};
  plan.layers.assign(std::size_t(from.num_hidden_layers), layer);
  return plan;
}

/// Source: Gemma4UnifiedMultimodalEmbedder on raw samples.
Result<AudioPlan> make_sample_embedder(const Config& config) {
  AudioPlan plan;
  plan.encoder_free = true;
  plan.features = plan.output = int(config.audio->audio_embed_dim);
  plan.eps = float(config.audio->rms_norm_eps);
  return plan;
}

}  // namespace

std::vector<float> inverse_frequencies(double theta, int head_dim, int pairs_rotated, double factor) {
  std::vector<float> table(std::size_t(head_dim / 2), 0.0F);
  const auto base = double(float(theta));  // torch raises in fp32; pow in double, rounded, is the nearest to its pow
  for (int pair = 0; pair < pairs_rotated; ++pair) {
    const float exponent = float(2 * pair) / float(head_dim);
    table[std::size_t(pair)] = 1.0F / float(std::pow(base, double(exponent))) / float(factor);
  }
  return table;
}

Result<Plan> make_plan(const Config& config) {
  Plan plan;
  plan.hidden = int(config.hidden_size);
  plan.vocab = int(config.vocab_size);
  plan.ple_width = int(config.hidden_size_per_layer_input);
  plan.ple_vocab = plan.ple_width > 0 ? int(config.vocab_size_per_layer_input) : 0;
  plan.eps = float(config.rms_norm_eps);
  if (config.assistant) {
    ASSAY_TRY(assistant, make_assistant_plan(config));
    plan.assistant = assistant;
  } else {
    plan.softcap = float(config.final_logit_softcapping.value_or(0));  // no drafter's forward reads it
  }
  plan.tied_head = config.tie_word_embeddings;
  plan.pad_id = config.pad_token_id;
  for (const auto& id : {config.image_token_id, config.video_token_id, config.audio_token_id})
    if (id) plan.placeholder_ids.push_back(*id);
  plan.placeholders = {config.image_token_id, config.video_token_id, config.audio_token_id};
  if (config.vision) {
    ASSAY_TRY(vision, config.unified ? make_pixel_embedder(config) : make_vision_tower(config));
    plan.vision = std::move(vision);
  }
  if (config.audio) {
    ASSAY_TRY(audio, config.unified ? make_sample_embedder(config) : make_audio_tower(config));
    plan.audio = std::move(audio);
  }
  ASSAY_TRY(activation, activation_of(config, config.prefix + "hidden_activation", config.hidden_activation));
  plan.activation = activation;
  if (config.hidden_size_per_layer_input * config.num_hidden_layers > INT_MAX)
    return fail(contradiction(config, "hidden_size_per_layer_input", "times num_hidden_layers below 2^31",
                              std::to_string(config.hidden_size_per_layer_input)));
  if (plan.ple_width > 0 && config.pad_token_id >= config.vocab_size_per_layer_input)
    return fail(contradiction(config, "pad_token_id",
                              "below vocab_size_per_layer_input = " + std::to_string(config.vocab_size_per_layer_input),
                              std::to_string(config.pad_token_id)));
  ASSAY_CHECK(check_alike(config));
  ASSAY_TRY(experts, make_experts(config));

  std::array<std::optional<Rope>, 2> ropes;  // one of each kind; check_alike made sure of that
  const std::int64_t first_shared = config.num_hidden_layers - config.num_kv_shared_layers;
  for (std::size_t i = 0; i < config.layer_types.size(); ++i) {
    ASSAY_CHECK(check_heads(config, i));
    const AttentionKind kind = config.layer_types[i];
    std::optional<Rope>& rope = ropes[std::size_t(kind)];
    if (!rope) {
      ASSAY_TRY(made, make_rope(config, kind, config.head_dim[i]));
      rope = std::move(made);
    }
    ASSAY_TRY(kv, kv_source(config, i));
    LayerPlan layer;
    layer.q_heads = int(config.num_attention_heads);
    layer.kv_heads = int(config.num_key_value_heads[i]);
    layer.head_dim = int(config.head_dim[i]);
    layer.kv = kv;
    layer.value_is_key = config.attention_k_eq_v && kind == AttentionKind::full;
    layer.attention_bias = config.attention_bias;
    layer.window = kind == AttentionKind::sliding ? int(config.sliding_window) : 0;
    layer.blocks = blocks_of(config, kind);
    layer.rope = *rope;
    const bool double_wide = config.use_double_wide_mlp && std::int64_t(i) >= first_shared;
    layer.ffn_width = int(config.intermediate_size) * (double_wide ? 2 : 1);
    layer.ple_width = plan.ple_width;
    layer.experts = experts;
    plan.layers.push_back(std::move(layer));
  }
  return plan;
}

}  // namespace assay
