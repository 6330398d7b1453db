// Faults of the encoder-free pixel embedder of gemma4_unified: what a port of the towers gets wrong there; row F2.
#include "harness/faults/bend_towers.h"
#include "reference/ops/layer_norm.h"
#include "reference/ops/linear.h"

namespace assay {

using namespace bend;  // NOLINT: the catalogue's own words

namespace {

/// The embedder with each step free to be wrong.
struct Steps {
  bool first_norm = true, second_norm = true, last_norm = true, bias = true, positions_last = false, centred = false;
  bool clamp_positions = false, in_fp16 = false;
  float eps = 0;  ///< 0 = the config's
  std::function<void(Rows<float>, std::span<const float> weight, std::span<const float> bias, float eps)> norm =
      reference::layer_norm;
};

void add_positions(const Vision& vision, const Patches& patches, const Steps& steps, Rows<float> y) {
  std::vector<float> by_x(std::size_t(y.cols)), by_y(by_x.size());
  for (int r = 0; r < y.rows; ++r) {
    PatchPosition at = patches.positions[std::size_t(r)];
    if (steps.clamp_positions) at = {std::max<std::int64_t>(at.x, 0), std::max<std::int64_t>(at.y, 0)};
    if (at.x == -1 || at.y == -1) continue;  // rows that no soft token comes from
    vision.weights.positions_x.row(int(at.x), by_x);
    vision.weights.positions_y.row(int(at.y), by_y);
    for (std::size_t c = 0; c < by_x.size(); ++c) y.row(r)[c] += by_x[c] + by_y[c];
  }
}

Grid embed_with(const Vision& vision, const Patches& patches, Rows<const float> pixels, const Steps& steps) {
  const reference::VisionWeights& w = vision.weights;
  const float eps = steps.eps != 0 ? steps.eps : vision.plan.layer_norm_eps;
  Grid x(pixels), y(pixels.rows, vision.plan.hidden);
  if (steps.centred)
    for (float& v : x.values) v = 2 * (v - 0.5F);
  if (steps.first_norm) steps.norm(x.view(), w.patch_ln1, w.patch_ln1_bias, eps);
  reference::linear(x.view(), w.patch_dense,
                    steps.bias ? std::span<const float>(w.patch_dense_bias) : std::span<const float>(), y.view());
  if (steps.in_fp16)
    for (float& v : y.values) v = through_f16(v);
  if (steps.second_norm) steps.norm(y.view(), w.patch_ln2, w.patch_ln2_bias, eps);
  if (!steps.positions_last) add_positions(vision, patches, steps, y.view());
  if (steps.last_norm) steps.norm(y.view(), w.pos_norm, w.pos_norm_bias, eps);
  if (steps.positions_last) add_positions(vision, patches, steps, y.view());
  return y;
}

Fault embedder(std::string_view name, std::string_view row, std::string_view what, std::string_view shipped_in,
               std::function<void(Vision&)> edit) {
  return {.name = name,
          .row = row,
          .what = what,
          .shipped_in = shipped_in,
          .shows_at = tower(Tap::vision_patch_embed),
          .inject = [edit](Parts& oracle) {
            if (!oracle.vision || with_encoder(*oracle.vision)) return false;
            edit(*oracle.vision);
            return true;
          }};
}

Fault steps(std::string_view name, std::string_view row, std::string_view what, std::string_view shipped_in,
            Steps wrong) {
  return embedder(name, row, what, shipped_in, [wrong](Vision& vision) {
    vision.ops.patch_embed = [wrong](const Vision& self, const Patches& patches, Rows<const float> pixels) {
      return embed_with(self, patches, pixels, wrong);
    };
  });
}

void rms_with_bias(Rows<float> x, std::span<const float> weight, std::span<const float> bias, float eps) {
  reference::rms_norm(x, weight, eps);
  for (int r = 0; r < x.rows; ++r)
    for (std::size_t c = 0; c < bias.size(); ++c) x.row(r)[c] += bias[c];
}

/// Divides by n - 1.
void sample_variance(Rows<float> x, std::span<const float> weight, std::span<const float> bias, float eps) {
  const float ratio = float(x.cols - 1) / float(x.cols);
  reference::layer_norm(x, weight, {}, eps * ratio);
  for (int r = 0; r < x.rows; ++r)
    for (std::size_t c = 0; c < bias.size(); ++c) x.row(r)[c] = x.row(r)[c] * std::sqrt(ratio) + bias[c];
}

}  // namespace

std::vector<Fault> unified_faults() {
  Fault control = steps("unified-padding-gets-position-zero", "-",
                        "Patches of padding are given position (0, 0): none is sent. Must NOT be flagged.", "",
                        {.clamp_positions = true});
  control.shows_at = nowhere;
  control.control = true;
  return {
      steps("unified-pixels-centred", "D9",
            "2 (x - 0.5) is done where there is none: only the first norm's epsilon sees it.", "class of D9",
            {.centred = true}),
      steps("unified-layer-norm-epsilon", "x", "LayerNorms take 1e-6 for epsilon, whatever the config says.", "",
            {.eps = 1e-6F}),
      steps("unified-first-norm-missing", "x", "Pixels are not normed before the dense layer.", "",
            {.first_norm = false}),
      steps("unified-second-norm-missing", "x", "There is no norm between the dense layer and the positions.", "",
            {.second_norm = false}),
      steps("unified-position-norm-missing", "x", "There is no norm behind the positions.", "", {.last_norm = false}),
      steps("unified-positions-behind-norm", "x", "Positions are added behind the last norm.", "",
            {.positions_last = true}),
      steps("unified-dense-bias-missing", "x", "The dense layer has no bias.", "", {.bias = false}),
      steps("unified-norm-is-rms", "x", "RMS norms stand in for LayerNorms.", "", {.norm = rms_with_bias}),
      steps("unified-sample-variance", "x", "LayerNorms divide the variance by n - 1.", "", {.norm = sample_variance}),
      steps("unified-dense-in-fp16", "F2", "The dense layer's product is kept in fp16.", "ggml-org/llama.cpp#26488",
            {.in_fp16 = true}),
      embedder("unified-first-norm-without-bias", "x", "patch_ln1's bias is left out.", "",
               [](Vision& vision) { std::ranges::fill(vision.weights.patch_ln1_bias, 0.0F); }),
      embedder("unified-second-norm-without-bias", "x", "patch_ln2's bias is left out.", "",
               [](Vision& vision) { std::ranges::fill(vision.weights.patch_ln2_bias, 0.0F); }),
      embedder("unified-position-norm-without-bias", "x", "pos_norm's bias is left out.", "",
               [](Vision& vision) { std::ranges::fill(vision.weights.pos_norm_bias, 0.0F); }),
      embedder("unified-norms-swapped", "x", "patch_ln2 and pos_norm are given each other's weights.", "",
               [](Vision& vision) {
                 std::swap(vision.weights.patch_ln2, vision.weights.pos_norm);
                 std::swap(vision.weights.patch_ln2_bias, vision.weights.pos_norm_bias);
               }),
      {.name = "unified-padding-sent",
       .row = "x",
       .what = "Patches of padding become soft tokens.",
       .shipped_in = "",
       .shows_at = tower(Tap::vision_projected),
       .inject =
           [](Parts& oracle) {
             if (!oracle.vision || with_encoder(*oracle.vision)) return false;
             oracle.vision->ops.pool = [](const Vision&, const Patches&, Rows<const float> embedded) {
               return Grid(embedded);
             };
             return true;
           }},
      control,
  };
}

}  // namespace assay
