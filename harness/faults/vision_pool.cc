// Faults of the way from patches to soft tokens before the projector: rows D3, D4, D10.
#include "harness/faults/bend_towers.h"

namespace assay {

using namespace bend;  // NOLINT: the catalogue's own words

namespace {

/// The pooler with each rule free to be wrong.
struct Pooling {
  bool padding_is_zero = true, empty_cells = false, in_order = false, by_columns = false, square = false;
  bool largest = false, by_present = false;
  float share = 0;  ///< of a patch; 0 = of the cell's patches
};

std::size_t cell_of(PatchPosition at, std::int64_t side, std::int64_t width, std::int64_t height, bool by_columns) {
  const std::int64_t x = std::max<std::int64_t>(at.x, 0) / side, y = std::max<std::int64_t>(at.y, 0) / side;
  return std::size_t(by_columns ? y + height / side * x : x + width / side * y);
}

Grid pool_item(const VisionPlan& plan, std::span<const PatchPosition> positions, Rows<const float> x, Pooling rule) {
  const auto side = std::int64_t(plan.pool);
  const auto cells = std::size_t(x.rows / (side * side));
  std::int64_t width = 1, height = 1;
  for (const PatchPosition& at : positions) {
    width = std::max(width, at.x + 1);
    height = std::max(height, at.y + 1);
  }
  if (rule.square) width = std::int64_t(std::sqrt(double(width * height))) / side * side;
  Grid sums(int(cells), x.cols);
  std::vector<int> present(cells, 0);
  std::vector<char> hit(cells, 0);
  for (int r = 0; r < x.rows; ++r) {
    const PatchPosition at = positions[std::size_t(r)];
    const std::size_t cell = rule.in_order ? std::size_t(r / (side * side))
                                           : std::min(cell_of(at, side, width, height, rule.by_columns), cells - 1);
    if (!rule.in_order || !at.padding()) hit[cell] = 1;
    if (at.padding() && rule.padding_is_zero) continue;
    for (std::size_t c = 0; c < std::size_t(x.cols); ++c) {
      float& sum = sums.row(int(cell))[c];
      sum = !rule.largest ? sum + x.row(r)[c] : present[cell] == 0 ? x.row(r)[c] : std::max(sum, x.row(r)[c]);
    }
    ++present[cell];
  }
  const float share = rule.share != 0 ? rule.share : 1.0F / float(side * side);
  Grid pooled(0, x.cols);
  for (std::size_t cell = 0; cell < cells; ++cell) {
    if (!hit[cell] && !rule.empty_cells) continue;
    const float factor = rule.by_present && present[cell] > 0 ? 1.0F / float(present[cell]) : share;
    for (const float v : sums.row(int(cell))) pooled.values.push_back(v * factor);
    ++pooled.rows;
  }
  return pooled;
}

Grid pool_with(const Vision& vision, const Patches& patches, Rows<const float> last, Pooling rule) {
  Grid all(0, last.cols);
  for (const Patches::Item item : patches.items) {
    const Grid one = pool_item(vision.plan, patches.of(item), last.slice(item.first, item.length), rule);
    all.values.insert(all.values.end(), one.values.begin(), one.values.end());
    all.rows += one.rows;
  }
  scale(all.view(), std::sqrt(float(vision.plan.hidden)));
  return all;
}

Fault pooled(std::string_view name, std::string_view row, std::string_view what, std::string_view shipped_in,
             std::function<void(Vision&)> edit) {
  return {.name = name,
          .row = row,
          .what = what,
          .shipped_in = shipped_in,
          .shows_at = tower(Tap::vision_pooled),
          .inject = [edit](Parts& oracle) {
            if (!oracle.vision || !with_encoder(*oracle.vision)) return false;
            edit(*oracle.vision);
            forgive_missing(oracle);
            return true;
          }};
}

Fault pooling(std::string_view name, std::string_view row, std::string_view what, std::string_view shipped_in,
              Pooling rule) {
  return pooled(name, row, what, shipped_in, [rule](Vision& vision) {
    vision.ops.pool = [rule](const Vision& self, const Patches& patches, Rows<const float> last) {
      return pool_with(self, patches, last, rule);
    };
  });
}

Fault standardizing(std::string_view name, std::string_view what, float (*value)(float x, float bias, float scale)) {
  Fault fault = pooled(name, "D4", what, "VincentGourbin/gemma-4-swift-mlx#3, kekzl/imp#490", {});
  fault.inject = [value](Parts& oracle) {
    if (!oracle.vision || !oracle.vision->plan.standardize) return false;
    oracle.vision->ops.standardize = [value](const Vision& self, Rows<float> x) {
      for (int r = 0; r < x.rows; ++r)
        for (std::size_t c = 0; c < std::size_t(x.cols); ++c)
          x.row(r)[c] = value(x.row(r)[c], self.weights.std_bias[c], self.weights.std_scale[c]);
    };
    return true;
  };
  return fault;
}

/// Pools what `before` makes of the last layer's rows.
void pool_of(Vision& vision, std::function<Grid(const Vision&, Rows<const float>)> before) {
  vision.ops.pool = [before](const Vision& self, const Patches& patches, Rows<const float> last) {
    return reference::vision::pool(self, patches, before(self, last).view());
  };
}

}  // namespace

std::vector<Fault> vision_pool_faults() {
  Fault control = pooling("pool-divides-by-patches-present", "-",
                          "A cell is divided by the patches that it has: all cells are full. Must NOT be flagged.", "",
                          {.by_present = true});
  control.shows_at = nowhere;
  control.control = true;
  return {
      pooling("pool-in-order", "x", "Each run of patches becomes a soft token, wherever they lie.", "",
              {.in_order = true}),
      pooling("pool-by-columns", "x", "Soft tokens come column by column.", "", {.by_columns = true}),
      pooling("pool-assumes-square", "D8", "Cells are found as if every picture were square.",
              "quic/efficient-transformers#1159", {.square = true}),
      pooling("pool-sums", "x", "The patches of a soft token are summed, not averaged.", "", {.share = 1}),
      pooling("pool-takes-largest", "x", "The largest value of a cell is taken instead of the mean.", "",
              {.largest = true, .share = 1}),
      pooling("pool-counts-padding", "D3", "Patches of padding are pooled into the first soft token.",
              "Blaizzy/mlx-vlm#906", {.padding_is_zero = false}),
      pooling("pool-keeps-empty-cells", "D3", "Cells of padding alone become soft tokens of zeros.",
              "Blaizzy/mlx-vlm#906", {.empty_cells = true}),
      pooled("pool-root-missing", "x", "Soft tokens are not multiplied by sqrt(hidden).", "",
             [](Vision& vision) {
               vision.ops.pool = [](const Vision& self, const Patches& patches, Rows<const float> last) {
                 Grid x = reference::vision::pool(self, patches, last);
                 scale(x.view(), 1 / std::sqrt(float(self.plan.hidden)));
                 return x;
               };
             }),
      pooled("pooled-in-fp16", "D10", "Soft tokens times sqrt(hidden) are kept in fp16: infinite beyond 65504.",
             "ggml-org/llama.cpp#26488",
             [](Vision& vision) {
               vision.ops.pool = [](const Vision& self, const Patches& patches, Rows<const float> last) {
                 Grid x = reference::vision::pool(self, patches, last);
                 for (float& v : x.values) v = through_f16(v);
                 return x;
               };
             }),
      pooled("vision-final-norm", "x", "The last layer's output is normed before it is pooled, as SigLIP's is.", "",
             [](Vision& vision) {
               pool_of(vision, [](const Vision& self, Rows<const float> last) {
                 Grid x(last);
                 reference::rms_norm(x.view(), {}, self.plan.eps);
                 return x;
               });
             }),
      pooled("vision-layer-before-last", "x", "The layer before the last is pooled, as LLaVA does.", "",
             [](Vision& vision) {
               const auto before = std::make_shared<Grid>();
               vision.layers.back().ops.attn_norm = [before](const VisionLayer& self, Rows<const float> in) {
                 *before = Grid(in);
                 return reference::vision::attn_norm(self, in);
               };
               pool_of(vision, [before](const Vision&, Rows<const float>) { return *before; });
             }),
      standardizing("standardize-ignored", "std_bias and std_scale are ignored.",
                    [](float x, float, float) { return x; }),
      standardizing("standardize-scale-first", "Soft tokens are scaled before std_bias is taken off.",
                    [](float x, float bias, float scale) { return x * scale - bias; }),
      standardizing("standardize-divides", "Soft tokens are divided by std_scale, as by a deviation.",
                    [](float x, float bias, float scale) { return (x - bias) / scale; }),
      standardizing("standardize-adds-bias", "std_bias is added.",
                    [](float x, float bias, float scale) { return (x + bias) * scale; }),
      control,
  };
}

}  // namespace assay
