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

/// The k-th largest logit, -infinity where there are fewer. A heap of k: nearly all of a vocabulary is told off by one
/// comparison.
float kth_largest(std::span<const float> logits, std::size_t k) {
  std::vector<float> heap;  // the smallest first
  for (const float logit : logits) {
    if (heap.size() == k && !(logit > heap.front())) continue;
    if (!(logit > kNever)) continue;  // NaN, too
    if (heap.size() == k) {
      std::pop_heap(heap.begin(), heap.end(), std::greater<>());
      heap.pop_back();
    }
    heap.push_back(logit);
    std::push_heap(heap.begin(), heap.end(), std::greater<>());
  }
  return heap.size() == k ? heap.front() : kNever;
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

  if (std::isinf(top / temperature_)) return {{best, 1.0}};
  // Division keeps the order of logits, so that the k-th largest of the quotients is that of the logits, divided;
  // logits just below it may have the same quotient, and stay.
  const float least = top_k_ == 0 ? kNever : kth_largest(logits, top_k_) / temperature_;
  std::vector<Scored> kept;
  for (std::size_t i = 0; i < logits.size(); ++i)
    if (const float score = logits[i] / temperature_; logits[i] > kNever && score >= least)
      kept.push_back({score, std::int64_t(i)});
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
