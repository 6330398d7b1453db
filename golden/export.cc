#include "golden/export.h"

#include <nlohmann/json.hpp>

#include "model/safetensors.h"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

Json made_with(const GoldenInfo& info) {
  return {{"schema", info.schema},
          {"variant", info.variant},
          {"seed", info.seed},
          {"transformers", info.transformers},
          {"torch", info.torch},
          {"attn_implementation", info.attn_implementation},
          {"dtype", info.dtype},
          {"checkpoint_sha256", info.checkpoint_sha256},
          {"generator_sha256", info.generator_sha256}};
}

Json layer_json(const GoldenLayer& layer) {
  return {{"attention", layer.attention},
          {"head_dim", layer.head_dim},
          {"q_heads", layer.q_heads},
          {"kv_heads", layer.kv_heads},
          {"window", layer.window},
          {"donor", layer.donor},
          {"value_is_key", layer.value_is_key},
          {"ffn_width", layer.ffn_width},
          {"ple_width", layer.ple_width},
          {"experts", layer.experts},
          {"experts_used", layer.experts_used},
          {"expert_width", layer.expert_width}};
}

/// JSON has no infinity and no NaN: null stands for both.
Json tap_json(const GoldenTap& tap, int layers) {
  Json json = {{"order", tap.id.order(layers)}, {"shape", tap.shape},
               {"noise_fp32", tap.noise_fp32},  {"noise_excess", tap.noise_excess},
               {"noise_bf16", tap.noise_bf16},  {"noise_bf16_rms", tap.noise_bf16_rms}};
  if (tap.id.tap == Tap::router_topk) json["margin"] = tap.margin;
  if (!tap.rows.empty()) json["rows"] = tap.rows;
  return json;
}

Json case_json(const GoldenCase& golden, int layers) {
  Json inputs = Json::object(), taps = Json::object();
  for (const NamedTensor& input : golden.inputs) inputs[input.name] = input.tensor.shape;
  for (const GoldenTap& tap : golden.taps) taps[tap.id.name()] = tap_json(tap, layers);
  return {{"what", golden.what},
          {"paths", golden.paths},
          {"inputs", inputs},
          {"generated", golden.generated},
          {"taps", std::move(taps)}};
}

}  // namespace

Result<std::string> describe_json(const Golden& golden) {
  const GoldenInfo& info = golden.info();
  Json json = made_with(info);
  json["plan"] = {{"hidden", info.hidden},   {"vocab", info.vocab},
                  {"softcap", info.softcap}, {"rms_norm_eps", info.rms_norm_eps},
                  {"blocks", info.blocks},   {"layers", Json::array()}};
  for (const GoldenLayer& layer : info.layers) json["plan"]["layers"].push_back(layer_json(layer));
  json["cases"] = Json::object();
  for (const std::string& name : info.cases) {
    ASSAY_TRY(loaded, golden.load(name));
    json["cases"][name] = case_json(loaded, int(info.layers.size()));
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace);
}

Result<void> export_safetensors(const Golden& golden, const std::filesystem::path& file) {
  const GoldenInfo& info = golden.info();
  std::map<std::string, std::string> metadata;
  const Json origin = made_with(info);
  for (const auto& [key, value] : origin.items())
    metadata[key] = value.is_string() ? value.get<std::string>() : value.dump();
  std::vector<NamedTensor> tensors;
  for (const std::string& name : info.cases) {
    ASSAY_TRY(loaded, golden.load(name));
    metadata[name] = loaded.what;
    std::string paths;
    for (const std::string& path : loaded.paths) paths += (paths.empty() ? "" : ",") + path;
    metadata[name + "/paths"] = paths;
    for (NamedTensor& input : loaded.inputs)
      tensors.push_back({name + "/inputs/" + input.name, std::move(input.tensor)});
    for (GoldenTap& tap : loaded.taps) {
      const std::string full = name + "/taps/" + tap.id.name();
      metadata[full] = tap_json(tap, int(info.layers.size())).dump();
      tensors.push_back({full, Tensor::own(tap.shape, std::move(tap.values))});
    }
    if (loaded.generated == 0) continue;
    const std::int64_t batch = std::int64_t(loaded.generated_ids.size()) / loaded.generated;
    tensors.push_back(
        {name + "/outputs/generated_ids", Tensor::own({batch, loaded.generated}, std::move(loaded.generated_ids))});
    tensors.push_back({name + "/outputs/logits", Tensor::own({batch, info.vocab}, std::move(loaded.logits))});
    tensors.push_back({name + "/outputs/generated_logits",
                       Tensor::own({batch, loaded.generated, info.vocab}, std::move(loaded.generated_logits))});
  }
  return write_safetensors(file, tensors, metadata);
}

std::string taps_json() {
  Json rows = Json::array();
  for (const TapInfo& row : kTaps)
    rows.push_back({{"id", row.id},
                    {"name", row.name},
                    {"scope", row.scope_name},
                    {"kind", row.kind_name},
                    {"columns", row.columns_name},
                    {"op", row.op},
                    {"inputs", row.inputs}});
  return rows.dump(2);
}

}  // namespace assay
