#include "engine/external/unpacked.h"

#include <unistd.h>

#include <algorithm>
#include <set>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/sha256.h"
#include "model/safetensors.h"

namespace assay::external {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr std::size_t kLargestConfig = std::size_t{16} << 20;

bool has_text_prefix(std::string_view name) {
  constexpr std::string_view kParts[] = {"embed_tokens.", "embed_tokens_per_layer.",     "layers.",
                                         "norm.",         "per_layer_model_projection.", "per_layer_projection_norm."};
  return std::any_of(std::begin(kParts), std::end(kParts), [&](auto part) { return name.starts_with(part); });
}

/// The names that save_pretrained gives: Checkpoint::tensors has those of the text model without what is above it.
std::string saved_name(std::string_view name, bool text_only) {
  if (!has_text_prefix(name)) return std::string(name);
  return (text_only ? "model." : "model.language_model.") + std::string(name);
}

Result<void> write_unpacked(const Checkpoint& checkpoint, const fs::path& directory) {
  const fs::path source = checkpoint.directory / "config.json";
  ASSAY_TRY(text, read_file(source, kLargestConfig));
  Json config = Json::parse(text, nullptr, false);
  if (!config.is_object()) return fail({Failure::bad_input, source.string(), "", "a JSON object", "something else"});
  const std::string type = config.value("model_type", "");
  const bool text_only = type.ends_with("_text") || checkpoint.plan.assistant.has_value();
  std::vector<NamedTensor> tensors;
  for (const auto& [name, tensor] : checkpoint.tensors) {
    if (!tensor.has_floats()) {
      if (!name.ends_with("_scale")) tensors.push_back({saved_name(name, text_only), tensor});
      continue;
    }
    ASSAY_TRY(values, tensor.floats());
    tensors.push_back({saved_name(name, text_only), Tensor::own(tensor.shape, std::move(values))});
  }
  config["dtype"] = "float32";
  config.erase("torch_dtype");
  config.erase("quantization_config");
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) return fail({Failure::io, directory.string(), "", "a folder that can be made", error.message()});
  ASSAY_CHECK(write_safetensors(directory / "model.safetensors", tensors, {{"format", "pt"}}));
  return write_file(directory / "config.json", config.dump(2, ' ', false, Json::error_handler_t::replace));
}

}  // namespace

Result<fs::path> directory_for(const Checkpoint& checkpoint, std::span<const std::string> dtypes, bool gguf,
                               const fs::path& scratch) {
  const auto lacks = [&](std::string expected, std::string found) {
    return fail({Failure::unsupported, checkpoint.directory.string(), "", std::move(expected), std::move(found)});
  };
  std::error_code error;
  if (fs::is_regular_file(checkpoint.directory, error)) {
    if (gguf) return fs::absolute(checkpoint.directory);
    return lacks("a checkpoint directory, which is what the engine opens", "a GGUF file");
  }
  if (!fs::is_directory(checkpoint.directory, error)) return lacks("a checkpoint on disk", "one that was computed");
  const auto takes = [&](std::string_view dtype) {
    return dtypes.empty() || std::find(dtypes.begin(), dtypes.end(), dtype) != dtypes.end();
  };
  bool as_it_is = true;
  std::int64_t bytes = 0;
  std::string kind = fs::absolute(checkpoint.directory).string();
  std::string refused;
  for (const auto& [name, tensor] : checkpoint.tensors) {
    bytes += tensor.elements() * 4;
    kind += " " + std::string(name_of(tensor.dtype));
    const bool in_file = !is_packed(tensor.dtype) && !tensor.scale;
    // A scalar that the files leave out is filled in as float32; it says nothing about what they hold.
    const bool filled_in = name.ends_with(".layer_scalar");
    if (!in_file || (!filled_in && tensor.has_floats() && !takes(name_of(tensor.dtype)))) {
      as_it_is = false;
      refused = name_of(tensor.dtype);
    }
  }
  if (as_it_is) return fs::absolute(checkpoint.directory);
  if (!takes("F32")) return lacks("weights of a dtype that the engine declares, or F32 among those", refused);
  if (bytes > kMostUnpacked)
    return lacks("at most " + std::to_string(kMostUnpacked) + " bytes of unpacked weights", std::to_string(bytes));
  const fs::path place = scratch / ("checkpoint-" + sha256_hex(std::as_bytes(std::span(kind))).substr(0, 16));
  if (fs::exists(place, error)) return place;
  // Beside, then renamed: another of our processes may be about to write the same.
  const fs::path beside = place.string() + "." + std::to_string(::getpid());
  ASSAY_CHECK(write_unpacked(checkpoint, beside));
  fs::rename(beside, place, error);
  if (error) {
    fs::remove_all(beside, error);
    if (!fs::exists(place, error)) return fail({Failure::io, place.string(), "", "a folder that can be made", "none"});
  }
  return place;
}

}  // namespace assay::external
