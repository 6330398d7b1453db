#include "model/assistant.h"

#include <string>

#include "model/checkpoint.h"
#include "model/config.h"
#include "model/plan.h"

namespace assay {
namespace {

std::string kind_name(bool sliding) { return sliding ? "sliding_attention" : "full_attention"; }

std::string kv_text(const LayerPlan& layer) {
  return std::to_string(layer.kv_heads) + " K/V heads of " + std::to_string(layer.head_dim);
}

}  // namespace

Result<AssistantPlan> make_assistant_plan(const Config& config) {
  const AssistantConfig& keys = *config.assistant;
  const auto bad = [&](const std::string& key, std::string expected, std::string found,
                       Failure::Kind kind = Failure::bad_input) {
    return fail({kind, config.where, key, std::move(expected), std::move(found)});
  };
  if (config.num_kv_shared_layers != config.num_hidden_layers)
    return bad(config.prefix + "num_kv_shared_layers",
               "0 or num_hidden_layers = " + std::to_string(config.num_hidden_layers) + ": a drafter has no K/V",
               std::to_string(config.num_kv_shared_layers),
               config.unified ? Failure::unsupported : Failure::bad_input);  // the other class refuses it itself
  if (!config.unified && config.hidden_size_per_layer_input != 0)
    return bad(config.prefix + "hidden_size_per_layer_input", "0 in a drafter",
               std::to_string(config.hidden_size_per_layer_input));
  if (!config.unified && config.enable_moe_block)
    return bad(config.prefix + "enable_moe_block", "false in a drafter", "true");
  if (!config.unified && config.use_double_wide_mlp)
    return bad(config.prefix + "use_double_wide_mlp", "false in a drafter", "true");
  AssistantPlan plan{.backbone = int(keys.backbone_hidden_size), .centroids = std::nullopt};
  if (!keys.use_ordered_embeddings) return plan;
  if (config.vocab_size % keys.num_centroids != 0)
    return bad("num_centroids", "a divisor of vocab_size = " + std::to_string(config.vocab_size),
               std::to_string(keys.num_centroids));
  if (keys.centroid_intermediate_top_k > keys.num_centroids)
    return bad("centroid_intermediate_top_k", "at most num_centroids = " + std::to_string(keys.num_centroids),
               std::to_string(keys.centroid_intermediate_top_k));
  plan.centroids = Centroids{int(keys.num_centroids), int(keys.centroid_intermediate_top_k)};
  return plan;
}

std::optional<int> layer_for_drafters(const Plan& target, bool sliding) {
  for (std::size_t i = target.layers.size(); i-- > 0;) {
    const LayerPlan& layer = target.layers[i];
    if (layer.kv.kind == KvSource::own && (layer.window > 0) == sliding) return int(i);
  }
  return std::nullopt;
}

Result<Plan> with_target(const Plan& drafter, const Plan& target) {
  const auto bad = [](std::string field, std::string expected, std::string found) {
    return fail({Failure::bad_input, "drafter", std::move(field), std::move(expected), std::move(found)});
  };
  if (!drafter.assistant) return bad("model_type", "gemma4_assistant or gemma4_unified_assistant", "another model");
  if (target.assistant) return bad("target", "a model with K/V of its own", "another drafter");
  if (drafter.assistant->backbone != target.hidden)
    return bad("backbone_hidden_size", std::to_string(target.hidden) + ", as the target has it",
               std::to_string(drafter.assistant->backbone));
  if (drafter.vocab > target.vocab)
    return bad("vocab_size", "at most the target's " + std::to_string(target.vocab), std::to_string(drafter.vocab));
  Plan plan = drafter;
  for (std::size_t i = 0; i < plan.layers.size(); ++i) {
    LayerPlan& layer = plan.layers[i];
    const bool sliding = layer.window > 0;
    const std::string field = "layer " + std::to_string(i);
    const std::optional<int> donor = layer_for_drafters(target, sliding);
    if (!donor) return bad(field, "a layer of " + kind_name(sliding) + " in the target", "none");
    const LayerPlan& theirs = target.layers[std::size_t(*donor)];
    if (layer.kv_heads != theirs.kv_heads || layer.head_dim != theirs.head_dim)
      return bad(field, kv_text(theirs) + ", as layer " + std::to_string(*donor) + " of the target", kv_text(layer));
    layer.kv = {KvSource::target, *donor};
  }
  return plan;
}

void add_assistant_tensors(const Plan& plan, std::vector<ExpectedTensor>& tensors) {
  if (!plan.assistant) return;
  const std::int64_t hidden = plan.hidden, backbone = plan.assistant->backbone;
  tensors.push_back({"pre_projection.weight", {hidden, 2 * backbone}});
  tensors.push_back({"post_projection.weight", {backbone, hidden}});
  if (plan.assistant->centroids)
    tensors.push_back({"masked_embedding.centroids.weight", {plan.assistant->centroids->count, hidden}});
}

Result<void> check_token_ordering(const Checkpoint& checkpoint) {
  const Plan& plan = checkpoint.plan;
  if (!plan.assistant || !plan.assistant->centroids) return {};
  const std::string where = checkpoint.directory.string();
  const auto bad = [&](std::string expected, std::string found) {
    return fail({Failure::bad_input, where, kTokenOrdering, std::move(expected), std::move(found)});
  };
  const auto found = checkpoint.tensors.find(kTokenOrdering);
  const std::vector<std::int64_t> shape{plan.vocab};
  if (found == checkpoint.tensors.end()) return bad("a tensor of shape " + shape_text(shape), "none");
  if (found->second.shape != shape) return bad("shape " + shape_text(shape), shape_text(found->second.shape));
  const auto ids = found->second.integers();
  if (!ids) return bad("integers", std::string(name_of(found->second.dtype)));
  for (const std::int64_t id : *ids)
    if (id < 0 || id >= plan.vocab) return bad("ids from 0 to " + std::to_string(plan.vocab - 1), std::to_string(id));
  return {};
}

}  // namespace assay
