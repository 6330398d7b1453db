// Faults of backends, simulated: rows J2, J5, J6, J7, J11. Limits of buffers are those of the published E2B and its
// tables, as shares of the rows that this model's tables have. Not here: what ends in an error message (J1, J3, J10)
// and what nobody knows the cause of (J4, J8, J9).
#include <algorithm>
#include <limits>

#include "harness/faults/bend.h"

namespace assay {

using namespace bend;  // NOLINT: the catalogue's own words

namespace {

using reference::Weight;

/// Of E2B as published, in bf16.
constexpr double kVocab = 262144, kHidden = 1536, kPle = 8960, kValueBytes = 2;
constexpr double kEmbeddingInABinding = 0x1p27 / (kVocab * kHidden * kValueBytes);  // 128 MiB: WebGPU's default
constexpr double kPleInABuffer = 0x1p32 / (kVocab * kPle * kValueBytes);            // 4 GiB: Metal's
constexpr double kPleInAnInt = 0x1p31 / (kVocab * kPle);  // elements before an int is negative

int share_of(int rows, double share) { return std::max(1, int(rows * share)); }

/// A table whose rows from a share of them on are others.
/// @param source  which row is read in place of row r, of those below `limit`; negative: zeros
bool cut(Weight& table, double share, int (*source)(int r, int limit)) {
  const int limit = share_of(table.rows, share);
  if (table.empty() || limit >= table.rows) return false;
  std::vector<float> values = table.floats();
  const auto cols = std::size_t(table.cols);
  for (int r = limit; r < table.rows; ++r) {
    const std::span<float> row = std::span(values).subspan(std::size_t(r) * cols, cols);
    const int from = source(r, limit);
    if (from < 0)
      std::ranges::fill(row, 0.0F);
    else
      std::copy_n(values.begin() + std::ptrdiff_t(std::size_t(from) * cols), cols, row.begin());
  }
  table = Weight::own(table.rows, table.cols, std::move(values));
  return true;
}

/// Head sizes of which a kernel's tile holds the smaller alone.
int smallest_head(const Plan& plan) {
  int smallest = std::numeric_limits<int>::max();
  for (const LayerPlan& layer : plan.layers) smallest = std::min(smallest, layer.head_dim);
  return smallest;
}

void norm_in_fp16(Rows<float> x, std::span<const float> weight, float eps) {
  for (int r = 0; r < x.rows; ++r) {
    float squares = 0;
    for (const float v : x.row(r)) squares = through_f16(squares + through_f16(v * v));
    const float scale = 1.0F / std::sqrt(squares / float(x.cols) + eps);
    for (std::size_t c = 0; c < std::size_t(x.cols); ++c)
      x.row(r)[c] = x.row(r)[c] * scale * (weight.empty() ? 1.0F : weight[c]);
  }
}

void norm_without_last_part(Rows<float> x, std::span<const float> weight, float eps) {
  for (int r = 0; r < x.rows; ++r) {
    double squares = 0;
    for (const float v : x.row(r).first(std::size_t(x.cols - x.cols / 4))) squares += double{v} * v;
    const float scale = 1.0F / std::sqrt(float(squares / x.cols) + eps);
    for (std::size_t c = 0; c < std::size_t(x.cols); ++c)
      x.row(r)[c] = x.row(r)[c] * scale * (weight.empty() ? 1.0F : weight[c]);
  }
}

}  // namespace

std::vector<Fault> backend_faults() {
  return {
      {.name = "attention-tile-too-small",
       .row = "J2",
       .what =
           "Scores of the larger heads are summed over as many lanes as the smaller heads have: no more fit a tile.",
       .shipped_in = "huggingface/candle#3456",
       .shows_at = [](const Plan& plan) -> std::optional<TapId> {
         const int smallest = smallest_head(plan);
         return at(Tap::attn_ctx, [smallest](const LayerPlan& layer) { return layer.head_dim > smallest; })(plan);
       },
       .inject =
           [](Parts& oracle) {
             const int smallest = smallest_head(oracle.plan);
             return each(
                 oracle, [smallest](const LayerPlan& layer) { return layer.head_dim > smallest; },
                 [smallest](Layer& layer) {
                   layer.ops.attend = [smallest](const Layer& self, const Sequence& sequence, Rows<const float> q,
                                                 const KvCache& kv) {
                     Grid cut(q);
                     for (std::size_t i = 0; i < cut.values.size(); ++i)
                       if (int(i % std::size_t(self.plan.head_dim)) >= smallest) cut.values[i] = 0;
                     return reference::attend(self, sequence, cut.view(), kv);
                   };
                 });
           }},
      {.name = "ple-table-offset-overflows",
       .row = "J5",
       .what = "Offsets into the per-layer table are ints: rows past 2^31 elements are read from its start.",
       .shipped_in = "ggml-org/llama.cpp#14525",
       .shows_at = [](const Plan& plan) { return plan.ple_width > 0 ? model(Tap::ple)(plan) : std::nullopt; },
       .inject =
           [](Parts& oracle) {
             return cut(oracle.weights.embed_tokens_per_layer, kPleInAnInt, [](int r, int limit) { return r - limit; });
           }},
      {.name = "ple-table-past-buffer-zero",
       .row = "J6",
       .what = "The per-layer table is longer than a buffer may be: rows past 4 GiB are zeros.",
       .shipped_in = "ml-explore/mlx-lm 84de09b3",
       .shows_at = [](const Plan& plan) { return plan.ple_width > 0 ? model(Tap::ple)(plan) : std::nullopt; },
       .inject =
           [](Parts& oracle) {
             return cut(oracle.weights.embed_tokens_per_layer, kPleInABuffer, [](int, int) { return -1; });
           }},
      {.name = "embedding-past-binding-clamped",
       .row = "J6",
       .what = "The embedding table is bound in 128 MiB: rows past it read the last one inside.",
       .shipped_in = "mlc-ai/mlc-llm#3485",
       .shows_at = model(Tap::embed),
       .inject =
           [](Parts& oracle) {
             return cut(oracle.weights.embed_tokens, kEmbeddingInABinding, [](int, int limit) { return limit - 1; });
           }},
      {.name = "logits-past-buffer-zero",
       .row = "J6",
       .what = "The logits are longer than a buffer may be: the last tokens of the vocabulary get none.",
       .shipped_in = "class of mlc-ai/mlc-llm#3485",
       .shows_at = model(Tap::logits),
       .inject =
           [](Parts& oracle) {
             oracle.ops.logits = [](const Parts& parts, Rows<const float> normed) {
               Grid out = reference::logits(parts, normed);
               for (int r = 0; r < out.rows; ++r)
                 std::ranges::fill(out.view().row(r).subspan(std::size_t(share_of(out.cols, 0.75))), 0.0F);
               return out;
             };
             return true;
           }},
      {.name = "layer-scalar-misaligned",
       .row = "J7",
       .what = "Two fp16 scalars share a word of four bytes: every other layer reads the layer_scalar before its own.",
       .shipped_in = "mlc-ai/mlc-llm#3485",
       .shows_at = [](const Plan& plan) -> std::optional<TapId> {
         if (plan.layers.size() < 2) return std::nullopt;
         return TapId{Tap::out, 1};
       },
       .inject =
           [](Parts& oracle) {
             for (std::size_t i = 1; i < oracle.layers.size(); i += 2)
               oracle.layers[i].weights.layer_scalar = oracle.layers[i - 1].weights.layer_scalar;
             return oracle.layers.size() > 1;
           }},
      {.name = "norm-squares-in-fp16",
       .row = "J11",
       .what = "Norms sum squares in fp16: rounded, and infinite beyond 65504, which makes the row zeros.",
       .shipped_in = "huggingface/transformers.js#1728",
       .shows_at = at(Tap::attn_norm),
       .inject =
           [](Parts& oracle) { return each(oracle, any, [](Layer& layer) { layer.ops.rms_norm = norm_in_fp16; }); }},
      {.name = "products-in-fp16",
       .row = "J11",
       .what = "Matrix products are summed in fp16.",
       .shipped_in = "microsoft/onnxruntime#26732",
       .shows_at = at(Tap::attn_q),
       .inject =
           [](Parts& oracle) {
             return each(oracle, any, [](Layer& layer) {
               layer.ops.linear = [](Rows<const float> x, const Weight& w, std::span<const float> bias, Rows<float> y) {
                 std::vector<float> row(std::size_t(w.cols));
                 for (int out = 0; out < w.rows; ++out) {
                   w.row(out, row);
                   for (int r = 0; r < x.rows; ++r) {
                     float sum = 0;
                     for (std::size_t i = 0; i < row.size(); ++i) sum = through_f16(sum + x.row(r)[i] * row[i]);
                     y.row(r)[std::size_t(out)] = bias.empty() ? sum : sum + bias[std::size_t(out)];
                   }
                 }
               };
             });
           }},
      {.name = "barrier-skipped-in-norm",
       .row = "x",
       .what = "A norm's partial sums are added up before the last of four workgroups has written its own.",
       .shipped_in = "",
       .shows_at = at(Tap::attn_norm),
       .inject =
           [](Parts& oracle) {
             return each(oracle, any, [](Layer& layer) { layer.ops.rms_norm = norm_without_last_part; });
           }},
      {.name = "barrier-skipped-in-ffn",
       .row = "x",
       .what = "The last quarter of the feed-forward block's output is read before it is written: it is the token's "
               "before.",
       .shipped_in = "",
       .shows_at = at(Tap::mlp),
       .inject =
           [](Parts& oracle) {
             return each(oracle, any, [](Layer& layer) {
               layer.ops.mlp = [](const Layer& self, Rows<const float> x) {
                 const Grid right = reference::mlp(self, x);
                 Grid out = right;
                 const auto first = std::size_t(out.cols - out.cols / 4);
                 for (int r = 0; r < out.rows; ++r) {
                   const std::span<float> late = out.view().row(r).subspan(first);
                   if (r == 0)
                     std::ranges::fill(late, 0.0F);
                   else
                     std::ranges::copy(right.view().row(r - 1).subspan(first), late.begin());
                 }
                 return out;
               };
             });
           }},
  };
}

}  // namespace assay
