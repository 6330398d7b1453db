// What transformers resolved of pictures and sound against the plan, field by field.
#include "golden/facts.h"

namespace assay {
namespace {

/// Each layer of ours; transformers builds all of a tower's layers from one config.
void check_vision(const GoldenVision& golden, const VisionPlan& plan, std::vector<Finding>& findings) {
  Facts facts(findings, "/plan/vision");
  facts.same("kind", golden.embedder, plan.encoder_free);
  facts.same("hidden", golden.hidden, plan.hidden);
  facts.same("patch_values", golden.patch_values, plan.patch_values);
  facts.same("positions", golden.positions, plan.positions);
  facts.same("pool", golden.pool, plan.pool);
  facts.same("eps", float(golden.eps), plan.eps);
  if (golden.embedder) facts.same("layer_norm_eps", float(golden.layer_norm_eps), plan.layer_norm_eps);
  facts.same("standardize", golden.standardize, plan.standardize);
  facts.same("layers", std::size_t(golden.layers), plan.layers.size());
  for (const VisionLayerPlan& layer : plan.layers) {
    facts.same("heads", golden.heads, layer.heads);
    facts.same("kv_heads", golden.kv_heads, layer.kv_heads);
    facts.same("head_dim", golden.head_dim, layer.head_dim);
    facts.same("ffn_width", golden.ffn_width, layer.ffn_width);
    facts.same("clipped", golden.clipped, layer.clipped);
    same_inv_freq(facts, golden.inv_freq, layer.rope.inv_freq);
  }
}

void check_audio(const GoldenAudio& golden, const AudioPlan& plan, std::vector<Finding>& findings) {
  Facts facts(findings, "/plan/audio");
  facts.same("kind", golden.embedder, plan.encoder_free);
  facts.same("eps", float(golden.eps), plan.eps);
  facts.same("layers", std::size_t(golden.layers), plan.layers.size());
  if (golden.embedder) {
    facts.same("features", golden.features, plan.features);
    return;
  }
  facts.same("channels_0", golden.channels[0], plan.channels[0]);
  facts.same("channels_1", golden.channels[1], plan.channels[1]);
  facts.same("frequencies", golden.frequencies, plan.frequencies);
  facts.same("hidden", golden.hidden, plan.hidden);
  facts.same("output", golden.output, plan.output);
  for (const AudioLayerPlan& layer : plan.layers) {
    facts.same("heads", golden.heads, layer.heads);
    facts.same("head_dim", golden.head_dim, layer.head_dim);
    facts.same("chunk", golden.chunk, layer.chunk);
    facts.same("past", golden.past, layer.past);
    facts.same("future", golden.future, layer.future);
    facts.same("logit_cap", float(golden.logit_cap), layer.logit_cap);
    facts.same("invalid_logit", float(golden.invalid_logit), layer.invalid_logit);
    facts.same("ffn_width", golden.ffn_width, layer.ffn_width);
    facts.same("kernel", golden.kernel, layer.kernel);
    facts.same("residual_weight", float(golden.residual_weight), layer.residual_weight);
    facts.same("clamp", float(golden.clamp), layer.clamp);
    facts.same("layer_eps", float(golden.layer_eps), layer.eps);
    facts.same("conv_eps", float(golden.conv_eps), layer.conv_eps);
    facts.same("clipped", golden.clipped, layer.clipped);
  }
}

}  // namespace

void check_towers(const GoldenInfo& info, const Plan& plan, std::vector<Finding>& findings) {
  Facts facts(findings, "/plan");
  facts.same("vision", info.vision.has_value(), plan.vision.has_value());
  facts.same("audio", info.audio.has_value(), plan.audio.has_value());
  if (info.vision && plan.vision) check_vision(*info.vision, *plan.vision, findings);
  if (info.audio && plan.audio) check_audio(*info.audio, *plan.audio, findings);
}

}  // namespace assay
