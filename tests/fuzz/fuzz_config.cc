// Any bytes as config.json: refused, or a plan whose sizes fit an int and whose tensors have sizes that fit an int64.
#include <climits>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "model/checkpoint.h"

namespace {

void check(bool holds) {
  if (!holds) std::abort();
}

void check_layer(const assay::Plan& plan, std::size_t i) {
  const assay::LayerPlan& layer = plan.layers[i];
  check(layer.q_heads > 0 && layer.kv_heads > 0 && layer.head_dim > 0 && layer.q_heads % layer.kv_heads == 0);
  check(std::int64_t{layer.q_heads} * layer.head_dim <= INT_MAX);
  check(layer.rope.inv_freq.size() * 2 == std::size_t(layer.head_dim));
  for (const float frequency : layer.rope.inv_freq) check(frequency >= 0 && frequency <= 1e38F);
  check(layer.ffn_width > 0 && layer.window >= 0 && layer.ple_width == plan.ple_width);
  check(plan.assistant.has_value() == (layer.kv.kind == assay::KvSource::target));
  if (plan.assistant) return;
  check(layer.kv.layer >= 0 && std::size_t(layer.kv.layer) <= i);
  check((layer.kv.kind == assay::KvSource::own) == (std::size_t(layer.kv.layer) == i));
  const assay::LayerPlan& donor = plan.layers[std::size_t(layer.kv.layer)];
  check(donor.kv.kind == assay::KvSource::own && donor.kv_width() == layer.kv_width() && donor.window == layer.window);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto config = assay::parse_config({reinterpret_cast<const char*>(data), size}, "fuzz");
  if (!config) {
    check(!config.error().message().empty());
    return 0;
  }
  const auto plan = assay::make_plan(*config);
  if (!plan) {
    check(!plan.error().field.empty());
    return 0;
  }
  check(!plan->layers.empty() && plan->hidden > 0 && plan->vocab > 0);
  for (std::size_t i = 0; i < plan->layers.size(); ++i) check_layer(*plan, i);
  for (const assay::ExpectedTensor& tensor : assay::expected_tensors(*plan)) {
    std::int64_t bytes = 8;
    for (const std::int64_t extent : tensor.shape) check(extent > 0 && !__builtin_mul_overflow(bytes, extent, &bytes));
  }
  return 0;
}
