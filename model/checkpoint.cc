#include "model/checkpoint.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <set>

#include "base/files.h"
#include "model/gguf/gguf.h"
#include "model/gguf/gguf_model.h"
#include "model/safetensors.h"
#include "model/shard_index.h"

namespace assay {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLargestIndex = std::size_t{64} << 20;
constexpr std::string_view kEmbedding = "embed_tokens.weight", kHead = "lm_head.weight";
// Gemma4ForConditionalGeneration, its order before 5.0, Gemma4ForCausalLM, Gemma4TextModel.
constexpr std::array<std::string_view, 4> kPrefixes = {"model.language_model.", "language_model.model.", "model.", ""};
constexpr std::array<std::string_view, 4> kHeads = {"lm_head.weight", "language_model.lm_head.weight",
                                                    "model.lm_head.weight", "model.language_model.lm_head.weight"};
constexpr std::array<std::string_view, 6> kTextParts = {
    "embed_tokens.", "embed_tokens_per_layer.",     "layers.",
    "norm.",         "per_layer_model_projection.", "per_layer_projection_norm."};

// Parts beside the text model; before 5.0 they lay at the top, not below `model.`.
constexpr std::string_view kWrapper = "model.";
constexpr std::array<std::string_view, 5> kTowers = {"vision_tower.", "audio_tower.", "embed_vision.", "embed_audio.",
                                                     "vision_embedder."};

/// A tensor and the file it lies in, for messages.
struct Placed {
  Tensor tensor;
  std::string file;
  std::string other_type = {};  ///< of a GGUF: a type that has no dtype
};
using Files = std::map<std::string, Placed, std::less<>>;

Result<void> add_file(Files& files, const fs::path& path) {
  ASSAY_TRY(opened, Safetensors::open(path));
  for (const auto& [name, tensor] : opened.tensors()) {
    const auto [place, added] = files.try_emplace(name, Placed{tensor, path.string()});
    if (!added)
      return fail(
          {Failure::bad_input, path.string(), name, "each tensor in one shard", "it also in " + place->second.file});
  }
  return {};
}

/// Every tensor of the directory by its full name. A single file goes before an index, as in transformers.
Result<Files> read_files(const fs::path& directory, std::string& where) {
  Files files;
  std::error_code error;
  const fs::path single = directory / "model.safetensors", index = directory / "model.safetensors.index.json";
  where = single.string();
  if (fs::exists(single, error)) {
    ASSAY_CHECK(add_file(files, single));
    return files;
  }
  if (!fs::exists(index, error))
    return fail({Failure::io, directory.string(), "", "model.safetensors or model.safetensors.index.json", "neither"});
  where = index.string();
  ASSAY_TRY(text, read_file(index, kLargestIndex));
  ASSAY_TRY(shard_of, parse_shard_index(text, where));
  std::set<std::string_view> shards;
  for (const auto& [name, shard] : shard_of) shards.insert(shard);
  for (const std::string_view shard : shards) ASSAY_CHECK(add_file(files, directory / shard));
  for (const auto& [name, shard] : shard_of) {
    const auto found = files.find(name);
    const std::string expected = (directory / shard).string();
    if (found == files.end() || found->second.file != expected)
      return fail({Failure::bad_input, where, "weight_map." + name, "it in " + shard,
                   found == files.end() ? "it nowhere" : "it in " + found->second.file});
  }
  return files;
}

Result<std::string_view> find_prefix(const Files& files, const std::string& where) {
  std::optional<std::string_view> found;
  for (const std::string_view prefix : kPrefixes) {
    const std::string name = std::string(prefix) + std::string(kEmbedding);
    if (!files.contains(name)) continue;
    if (found)
      return fail({Failure::bad_input, where, std::string(kEmbedding), "one text model",
                   std::string(*found) + std::string(kEmbedding) + " and " + name});
    found = prefix;
  }
  if (!found)
    return fail({Failure::bad_input, where, std::string(kEmbedding),
                 "it alone or below model., model.language_model. or language_model.model.", "none"});
  return *found;
}

bool is_text_part(std::string_view name) {
  return std::any_of(kTextParts.begin(), kTextParts.end(), [name](auto part) { return name.starts_with(part); });
}

/// The name below the text model, or the full name of another part's tensor.
std::string_view short_name(std::string_view name, std::string_view prefix) {
  if (std::find(kHeads.begin(), kHeads.end(), name) != kHeads.end()) return kHead;
  if (name.starts_with(prefix) && is_text_part(name.substr(prefix.size()))) return name.substr(prefix.size());
  return name;
}

bool is_tower_part(std::string_view name) {
  return std::any_of(kTowers.begin(), kTowers.end(), [name](auto part) { return name.starts_with(part); });
}

/// Files under one set of names. A second head, or text tensors outside the prefix, would make two models of one.
Result<Files> renamed(Files files, const std::string& where) {
  ASSAY_TRY(prefix, find_prefix(files, where));
  Files result;
  std::map<std::string, std::string, std::less<>> origin;
  for (auto& [name, placed] : files) {
    const std::string full = is_tower_part(name) ? std::string(kWrapper) + name : name;
    const std::string_view shorter = short_name(full, prefix);
    if (shorter == name && name != kHead && is_text_part(name) && !prefix.empty())
      return fail({Failure::bad_input, placed.file, name, "it below " + std::string(prefix), "it alone"});
    const auto [place, added] = origin.try_emplace(std::string(shorter), name);
    if (!added) return fail({Failure::bad_input, placed.file, name, "one " + place->first, place->second + " too"});
    result.emplace(std::string(shorter), std::move(placed));
  }
  return result;
}

/// The one number of `name`_scale, beside int8 weights as compressed-tensors stores them.
Result<void> settle_scales(Files& files) {
  for (auto& [name, placed] : files) {
    if (placed.tensor.dtype != Dtype::i8 || !placed.other_type.empty()) continue;
    const auto scale = files.find(name + "_scale");
    if (scale == files.end() || !scale->second.tensor.has_floats()) continue;
    if (scale->second.tensor.elements() != 1)
      return fail({Failure::unsupported, scale->second.file, scale->first, "one scale for the whole tensor",
                   shape_text(scale->second.tensor.shape)});
    ASSAY_TRY(values, scale->second.tensor.floats());
    placed.tensor.scale = values.front();
  }
  return {};
}

Result<void> check_tensor(const ExpectedTensor& expected, const Placed& placed) {
  constexpr const char* kDtypes = "F32, F16, BF16, Q8_0, Q4_0, Q6_K, or I8 with a scale";
  const Tensor& tensor = placed.tensor;
  if (tensor.shape != expected.shape)
    return fail({Failure::bad_input, placed.file, expected.name, "shape " + shape_text(expected.shape),
                 shape_text(tensor.shape)});
  if (!placed.other_type.empty())
    return fail({Failure::unsupported, placed.file, expected.name, kDtypes, placed.other_type});
  if (!tensor.has_floats() || tensor.dtype == Dtype::f64)
    return fail({Failure::bad_input, placed.file, expected.name, kDtypes, std::string(name_of(tensor.dtype))});
  return {};
}

bool same_values(const Tensor& a, const Tensor& b) {
  if (a.shape != b.shape) return false;
  if (a.dtype == b.dtype && a.scale == b.scale)
    return a.bytes.empty() || std::memcmp(a.bytes.data(), b.bytes.data(), a.bytes.size()) == 0;
  const auto cols = std::size_t(a.shape.empty() ? 1 : a.shape.back());
  std::vector<float> left(cols), right(cols);
  for (std::int64_t first = 0; first < a.elements(); first += std::int64_t(cols)) {
    a.widen(first, left);
    b.widen(first, right);
    if (left != right) return false;
  }
  return true;
}

/// What the config says of the head gives way to what the files hold: two tables that differ are not tied
/// (tie_weights).
Result<void> settle_head(Files& files, Plan& plan) {
  const auto head = files.find(kHead);
  if (!plan.tied_head || head == files.end()) return {};
  const Placed& table = files.find(kEmbedding)->second;
  ASSAY_CHECK(check_tensor({std::string(kHead), {plan.vocab, plan.hidden}}, head->second));
  ASSAY_CHECK(check_tensor({std::string(kEmbedding), {plan.vocab, plan.hidden}}, table));
  if (same_values(head->second.tensor, table.tensor))
    files.erase(head);
  else
    plan.tied_head = false;
  return {};
}

}  // namespace

