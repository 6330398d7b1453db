#include "golden/tiny_golden.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <stdexcept>

#include "base/sha256.h"
#include "model/safetensors.h"
#include "temporary.h"

namespace assay {
namespace fs = std::filesystem;
namespace {

std::mt19937& random() {
  static std::mt19937 engine;  // seeded by whoever starts to draw
  return engine;
}

std::vector<float> normal(std::size_t count) {
  std::normal_distribution<float> draw;
  std::vector<float> values(count);
  std::generate(values.begin(), values.end(), [&] { return draw(random()); });
  return values;
}

void must(const Result<void>& done) {
  if (!done) throw std::runtime_error(done.error().message());
}

Plan tiny_plan() {
  auto config = parse_config(tiny_config(), "tiny");
  if (!config) throw std::runtime_error(config.error().message());
  return make_plan(*config).value();
}

GoldenCase random_case(const Plan& plan, std::string name, std::int64_t batch, std::int64_t tokens,
                       std::vector<std::int64_t> mask) {
  GoldenCase golden;
  golden.name = std::move(name);
  golden.what = "Random numbers.";
  golden.paths =
      batch > 1 ? std::vector<std::string>{"batched"} : std::vector<std::string>{"prefill", "nocache", "decode"};
  std::vector<std::int64_t> ids;
  for (std::int64_t i = 0; i < batch * tokens; ++i) ids.push_back(i % (plan.vocab - 1) + 1);
  golden.inputs.push_back({"attention_mask", Tensor::own({batch, tokens}, std::move(mask))});
  golden.inputs.push_back({"input_ids", Tensor::own({batch, tokens}, std::move(ids))});
  for (const TapId id : all_taps(plan)) {
    GoldenTap tap;
    tap.id = id;
    tap.noise_fp32 = 1e-6;
    tap.noise_excess = 1e-6;
    tap.noise_bf16 = 1e-2;
    tap.noise_bf16_rms = 1e-3;
    tap.margin = id.tap == Tap::router_topk ? 1e-3 : 0;
    tap.shape = row_shape(plan, id);
    if (id.tap == Tap::attn_q && batch == 1) {
      tap.rows = {0, 2, tokens - 1};
      tap.shape.insert(tap.shape.begin(), 3);
    } else {
      tap.shape.insert(tap.shape.begin(), {batch, tokens});
    }
    std::int64_t count = 1;
    for (const std::int64_t extent : tap.shape) count *= extent;
    tap.values = normal(std::size_t(count));
    golden.taps.push_back(std::move(tap));
  }
  golden.generated = 4;
  golden.generated_margin = 1e-2;
  const std::vector<float>& logits = golden.taps.back().values;
  for (std::int64_t b = 0; b < batch; ++b) {
    const auto row = logits.begin() + ((b + 1) * tokens - 1) * plan.vocab;
    golden.logits.insert(golden.logits.end(), row, row + plan.vocab);
    const std::int64_t best = std::max_element(row, row + plan.vocab) - row;
    for (int i = 0; i < golden.generated; ++i) golden.generated_ids.push_back((best + i) % plan.vocab);
    for (int i = 0; i < golden.generated; ++i)  // turned, so that each step has its id for the largest
      for (int v = 0; v < plan.vocab; ++v) golden.generated_logits.push_back(row[(v - i + plan.vocab) % plan.vocab]);
  }
  return golden;
}

/// Writes through Bends and remembers what it wrote.
class BentWriter {
 public:
  BentWriter(hdf5::Writer writer, const Bends& bends) : writer_(std::move(writer)), bends_(bends) {}

  bool group(const std::string& path) {
    written.push_back(path);
    if (bends_.without.contains(path)) return false;
    must(writer_.group(path));
    return true;
  }
  bool dataset(const std::string& path, const Tensor& tensor) {
    written.push_back(path);
    if (bends_.without.contains(path)) return false;
    const auto bent = bends_.datasets.find(path);
    must(writer_.dataset(path, bent == bends_.datasets.end() ? tensor : bent->second));
    return true;
  }
  void attribute(const std::string& object, const std::string& name, const hdf5::Value& value) {
    const std::string path = object + "@" + name;
    written.push_back(path);
    if (bends_.without.contains(path)) return;
    const auto bent = bends_.attributes.find(path);
    must(writer_.attribute(object, name, bent == bends_.attributes.end() ? value : bent->second));
  }
  void integer(const std::string& object, const std::string& name, std::int64_t value) {
    attribute(object, name, value);
  }
  void close() { must(writer_.close()); }

  std::vector<std::string> written;

