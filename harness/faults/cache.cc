// Faults of the K/V cache and of sharing it: rows B1 to B3, B5, B7, B8, B15, B16.
#include "harness/faults/bend.h"
#include "reference/visibility.h"

namespace assay {

using namespace bend;  // NOLINT: the catalogue's own words

namespace {

/// A KV-shared layer that reads another cache than the donor's: `choose` names the layer, or -1 to leave it.
Fault donor(std::string_view name, std::string_view what, std::function<int(const Plan&, int layer)> choose) {
  return {.name = name,
          .row = "B2",
          .what = what,
          .shipped_in = "tenstorrent/tt-metal#46247 (negative donor indices)",
          .shows_at = [choose](const Plan& plan) -> std::optional<TapId> {
            for (int i = 0; i < int(plan.layers.size()); ++i)
              if (shared(plan.layers[std::size_t(i)]) && choose(plan, i) >= 0) return TapId{Tap::attn_ctx, i};
            return std::nullopt;
          },
          .inject =
              [choose](Parts& oracle) {
                bool changed = false;
                for (Layer& layer : oracle.layers)
                  if (shared(layer.plan))
                    if (const int other = choose(oracle.plan, layer.index); other >= 0) {
                      layer.plan.kv.layer = other;
                      changed = true;
                    }
                return changed;
              }};
}

bool same_kind(const LayerPlan& a, const LayerPlan& b) {
  return (a.window > 0) == (b.window > 0) && a.kv_width() == b.kv_width();
}

/// Replaces how KV-shared layers find their K/V.
Fault sharing(std::string_view name, std::string_view row, std::string_view what, std::string_view shipped_in,
              std::vector<Path::Kind> paths, std::function<void(Parts&, Layer&)> edit) {
  return {.name = name,
          .row = row,
          .what = what,
          .shipped_in = shipped_in,
          .shows_at = at(Tap::attn_ctx, shared),
          .inject = [edit](Parts& oracle) { return each(oracle, shared, [&](Layer& layer) { edit(oracle, layer); }); },
          .paths = std::move(paths)};
}

/// The donor itself reads the emptied slots from the next token on: that is the earliest tap that can show it.
Fault clears_donor() {
  Fault fault = sharing("shared-layer-clears-donor", "B3",
                        "A KV-shared layer writes its own, empty K and V into the donor's newest slots.",
                        "vllm-project/tpu-inference#3406", {Path::decode, Path::chunked}, [](Parts&, Layer& layer) {
                          layer.ops.source = [](const Layer& self, const Sequence& sequence, std::span<KvCache> caches,
                                                Rows<const float>) -> const KvCache& {
                            KvCache& kv = caches[std::size_t(self.plan.kv.layer)];
                            for (int row = 0; row < sequence.batch && sequence.cached > 0; ++row)
                              for (int key = sequence.cached; key < sequence.keys(); ++key) {
                                std::ranges::fill(kv.keys(row).row(key), 0.0F);
                                std::ranges::fill(kv.values(row).row(key), 0.0F);
                              }
                            return kv;
                          };
                        });
  fault.shows_at = [](const Plan& plan) -> std::optional<TapId> {
    std::optional<TapId> first;
    for (const LayerPlan& layer : plan.layers)
      if (shared(layer) && (!first || layer.kv.layer < first->layer)) first = TapId{Tap::attn_ctx, layer.kv.layer};
    return first;
  };
  return fault;
}

}  // namespace

std::vector<Fault> cache_faults() {
  return {
      sharing("shared-kv-recomputed-without-cache", "B1",
              "Without a cache object, KV-shared layers make K and V of their own input.",
              "huggingface/transformers#45242", {Path::nocache},
              [](Parts& oracle, Layer& layer) {
                const auto maker = copy_of_donor(oracle, layer);
                const auto made = std::make_shared<KvCache>();
                layer.ops.source = [maker, made](const Layer& self, const Sequence& sequence, std::span<KvCache> caches,
                                                 Rows<const float> normed) -> const KvCache& {
                  if (sequence.reuses_cache) return reference::source(self, sequence, caches, normed);
                  KeysValues kv = maker->ops.project_kv(*maker, normed);
                  maker->ops.rotate_k(*maker, sequence, kv.k.view());
                  made->reset(sequence.batch, kv.k.cols);
                  made->append(kv.k.view(), kv.v.view());
                  return *made;
                };
              }),
      donor("donor-first-of-kind",
            "KV-shared layers read the first layer of their kind instead of the last that owns K/V.",
            [](const Plan& plan, int layer) {
              for (int i = 0; i < layer; ++i) {
                const LayerPlan& candidate = plan.layers[std::size_t(i)];
                if (owns_kv(candidate) && same_kind(candidate, plan.layers[std::size_t(layer)]))
                  return i == plan.layers[std::size_t(layer)].kv.layer ? -1 : i;
              }
              return -1;
            }),
      donor("donor-one-too-early", "KV-shared layers read the last but one layer of their kind that owns K/V.",
            [](const Plan& plan, int layer) {
              for (int i = plan.layers[std::size_t(layer)].kv.layer - 1; i >= 0; --i)
                if (same_kind(plan.layers[std::size_t(i)], plan.layers[std::size_t(layer)])) return i;
              return -1;
            }),
      clears_donor(),
      sharing("shared-layers-have-own-cache", "B5",
              "KV-shared layers look into caches of their own, in which nobody writes.", "vllm-project/vllm#43185", {},
              [](Parts&, Layer& layer) {
                const auto empty = std::make_shared<KvCache>();
                layer.ops.source = [empty](const Layer& self, const Sequence& sequence, std::span<KvCache>,
                                           Rows<const float>) -> const KvCache& {
                  const Grid zeros(sequence.batch * sequence.keys(), self.plan.kv_width());
                  empty->reset(sequence.batch, self.plan.kv_width());
                  empty->append(zeros.view(), zeros.view());
                  return *empty;
                };
              }),
      {.name = "batched-q-one-ahead",
       .row = "B7",
       .what = "In a batch, the cache moves on before Q is rotated: Q is one position ahead of K.",
       .shipped_in = "Blaizzy/mlx-vlm#966",
       .shows_at = model(Tap::logits),
       .inject =
           [](Parts& oracle) {
             return each(oracle, any, [](Layer& layer) {
               layer.ops.rotate_q = [](const Layer& self, const Sequence& sequence, Rows<float> q) {
                 Sequence ahead = sequence;
                 if (sequence.batch > 1 && sequence.cached > 0)
                   for (std::int64_t& position : ahead.positions) ++position;
                 reference::rotate_q(self, ahead, q);
               };
             });
           },
       .paths = {Path::batched},
       .generating = true},
      sharing("shared-kv-transform-of-own-layer", "B8",
              "Cached keys are sign-flipped by a pattern of the donor, queries by one of their own layer.",
              "Alberto-Codes/turboquant-vllm#79", {},
              [](Parts&, Layer& layer) {
                layer.ops.attend = [](const Layer& self, const Sequence& sequence, Rows<const float> q,
                                      const KvCache& kv) {
                  const auto sign = [](int index, std::size_t lane) {
                    return ((lane >> (unsigned(index) % 4)) & 1U) ? -1.0F : 1.0F;
                  };
                  Grid flipped(q);
                  for (std::size_t i = 0; i < flipped.values.size(); ++i) {
                    const std::size_t lane = i % std::size_t(self.plan.head_dim);
                    flipped.values[i] *= sign(self.index, lane) * sign(self.plan.kv.layer, lane);
                  }
                  return reference::attend(self, sequence, flipped.view(), kv);
                };
              }),
      {.name = "ple-of-first-chunk",
       .row = "B15",
       .what = "Later chunks of a prefill take the first chunk's per-layer inputs.",
       .shipped_in = "Blaizzy/mlx-vlm#901",
       .shows_at = at(Tap::ple_out, has_ple),
       .inject =
           [](Parts& oracle) {
             return each(oracle, has_ple, [](Layer& layer) {
               const auto chunk = std::make_shared<Grid>();
               layer.ops.ple_slice = [chunk](const Layer& self, const Sequence& sequence, Rows<const float> ple) {
                 Grid slice = reference::ple_slice(self, sequence, ple);
                 if (sequence.cached == 0) *chunk = slice;
                 for (int r = 0; r < slice.rows && chunk->rows > 0; ++r)
                   std::ranges::copy(chunk->row(r % chunk->rows), slice.row(r).begin());
                 return slice;
               };
             });
           },
       .paths = {Path::chunked}},
      {.name = "ple-of-first-row",
       .row = "B15",
       .what = "Every row of a batch takes the first row's per-layer inputs.",
       .shipped_in = "Blaizzy/mlx-vlm#1123",
       .shows_at = at(Tap::ple_out, has_ple),
       .inject =
           [](Parts& oracle) {
             return each(oracle, has_ple, [](Layer& layer) {
               layer.ops.ple_slice = [](const Layer& self, const Sequence& sequence, Rows<const float> ple) {
                 Grid slice = reference::ple_slice(self, sequence, ple);
                 for (int r = sequence.tokens; r < slice.rows; ++r)
                   std::ranges::copy(slice.row(r % sequence.tokens), slice.row(r).begin());
                 return slice;
               };
             });
           },
       .paths = {Path::batched}},
      {.name = "ring-merge-loses-rows",
       .row = "B16",
       .what = "Merging sliding caches of rows with different fill levels drops as many keys as a row has padding.",
       .shipped_in = "ml-explore/mlx-lm b81cddbf",
       .shows_at = model(Tap::logits),
       .inject =
           [](Parts& oracle) {
             return each(oracle, sliding, [](Layer& layer) {
               layer.ops.visible = [](const LayerPlan& plan, const Sequence& sequence, int row, int query,
                                      std::span<char> seen) {
                 LayerPlan bent = plan;
                 if (sequence.batch > 1 && sequence.cached > 0) {
                   int padding = 0;
                   for (int key = 0; key < sequence.keys(); ++key) padding += sequence.real[sequence.at(row, key)] == 0;
                   bent.window = std::max(1, plan.window - padding);
                 }
                 reference::visible(bent, sequence, row, query, seen);
               };
             });
           },
       .paths = {Path::batched},
       .generating = true},
      {.name = "cached-positions-restart",
       .row = "x",
       .what = "Every call counts positions from 0 again.",
       .shipped_in = "",
       .shows_at = at(Tap::attn_q_rope),
       .inject =
           [](Parts& oracle) {
             oracle.ops.extend = [](const Sequence& before, const Forward& call) -> Result<Sequence> {
               ASSAY_TRY(sequence, reference::extend(before, call));
               for (std::int64_t& position : sequence.positions) position -= sequence.cached;
               return sequence;
             };
             return true;
           },
       .paths = {Path::chunked, Path::decode}},
      {.name = "cache-drops-oldest",
       .row = "x",
       .what = "Global layers forget the first token once something is cached.",
       .shipped_in = "",
       .shows_at = at(Tap::attn_ctx, global),
       .inject =
           [](Parts& oracle) {
             return each(oracle, global, [](Layer& layer) {
               layer.ops.visible = [](const LayerPlan& plan, const Sequence& sequence, int row, int query,
                                      std::span<char> seen) {
                 reference::visible(plan, sequence, row, query, seen);
                 if (sequence.cached > 0) seen[0] = 0;
               };
             });
           },
       .paths = {Path::chunked, Path::decode}},
  };
}

}  // namespace assay