namespace {

/// Collects what one part of a model needs.
class Needs {
 public:
  Needs(std::vector<ExpectedTensor>& all, std::string at) : all_(all), at_(std::move(at)) {}

  void tensor(std::string_view name, std::vector<std::int64_t> shape) {
    all_.push_back({at_ + std::string(name), std::move(shape)});
  }
  /// A Gemma4ClippableLinear.
  void linear(const std::string& name, std::int64_t rows, std::int64_t cols, bool clipped) {
    tensor(name + ".linear.weight", {rows, cols});
    if (!clipped) return;
    for (const char* bound : {".input_min", ".input_max", ".output_min", ".output_max"}) tensor(name + bound, {});
  }
  Needs below(const std::string& part) const { return {all_, at_ + part}; }

 private:
  std::vector<ExpectedTensor>& all_;
  std::string at_;
};

void vision_tower_needs(Needs tower, const VisionPlan& plan) {
  const std::int64_t hidden = plan.hidden;
  tower.tensor("patch_embedder.input_proj.weight", {hidden, plan.patch_values});
  tower.tensor("patch_embedder.position_embedding_table", {2, plan.positions, hidden});
  if (plan.standardize) {
    tower.tensor("std_bias", {hidden});
    tower.tensor("std_scale", {hidden});
  }
  for (std::size_t i = 0; i < plan.layers.size(); ++i) {
    const VisionLayerPlan& layer = plan.layers[i];
    Needs needs = tower.below("encoder.layers." + std::to_string(i) + ".");
    for (const char* norm :
         {"input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm"})
      needs.tensor(std::string(norm) + ".weight", {hidden});
    needs.linear("self_attn.q_proj", layer.q_width(), hidden, layer.clipped);
    needs.linear("self_attn.k_proj", layer.kv_width(), hidden, layer.clipped);
    needs.linear("self_attn.v_proj", layer.kv_width(), hidden, layer.clipped);
    needs.linear("self_attn.o_proj", hidden, layer.q_width(), layer.clipped);
    needs.tensor("self_attn.q_norm.weight", {layer.head_dim});
    needs.tensor("self_attn.k_norm.weight", {layer.head_dim});
    needs.linear("mlp.gate_proj", layer.ffn_width, hidden, layer.clipped);
    needs.linear("mlp.up_proj", layer.ffn_width, hidden, layer.clipped);
    needs.linear("mlp.down_proj", hidden, layer.ffn_width, layer.clipped);
  }
}

void pixel_embedder_needs(Needs embedder, const VisionPlan& plan) {
  const std::int64_t hidden = plan.hidden, pixels = plan.patch_values;
  for (const auto& [norm, width] :
       {std::pair("patch_ln1", pixels), std::pair("patch_ln2", hidden), std::pair("pos_norm", hidden)}) {
    embedder.tensor(std::string(norm) + ".weight", {width});
    embedder.tensor(std::string(norm) + ".bias", {width});
  }
  embedder.tensor("patch_dense.weight", {hidden, pixels});
  embedder.tensor("patch_dense.bias", {hidden});
  embedder.tensor("pos_embedding", {plan.positions, 2, hidden});
}

void conformer_needs(Needs needs, const AudioLayerPlan& layer, std::int64_t hidden) {
  for (const char* ffn : {"feed_forward1.", "feed_forward2."}) {
    Needs part = needs.below(ffn);
    part.tensor("pre_layer_norm.weight", {hidden});
    part.tensor("post_layer_norm.weight", {hidden});
    part.linear("ffw_layer_1", layer.ffn_width, hidden, layer.clipped);
    part.linear("ffw_layer_2", hidden, layer.ffn_width, layer.clipped);
  }
  for (const char* name : {"q_proj", "k_proj", "v_proj", "post"})
    needs.linear(std::string("self_attn.") + name, hidden, hidden, layer.clipped);
  needs.tensor("self_attn.relative_k_proj.weight", {hidden, hidden});
  needs.tensor("self_attn.per_dim_scale", {layer.head_dim});
  for (const char* norm :
       {"norm_pre_attn", "norm_post_attn", "norm_out", "lconv1d.pre_layer_norm", "lconv1d.conv_norm"})
    needs.tensor(std::string(norm) + ".weight", {hidden});
  needs.linear("lconv1d.linear_start", 2 * hidden, hidden, layer.clipped);
  needs.linear("lconv1d.linear_end", hidden, hidden, layer.clipped);
  needs.tensor("lconv1d.depthwise_conv1d.weight", {hidden, 1, layer.kernel});
}

void audio_tower_needs(Needs tower, const AudioPlan& plan) {
  const std::int64_t first = plan.channels[0], second = plan.channels[1];
  tower.tensor("subsample_conv_projection.layer0.conv.weight", {first, 1, 3, 3});
  tower.tensor("subsample_conv_projection.layer0.norm.weight", {first});
  tower.tensor("subsample_conv_projection.layer1.conv.weight", {second, first, 3, 3});
  tower.tensor("subsample_conv_projection.layer1.norm.weight", {second});
  tower.tensor("subsample_conv_projection.input_proj_linear.weight", {plan.hidden, plan.frequencies * second});
  for (std::size_t i = 0; i < plan.layers.size(); ++i)
    conformer_needs(tower.below("layers." + std::to_string(i) + "."), plan.layers[i], plan.hidden);
  tower.tensor("output_proj.weight", {plan.output, plan.hidden});
  tower.tensor("output_proj.bias", {plan.output});
}

}  // namespace

