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

Plan plan_of(const std::string& json) {
  auto config = parse_config(json, "tiny");
  if (!config) throw std::runtime_error(config.error().message());
  return make_plan(*config).value();
}

Plan tiny_plan() { return plan_of(tiny_config()); }

/// Two pictures of two patches, one frame of a video, two clips, each with padding.
std::vector<NamedTensor> random_media(const Plan& plan) {
  const auto floats = [](std::vector<std::int64_t> shape) {
    std::int64_t count = 1;
    for (const std::int64_t extent : shape) count *= extent;
    return Tensor::own(std::move(shape), normal(std::size_t(count)));
  };
  const int pool = plan.vision->pool;
  const auto positions = [pool](std::vector<int> real) {  // soft tokens of each item, side by side; one is padding
    std::vector<std::int64_t> values;
    for (const int soft : real)
      for (int patch = 0; patch < 3 * pool * pool; ++patch) {
        const bool is_real = patch < soft * pool * pool;
        values.push_back(is_real ? patch % (soft * pool) : -1);
        values.push_back(is_real ? patch / (soft * pool) : -1);
      }
    return Tensor::own({std::int64_t(real.size()), 3 * pool * pool, 2}, std::move(values));
  };
  const std::int64_t patches = 3 * pool * pool;
  return {{"pixel_values", floats({2, patches, plan.vision->patch_values})},
          {"image_position_ids", positions({2, 1})},
          {"pixel_values_videos", floats({1, patches, plan.vision->patch_values})},
          {"video_position_ids", positions({1})},
          {"num_frames_per_video", Tensor::own({1}, std::vector<std::int64_t>{1})},
          {"input_features", floats({2, 6, plan.audio->features})},
          {"input_features_mask", Tensor::own({2, 6}, std::vector<std::int64_t>{1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0})}};
}

