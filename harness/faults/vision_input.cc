// Faults of what enters the vision tower, or the encoder-free embedder: pixels and positions; row D9.
#include "harness/faults/bend_towers.h"

namespace assay {

using namespace bend;  // NOLINT: the catalogue's own words

namespace {

bool with_or_without(const Vision&) { return true; }

/// Hands the true embedding other pixels or other positions.
Fault input(std::string_view name, std::string_view row, std::string_view what, std::string_view shipped_in,
            bool (*which)(const Vision&), std::function<void(const Vision&, Patches&, Grid& pixels)> edit) {
  return {.name = name,
          .row = row,
          .what = what,
          .shipped_in = shipped_in,
          .shows_at = tower(Tap::vision_patch_embed),
          .inject = [which, edit](Parts& oracle) {
            if (!oracle.vision || !which(*oracle.vision)) return false;
            oracle.vision->ops.patch_embed = [edit, embed = oracle.vision->ops.patch_embed](const Vision& vision,
                                                                                            const Patches& patches,
                                                                                            Rows<const float> pixels) {
              Patches other = patches;
              Grid x(pixels);
              edit(vision, other, x);
              return embed(vision, other, x.view());
            };
            return true;
          }};
}

Fault positions(std::string_view name, std::string_view what,
                PatchPosition (*edit)(const Vision&, PatchPosition at, std::int64_t number)) {
  return input(name, "x", what, "", with_or_without, [edit](const Vision& vision, Patches& patches, Grid&) {
    for (const Patches::Item item : patches.items)
      for (int i = 0; i < item.length; ++i) {
        PatchPosition& at = patches.positions[std::size_t(item.first + i)];
        if (!at.padding()) at = edit(vision, at, i);
      }
  });
}

/// A patch's values in another order: value i comes from source(i).
Fault order(std::string_view name, std::string_view what, std::size_t (*source)(std::size_t i, std::size_t side)) {
  return input(name, "x", what, "", with_or_without, [source](const Vision& vision, Patches&, Grid& pixels) {
    const auto side = std::size_t(std::lround(std::sqrt(double(vision.plan.patch_values) / 3)));
    for (int r = 0; r < pixels.rows; ++r) {
      const std::vector<float> before(pixels.row(r).begin(), pixels.row(r).end());
      for (std::size_t i = 0; i < before.size(); ++i) pixels.row(r)[i] = before[source(i, side)];
    }
  });
}

void times(Grid& pixels, float factor, float more) {
  for (float& v : pixels.values) v = v * factor + more;
}

}  // namespace

std::vector<Fault> vision_input_faults() {
  return {
      input("tower-pixels-not-centred", "D9", "Pixels enter as they are, without 2 (x - 0.5).",
            "Blaizzy/mlx-vlm (commit 30e6d85d)", with_encoder,
            [](const Vision&, Patches&, Grid& pixels) { times(pixels, 0.5F, 0.5F); }),
      input("tower-pixels-centred-twice", "D9", "2 (x - 0.5) is done by the image processor and by the tower.",
            "Blaizzy/mlx-vlm (commit 30e6d85d)", with_encoder,
            [](const Vision&, Patches&, Grid& pixels) { times(pixels, 2, -1); }),
      input("pixels-not-over-255", "D9", "Pixels are not divided by 255.", "Blaizzy/mlx-vlm (commit 30e6d85d)",
            with_or_without, [](const Vision&, Patches&, Grid& pixels) { times(pixels, 255, 0); }),
      {.name = "video-pixels-not-over-255",
       .row = "D9",
       .what = "Frames of videos are multiplied by 255 once more.",
       .shipped_in = "Blaizzy/mlx-vlm (commit 30e6d85d)",
       .shows_at = tower(Tap::vision_patch_embed),
       .inject =
           [](Parts& oracle) {
             edit_input(oracle, "pixel_values_videos", [](std::vector<float>& values) {
               for (float& v : values) v *= 255;
             });
             return oracle.vision.has_value();
           }},
      order("pixels-in-planes", "A patch's values are taken channel by channel instead of pixel by pixel.",
            [](std::size_t i, std::size_t side) { return i % 3 * side * side + i / 3; }),
      order("pixels-blue-first", "Red and blue are swapped.",
            [](std::size_t i, std::size_t) { return i - i % 3 + (2 - i % 3); }),
      order("pixels-by-columns", "A patch's pixels are taken column by column.",
            [](std::size_t i, std::size_t side) { return (i / 3 % side * side + i / 3 / side) * 3 + i % 3; }),
      positions("positions-x-y-swapped", "A patch's column is looked up in the table of rows, and the reverse.",
                [](const Vision&, PatchPosition at, std::int64_t) {
                  return PatchPosition{at.y, at.x};
                }),
      positions("positions-by-number", "The position table is indexed by the patch's number in raster order.",
                [](const Vision& vision, PatchPosition, std::int64_t number) {
                  return PatchPosition{std::min<std::int64_t>(number, vision.plan.positions - 1), 0};
                }),
      positions("positions-one-too-far", "Positions of patches count from 1.",
                [](const Vision& vision, PatchPosition at, std::int64_t) {
                  return PatchPosition{std::min<std::int64_t>(at.x + 1, vision.plan.positions - 1),
                                       std::min<std::int64_t>(at.y + 1, vision.plan.positions - 1)};
                }),
      positions("positions-without-rows", "Only a patch's column is looked up: its row counts as 0.",
                [](const Vision&, PatchPosition at, std::int64_t) {
                  return PatchPosition{at.x, 0};
                }),
      positions("positions-missing", "Patches get no position at all.",
                [](const Vision&, PatchPosition, std::int64_t) {
                  return PatchPosition{-1, -1};
                }),
      {.name = "position-table-axes-crossed",
       .row = "x",
       .what = "The table of positions is read by position and then axis where it holds them the other way round.",
       .shipped_in = "",
       .shows_at = tower(Tap::vision_patch_embed),
       .inject =
           [](Parts& oracle) {
             if (!oracle.vision) return false;
             reference::VisionWeights& w = oracle.vision->weights;
             const Weight x = w.positions_x, y = w.positions_y;
             const auto count = std::size_t(x.rows), hidden = std::size_t(x.cols);
             std::vector<float> by_axis = x.floats(), flat;
             const std::vector<float> rows = y.floats();
             by_axis.insert(by_axis.end(), rows.begin(), rows.end());
             const bool axis_first = with_encoder(*oracle.vision);
             const auto read = [&](std::size_t axis) {
               std::vector<float> table;
               for (std::size_t i = 0; i < count; ++i) {
                 const std::size_t asked = axis_first ? 2 * i + axis : axis * count + i;  // row of the file
                 const std::size_t held = axis_first ? asked : asked % 2 * count + asked / 2;
                 const auto from = by_axis.begin() + std::ptrdiff_t(held * hidden);
                 table.insert(table.end(), from, from + std::ptrdiff_t(hidden));
               }
               return Weight::own(x.rows, x.cols, std::move(table));
             };
             w.positions_x = read(0);
             w.positions_y = read(1);
             return true;
           }},
      {.name = "padding-patches-embed-anything",
       .row = "D3",
       .what = "Patches of padding enter the layers as ones: no soft token may see them. Must NOT be flagged.",
       .shipped_in = "what Blaizzy/mlx-vlm#906 got wrong is done right",
       .shows_at = nowhere,
       .inject =
           [](Parts& oracle) {
             if (!oracle.vision) return false;
             oracle.vision->ops.patch_embed = [embed = oracle.vision->ops.patch_embed](const Vision& vision,
                                                                                       const Patches& patches,
                                                                                       Rows<const float> pixels) {
               Grid y = embed(vision, patches, pixels);
               for (int r = 0; r < y.rows; ++r)
                 if (patches.positions[std::size_t(r)].padding()) std::ranges::fill(y.row(r), 1.0F);
               return y;
             };
             return true;
           },
       .control = true},
  };
}

}  // namespace assay