std::vector<ExpectedTensor> expected_tensors(const Plan& plan) {
  std::vector<ExpectedTensor> all;
  const Needs model(all, std::string(kWrapper));
  const std::int64_t hidden = plan.hidden, ple = plan.ple_width, layers = std::int64_t(plan.layers.size());
  all.push_back({std::string(kEmbedding), {plan.vocab, hidden}});
  all.push_back({"norm.weight", {hidden}});
  if (ple > 0) {
    all.push_back({"embed_tokens_per_layer.weight", {plan.ple_vocab, layers * ple}});
    all.push_back({"per_layer_model_projection.weight", {layers * ple, hidden}});
    all.push_back({"per_layer_projection_norm.weight", {ple}});
  }
  if (!plan.tied_head) all.push_back({std::string(kHead), {plan.vocab, hidden}});
  add_assistant_tensors(plan, all);

  for (std::int64_t i = 0; i < layers; ++i) {
    const LayerPlan& layer = plan.layers[std::size_t(i)];
    const std::string at = "layers." + std::to_string(i) + ".";
    const auto add = [&](std::string_view name, std::vector<std::int64_t> shape) {
      all.push_back({at + std::string(name), std::move(shape)});
    };
    const auto projection = [&](const std::string& name, std::int64_t rows, std::int64_t cols) {
      add("self_attn." + name + ".weight", {rows, cols});
      if (layer.attention_bias) add("self_attn." + name + ".bias", {rows});
    };
    for (const char* norm :
         {"input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm"})
      add(std::string(norm) + ".weight", {hidden});
    add("layer_scalar", {1});

    projection("q_proj", layer.q_width(), hidden);
    projection("o_proj", hidden, layer.q_width());
    add("self_attn.q_norm.weight", {layer.head_dim});
    if (layer.kv.kind == KvSource::own) {
      projection("k_proj", layer.kv_width(), hidden);
      if (!layer.value_is_key) projection("v_proj", layer.kv_width(), hidden);
      add("self_attn.k_norm.weight", {layer.head_dim});
    }

    add("mlp.gate_proj.weight", {layer.ffn_width, hidden});
    add("mlp.up_proj.weight", {layer.ffn_width, hidden});
    add("mlp.down_proj.weight", {hidden, layer.ffn_width});
    if (layer.ple_width > 0) {
      add("per_layer_input_gate.weight", {layer.ple_width, hidden});
      add("per_layer_projection.weight", {hidden, layer.ple_width});
      add("post_per_layer_input_norm.weight", {hidden});
    }
    if (layer.experts) {
      const std::int64_t count = layer.experts->count, width = layer.experts->width;
      add("router.proj.weight", {count, hidden});
      add("router.scale", {hidden});
      add("router.per_expert_scale", {count});
      add("experts.gate_up_proj", {count, 2 * width, hidden});
      add("experts.down_proj", {count, hidden, width});
      for (const char* norm :
           {"post_feedforward_layernorm_1", "post_feedforward_layernorm_2", "pre_feedforward_layernorm_2"})
        add(std::string(norm) + ".weight", {hidden});
    }
  }
  if (plan.vision) {
    if (plan.vision->encoder_free)
      pixel_embedder_needs(model.below("vision_embedder."), *plan.vision);
    else
      vision_tower_needs(model.below("vision_tower."), *plan.vision);
    model.below("embed_vision.").tensor("embedding_projection.weight", {hidden, plan.vision->hidden});
  }
  if (plan.audio) {
    if (!plan.audio->encoder_free) audio_tower_needs(model.below("audio_tower."), *plan.audio);
    model.below("embed_audio.").tensor("embedding_projection.weight", {hidden, plan.audio->output});
  }
  return all;
}

