#include "harness/dump/dump.h"

#include <algorithm>

#include "engine/media_rows.h"
#include "golden/store.h"
#include "harness/drive/tap_pattern.h"
#include "harness/dump/dump_draft.h"
#include "model/checkpoint.h"
#include "model/safetensors.h"
#include "model/synthetic.h"

namespace assay {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kSafetensors = ".safetensors";

/// f32 or i64, as HDF5 inputs arrive.
Result<Tensor> widened(const Tensor& tensor) {
  if (tensor.dtype == Dtype::f32 || tensor.dtype == Dtype::i64) return tensor;
  if (tensor.dtype == Dtype::f16 || tensor.dtype == Dtype::bf16) {
    ASSAY_TRY(values, tensor.floats());
    return Tensor::own(tensor.shape, std::move(values));
  }
  ASSAY_TRY(values, tensor.integers());
  return Tensor::own(tensor.shape, std::move(values));
}

/// Tensors called `group/NAME`, by NAME.
Result<std::vector<NamedTensor>> read_safetensors_group(const fs::path& file, std::string_view group) {
  ASSAY_TRY(opened, Safetensors::open(file));
  while (group.starts_with('/')) group.remove_prefix(1);
  while (group.ends_with('/')) group.remove_suffix(1);
  const std::string prefix = group.empty() ? "" : std::string(group) + "/";
  std::vector<NamedTensor> tensors;
  for (const auto& [name, tensor] : opened.tensors()) {
    if (!name.starts_with(prefix) || name.find('/', prefix.size()) != std::string::npos) continue;
    const auto wide = widened(tensor);
    if (!wide)
      return fail({Failure::bad_input, file.string(), name, "integers or floats of up to 32 bits",
                   std::string(name_of(tensor.dtype))});
    tensors.push_back({name.substr(prefix.size()), *wide});
  }
  if (tensors.empty()) return fail({Failure::bad_input, file.string(), "/" + std::string(group), "tensors", "none"});
  return tensors;
}

Result<void> check_capabilities(const Engine& engine, const DumpOptions& options, const CaseInputs& inputs) {
  const auto lacks = [&](std::string field, std::string expected, std::string found) {
    return fail(
        {Failure::unsupported, "engine " + engine.can.name, std::move(field), std::move(expected), std::move(found)});
  };
  if (options.path.kind != Path::nocache && !engine.can.cache)
    return lacks("path", "nocache, as it has no cache", options.path.name());
  if (inputs.batch > 1 && !engine.can.batch) return lacks("input_ids", "one row", std::to_string(inputs.batch));
  return {};
}

}  // namespace

Result<std::vector<TapId>> wanted_taps(const Engine& engine, const Plan& plan,
                                       const std::vector<std::string>& patterns) {
  const std::vector<TapId> all = all_taps(plan);
  const auto offered = [&](TapId id) {
    return id.tap == Tap::logits ||
           std::any_of(engine.can.taps.begin(), engine.can.taps.end(),
                       [&](const std::string& pattern) { return tap_matches(pattern, id.name()); });
  };
  std::vector<bool> wanted(all.size(), false);
  for (const std::string& pattern : patterns) {
    bool named = false;
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (!tap_matches(pattern, all[i].name())) continue;
      named = true;
      if (offered(all[i]))
        wanted[i] = true;
      else if (pattern == all[i].name())
        return fail(
            {Failure::unsupported, "engine " + engine.can.name, pattern, "a tap that it offers", "none of that name"});
    }
    if (!named)
      return fail({Failure::bad_input, "--taps", pattern, "the name or pattern of a tap of this model",
                   "none that it matches"});
  }
  std::vector<TapId> taps;
  for (std::size_t i = 0; i < all.size(); ++i)
    if (wanted[i]) taps.push_back(all[i]);
  return taps;
}

Result<std::vector<NamedTensor>> read_tensors(std::string_view spec, std::span<const std::string> nested) {
  // The last ":/" parts file from group: both may hold colons.
  const std::size_t parted = spec.rfind(":/");
  const fs::path file(spec.substr(0, parted));
  const std::string group(parted == std::string_view::npos ? "/" : spec.substr(parted + 1));
  const auto read = [&](const std::string& path) {
    return file.extension() == kSafetensors ? read_safetensors_group(file, path) : read_foreign_group(file, path);
  };
  auto tensors = read(group);
  if (!tensors) return tensors;
  for (const std::string& path : nested) {
    std::string below = group;
    if (!below.ends_with('/')) below += '/';
    ASSAY_TRY(more, read(below + path));
    for (NamedTensor& tensor : more) tensors->push_back({path + "/" + tensor.name, std::move(tensor.tensor)});
  }
  return tensors;
}

namespace {

Result<Checkpoint> open_checkpoint(const DumpOptions& options) {
  if (options.synthetic.empty()) return Checkpoint::open(options.model);
  ASSAY_TRY(name, SyntheticName::parse(options.synthetic));
  return synthetic_checkpoint(name, {.cache = options.keep_synthetic ? default_cache() : fs::path()});
}

}  // namespace

Result<CaseInputs> read_inputs(std::string_view spec) {
  ASSAY_TRY(tensors, read_tensors(spec));
  return CaseInputs::from(std::move(tensors), spec);
}

Result<Dumped> dump(const Engine& engine, const DumpOptions& options) {
  if (options.generate < 0)
    return fail({Failure::bad_input, "--generate", "", "a number from 0", std::to_string(options.generate)});
  if (!options.draft.empty()) return dump_draft(engine, options);
  ASSAY_TRY(inputs, read_inputs(options.inputs));
  ASSAY_CHECK(check_capabilities(engine, options, inputs));
  ASSAY_TRY(checkpoint, open_checkpoint(options));
  if (checkpoint.plan.assistant)
    return fail({Failure::bad_input, "--model", options.model.string(), "the target of a drafter that --draft names",
                 "a drafter"});
  ASSAY_TRY(taps, wanted_taps(engine, checkpoint.plan, options.taps));
  ASSAY_TRY(session, engine.open(checkpoint));
  ASSAY_TRY(driven, drive(*session, inputs, {.path = options.path, .generate = options.generate, .taps = taps}));

  ASSAY_TRY(media, media_rows(checkpoint.plan, inputs.more));
  Dumped dumped{inputs.batch, inputs.tokens, {}};
  std::vector<NamedTensor> datasets;
  const auto add = [&](std::string name, Tensor tensor) {
    dumped.datasets.push_back({name, tensor.shape});
    datasets.push_back({std::move(name), std::move(tensor)});
  };
  for (auto& [id, values] : driven.taps) {
    std::vector<std::int64_t> shape = tap_shape(checkpoint.plan, media, id, inputs.batch, inputs.tokens);
    add("taps/" + id.name(), Tensor::own(std::move(shape), std::move(values)));
  }
  if (options.generate > 0)
    add("outputs/generated_ids", Tensor::own({inputs.batch, options.generate}, std::move(driven.generated)));
  ASSAY_CHECK(write_tensors(options.out, datasets));
  return dumped;
}

Result<void> write_tensors(const fs::path& file, std::span<const NamedTensor> datasets) {
  return file.extension() == kSafetensors ? write_safetensors(file, datasets) : write_hdf5(file, datasets);
}

}  // namespace assay