GoldenCase random_case(const Plan& plan, std::string name, std::int64_t batch, std::int64_t tokens,
                       std::vector<std::int64_t> mask, bool media = false) {
  GoldenCase golden;
  golden.name = std::move(name);
  golden.what = "Random numbers.";
  golden.paths =
      batch > 1 ? std::vector<std::string>{"batched"} : std::vector<std::string>{"prefill", "nocache", "decode"};
  std::vector<std::int64_t> ids;
  for (std::int64_t i = 0; i < batch * tokens; ++i) ids.push_back(i % (plan.vocab - 1) + 1);
  CaseRows media_rows;
  if (media) {
    golden.inputs = random_media(plan);
    golden.inputs.push_back({"input_ids", Tensor::own({batch, tokens}, ids)});
    const SoftTokens soft{.pool = plan.vision->pool, .subsampled = !plan.audio->encoder_free};
    media_rows = CaseRows::of(golden.inputs, soft).value();
    golden.inputs.pop_back();
    std::int64_t place = 2;
    for (std::int64_t i = 0; i < media_rows.count(RowSpace::vision_soft); ++i)
      ids[std::size_t(place++)] =
          i + 1 < media_rows.count(RowSpace::vision_soft) ? *plan.placeholders.image : *plan.placeholders.video;
    for (std::int64_t i = 0; i < media_rows.count(RowSpace::audio_soft); ++i)
      ids[std::size_t(place++)] = *plan.placeholders.audio;
  }
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
    const RowSpace space = row_space(id.tap);
    if (space != RowSpace::tokens) {
      const std::vector<bool>& real = media_rows.real(space);
      if (real.empty()) continue;
      for (std::size_t row = 0; row < real.size(); ++row)
        if (real[row]) tap.rows.push_back(std::int64_t(row));
      tap.shape.insert(tap.shape.begin(), std::int64_t(tap.rows.size()));
      if (space == RowSpace::vision_soft || space == RowSpace::audio_soft) tap.rows.clear();
    } else if (id.tap == Tap::attn_q && batch == 1) {
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

void write_vision(BentWriter& file, const GoldenVision& vision) {
  const std::string at = "/plan/vision";
  if (!file.group(at)) return;
  file.attribute(at, "kind", vision.embedder ? "embedder" : "tower");
  file.integer(at, "hidden", vision.hidden);
  file.integer(at, "patch_values", vision.patch_values);
  file.integer(at, "positions", vision.positions);
  file.attribute(at, "eps", vision.eps);
  if (vision.embedder) {
    file.attribute(at, "layer_norm_eps", vision.layer_norm_eps);
    return;
  }
  file.integer(at, "pool", vision.pool);
  file.integer(at, "standardize", int(vision.standardize));
  file.integer(at, "layers", vision.layers);
  file.integer(at, "heads", vision.heads);
  file.integer(at, "kv_heads", vision.kv_heads);
  file.integer(at, "head_dim", vision.head_dim);
  file.integer(at, "ffn_width", vision.ffn_width);
  file.integer(at, "clipped", int(vision.clipped));
  file.dataset(at + "/inv_freq", Tensor::own({std::int64_t(vision.inv_freq.size())}, vision.inv_freq));
}

void write_audio(BentWriter& file, const GoldenAudio& audio) {
  const std::string at = "/plan/audio";
  if (!file.group(at)) return;
  file.attribute(at, "kind", audio.embedder ? "embedder" : "tower");
  file.attribute(at, "eps", audio.eps);
  if (audio.embedder) {
    file.integer(at, "features", audio.features);
    return;
  }
  file.integer(at, "channels_0", audio.channels[0]);
  file.integer(at, "channels_1", audio.channels[1]);
  file.integer(at, "frequencies", audio.frequencies);
  file.integer(at, "hidden", audio.hidden);
  file.integer(at, "output", audio.output);
  file.integer(at, "layers", audio.layers);
  file.integer(at, "heads", audio.heads);
  file.integer(at, "head_dim", audio.head_dim);
  file.integer(at, "chunk", audio.chunk);
  file.integer(at, "past", audio.past);
  file.integer(at, "future", audio.future);
  file.integer(at, "ffn_width", audio.ffn_width);
  file.integer(at, "kernel", audio.kernel);
  file.attribute(at, "logit_cap", audio.logit_cap);
  file.attribute(at, "invalid_logit", audio.invalid_logit);
  file.attribute(at, "residual_weight", audio.residual_weight);
  file.attribute(at, "clamp", audio.clamp);
  file.attribute(at, "layer_eps", audio.layer_eps);
  file.attribute(at, "conv_eps", audio.conv_eps);
  file.integer(at, "clipped", int(audio.clipped));
}

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
  if (info.vision) write_vision(file, *info.vision);
  if (info.audio) write_audio(file, *info.audio);
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

namespace {

/// The facts of a plan, and no case yet.
TinyGolden golden_of(Plan plan) {
  random().seed(2);
  TinyGolden golden;
  golden.plan = std::move(plan);
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
                           .experts = layer.experts.value_or(Experts{}).count,
                           .experts_used = layer.experts.value_or(Experts{}).used,
                           .expert_width = layer.experts.value_or(Experts{}).width,
                           .inv_freq = layer.rope.inv_freq});
  if (const auto& vision = golden.plan.vision) {
    const VisionLayerPlan layer = vision->layers.empty() ? VisionLayerPlan{} : vision->layers.front();
    info.vision = {.embedder = vision->encoder_free,
                   .hidden = vision->hidden,
                   .patch_values = vision->patch_values,
                   .positions = vision->positions,
                   .pool = vision->pool,
                   .eps = vision->eps,
                   .layer_norm_eps = vision->layer_norm_eps,
                   .standardize = vision->standardize,
                   .layers = int(vision->layers.size()),
                   .heads = layer.heads,
                   .kv_heads = layer.kv_heads,
                   .head_dim = layer.head_dim,
                   .ffn_width = layer.ffn_width,
                   .clipped = layer.clipped,
                   .inv_freq = layer.rope.inv_freq};
  }
  if (const auto& audio = golden.plan.audio) {
    const AudioLayerPlan layer = audio->layers.empty() ? AudioLayerPlan{} : audio->layers.front();
    info.audio = {.embedder = audio->encoder_free,
                  .features = audio->encoder_free ? audio->features : 0,
                  .channels = {audio->channels[0], audio->channels[1]},
                  .frequencies = audio->frequencies,
                  .hidden = audio->hidden,
                  .output = audio->encoder_free ? 0 : audio->output,
                  .eps = audio->eps,
                  .layers = int(audio->layers.size()),
                  .heads = layer.heads,
                  .head_dim = layer.head_dim,
                  .chunk = layer.chunk,
                  .past = layer.past,
                  .future = layer.future,
                  .ffn_width = layer.ffn_width,
                  .kernel = layer.kernel,
                  .logit_cap = layer.logit_cap,
                  .invalid_logit = layer.invalid_logit,
                  .residual_weight = layer.residual_weight,
                  .clamp = layer.clamp,
                  .layer_eps = layer.eps,
                  .conv_eps = layer.conv_eps,
                  .clipped = layer.clipped};
  }
  return golden;
}

}  // namespace

