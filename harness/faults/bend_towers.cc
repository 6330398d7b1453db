#include "harness/faults/bend_towers.h"

#include <array>

namespace assay::bend {

Grid clipped_in_fp32(Rows<const float> x, const ClippedWeight& w) {
  Grid in(x), out(x.rows, w.weight.rows);
  reference::clamp(in.values, w.input);
  std::vector<float> row(std::size_t(w.weight.cols));
  for (int o = 0; o < w.weight.rows; ++o) {
    w.weight.row(o, row);
    for (int r = 0; r < x.rows; ++r) {
      float sum = 0;
      for (std::size_t i = 0; i < row.size(); ++i) sum += in.row(r)[i] * row[i];
      out.row(r)[std::size_t(o)] = sum;
    }
  }
  reference::clamp(out.values, w.output);
  return out;
}

Result<void> merge_by(const Parts& parts, std::span<const std::int64_t> ids, SoftTokens& soft, Rows<float> embeds,
                      const Pick& pick) {
  const Placeholders& at = parts.plan.placeholders;
  const std::array<std::optional<std::int64_t>, 3> placeholders = {at.image, at.video, at.audio};
  for (std::size_t kind = 0; kind < placeholders.size(); ++kind) {
    if (!placeholders[kind]) continue;
    int nth = 0;
    for (int row = 0; row < embeds.rows; ++row) {
      if (ids[std::size_t(row)] != *placeholders[kind]) continue;
      if (const float* from = pick(soft, kind, nth++, row); from != nullptr)
        std::copy_n(from, embeds.cols, embeds.row(row).begin());
    }
    SoftTokens::Queue& queue = soft.kinds[kind];
    queue.used = std::min(queue.used + nth, queue.rows.rows);
  }
  return {};
}

const float* pick_next(SoftTokens& soft, std::size_t kind, int nth, int) {
  const SoftTokens::Queue& queue = soft.kinds[kind];
  return queue.used + nth < queue.rows.rows ? queue.rows.row(queue.used + nth).data() : nullptr;
}

void forgive_missing(Parts& parts) {
  parts.ops.merge = [](const Parts& self, std::span<const std::int64_t> ids, SoftTokens& soft, Rows<float> embeds) {
    return merge_by(self, ids, soft, embeds, pick_next);
  };
}

Fault in_vision_layers(std::string_view name, std::string_view row, std::string_view what, std::string_view shipped_in,
                       Tap shows, std::function<void(VisionLayer&)> edit) {
  return {.name = name,
          .row = row,
          .what = what,
          .shipped_in = shipped_in,
          .shows_at = tower(shows),
          .inject = [edit = std::move(edit)](Parts& oracle) { return vision_layers(oracle, edit); }};
}

void edit_input(Parts& parts, std::string_view name, std::function<void(std::vector<float>&)> edit) {
  parts.ops.encode = [name, edit = std::move(edit)](const Parts& self, std::span<const NamedTensor> media,
                                                    TapSink& taps) -> Result<SoftTokens> {
    std::vector<NamedTensor> other(media.begin(), media.end());
    for (NamedTensor& tensor : other) {
      if (tensor.name != name) continue;
      ASSAY_TRY(values, tensor.tensor.floats());
      edit(values);
      tensor.tensor = Tensor::own(tensor.tensor.shape, std::move(values));
    }
    return reference::encode(self, other, taps);
  };
}

}  // namespace assay::bend
