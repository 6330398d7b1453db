#include "golden/store.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "golden/hdf5.h"
#include "golden/noise.h"
#include "golden/read.h"
#include "golden/store_towers.h"

namespace assay {
namespace {

constexpr std::int64_t kSchema = 1;
constexpr std::int64_t kMaxBytes = std::int64_t{1} << 30U;  // read from one golden in one go
constexpr std::int64_t kMaxLayers = 512;
constexpr std::int64_t kMost = kMostOfAFact;

std::string layer_name(std::int64_t layer) {
  const std::string number = std::to_string(layer);
  return "layer." + std::string(number.size() < 2 ? "0" : "") + number;
}

/// @param last_donor  the last layer whose K/V it may read
Result<GoldenLayer> read_layer(const hdf5::Group& plan, std::int64_t index, std::int64_t last_donor) {
  ASSAY_TRY(group, plan.group(layer_name(index)));
  GoldenLayer layer;
  ASSAY_READ(layer.attention, group.text("attention"));
  if (layer.attention != "sliding" && layer.attention != "full")
    return group.wrong("@attention", "sliding or full", layer.attention);
  ASSAY_READ_INT(layer.head_dim, group, "head_dim", 1, kMost);
  ASSAY_READ_INT(layer.q_heads, group, "q_heads", 1, kMost);
  ASSAY_READ_INT(layer.kv_heads, group, "kv_heads", 1, kMost);
  ASSAY_READ_INT(layer.window, group, "window", 0, kMost);
  ASSAY_READ_INT(layer.donor, group, "donor", 0, last_donor);
  ASSAY_READ_INT(layer.value_is_key, group, "value_is_key", 0, 1);
  ASSAY_READ_INT(layer.ffn_width, group, "ffn_width", 1, kMost);
  ASSAY_READ_INT(layer.ple_width, group, "ple_width", 0, kMost);
  ASSAY_READ_INT(layer.experts, group, "experts", 0, kMost);
  ASSAY_READ_INT(layer.experts_used, group, "experts_used", 0, kMost);
  ASSAY_READ_INT(layer.expert_width, group, "expert_width", 0, kMost);
  ASSAY_TRY(inv_freq, group.dataset("inv_freq"));
  const std::vector<std::int64_t> expected{layer.head_dim / 2};
  if (inv_freq.shape() != expected) return inv_freq.wrong("", shape_text(expected), shape_text(inv_freq.shape()));
  ASSAY_READ(layer.inv_freq, inv_freq.floats());
  return layer;
}

Result<GoldenInfo> read_info(const hdf5::Group& root) {
  GoldenInfo info;
  ASSAY_READ_INT(info.schema, root, "schema", kSchema, kSchema);
  ASSAY_READ(info.variant, root.text("variant"));
  ASSAY_READ(info.seed, root.integer("seed"));
  ASSAY_READ(info.transformers, root.text("transformers"));
  ASSAY_READ(info.torch, root.text("torch"));
  ASSAY_READ(info.attn_implementation, root.text("attn_implementation"));
  ASSAY_READ(info.dtype, root.text("dtype"));
  ASSAY_READ(info.checkpoint_sha256, root.text("checkpoint_sha256"));
  ASSAY_READ(info.generator_sha256, root.text("generator_sha256"));

  ASSAY_TRY(plan, root.group("plan"));
  std::int64_t layers = 0;
  ASSAY_READ_INT(info.hidden, plan, "hidden", 1, kMost);
  ASSAY_READ_INT(info.vocab, plan, "vocab", 1, kMost);
  ASSAY_READ_INT(layers, plan, "layers", 1, kMaxLayers);
  ASSAY_READ(info.softcap, plan.number("softcap"));
  ASSAY_READ(info.rms_norm_eps, plan.number("rms_norm_eps"));
  ASSAY_READ(info.blocks, plan.text("blocks"));
  ASSAY_TRY(members, plan.names());
  const std::int64_t found =
      std::count_if(members.begin(), members.end(), [](const std::string& name) { return name.starts_with("layer."); });
  if (found != layers) return plan.wrong("", std::to_string(layers) + " layers", std::to_string(found));
  info.exposing = !root.has_attribute("trained");
  if (root.has_attribute("target")) {
    ASSAY_READ(info.target, root.text("target"));
    ASSAY_READ(info.target_sha256, root.text("target_sha256"));
    ASSAY_READ_INT(info.backbone, plan, "backbone", 1, kMost);
    ASSAY_READ_INT(info.centroids, plan, "centroids", 0, kMost);
    ASSAY_READ_INT(info.centroids_used, plan, "centroids_used", 0, kMost);
  }
  for (std::int64_t i = 0; i < layers; ++i) {
    ASSAY_TRY(layer, read_layer(plan, i, info.target.empty() ? i : kMaxLayers));
    info.layers.push_back(std::move(layer));
  }
  if (plan.has("vision")) ASSAY_READ(info.vision, read_vision(plan));
  if (plan.has("audio")) ASSAY_READ(info.audio, read_audio(plan));
  ASSAY_TRY(cases, root.group("cases"));
  ASSAY_READ(info.cases, cases.names());
  if (info.cases.empty()) return cases.wrong("", "cases", "none");
  return info;
}

std::vector<std::string> split(std::string_view list) {
  std::vector<std::string> parts;
  while (!list.empty()) {
    const std::size_t comma = std::min(list.find(','), list.size());
    parts.emplace_back(list.substr(0, comma));
    list.remove_prefix(std::min(comma + 1, list.size()));
  }
  return parts;
}

/// A magnitude; infinite only where `endless` allows it.
Result<double> magnitude(const hdf5::Dataset& dataset, std::string_view name, bool endless = false) {
  ASSAY_TRY(value, dataset.number(name));
  if (!(value >= 0) || (std::isinf(value) && !endless))
    return dataset.wrong("@" + std::string(name), "a finite number from 0", std::to_string(value));
  return value;
}

Result<Tensor> read_tensor(const hdf5::Dataset& dataset) {
  if (dataset.kind() == hdf5::Dataset::Kind::integer) {
    ASSAY_TRY(values, dataset.integers());
    return Tensor::own(dataset.shape(), std::move(values));
  }
  ASSAY_TRY(values, dataset.floats());
  return Tensor::own(dataset.shape(), std::move(values));
}

/// How many layers the part of a tap has.
int layers_of(const GoldenInfo& info, TapId id) {
  switch (part_of(id.tap)) {
    case TapPart::vision: return info.vision ? info.vision->layers : 0;
    case TapPart::audio: return info.audio ? info.audio->layers : 0;
    default: return int(info.layers.size());
  }
}

/// All rows of a tap that names none: [B, T, ...] of tokens, [S, ...] of soft tokens. Other taps of towers always do.
Result<void> check_all_rows(const hdf5::Dataset& dataset, const GoldenTap& tap, const CaseRows& rows, int draft_steps) {
  const RowSpace space = row_space(tap.id.tap);
  const bool drafter = part_of(tap.id.tap) == TapPart::assistant;
  std::vector<std::int64_t> expected{rows.batch(), drafter ? draft_steps : rows.tokens()};
  if (space == RowSpace::vision_soft || space == RowSpace::audio_soft)
    expected = {rows.count(space)};
  else if (space != RowSpace::tokens)
    return dataset.wrong("@rows", "the rows that are kept", "none");
  if (tap.shape.size() > expected.size() && std::equal(expected.begin(), expected.end(), tap.shape.begin())) return {};
  std::string text = shape_text(expected);
  text.replace(text.size() - 1, 1, ", ...]");
  return dataset.wrong("", std::move(text), shape_text(tap.shape));
}

Result<GoldenTap> read_tap(const hdf5::Group& taps, const std::string& name, const GoldenInfo& info,
                           const CaseRows& rows, int draft_steps) {
  const auto id = TapId::parse(name);
  const int layers = int(info.layers.size());
  if (!id || id->layer >= layers_of(info, *id) || id->name() != name)
    return taps.wrong("/" + name, "a name of the tap table", name);
  ASSAY_TRY(dataset, taps.dataset(name));
  GoldenTap tap{.id = *id, .shape = dataset.shape(), .rows = {}, .values = {}};
  const std::int64_t order = tap.id.order(layers);
  ASSAY_CHECK(dataset.integer("order", order, order));
  ASSAY_READ(tap.noise_fp32, magnitude(dataset, "noise_fp32"));
  ASSAY_READ(tap.noise_excess, magnitude(dataset, "noise_excess"));
  tap.noise_int8 = tap.noise_int8_rms = std::numeric_limits<double>::quiet_NaN();
  if (dataset.has_attribute("noise_int8")) {
    ASSAY_READ(tap.noise_int8, magnitude(dataset, "noise_int8"));
    ASSAY_READ(tap.noise_int8_rms, magnitude(dataset, "noise_int8_rms"));
  }
  tap.noise_bf16 = tap.noise_bf16_rms = std::numeric_limits<double>::quiet_NaN();
  if (dataset.has_attribute("noise_bf16")) {
    ASSAY_READ(tap.noise_bf16, magnitude(dataset, "noise_bf16"));
    ASSAY_READ(tap.noise_bf16_rms, magnitude(dataset, "noise_bf16_rms"));
  }
  if (tap.id.tap == Tap::router_topk) ASSAY_READ(tap.margin, magnitude(dataset, "margin", true));
  if (tap.id.tap == Tap::assistant_logits && info.centroids > 0) {
    ASSAY_READ(tap.margin, magnitude(dataset, "cut_margin"));
    ASSAY_READ(tap.margin_noise, magnitude(dataset, "cut_noise"));
  }

  const std::int64_t count =
      part_of(tap.id.tap) == TapPart::assistant ? 0 : rows.count(row_space(tap.id.tap));  // a drafter's are all kept
  if (dataset.has_attribute("rows")) {
    ASSAY_READ(tap.rows, dataset.integers("rows"));
    std::int64_t least = 0;
    for (const std::int64_t row : tap.rows) {
      if (row < least || row >= count)
        return dataset.wrong("@rows", "ascending rows below " + std::to_string(count), std::to_string(row));
      least = row + 1;
    }
    if (tap.rows.empty()) return dataset.wrong("@rows", "at least one row", "none");
    if (tap.shape.size() < 2 || tap.shape[0] != std::ssize(tap.rows))
      return dataset.wrong("", "[" + std::to_string(tap.rows.size()) + ", ...]", shape_text(tap.shape));
  } else {
    ASSAY_CHECK(check_all_rows(dataset, tap, rows, draft_steps));
  }
  ASSAY_READ(tap.values, dataset.floats());
  return tap;
}

Result<void> read_outputs(const hdf5::Group& group, std::int64_t batch, int vocab, GoldenCase& into) {
  ASSAY_TRY(ids, group.dataset("outputs/generated_ids"));
  if (ids.shape().size() != 2 || ids.shape()[0] != batch || ids.shape()[1] < 1 || ids.shape()[1] > kMost)
    return ids.wrong("", "[" + std::to_string(batch) + ", at least 1]", shape_text(ids.shape()));
  into.generated = int(ids.shape()[1]);
  ASSAY_READ(into.generated_ids, ids.integers());
  for (const std::int64_t id : into.generated_ids)
    if (id < 0 || id >= vocab) return ids.wrong("", "ids from 0 to " + std::to_string(vocab - 1), std::to_string(id));
  ASSAY_READ(into.generated_margin, magnitude(ids, "margin", true));
  ASSAY_TRY(logits, group.dataset("outputs/logits"));
  const std::vector<std::int64_t> expected{batch, vocab};
  if (logits.shape() != expected) return logits.wrong("", shape_text(expected), shape_text(logits.shape()));
  ASSAY_READ(into.logits, logits.floats());
  ASSAY_TRY(steps, group.dataset("outputs/generated_logits"));
  const std::vector<std::int64_t> each_step{batch, into.generated, vocab};
  if (steps.shape() != each_step) return steps.wrong("", shape_text(each_step), shape_text(steps.shape()));
  ASSAY_READ(into.generated_logits, steps.floats());
  return {};
}

Result<GoldenCase> read_case(const hdf5::Group& group, std::string_view name, const GoldenInfo& info) {
  GoldenCase found;
  found.name = name;
  ASSAY_READ(found.what, group.text("what"));
  ASSAY_TRY(paths, group.text("paths"));
  found.paths = split(paths);

  ASSAY_TRY(inputs, group.group("inputs"));
  ASSAY_TRY(input_names, inputs.names());
  for (const std::string& input : input_names) {
    ASSAY_TRY(dataset, inputs.dataset(input));
    ASSAY_TRY(tensor, read_tensor(dataset));
    found.inputs.push_back({input, std::move(tensor)});
  }
  const Tensor* ids = find(found.inputs, "input_ids");
  if (ids == nullptr) return inputs.wrong("/input_ids", "a dataset", "none");
  if (ids->dtype != Dtype::i64 || ids->shape.size() != 2 || ids->elements() < 1)
    return inputs.wrong("/input_ids", "integers [B, T]", shape_text(ids->shape));
  const auto rows = CaseRows::of(found.inputs, soft_tokens(info));
  if (!rows) return inputs.wrong("/" + rows.error().where, rows.error().expected, rows.error().found);

  if (!info.target.empty()) ASSAY_READ_INT(found.draft_steps, group, "draft_steps", 1, kMost);

  ASSAY_TRY(taps, group.group("taps"));
  ASSAY_TRY(tap_names, taps.names());
  const int layers = int(info.layers.size());
  for (const std::string& tap_name : tap_names) {
    ASSAY_TRY(tap, read_tap(taps, tap_name, info, *rows, found.draft_steps));
    found.taps.push_back(std::move(tap));
  }
  std::sort(found.taps.begin(), found.taps.end(),
            [&](const GoldenTap& a, const GoldenTap& b) { return a.id.order(layers) < b.id.order(layers); });
  if (group.has("outputs")) ASSAY_CHECK(read_outputs(group, rows->batch(), info.vocab, found));
  return found;
}

}  // namespace

Result<Golden> Golden::open(const std::filesystem::path& file) {
  ASSAY_TRY(root, hdf5::Group::open(file, kMaxBytes));
  Golden golden;
  golden.file_ = file;
  ASSAY_READ(golden.info_, read_info(root));
  golden.noise_ = noise_beside(file);
  if (!golden.noise_.empty()) ASSAY_CHECK(check_noise(golden.noise_, file));
  return golden;
}

Result<GoldenCase> Golden::load(std::string_view name) const {
  if (std::find(info_.cases.begin(), info_.cases.end(), name) == info_.cases.end())
    return fail({Failure::bad_input, file_.string(), "/cases", "a case called " + std::string(name), "none"});
  ASSAY_TRY(root, hdf5::Group::open(file_, kMaxBytes));
  ASSAY_TRY(group, root.group("cases/" + std::string(name)));
  ASSAY_TRY(found, read_case(group, name, info_));
  if (!noise_.empty()) ASSAY_CHECK(add_noise(noise_, int(info_.layers.size()), found));
  return found;
}

}  // namespace assay
