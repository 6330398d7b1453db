#include "harness/sample/sampler.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

namespace assay {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

struct Scored {
  float score = 0;
  std::int64_t id = 0;
};

std::int64_t largest(std::span<const float> logits) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < logits.size(); ++i)
    if (logits[i] > logits[best] || (std::isnan(logits[best]) && !std::isnan(logits[i]))) best = i;
  return std::int64_t(best);
}

/// softmax of the scores, in their order, rounded to fp32 as torch's.
std::vector<float> softmax(std::span<const Scored> kept) {
  float top = kNever;
  for (const Scored& item : kept) top = std::max(top, item.score);
  double sum = 0;
  for (const Scored& item : kept) sum += std::exp(double(item.score) - double(top));
  std::vector<float> shares;
  shares.reserve(kept.size());
  for (const Scored& item : kept) shares.push_back(float(std::exp(double(item.score) - double(top)) / sum));
  return shares;
}

void keep_top_k(std::vector<Scored>& kept, std::size_t k) {
  if (k >= kept.size()) return;
  std::vector<float> scores;
  scores.reserve(kept.size());
  for (const Scored& item : kept) scores.push_back(item.score);
  const auto cut = scores.begin() + std::ptrdiff_t(k - 1);
  std::nth_element(scores.begin(), cut, scores.end(), std::greater<>());
  std::erase_if(kept, [least = *cut](const Scored& item) { return item.score < least; });
}

void keep_top_p(std::vector<Scored>& kept, double p) {
  std::stable_sort(kept.begin(), kept.end(), [](const Scored& a, const Scored& b) { return a.score < b.score; });
  const std::vector<float> shares = softmax(kept);
  const auto dropped_up_to = float(1 - p);  // torch compares an fp32 tensor with the scalar rounded to fp32
  double sum = 0;                           // and adds up in double, showing each sum as fp32
  std::size_t drop = 0;
  while (drop + 1 < kept.size() && float(sum + double{shares[drop]}) <= dropped_up_to) sum += double{shares[drop++]};
  kept.erase(kept.begin(), kept.begin() + std::ptrdiff_t(drop));
  std::sort(kept.begin(), kept.end(), [](const Scored& a, const Scored& b) { return a.id < b.id; });
}

}  // namespace

Sampler::Sampler(const GenerationConfig& config, std::uint64_t seed)
    : sample_(config.do_sample && float(config.temperature) > 0),  // what rounds to 0 leaves the largest
      temperature_(float(config.temperature)),
      top_k_(std::size_t(std::max(config.top_k, 0))),
      top_p_(config.top_p),
      suppressed_(config.suppress_ids),
      engine_(seed) {}

std::vector<Candidate> Sampler::candidates(std::span<float> logits) const {
  for (const std::int64_t id : suppressed_)
    if (id >= 0 && std::size_t(id) < logits.size()) logits[std::size_t(id)] = kNever;
  const std::int64_t best = largest(logits);
  const float top = logits[std::size_t(best)];
  if (!(top > kNever)) return {{0, 1.0}};
  if (!sample_ || top == std::numeric_limits<float>::infinity()) return {{best, 1.0}};

  std::vector<Scored> kept;
  kept.reserve(logits.size());
  for (std::size_t i = 0; i < logits.size(); ++i)
    if (logits[i] > kNever) kept.push_back({logits[i] / temperature_, std::int64_t(i)});
  if (std::isinf(top / temperature_)) return {{best, 1.0}};
  if (top_k_ > 0) keep_top_k(kept, top_k_);
  if (top_p_ < 1.0) keep_top_p(kept, top_p_);

  const std::vector<float> shares = softmax(kept);
  std::vector<Candidate> left;
  left.reserve(kept.size());
  for (std::size_t i = 0; i < kept.size(); ++i) left.push_back({kept[i].id, double{shares[i]}});
  return left;
}

std::int64_t Sampler::next(std::span<float> logits) {
  const std::vector<Candidate> left = candidates(logits);
  if (!sample_) return left.front().id;
  double sum = 0;
  for (const Candidate& candidate : left) sum += candidate.probability;
  const double mark = std::ldexp(double(engine_() >> 11U), -53) * sum;  // fp32 shares sum to 1 only nearly
  double reached = 0;
  for (const Candidate& candidate : left)
    if ((reached += candidate.probability) > mark) return candidate.id;
  return left.back().id;
}

}  // namespace assay
