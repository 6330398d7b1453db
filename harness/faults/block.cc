// Faults of where image blocks come from: rows B12, F6. What blocks do to a mask is in mask.cc.
#include "harness/faults/bend_towers.h"

namespace assay {

using namespace bend;  // NOLINT: the catalogue's own words

namespace {

bool sees_blocks(const LayerPlan& layer) { return layer.blocks != Blocks::causal; }

/// A fault of the sequence that masks are made of.
Fault blocks(std::string_view name, std::string_view row, std::string_view what, std::string_view shipped_in,
             std::function<Result<Sequence>(const Plan&, const Sequence& before, const Forward& call)> extend,
             std::vector<Path::Kind> paths = {}) {
  return {.name = name,
          .row = row,
          .what = what,
          .shipped_in = shipped_in,
          .shows_at = at(Tap::attn_ctx, sees_blocks),
          .inject =
              [extend](Parts& oracle) {
                oracle.ops.extend = [extend, plan = oracle.plan](const Sequence& before, const Forward& call) {
                  return extend(plan, before, call);
                };
                return each(oracle, sees_blocks, [](Layer&) {});
              },
          .paths = std::move(paths)};
}

/// Extends as if mm_token_type_ids were these.
Result<Sequence> with_types(const Sequence& before, const Forward& call, std::vector<std::int64_t> types) {
  std::vector<NamedTensor> more(call.more.begin(), call.more.end());
  std::erase_if(more, [](const NamedTensor& tensor) { return tensor.name == "mm_token_type_ids"; });
  more.push_back({"mm_token_type_ids", Tensor::own({call.ids.rows, call.ids.cols}, std::move(types))});
  Forward other = call;
  other.more = more;
  return reference::extend(before, other);
}

/// The call's own types; empty if it has none.
Result<std::vector<std::int64_t>> types_of(const Forward& call) {
  const Tensor* types = find(call.more, "mm_token_type_ids");
  if (types == nullptr) return std::vector<std::int64_t>{};
  return types->integers();
}

}  // namespace

std::vector<Fault> block_faults() {
  return {
      blocks("blocks-by-placeholders", "B12",
             "Blocks are found by placeholder ids, also where no types are passed and transformers stays causal.",
             "class of B12",
             [](const Plan& plan, const Sequence& before, const Forward& call) {
               std::vector<std::int64_t> types;
               for (const std::int64_t id : call.ids.all())
                 types.push_back(id == plan.placeholders.image ? 1 : id == plan.placeholders.video ? 2 : 0);
               return with_types(before, call, std::move(types));
             }),
      blocks("videos-form-no-block", "B12", "Rows of videos stay causal: pictures alone form blocks.", "class of B12",
             [](const Plan&, const Sequence& before, const Forward& call) -> Result<Sequence> {
               ASSAY_TRY(types, types_of(call));
               if (types.empty()) return reference::extend(before, call);
               for (std::int64_t& type : types) type = type == 2 ? 0 : type;
               return with_types(before, call, std::move(types));
             }),
      blocks("blocks-take-in-neighbours", "x", "The begin and end tokens of an image belong to its block.", "",
             [](const Plan&, const Sequence& before, const Forward& call) -> Result<Sequence> {
               ASSAY_TRY(types, types_of(call));
               if (types.empty()) return reference::extend(before, call);
               std::vector<std::int64_t> wider = types;
               const auto columns = std::size_t(call.ids.cols);
               for (std::size_t i = 0; i < types.size(); ++i) {
                 if (types[i] != 1 && types[i] != 2) continue;
                 if (i % columns > 0) wider[i - 1] = types[i];
                 if (i % columns + 1 < columns) wider[i + 1] = types[i];
               }
               return with_types(before, call, std::move(wider));
             }),
      blocks("blocks-of-first-batch-row", "B18", "Every row of a batch takes the first row's blocks.", "class of B18",
             [](const Plan&, const Sequence& before, const Forward& call) -> Result<Sequence> {
               ASSAY_TRY(types, types_of(call));
               if (types.empty()) return reference::extend(before, call);
               for (std::size_t i = 0; i < types.size(); ++i) types[i] = types[i % std::size_t(call.ids.cols)];
               return with_types(before, call, std::move(types));
             },
             {Path::batched}),
      {.name = "position-stands-still-in-images",
       .row = "x",
       .what = "All rows of an image have its first row's position, as multimodal RoPE has them.",
       .shipped_in = "",
       .shows_at = at(Tap::attn_q_rope),
       .inject =
           [](Parts& oracle) {
             oracle.ops.extend = [](const Sequence& before, const Forward& call) -> Result<Sequence> {
               ASSAY_TRY(sequence, reference::extend(before, call));
               ASSAY_TRY(types, types_of(call));
               for (std::size_t i = 1; i < types.size(); ++i)
                 if (i % std::size_t(call.ids.cols) > 0 && types[i] == 1 && types[i - 1] == 1)
                   sequence.positions[i] = sequence.positions[i - 1];
               return sequence;
             };
             return oracle.vision.has_value();
           }},
      blocks("later-chunk-is-a-block", "F6", "A later chunk of a prompt is masked as if it were an image.",
             "Blaizzy/mlx-vlm#1280",
             [](const Plan&, const Sequence& before, const Forward& call) {
               if (before.keys() == 0) return reference::extend(before, call);
               return with_types(before, call, std::vector<std::int64_t>(std::size_t(call.ids.size()), 1));
             },
             {Path::chunked}),
  };
}

}  // namespace assay
