#include "engine/cpu/soft_tokens.h"

#include <algorithm>
#include <string>
#include <utility>

namespace assay::cpu {

std::array<std::optional<std::int64_t>, 3> SoftTokens::placeholders(const Plan& plan) {
  return {plan.placeholders.image, plan.placeholders.video, plan.placeholders.audio};
}

void SoftTokens::give(Kind kind, std::vector<float> rows, int hidden) {
  kinds_[std::size_t(kind)] = {.values = std::move(rows), .hidden = hidden, .used = 0, .next = {}};
}

Result<void> SoftTokens::check(const Plan& plan, std::span<const std::int64_t> ids) const {
  constexpr std::array<const char*, 3> kNames = {"image", "video", "audio"};
  const auto at = placeholders(plan);
  for (std::size_t kind = 0; kind < kinds_.size(); ++kind) {
    const Queue& queue = kinds_[kind];
    if (!queue.open() || !at[kind]) continue;
    const auto found = std::size_t(std::ranges::count(ids, *at[kind]));
    if (found > queue.count() - queue.used)
      return fail({Failure::bad_input, "forward", "input_ids",
                   std::to_string(queue.count()) + " " + kNames[kind] + " placeholders in all", "more"});
  }
  return {};
}

void SoftTokens::begin(const Plan& plan, Rows<const std::int64_t> ids) {
  const auto at = placeholders(plan);
  for (Queue& queue : kinds_) {
    queue.next.clear();
    if (queue.open()) queue.next.reserve(std::size_t(ids.rows));  // of all kinds before anything is taken
  }
  for (std::size_t kind = 0; kind < kinds_.size(); ++kind) {
    Queue& queue = kinds_[kind];
    if (!queue.open() || !at[kind]) continue;
    for (int b = 0; b < ids.rows; ++b) {
      queue.next.push_back(queue.used);
      queue.used += std::size_t(std::ranges::count(ids.row(b), *at[kind]));
    }
  }
}

void SoftTokens::merge(const Plan& plan, int b, std::span<const std::int64_t> ids, Rows<float> embeds) {
  const auto at = placeholders(plan);
  for (std::size_t kind = 0; kind < kinds_.size(); ++kind) {
    Queue& queue = kinds_[kind];
    if (queue.next.empty()) continue;
    std::size_t& next = queue.next[std::size_t(b)];
    for (int row = 0; row < embeds.rows; ++row)
      if (ids[std::size_t(row)] == *at[kind])
        std::copy_n(queue.values.begin() + std::ptrdiff_t(next++) * queue.hidden, queue.hidden,
                    embeds.row(row).begin());
  }
}

}  // namespace assay::cpu
