// Faults of merging soft tokens into the text: rows B15, B18, D2, D12 to D14, F6, K5.
#include <array>
#include <memory>

#include "harness/faults/bend_towers.h"

namespace assay {

using namespace bend;  // NOLINT: the catalogue's own words

namespace {

bool hears_or_sees(const Parts& parts) { return parts.vision || parts.audio; }

Fault merge(std::string_view name, std::string_view row, std::string_view what, std::string_view shipped_in, Pick pick,
            std::vector<Path::Kind> paths = {}) {
  return {.name = name,
          .row = row,
          .what = what,
          .shipped_in = shipped_in,
          .shows_at = model(Tap::embed),
          .inject =
              [pick](Parts& oracle) {
                oracle.ops.merge = [pick](const Parts& self, std::span<const std::int64_t> ids, SoftTokens& soft,
                                          Rows<float> embeds) { return merge_by(self, ids, soft, embeds, pick); };
                return hears_or_sees(oracle);
              },
          .paths = std::move(paths)};
}

/// A fault that sees which batch row a token belongs to: `index` gets the kind's soft tokens and rows in all, the batch
/// row and which of its placeholders it is.
Fault batch_merge(std::string_view name, std::string_view what, int (*index)(int soft, int batch, int row, int nth)) {
  return {.name = name,
          .row = "B18",
          .what = what,
          .shipped_in = "Blaizzy/mlx-vlm (commit 494577c0)",
          .shows_at = model(Tap::embed),
          .inject =
              [index](Parts& oracle) {
                const auto shape = std::make_shared<std::pair<int, int>>();
                oracle.ops.extend = [shape](const Sequence& before, const Forward& call) {
                  *shape = {call.ids.rows, call.ids.cols};
                  return reference::extend(before, call);
                };
                oracle.ops.merge = [index, shape](const Parts& self, std::span<const std::int64_t> ids,
                                                  SoftTokens& soft, Rows<float> embeds) {
                  std::array<std::vector<int>, 3> counts;
                  for (std::vector<int>& of_rows : counts) of_rows.resize(std::size_t(shape->first));
                  return merge_by(self, ids, soft, embeds,
                                  [&](SoftTokens& all, std::size_t kind, int, int token) -> const float* {
                                    const int row = token / shape->second;
                                    const Grid& rows = all.kinds[kind].rows;
                                    const int i = index(rows.rows, shape->first, row, counts[kind][std::size_t(row)]++);
                                    return i < rows.rows ? rows.row(i).data() : nullptr;
                                  });
                };
                return hears_or_sees(oracle);
              },
          .paths = {Path::batched}};
}

const float* at(const SoftTokens& soft, std::size_t kind, int index) {
  const Grid& rows = soft.kinds[kind].rows;
  return index >= 0 && index < rows.rows ? rows.row(index).data() : nullptr;
}

bool is_placeholder(const Plan& plan, std::int64_t id) {
  return std::ranges::find(plan.placeholder_ids, id) != plan.placeholder_ids.end();
}

/// A merge followed by something done to rows of media that were given.
Fault after_merge(std::string_view name, std::string_view row, std::string_view what, std::string_view shipped_in,
                  void (*edit)(const Parts&, std::span<float> merged, std::span<const float> pad)) {
  return {.name = name,
          .row = row,
          .what = what,
          .shipped_in = shipped_in,
          .shows_at = model(Tap::embed),
          .inject = [edit](Parts& oracle) {
            oracle.ops.merge = [edit](const Parts& self, std::span<const std::int64_t> ids, SoftTokens& soft,
                                      Rows<float> embeds) -> Result<void> {
              const Grid before(embeds);
              ASSAY_CHECK(reference::merge(self, ids, soft, embeds));
              for (int r = 0; r < embeds.rows; ++r)
                if (!std::ranges::equal(before.row(r), embeds.row(r))) edit(self, embeds.row(r), before.row(r));
              return {};
            };
            return hears_or_sees(oracle);
          }};
}

/// Rows of placeholders whose media were not given.
Fault without_media(std::string_view name, std::string_view what, void (*edit)(const Parts&, std::span<float> row)) {
  return {.name = name,
          .row = "x",
          .what = what,
          .shipped_in = "",
          .shows_at = model(Tap::embed),
          .inject = [edit, zero = name.ends_with("-0")](Parts& oracle) {
            if (zero && oracle.plan.pad_id == 0) return false;
            oracle.ops.embed = [edit](const Parts& self, std::span<const std::int64_t> ids) {
              Grid x = reference::embed_tokens(self, ids);
              for (std::size_t i = 0; i < ids.size(); ++i)
                if (is_placeholder(self.plan, ids[i])) edit(self, x.row(int(i)));
              return x;
            };
            return !oracle.plan.placeholder_ids.empty();
          }};
}

/// The per-layer inputs of other ids or other embeddings than those that enter layer 0.
Fault ple(std::string_view name, std::string_view row, std::string_view what, std::string_view shipped_in,
          std::function<bool(Parts&)> inject) {
  return {.name = name,
          .row = row,
          .what = what,
          .shipped_in = shipped_in,
          .shows_at = model(Tap::ple),
          .inject = [inject](Parts& oracle) {
            return oracle.plan.ple_width > 0 && hears_or_sees(oracle) && inject(oracle);
          }};
}

}  // namespace

std::vector<Fault> merge_faults() {
  return {
      merge("pictures-dropped", "D14", "Pictures are dropped: their placeholders keep the pad embedding.",
            "Blaizzy/mlx-vlm#1321",
            [](SoftTokens& soft, std::size_t kind, int nth, int row) {
              return kind == SoftTokens::image ? nullptr : pick_next(soft, kind, nth, row);
            }),
      merge("videos-dropped", "D14", "Videos are dropped: their placeholders keep the pad embedding.", "class of D14",
            [](SoftTokens& soft, std::size_t kind, int nth, int row) {
              return kind == SoftTokens::video ? nullptr : pick_next(soft, kind, nth, row);
            }),
      merge("audio-dropped", "K5", "Sound is dropped, as after a conversion that loses the feature extractor.",
            "Blaizzy/mlx-vlm#903",
            [](SoftTokens& soft, std::size_t kind, int nth, int row) {
              return kind == SoftTokens::audio ? nullptr : pick_next(soft, kind, nth, row);
            }),
      merge("video-at-image-placeholders", "D13", "Videos' soft tokens go to pictures' placeholders.",
            "Blaizzy/mlx-vlm (commit 30e6d85d)",
            [](SoftTokens& soft, std::size_t kind, int nth, int row) {
              if (kind == SoftTokens::image) return at(soft, SoftTokens::video, nth);
              return kind == SoftTokens::video ? at(soft, SoftTokens::image, nth) : pick_next(soft, kind, nth, row);
            }),
      merge("soft-tokens-reversed", "x", "Soft tokens are merged from the last to the first.", "",
            [](SoftTokens& soft, std::size_t kind, int nth, int) {
              return at(soft, kind, soft.kinds[kind].rows.rows - 1 - nth);
            }),
      merge("soft-tokens-one-late", "x", "The first soft token is left out, and all others move up.", "",
            [](SoftTokens& soft, std::size_t kind, int nth, int) { return at(soft, kind, nth + 1); }),
      merge("soft-tokens-start-over", "B15", "Each chunk of a prompt starts again with the first soft token.",
            "class of B15", [](SoftTokens& soft, std::size_t kind, int nth, int) { return at(soft, kind, nth); },
            {Path::decode, Path::chunked}),
      {.name = "soft-tokens-in-order-of-kinds",
       .row = "D13",
       .what = "Placeholders of all kinds are filled in order: with pictures first, then videos, then sound.",
       .shipped_in = "class of D13",
       .shows_at = model(Tap::embed),
       .inject =
           [](Parts& oracle) {
             oracle.ops.merge = [](const Parts& self, std::span<const std::int64_t> ids, SoftTokens& soft,
                                   Rows<float> embeds) -> Result<void> {
               std::vector<const float*> all;
               for (std::size_t kind = 0; kind < soft.kinds.size(); ++kind)
                 for (int i = 0; i < soft.kinds[kind].rows.rows; ++i) all.push_back(at(soft, kind, i));
               std::size_t next = 0;
               for (int r = 0; r < embeds.rows; ++r)
                 if (is_placeholder(self.plan, ids[std::size_t(r)]) && next < all.size())
                   std::copy_n(all[next++], embeds.cols, embeds.row(r).begin());
               return {};
             };
             return hears_or_sees(oracle);
           }},
      batch_merge("batch-rows-start-over", "Each row of a batch starts again with the first soft token.",
                  [](int, int, int, int nth) { return nth; }),
      batch_merge("batch-rows-share-alike", "Each row of a batch is thought to hold as many soft tokens.",
                  [](int soft, int batch, int row, int nth) { return row * (soft / batch) + nth; }),
      after_merge("soft-tokens-scaled-as-text", "D2", "Soft tokens are multiplied by sqrt(hidden), as text is.",
                  "Blaizzy/mlx-vlm#906",
                  [](const Parts& parts, std::span<float> merged, std::span<const float>) {
                    for (float& v : merged) v *= std::sqrt(float(parts.plan.hidden));
                  }),
      after_merge("soft-tokens-added-to-pad", "x", "Soft tokens are added to the pad embedding.", "",
                  [](const Parts&, std::span<float> merged, std::span<const float> pad) {
                    for (std::size_t i = 0; i < merged.size(); ++i) merged[i] += pad[i];
                  }),
      after_merge("soft-tokens-in-bf16", "I5", "Soft tokens are rounded to bf16 before the decoder.", "class of I5",
                  [](const Parts&, std::span<float> merged, std::span<const float>) {
                    for (float& v : merged) v = through_bf16(v);
                  }),
      without_media("placeholders-zeroed", "Placeholders without media enter as zeros.",
                    [](const Parts&, std::span<float> row) { std::ranges::fill(row, 0.0F); }),
      without_media("placeholders-embed-token-0", "Placeholders without media embed token 0, not the pad token.",
                    [](const Parts& parts, std::span<float> row) {
                      parts.weights.embed_tokens.row(0, row);
                      for (float& v : row) v *= std::sqrt(float(parts.plan.hidden));
                    }),
      ple("ple-before-merge", "x", "The per-layer context is taken before soft tokens are merged.", "",
          [](Parts& oracle) {
            const auto before = std::make_shared<Grid>();
            oracle.ops.embed = [before](const Parts& parts, std::span<const std::int64_t> ids) {
              *before = reference::embed_tokens(parts, ids);
              return *before;
            };
            oracle.ops.ple_inputs = [before](const Parts& parts, std::span<const std::int64_t> ids, Rows<const float>) {
              return reference::ple_inputs(parts, ids, before->view());
            };
            return true;
          }),
      ple("ple-of-scaled-soft-tokens", "D12",
          "The per-layer context is taken of soft tokens times sqrt(hidden): only epsilon sees it.", "class of D2",
          [](Parts& oracle) {
            oracle.ops.ple_inputs = [](const Parts& parts, std::span<const std::int64_t> ids,
                                       Rows<const float> embeds) {
              Grid scaled(embeds);
              for (int r = 0; r < scaled.rows; ++r)
                if (is_placeholder(parts.plan, ids[std::size_t(r)]))
                  for (float& v : scaled.row(r)) v *= std::sqrt(float(parts.plan.hidden));
              return reference::ple_inputs(parts, ids, scaled.view());
            };
            return true;
          }),
      ple("ple-row-zero-at-placeholders", "D12", "Placeholders look up row 0 of the per-layer table, not the pad's.",
          "class of D12",
          [](Parts& oracle) {
            if (oracle.plan.pad_id == 0) return false;
            oracle.ops.ple_inputs = [](const Parts& parts, std::span<const std::int64_t> ids,
                                       Rows<const float> embeds) {
              std::vector<std::int64_t> zeros(ids.begin(), ids.end());
              for (std::int64_t& id : zeros)
                if (is_placeholder(parts.plan, id)) id = 0;
              return reference::ple_inputs(parts, zeros, embeds);
            };
            return true;
          }),
  };
}

}  // namespace assay