namespace {

/// What a directory or a file holds, not yet checked against its plan.
struct Raw {
  Config config;
  Plan plan;
  Files files;  ///< by the names of Checkpoint::tensors
  std::string where;
};

Result<Raw> read_directory(const fs::path& directory) {
  Raw raw;
  ASSAY_TRY(config, read_config(directory / "config.json"));
  raw.config = std::move(config);
  ASSAY_TRY(plan, make_plan(raw.config));
  raw.plan = std::move(plan);
  ASSAY_TRY(files, read_files(directory, raw.where));
  ASSAY_TRY(named, renamed(std::move(files), raw.where));
  raw.files = std::move(named);
  return raw;
}

Result<Raw> read_gguf(const fs::path& path) {
  ASSAY_TRY(file, Gguf::open(path));
  ASSAY_TRY(model, read_gguf_model(file));
  Raw raw{.config = std::move(model.config), .plan = std::move(model.plan), .files = {}, .where = path.string()};
  for (auto& [name, found] : model.tensors)
    raw.files.emplace(name, Placed{std::move(found.tensor), raw.where, std::move(found.other_type)});
  return raw;
}

}  // namespace

Result<Checkpoint> Checkpoint::open(const fs::path& path) {
  std::error_code error;
  ASSAY_TRY(raw, fs::is_regular_file(path, error) ? read_gguf(path) : read_directory(path));
  Checkpoint checkpoint;
  checkpoint.directory = path;
  checkpoint.config = std::move(raw.config);
  checkpoint.plan = std::move(raw.plan);
  for (std::size_t i = 0; i < checkpoint.plan.layers.size(); ++i)
    raw.files.try_emplace("layers." + std::to_string(i) + ".layer_scalar",
                          Placed{Tensor::own({1}, std::vector<float>{1}), raw.where});
  ASSAY_CHECK(settle_scales(raw.files));
  ASSAY_CHECK(settle_head(raw.files, checkpoint.plan));
  for (const ExpectedTensor& expected : expected_tensors(checkpoint.plan)) {
    const auto found = raw.files.find(expected.name);
    if (found == raw.files.end())
      return fail(
          {Failure::bad_input, raw.where, expected.name, "a tensor of shape " + shape_text(expected.shape), "none"});
    ASSAY_CHECK(check_tensor(expected, found->second));
  }
  for (auto& [name, placed] : raw.files)
    if (placed.other_type.empty()) checkpoint.tensors.emplace(name, std::move(placed.tensor));
  ASSAY_CHECK(check_token_ordering(checkpoint));
  return checkpoint;
}

Result<Tensor> Checkpoint::tensor(std::string_view name) const {
  const auto found = tensors.find(name);
  if (found == tensors.end())
    return fail({Failure::bad_input, directory.string(), std::string(name), "a tensor", "none"});
  return found->second;
}

}  // namespace assay
