// Faults of who sees whom: rows B9, B11, B12, B14, B17.
#include <limits>

#include "harness/faults/bend.h"
#include "reference/visibility.h"

namespace assay {

using namespace bend;  // NOLINT: the catalogue's own words

namespace {

using Visible = void(const LayerPlan&, const Sequence&, int row, int query, std::span<char> seen);

Fault mask(std::string_view name, std::string_view row, std::string_view what, std::string_view shipped_in, Which which,
           std::function<Visible> replacement, std::vector<Path::Kind> paths = {}) {
  return {.name = name,
          .row = row,
          .what = what,
          .shipped_in = shipped_in,
          .shows_at = at(Tap::attn_ctx, which),
          .inject =
              [which, replacement](Parts& oracle) {
                return each(oracle, which, [&](Layer& layer) { layer.ops.visible = replacement; });
              },
          .paths = std::move(paths)};
}

/// The mask with some fields of the plan bent.
std::function<Visible> with(std::function<void(LayerPlan&)> edit) {
  return [edit](const LayerPlan& plan, const Sequence& sequence, int row, int query, std::span<char> seen) {
    LayerPlan bent = plan;
    edit(bent);
    reference::visible(bent, sequence, row, query, seen);
  };
}

bool sees_blocks(const LayerPlan& layer) { return layer.blocks != Blocks::causal; }
bool sliding_blocks(const LayerPlan& layer) { return sees_blocks(layer) && sliding(layer); }

/// Tokens in the query's block.
int block_length(const Sequence& sequence, int row, int query) {
  int length = 0;
  for (int key = 0; key < sequence.keys(); ++key)
    length += sequence.block[sequence.at(row, key)] == sequence.block[sequence.at(row, query)];
  return length;
}

}  // namespace

std::vector<Fault> mask_faults() {
  return {
      mask("window-one-too-wide", "B9", "Sliding layers see one key more: distance <= window.",
           "elixir-nx/bumblebee#452", sliding, with([](LayerPlan& plan) { ++plan.window; })),
      mask(
          "window-one-too-narrow", "B9", "Sliding layers see one key less.", "class of B9",
          [](const LayerPlan& layer) { return layer.window > 1; }, with([](LayerPlan& plan) { --plan.window; })),
      mask("window-missing", "B9", "Sliding layers see every key before them.", "class of B9", sliding,
           with([](LayerPlan& plan) { plan.window = std::numeric_limits<int>::max() / 2; })),
      mask("self-unseen", "x", "A query does not see its own key.", "", any,
           [](const LayerPlan& plan, const Sequence& sequence, int row, int query, std::span<char> seen) {
             reference::visible(plan, sequence, row, query, seen);
             if (query > 0) seen[std::size_t(query)] = 0;
           }),
      mask("causality-missing", "x", "Queries see the keys to their right.", "", any,
           [](const LayerPlan& plan, const Sequence& sequence, int row, int query, std::span<char> seen) {
             reference::visible(plan, sequence, row, query, seen);
             for (int key = query + 1; key < sequence.keys(); ++key)
               seen[std::size_t(key)] = sequence.real[sequence.at(row, key)];
           }),
      mask("long-block-turns-causal", "B11", "An image longer than the window loses its bidirectional attention.",
           "vllm-project/vllm#47217", sliding_blocks,
           [](const LayerPlan& plan, const Sequence& sequence, int row, int query, std::span<char> seen) {
             LayerPlan bent = plan;
             if (block_length(sequence, row, query) > plan.window) bent.blocks = Blocks::causal;
             reference::visible(bent, sequence, row, query, seen);
           }),
      {.name = "blocks-on-causal-model",
       .row = "B12",
       .what = "Image rows of E2B and E4B see each other both ways although the config says none.",
       .shipped_in = "quic/efficient-transformers#1159",
       .shows_at = at(Tap::attn_ctx, sliding),
       .inject =
           [](Parts& oracle) {
             for (const Layer& layer : oracle.layers)
               if (sees_blocks(layer.plan)) return false;
             return each(oracle, sliding, [](Layer& layer) { layer.plan.blocks = Blocks::inside_window; });
           }},
      mask("blocks-causal", "C5", "Image rows stay causal although the config asks for vision.", "class of B12",
           sees_blocks, with([](LayerPlan& plan) { plan.blocks = Blocks::causal; })),
      {.name = "blocks-on-global-layers",
       .row = "B12",
       .what = "Image rows see each other on global layers too, where this model is causal (26B, 31B).",
       .shipped_in = "Gemma 3's rule",
       .shows_at = at(Tap::attn_ctx, global),
       .inject =
           [](Parts& oracle) {
             bool inside = false;
             for (const Layer& layer : oracle.layers) inside = inside || layer.plan.blocks == Blocks::inside_window;
             return inside && each(oracle, global, [](Layer& layer) { layer.plan.blocks = Blocks::beyond_window; });
           }},
      mask(
          "blocks-beyond-window", "B11",
          "An image block reaches beyond the window, as in the 12B, where this model stops there.", "class of B11",
          [](const LayerPlan& layer) { return layer.blocks == Blocks::inside_window; },
          with([](LayerPlan& plan) { plan.blocks = Blocks::beyond_window; })),
      mask(
          "blocks-inside-window", "B11",
          "An image block stops at the window, as in the 26B, where this model reaches on.", "vllm-project/vllm#47217",
          [](const LayerPlan& layer) { return layer.blocks == Blocks::beyond_window && sliding(layer); },
          with([](LayerPlan& plan) { plan.blocks = Blocks::inside_window; })),
      mask(
          "blocks-absent-on-global", "B12", "Global layers of the 12B stay causal in image blocks, as in the 26B.",
          "class of B12", [](const LayerPlan& layer) { return layer.blocks == Blocks::beyond_window && global(layer); },
          with([](LayerPlan& plan) { plan.blocks = Blocks::causal; })),
      mask("block-ids-cut-at-window", "B14",
           "Block ids are padded to another layer's length: keys past the window belong to no block.",
           "huggingface/transformers#48482", sliding_blocks,
           [](const LayerPlan& plan, const Sequence& sequence, int row, int query, std::span<char> seen) {
             Sequence cut = sequence;
             for (int key = plan.window; key < sequence.keys(); ++key) cut.block[cut.at(row, key)] = -1;
             reference::visible(plan, cut, row, query, seen);
           }),
      mask("neighbouring-blocks-merge", "x", "All image tokens of a prompt form one block.", "", sees_blocks,
           [](const LayerPlan& plan, const Sequence& sequence, int row, int query, std::span<char> seen) {
             Sequence merged = sequence;
             for (int& block : merged.block) block = std::min(block, 0);
             reference::visible(plan, merged, row, query, seen);
           }),
      {.name = "audio-in-blocks",
       .row = "x",
       .what = "Audio rows form blocks as image rows do.",
       .shipped_in = "",
       .shows_at = at(Tap::attn_ctx, sees_blocks),
       .inject =
           [](Parts& oracle) {
             oracle.ops.extend = [](const Sequence& before, const Forward& call) -> Result<Sequence> {
               ASSAY_TRY(sequence, reference::extend(before, call));
               const Tensor* types = find(call.more, "mm_token_type_ids");
               if (types == nullptr) return sequence;
               ASSAY_TRY(values, types->integers());
               for (int row = 0; row < sequence.batch; ++row)
                 for (int token = 0; token < sequence.tokens; ++token)
                   if (values[std::size_t(row * sequence.tokens + token) % values.size()] == 3)
                     sequence.block[sequence.at(row, sequence.cached + token)] = 1 << 20;
               return sequence;
             };
             return each(oracle, sees_blocks, [](Layer&) {});
           }},
      mask("padding-seen", "B17", "Padding on the left is attended to.", "class of B17", any,
           [](const LayerPlan& plan, const Sequence& sequence, int row, int query, std::span<char> seen) {
             Sequence full = sequence;
             std::ranges::fill(full.real, char{1});
             reference::visible(plan, full, row, query, seen);
           },
           {Path::batched}),
      {.name = "padding-shifts-positions",
       .row = "B17",
       .what = "Positions count padding: every row of a batch starts at the left edge.",
       .shipped_in = "unslothai/unsloth#9848",
       .shows_at = at(Tap::attn_q_rope),
       .inject =
           [](Parts& oracle) {
             oracle.ops.extend = [](const Sequence& before, const Forward& call) -> Result<Sequence> {
               ASSAY_TRY(sequence, reference::extend(before, call));
               for (std::size_t i = 0; i < sequence.positions.size(); ++i)
                 sequence.positions[i] = sequence.cached + std::int64_t(i) % sequence.tokens;
               return sequence;
             };
             return true;
           },
       .paths = {Path::batched}},
      {.name = "masked-row-is-nan",
       .row = "B17",
       .what =
           "A row of padding that sees nothing becomes 0/0, and the next layer multiplies that NaN by a weight of 0.",
       .shipped_in = "unslothai/unsloth#9848",
       .shows_at = [](const Plan& plan) -> std::optional<TapId> {
         for (int i = 1; i < int(plan.layers.size()); ++i)
           if (owns_kv(plan.layers[std::size_t(i)])) return TapId{Tap::attn_ctx, i};
         return std::nullopt;
       },
       .inject =
           [](Parts& oracle) {
             return each(oracle, any, [](Layer& layer) {
               layer.ops.attend = [](const Layer& self, const Sequence& sequence, Rows<const float> q,
                                     const KvCache& kv) {
                 Grid ctx = reference::attend(self, sequence, q, kv);
                 for (int token = 0; token < ctx.rows; ++token) {
                   const int row = token / sequence.tokens, query = sequence.cached + token % sequence.tokens;
                   bool poisoned = sequence.real[sequence.at(row, query)] == 0;
                   for (int key = 0; key < sequence.keys(); ++key)
                     poisoned = poisoned || std::isnan(kv.values(row).row(key)[0]);
                   if (poisoned) std::ranges::fill(ctx.row(token), std::numeric_limits<float>::quiet_NaN());
                 }
                 return ctx;
               };
             });
           },
       .paths = {Path::batched}},
  };
}

}  // namespace assay