 private:
  hdf5::Writer writer_;
  const Bends& bends_;
};

void write_plan(BentWriter& file, const GoldenInfo& info) {
  if (!file.group("/plan")) return;
  file.integer("/plan", "hidden", info.hidden);
  file.integer("/plan", "vocab", info.vocab);
  file.integer("/plan", "layers", std::int64_t(info.layers.size()));
  file.attribute("/plan", "softcap", info.softcap);
  file.attribute("/plan", "rms_norm_eps", info.rms_norm_eps);
  file.attribute("/plan", "blocks", info.blocks);
  for (std::size_t i = 0; i < info.layers.size(); ++i) {
    const GoldenLayer& layer = info.layers[i];
    const std::string at = "/plan/layer.0" + std::to_string(i);
    if (!file.group(at)) continue;
    file.attribute(at, "attention", layer.attention);
    file.integer(at, "head_dim", layer.head_dim);
    file.integer(at, "q_heads", layer.q_heads);
    file.integer(at, "kv_heads", layer.kv_heads);
    file.integer(at, "window", layer.window);
    file.integer(at, "donor", layer.donor);
    file.integer(at, "value_is_key", int(layer.value_is_key));
    file.integer(at, "ffn_width", layer.ffn_width);
    file.integer(at, "ple_width", layer.ple_width);
    file.integer(at, "experts", layer.experts);
    file.integer(at, "experts_used", layer.experts_used);
    file.integer(at, "expert_width", layer.expert_width);
    file.dataset(at + "/inv_freq", Tensor::own({std::int64_t(layer.inv_freq.size())}, layer.inv_freq));
  }
}

void write_case(BentWriter& file, const GoldenInfo& info, const GoldenCase& golden) {
  const std::string at = "/cases/" + golden.name;
  if (!file.group(at)) return;
  file.attribute(at, "what", golden.what);
  std::string paths;
  for (const std::string& path : golden.paths) paths += (paths.empty() ? "" : ",") + path;
  file.attribute(at, "paths", paths);
  if (file.group(at + "/inputs"))
    for (const NamedTensor& input : golden.inputs) file.dataset(at + "/inputs/" + input.name, input.tensor);
  if (file.group(at + "/taps"))
    for (const GoldenTap& tap : golden.taps) {
      const std::string path = at + "/taps/" + tap.id.name();
      if (!file.dataset(path, Tensor::own(tap.shape, tap.values))) continue;
      file.integer(path, "order", tap.id.order(int(info.layers.size())));
      file.attribute(path, "noise_fp32", tap.noise_fp32);
      file.attribute(path, "noise_excess", tap.noise_excess);
      file.attribute(path, "noise_bf16", tap.noise_bf16);
      file.attribute(path, "noise_bf16_rms", tap.noise_bf16_rms);
      if (tap.id.tap == Tap::router_topk) file.attribute(path, "margin", tap.margin);
      if (!tap.rows.empty()) file.attribute(path, "rows", tap.rows);
    }
  if (golden.generated == 0) return;
  const std::int64_t batch = std::int64_t(golden.generated_ids.size()) / golden.generated;
  if (file.dataset(at + "/outputs/generated_ids", Tensor::own({batch, golden.generated}, golden.generated_ids)))
    file.attribute(at + "/outputs/generated_ids", "margin", golden.generated_margin);
  file.dataset(at + "/outputs/logits", Tensor::own({batch, info.vocab}, golden.logits));
  file.dataset(at + "/outputs/generated_logits",
               Tensor::own({batch, golden.generated, info.vocab}, golden.generated_logits));
}

}  // namespace

GoldenTap& TinyGolden::tap(int which_case, const std::string& name) {
  for (GoldenTap& tap : cases[std::size_t(which_case)].taps)
    if (tap.id.name() == name) return tap;
  throw std::runtime_error("no tap " + name);
}

std::string tiny_config() {
  return R"({"model_type": "gemma4_text", "hidden_size": 12, "intermediate_size": 10, "num_hidden_layers": 4,
    "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4, "global_head_dim": 6, "sliding_window": 3,
    "vocab_size": 23, "vocab_size_per_layer_input": 23, "hidden_size_per_layer_input": 5, "num_kv_shared_layers": 2,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention", "full_attention"],
    "rms_norm_eps": 1e-6, "final_logit_softcapping": 30.0, "pad_token_id": 0, "hidden_activation": "gelu_pytorch_tanh",
    "enable_moe_block": true, "num_experts": 7, "top_k_experts": 2, "moe_intermediate_size": 8,
    "rope_parameters": {"sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
      "full_attention": {"rope_type": "proportional", "partial_rotary_factor": 0.5, "rope_theta": 1000000.0}}})";
}

