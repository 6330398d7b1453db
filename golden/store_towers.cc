#include "golden/store_towers.h"

#include "golden/read.h"

namespace assay {
namespace {

constexpr std::int64_t kMostLayers = 512;

/// Whether a part is an embedder; else it is a tower.
Result<bool> read_kind(const hdf5::Group& group) {
  ASSAY_TRY(kind, group.text("kind"));
  if (kind != "tower" && kind != "embedder") return group.wrong("@kind", "tower or embedder", kind);
  return kind == "embedder";
}

#define ASSAY_READ_WIDTH(field) ASSAY_READ_INT(part.field, group, #field, 1, kMostOfAFact)

}  // namespace

SoftTokens soft_tokens(const GoldenInfo& info) {
  return {.pool = info.vision ? info.vision->pool : 1, .subsampled = !info.audio || !info.audio->embedder};
}

Result<GoldenVision> read_vision(const hdf5::Group& plan) {
  ASSAY_TRY(group, plan.group("vision"));
  GoldenVision part;
  ASSAY_READ(part.embedder, read_kind(group));
  ASSAY_READ_WIDTH(hidden);
  ASSAY_READ_WIDTH(patch_values);
  ASSAY_READ_WIDTH(positions);
  ASSAY_READ(part.eps, group.number("eps"));
  if (part.embedder) {
    ASSAY_READ(part.layer_norm_eps, group.number("layer_norm_eps"));
    return part;
  }
  ASSAY_READ_INT(part.pool, group, "pool", 1, 1024);
  ASSAY_READ_INT(part.standardize, group, "standardize", 0, 1);
  ASSAY_READ_INT(part.layers, group, "layers", 1, kMostLayers);
  ASSAY_READ_WIDTH(heads);
  ASSAY_READ_WIDTH(kv_heads);
  ASSAY_READ_WIDTH(head_dim);
  ASSAY_READ_WIDTH(ffn_width);
  ASSAY_READ_INT(part.clipped, group, "clipped", 0, 1);
  ASSAY_TRY(inv_freq, group.dataset("inv_freq"));
  const std::vector<std::int64_t> expected{part.head_dim / 4};
  if (inv_freq.shape() != expected) return inv_freq.wrong("", shape_text(expected), shape_text(inv_freq.shape()));
  ASSAY_READ(part.inv_freq, inv_freq.floats());
  return part;
}

Result<GoldenAudio> read_audio(const hdf5::Group& plan) {
  ASSAY_TRY(group, plan.group("audio"));
  GoldenAudio part;
  ASSAY_READ(part.embedder, read_kind(group));
  ASSAY_READ(part.eps, group.number("eps"));
  if (part.embedder) {
    ASSAY_READ_WIDTH(features);
    return part;
  }
  ASSAY_READ_INT(part.channels[0], group, "channels_0", 1, kMostOfAFact);
  ASSAY_READ_INT(part.channels[1], group, "channels_1", 1, kMostOfAFact);
  ASSAY_READ_WIDTH(frequencies);
  ASSAY_READ_WIDTH(hidden);
  ASSAY_READ_WIDTH(output);
  ASSAY_READ_INT(part.layers, group, "layers", 1, kMostLayers);
  ASSAY_READ_WIDTH(heads);
  ASSAY_READ_WIDTH(head_dim);
  ASSAY_READ_WIDTH(chunk);
  ASSAY_READ_INT(part.past, group, "past", 0, kMostOfAFact);
  ASSAY_READ_INT(part.future, group, "future", 0, kMostOfAFact);
  ASSAY_READ_WIDTH(ffn_width);
  ASSAY_READ_WIDTH(kernel);
  ASSAY_READ(part.logit_cap, group.number("logit_cap"));
  ASSAY_READ(part.invalid_logit, group.number("invalid_logit"));
  ASSAY_READ(part.residual_weight, group.number("residual_weight"));
  ASSAY_READ(part.clamp, group.number("clamp"));
  ASSAY_READ(part.layer_eps, group.number("layer_eps"));
  ASSAY_READ(part.conv_eps, group.number("conv_eps"));
  ASSAY_READ_INT(part.clipped, group, "clipped", 0, 1);
  return part;
}

}  // namespace assay
