#include "harness/kv/kv.h"

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <string>

namespace assay {
namespace {

/// Sums and products that remember whether one of them left an int64.
class Counter {
 public:
  std::int64_t product(std::initializer_list<std::int64_t> factors) {
    std::int64_t result = 1;
    for (const std::int64_t factor : factors) over_ = __builtin_mul_overflow(result, factor, &result) || over_;
    return result;
  }
  void add(std::int64_t& sum, std::int64_t value) { over_ = __builtin_add_overflow(sum, value, &sum) || over_; }
  void add(KvSizes& sum, const KvSizes& value) {
    for (KvBytes KvSizes::*way : {&KvSizes::held, &KvSizes::ring, &KvSizes::least, &KvSizes::flat})
      for (std::size_t f = 0; f < kKvFormats.size(); ++f) add((sum.*way)[f], (value.*way)[f]);
  }
  bool over() const { return over_; }

 private:
  bool over_ = false;
};

KvLayer layer_cost(const LayerPlan& plan, std::int64_t context, std::int64_t batch, Counter& count) {
  KvLayer layer{.kv_heads = plan.kv_heads,
                .head_dim = plan.head_dim,
                .window = plan.window,
                .source = plan.kv,
                .value_is_key = plan.value_is_key};
  const bool own = plan.kv.kind == KvSource::own;
  if (own) {
    layer.held_tokens = plan.window == 0 ? context : std::min<std::int64_t>(context, plan.window - 1);
    layer.ring_tokens = plan.window == 0 ? context : std::min<std::int64_t>(context, plan.window);
  }
  for (std::size_t f = 0; f < kKvFormats.size(); ++f) {
    const KvFormat& format = kKvFormats[f];
    const std::int64_t head_row = std::int64_t{(plan.head_dim + format.block - 1) / format.block} * format.bytes;
    const auto bytes = [&](std::int64_t tokens, int tensors) {
      return count.product({tensors, head_row, plan.kv_heads, batch, tokens});
    };
    layer.bytes.held[f] = bytes(layer.held_tokens, 2);
    layer.bytes.ring[f] = bytes(layer.ring_tokens, 2);
    layer.bytes.least[f] = bytes(layer.ring_tokens, plan.value_is_key ? 1 : 2);
    layer.bytes.flat[f] = bytes(context, 2);
  }
  return layer;
}

KvKind& kind_of(std::vector<KvKind>& kinds, const KvLayer& layer) {
  for (KvKind& kind : kinds)
    if (kind.window == layer.window && kind.kv_heads == layer.kv_heads && kind.head_dim == layer.head_dim) return kind;
  return kinds.emplace_back(KvKind{.window = layer.window,
                                   .kv_heads = layer.kv_heads,
                                   .head_dim = layer.head_dim,
                                   .value_is_key = layer.value_is_key});
}

}  // namespace

Result<KvCost> kv_cost(const Plan& plan, std::int64_t context, std::int64_t batch) {
  if (context < 1) return fail({Failure::bad_input, "--context", "", "at least 1", std::to_string(context)});
  if (batch < 1) return fail({Failure::bad_input, "--batch", "", "at least 1", std::to_string(batch)});
  KvCost cost;
  Counter count;
  for (const LayerPlan& layer : plan.layers) {
    cost.layers.push_back(layer_cost(layer, context, batch, count));
    const KvLayer& made = cost.layers.back();
    KvKind& kind = kind_of(cost.kinds, made);
    (layer.kv.kind == KvSource::own ? kind.owners : kind.sharers) += 1;
    kind.held_tokens = std::max(kind.held_tokens, made.held_tokens);
    kind.ring_tokens = std::max(kind.ring_tokens, made.ring_tokens);
    count.add(kind.bytes, made.bytes);
    count.add(cost.total, made.bytes);
  }
  if (count.over())
    return fail({Failure::bad_input, "--context", "", "a cache of fewer than 2^63 bytes",
                 std::to_string(context) + " tokens in each of " + std::to_string(batch) + " sequences"});
  std::stable_partition(cost.kinds.begin(), cost.kinds.end(), [](const KvKind& kind) { return kind.window > 0; });
  return cost;
}

}  // namespace assay