void write_tiny_checkpoint(const fs::path& folder,
                           const std::function<void(std::map<std::string, std::vector<float>>&)>& bend) {
  random().seed(1);
  std::map<std::string, std::vector<float>> values;
  std::map<std::string, std::vector<std::int64_t>> shapes;
  for (const ExpectedTensor& tensor : expected_tensors(tiny_plan())) {
    std::int64_t count = 1;
    for (const std::int64_t extent : tensor.shape) count *= extent;
    values[tensor.name] = normal(std::size_t(count));
    shapes[tensor.name] = tensor.shape;
  }
  if (bend) bend(values);
  std::vector<NamedTensor> tensors;
  tensors.reserve(values.size());
  for (const auto& [name, floats] : values) tensors.push_back({"model." + name, Tensor::own(shapes.at(name), floats)});
  put(folder / "config.json", tiny_config());
  must(write_safetensors(folder / "model.safetensors", tensors));
}

TinyGolden tiny_golden() {
  random().seed(2);
  TinyGolden golden;
  golden.plan = tiny_plan();
  GoldenInfo& info = golden.info;
  info = {.schema = 1,
          .variant = "tiny",
          .transformers = "5.22.2",
          .torch = "2",
          .attn_implementation = "eager",
          .dtype = "float32",
          .checkpoint_sha256 = "unknown",
          .generator_sha256 = "unknown",
          .seed = 3,
          .hidden = golden.plan.hidden,
          .vocab = golden.plan.vocab,
          .softcap = golden.plan.softcap,
          .rms_norm_eps = golden.plan.eps,
          .blocks = "causal",
          .layers = {},
          .cases = {"batch", "short"}};
  for (const LayerPlan& layer : golden.plan.layers)
    info.layers.push_back({.attention = layer.window > 0 ? "sliding" : "full",
                           .head_dim = layer.head_dim,
                           .q_heads = layer.q_heads,
                           .kv_heads = layer.kv_heads,
                           .window = layer.window,
                           .donor = layer.kv.layer,
                           .value_is_key = layer.value_is_key,
                           .ffn_width = layer.ffn_width,
                           .ple_width = layer.ple_width,
                           .experts = layer.experts->count,
                           .experts_used = layer.experts->used,
                           .expert_width = layer.experts->width,
                           .inv_freq = layer.rope.inv_freq});
  golden.cases.push_back(random_case(golden.plan, "batch", 2, 4, {0, 1, 1, 1, 1, 1, 1, 1}));
  golden.cases.push_back(random_case(golden.plan, "short", 1, 6, std::vector<std::int64_t>(6, 1)));
  return golden;
}

std::vector<std::string> write_golden(const fs::path& path, const TinyGolden& golden, const Bends& bends) {
  auto writer = hdf5::Writer::create(path);
  if (!writer) throw std::runtime_error(writer.error().message());
  BentWriter file(*std::move(writer), bends);
  const GoldenInfo& info = golden.info;
  file.integer("/", "schema", info.schema);
  file.attribute("/", "variant", info.variant);
  file.integer("/", "seed", info.seed);
  file.attribute("/", "transformers", info.transformers);
  file.attribute("/", "torch", info.torch);
  file.attribute("/", "attn_implementation", info.attn_implementation);
  file.attribute("/", "dtype", info.dtype);
  file.attribute("/", "checkpoint_sha256", info.checkpoint_sha256);
  file.attribute("/", "generator_sha256", info.generator_sha256);
  write_plan(file, info);
  if (file.group("/cases"))
    for (const GoldenCase& one : golden.cases) write_case(file, info, one);
  file.close();
  return file.written;
}

void write_manifest(const fs::path& data) {
  std::string entries;
  for (const auto& entry : fs::recursive_directory_iterator(data)) {
    const std::string name = entry.path().lexically_relative(data).generic_string();
    if (!entry.is_regular_file() || name == "MANIFEST.json") continue;
    entries += (entries.empty() ? "" : ",\n") + ("\"" + name) + "\": \"" + sha256_file(entry.path()).value() + "\"";
  }
  put(data / "MANIFEST.json", "{\"schema\": 1, \"files\": {" + entries + "}}");
}

GoldenEntry write_data(const fs::path& data, TinyGolden golden,
                       const std::function<void(std::map<std::string, std::vector<float>>&)>& bend) {
  GoldenEntry entry{"tiny", data / "tiny" / "golden.h5", data / "tiny" / "checkpoint"};
  write_tiny_checkpoint(entry.checkpoint, bend);
  std::string lines;
  for (const char* name : {"config.json", "model.safetensors"})  // sorted
    lines += std::string(name) + " " + sha256_file(entry.checkpoint / name).value() + "\n";
  if (golden.info.checkpoint_sha256 == "unknown")
    golden.info.checkpoint_sha256 = sha256_hex(std::as_bytes(std::span(lines)));
  write_golden(entry.file, golden);
  write_manifest(data);
  return entry;
}

}  // namespace assay
