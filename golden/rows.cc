#include "golden/rows.h"

#include <algorithm>
#include <string>

namespace assay {
namespace {

constexpr std::int64_t kMost = 1 << 24;  // rows of one kind; no golden comes near

tl::unexpected<Failure> wrong(std::string_view name, std::string expected, const Tensor& found) {
  return fail({Failure::bad_input, std::string(name), "", std::move(expected), shape_text(found.shape)});
}

/// Integers of `rank` dimensions, of which there are few enough to walk.
Result<std::vector<std::int64_t>> read(std::string_view name, const Tensor& tensor, std::size_t rank,
                                       const std::string& expected) {
  if (tensor.dtype != Dtype::i64 || tensor.shape.size() != rank || tensor.elements() < 1 || tensor.elements() > kMost)
    return wrong(name, expected, tensor);
  return tensor.integers();
}

/// Appends one flag a patch: false where both coordinates are -1.
Result<void> add_patches(std::span<const NamedTensor> inputs, std::string_view name, std::vector<bool>& real) {
  const Tensor* tensor = find(inputs, name);
  if (tensor == nullptr) return {};
  const std::string expected = "integers [n, patches, 2]";
  ASSAY_TRY(values, read(name, *tensor, tensor->shape.size() == 4 ? 4 : 3, expected));
  if (tensor->shape.back() != 2) return wrong(name, expected, *tensor);
  for (std::size_t i = 0; i < values.size(); i += 2) real.push_back(values[i] != -1 || values[i + 1] != -1);
  return {};
}

}  // namespace

std::int64_t CaseRows::real_count(RowSpace space) const {
  return std::count(real(space).begin(), real(space).end(), true);
}

Result<CaseRows> CaseRows::of(std::span<const NamedTensor> inputs, const SoftTokens& soft) {
  CaseRows rows;
  const auto at = [&rows](RowSpace space) -> std::vector<bool>& { return rows.real_[std::size_t(space)]; };
  const Tensor* ids = find(inputs, "input_ids");
  if (ids == nullptr) return fail({Failure::bad_input, "input_ids", "", "integers [B, T]", "none"});
  ASSAY_CHECK(read("input_ids", *ids, 2, "integers [B, T]"));
  rows.batch_ = ids->shape[0];
  rows.tokens_ = ids->shape[1];
  at(RowSpace::tokens).assign(std::size_t(ids->elements()), true);
  if (const Tensor* mask = find(inputs, "attention_mask"); mask != nullptr && mask->shape == ids->shape) {
    ASSAY_TRY(values, read("attention_mask", *mask, 2, "integers [B, T]"));
    std::transform(values.begin(), values.end(), at(RowSpace::tokens).begin(), [](auto v) { return v != 0; });
  }

  ASSAY_CHECK(add_patches(inputs, "image_position_ids", at(RowSpace::patches)));
  ASSAY_CHECK(add_patches(inputs, "video_position_ids", at(RowSpace::patches)));
  const std::int64_t of_one = std::int64_t{soft.pool} * soft.pool;
  at(RowSpace::vision_soft).assign(std::size_t(rows.real_count(RowSpace::patches) / of_one), true);

  if (const Tensor* mask = find(inputs, "input_features_mask"); mask != nullptr) {
    ASSAY_TRY(values, read("input_features_mask", *mask, 2, "integers [n, frames]"));
    const std::int64_t frames = mask->shape[1];
    for (std::size_t i = 0; i < values.size(); ++i) {
      at(RowSpace::frames).push_back(values[i] != 0);
      if (soft.subsampled && std::int64_t(i) % frames % 4 == 0) at(RowSpace::audio_frames).push_back(values[i] != 0);
    }
    const RowSpace last = soft.subsampled ? RowSpace::audio_frames : RowSpace::frames;
    at(RowSpace::audio_soft).assign(std::size_t(rows.real_count(last)), true);
  }
  return rows;
}

}  // namespace assay
