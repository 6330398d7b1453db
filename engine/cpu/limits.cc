#include "engine/cpu/limits.h"

#include <cstddef>
#include <string>
#include <string_view>

#include "kernels/spec/attention.h"
#include "kernels/spec/rel_attention.h"

namespace assay::cpu {
namespace {

Result<void> check_most(std::string_view field, int most, int found, std::size_t layer) {
  if (found <= most) return {};
  return fail({Failure::unsupported, "cpu", std::string(field), "at most " + std::to_string(most),
               std::to_string(found) + " in layer " + std::to_string(layer)});
}

}  // namespace

Result<void> check_limits(const Plan& plan, kernels::Format kv) {
  const int block = kernels::block_values(kv);
  for (std::size_t i = 0; i < plan.layers.size(); ++i) {
    const int head_dim = plan.layers[i].head_dim;
    ASSAY_CHECK(check_most("text_config.head_dim", kernels::kAttentionMaxDim, head_dim, i));
    if (head_dim % block != 0)  // or attention would read past a head's end
      return fail({Failure::unsupported, "cpu", "kv", "heads of a multiple of " + std::to_string(block),
                   std::to_string(head_dim)});
  }
  for (std::size_t i = 0; plan.vision && i < plan.vision->layers.size(); ++i)
    ASSAY_CHECK(check_most("vision_config.head_dim", kernels::kAttentionMaxDim, plan.vision->layers[i].head_dim, i));
  for (std::size_t i = 0; plan.audio && i < plan.audio->layers.size(); ++i)
    ASSAY_CHECK(check_most("audio_config.attention_chunk_size + attention_context_left - 1 + attention_context_right",
                           kernels::kRelAttentionMaxContext, plan.audio->layers[i].context(), i));
  return {};
}

}  // namespace assay::cpu
