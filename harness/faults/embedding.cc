// Faults of what goes in and what comes out: rows A14 to A16, A18, A19, A21, D12's text half.
#include "harness/faults/bend.h"
#include "reference/ops/embed.h"
#include "reference/ops/linear.h"
#include "reference/ops/softcap.h"

namespace assay {

using namespace bend;  // NOLINT: the catalogue's own words

namespace {

/// The per-layer inputs with each factor free to be wrong.
struct PleFactors {
  bool token_scale = true, context_scale = true, half_scale = true, norm_first = false, swapped = false;
  bool context = true, token = true, placeholder_is_pad = true;
};

Grid ple_with(const Parts& parts, std::span<const std::int64_t> ids, Rows<const float> embeds, PleFactors factors) {
  const Plan& plan = parts.plan;
  const int width = plan.ple_width, columns = width * int(plan.layers.size());
  std::vector<std::int64_t> rows(ids.begin(), ids.end());
  for (std::int64_t& id : rows) {
    const bool placeholder = std::ranges::find(plan.placeholder_ids, id) != plan.placeholder_ids.end();
    if (placeholder && (factors.placeholder_is_pad || id >= plan.ple_vocab)) id = plan.pad_id;
  }
  Grid token(int(ids.size()), columns);
  reference::embed(rows, parts.weights.embed_tokens_per_layer, factors.token_scale ? std::sqrt(float(width)) : 1.0F,
                   token.view());
  Grid context(embeds.rows, columns);
  reference::linear(embeds, parts.weights.per_layer_model_projection, {}, context.view());
  const float root = factors.swapped ? std::sqrt(0.5F) : 1.0F / std::sqrt(float(plan.hidden));
  const float half = factors.swapped ? 1.0F / std::sqrt(float(plan.hidden)) : std::sqrt(0.5F);
  const auto norm = [&] {
    parts.ops.rms_norm({context.values.data(), context.rows * int(plan.layers.size()), width},
                       parts.weights.per_layer_projection_norm, plan.eps);
  };
  if (factors.norm_first) norm();
  if (factors.context_scale) scale(context.view(), root);
  if (!factors.norm_first) norm();
  for (std::size_t i = 0; i < context.values.size(); ++i) {
    const float sum = (factors.context ? context.values[i] : 0.0F) + (factors.token ? token.values[i] : 0.0F);
    context.values[i] = factors.half_scale ? sum * half : sum;
  }
  return context;
}

Fault ple(std::string_view name, std::string_view row, std::string_view what, std::string_view shipped_in,
          PleFactors factors) {
  return {.name = name,
          .row = row,
          .what = what,
          .shipped_in = shipped_in,
          .shows_at = model(Tap::ple),
          .inject = [factors](Parts& oracle) {
            if (oracle.plan.ple_width == 0) return false;
            if (!factors.placeholder_is_pad && oracle.plan.placeholder_ids.empty()) return false;
            oracle.ops.ple_inputs = [factors](const Parts& parts, std::span<const std::int64_t> ids,
                                              Rows<const float> embeds) {
              return ple_with(parts, ids, embeds, factors);
            };
            return true;
          }};
}

Fault embed(std::string_view name, std::string_view row, std::string_view what, std::string_view shipped_in,
            float (*factor)(const Plan&)) {
  return {.name = name,
          .row = row,
          .what = what,
          .shipped_in = shipped_in,
          .shows_at = model(Tap::embed),
          .inject = [factor](Parts& oracle) {
            oracle.ops.embed = [factor](const Parts& parts, std::span<const std::int64_t> ids) {
              Grid x = reference::embed_tokens(parts, ids);
              scale(x.view(), factor(parts.plan));
              return x;
            };
            return true;
          }};
}

/// Logits with the last step replaced: `finish` gets the head's product and the cap.
Fault head(std::string_view name, std::string_view row, std::string_view what, std::string_view shipped_in,
           std::function<void(const Plan&, std::span<float>)> finish) {
  return {.name = name,
          .row = row,
          .what = what,
          .shipped_in = shipped_in,
          .shows_at = model(Tap::logits),
          .inject = [finish](Parts& oracle) {
            if (oracle.plan.softcap == 0) return false;
            oracle.ops.logits = [finish](const Parts& parts, Rows<const float> normed) {
              Grid y(normed.rows, parts.plan.vocab);
              reference::linear(normed, parts.weights.lm_head, {}, y.view());
              finish(parts.plan, y.values);
              return y;
            };
            return true;
          }};
}

}  // namespace

std::vector<Fault> embedding_faults() {
  return {
      embed("embedding-unscaled", "A15",
            "The embedding is not multiplied by sqrt(hidden): a fused gather drops the factor.", "mlc-ai/mlc-llm#3485",
            [](const Plan& plan) { return 1.0F / std::sqrt(float(plan.hidden)); }),
      embed("embedding-scaled-twice", "A15", "The embedding is multiplied by sqrt(hidden) twice.",
            "mlc-ai/mlc-llm#3485", [](const Plan& plan) { return std::sqrt(float(plan.hidden)); }),
      embed("embedding-scale-in-bf16", "A15",
            "sqrt(hidden) is rounded to bf16, as older Gemmas did in fp32 models too.", "class of A15",
            [](const Plan& plan) {
              const float root = std::sqrt(float(plan.hidden));
              return through_bf16(root) / root;
            }),
      {.name = "pad-row-zeroed",
       .row = "x",
       .what = "The pad token's embedding is taken for zeros.",
       .shipped_in = "",
       .shows_at = model(Tap::embed),
       .inject =
           [](Parts& oracle) {
             std::vector<float> table = oracle.weights.embed_tokens.floats();
             const std::size_t hidden = std::size_t(oracle.plan.hidden);
             std::fill_n(table.begin() + std::ptrdiff_t(std::size_t(oracle.plan.pad_id) * hidden), hidden, 0.0F);
             oracle.weights.embed_tokens =
                 reference::Weight::own(oracle.plan.vocab, oracle.plan.hidden, std::move(table));
             return true;
           }},
      {.name = "placeholder-embeds-itself",
       .row = "D12",
       .what = "Placeholders of images are looked up by their own id instead of the pad token's.",
       .shipped_in = "apple/coreai-models#83",
       .shows_at = model(Tap::embed),
       .inject =
           [](Parts& oracle) {
             bool possible = false;
             for (const std::int64_t id : oracle.plan.placeholder_ids) possible = possible || id < oracle.plan.vocab;
             if (!possible) return false;
             oracle.ops.embed = [](const Parts& parts, std::span<const std::int64_t> ids) {
               Parts bent = parts;
               std::erase_if(bent.plan.placeholder_ids, [&](std::int64_t id) { return id < parts.plan.vocab; });
               return reference::embed_tokens(bent, ids);
             };
             return true;
           }},
      ple("ple-table-unscaled", "A14", "Rows of the per-layer table are not multiplied by sqrt(width).",
          "huggingface/transformers#45207", {.token_scale = false}),
      ple("ple-context-missing", "A16", "The context projection is left out of the per-layer inputs.",
          "huggingface/transformers#45207", {.context = false}),
      ple("ple-token-missing", "A16", "The table is left out of the per-layer inputs.",
          "huggingface/transformers#45207", {.token = false}),
      ple("ple-context-unscaled", "A16",
          "The context projection is not multiplied by hidden^-0.5: only epsilon sees it.",
          "huggingface/transformers#45207", {.context_scale = false}),
      ple("ple-half-scale-missing", "A16", "The sum is not multiplied by 2^-0.5.", "huggingface/transformers#45207",
          {.half_scale = false}),
      ple("ple-scales-swapped", "A16", "hidden^-0.5 and 2^-0.5 are swapped.", "huggingface/transformers#45207",
          {.swapped = true}),
      ple("ple-norm-before-scale", "A16", "The context is normed before it is scaled.",
          "huggingface/transformers#45207", {.norm_first = true}),
      ple("ple-placeholder-id", "D12", "The per-layer table is looked up with the placeholder's own id.",
          "apple/coreai-models#83", {.placeholder_is_pad = false}),
      head("head-inherits-embedding-scale", "A18",
           "The embedding's scale was folded into the table, and the tied head has it too.", "mattn/tensai#248",
           [](const Plan& plan, std::span<float> y) {
             for (float& v : y) v *= std::sqrt(float(plan.hidden));
             reference::softcap(y, plan.softcap);
           }),
      head("softcap-missing", "A19", "Logits are not capped.", "vllm-project/vllm#52173",
           [](const Plan&, std::span<float>) {}),
      head("softcap-as-clamp", "A19", "Logits are clamped instead of capped by tanh.", "class of A19",
           [](const Plan& plan, std::span<float> y) {
             for (float& v : y) v = std::clamp(v, -plan.softcap, plan.softcap);
           }),
      head("softcap-in-bf16", "A21", "The softcap is computed in bf16.", "Blaizzy/mlx-vlm#1347",
           [](const Plan& plan, std::span<float> y) {
             for (float& v : y)
               v = through_bf16(through_bf16(std::tanh(through_bf16(through_bf16(v) / plan.softcap))) * plan.softcap);
           }),
      {.name = "final-norm-missing",
       .row = "x",
       .what = "The head reads the last layer's output without the final norm.",
       .shipped_in = "",
       .shows_at = model(Tap::norm),
       .inject =
           [](Parts& oracle) {
             oracle.ops.final_norm = [](const Parts&, Rows<const float> last) { return Grid(last); };
             return true;
           }},
  };
}

}  // namespace assay