TinyGolden tiny_golden() {
  TinyGolden golden = golden_of(tiny_plan());
  golden.cases.push_back(random_case(golden.plan, "batch", 2, 4, {0, 1, 1, 1, 1, 1, 1, 1}));
  golden.cases.push_back(random_case(golden.plan, "short", 1, 6, std::vector<std::int64_t>(6, 1)));
  return golden;
}

TinyGolden tiny_media_golden(bool unified) {
  const std::string text = R"("text_config": {"model_type": ")" +
                           std::string(unified ? "gemma4_unified_text" : "gemma4_text") +
                           R"(", "hidden_size": 12, "intermediate_size": 10, "num_hidden_layers": 2,
    "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4, "global_head_dim": 6, "sliding_window": 3,
    "vocab_size": 43, "hidden_size_per_layer_input": 0, "num_kv_shared_layers": 0,
    "layer_types": ["sliding_attention", "full_attention"], "rms_norm_eps": 1e-6, "final_logit_softcapping": 30.0,
    "pad_token_id": 0, "hidden_activation": "gelu_pytorch_tanh", "use_bidirectional_attention": null,
    "rope_parameters": {"sliding_attention": {"rope_type": "default", "rope_theta": 10000.0},
      "full_attention": {"rope_type": "proportional", "partial_rotary_factor": 0.5, "rope_theta": 1000000.0}}})";
  const std::string ids = R"("image_token_id": 40, "video_token_id": 41, "audio_token_id": 42)";
  const std::string tower = R"({"model_type": "gemma4", "vision_config": {"hidden_size": 9, "intermediate_size": 11,
      "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8, "patch_size": 2,
      "pooling_kernel_size": 2, "position_embedding_size": 15, "rms_norm_eps": 1e-5, "use_clipped_linears": true,
      "standardize": true, "rope_parameters": {"rope_type": "axial", "rope_theta": 100.0}},
    "audio_config": {"hidden_size": 14, "num_hidden_layers": 2, "num_attention_heads": 2,
      "subsampling_conv_channels": [8, 3], "output_proj_dims": 13, "conv_kernel_size": 5, "attention_chunk_size": 4,
      "attention_context_left": 5, "attention_context_right": 0, "rms_norm_eps": 1e-4}, )";
  const std::string embedder = R"({"model_type": "gemma4_unified", "vision_config": {"patch_size": 2,
      "pooling_kernel_size": 2, "mm_embed_dim": 9, "output_proj_dims": 9, "mm_posemb_size": 15, "rms_norm_eps": 1e-5},
    "audio_config": {"audio_embed_dim": 7, "rms_norm_eps": 1e-4}, )";
  TinyGolden golden = golden_of(plan_of((unified ? embedder : tower) + ids + ", " + text + "}"));
  golden.info.cases = {"media", "short"};
  golden.cases.push_back(random_case(golden.plan, "media", 1, 20, std::vector<std::int64_t>(20, 1), true));
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
