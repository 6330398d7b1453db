#include "engine/cpu/soft_tokens.h"

#include <algorithm>
#include <string>
#include <utility>

namespace assay::cpu {

std::array<std::optional<std::int64_t>, 3> SoftTokens::placeholders(const Plan& plan) {
  return {plan.placeholders.image, plan.placeholders.video, plan.placeholders.audio};
}

void SoftTokens::give(Kind kind, std::vector<float> rows, int hidden) {
  kinds_[std::size_t(kind)] = {std::move(rows), hidden, 0};
}

Result<void> SoftTokens::check(const Plan& plan, std::span<const std::int64_t> ids) const {
  constexpr std::array<const char*, 3> kNames = {"image", "video", "audio"};
  const auto at = placeholders(plan);
  for (std::size_t kind = 0; kind < kinds_.size(); ++kind) {
    const Queue& queue = kinds_[kind];
    if (!queue.open() || !at[kind]) continue;
    const auto found = std::size_t(std::ranges::count(ids, *at[kind]));
    const std::size_t left = (queue.values.size() - queue.used) / std::size_t(queue.hidden);
    if (found > left)
      return fail({Failure::bad_input, "forward", "input_ids",
                   std::to_string(queue.values.size() / std::size_t(queue.hidden)) + " " + kNames[kind] +
                       " placeholders in all",
                   "more"});
  }
  return {};
}

void SoftTokens::merge(const Plan& plan, std::span<const std::int64_t> ids, Rows<float> embeds) {
  const auto at = placeholders(plan);
  for (std::size_t kind = 0; kind < kinds_.size(); ++kind) {
    Queue& queue = kinds_[kind];
    if (!queue.open() || !at[kind]) continue;
    for (int row = 0; row < embeds.rows; ++row) {
      if (ids[std::size_t(row)] != *at[kind] || !queue.open()) continue;
      std::copy_n(queue.values.begin() + std::ptrdiff_t(queue.used), queue.hidden, embeds.row(row).begin());
      queue.used += std::size_t(queue.hidden);
    }
  }
}

}  // namespace assay::cpu
