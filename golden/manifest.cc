// The folder of committed goldens and its MANIFEST.json: {"schema": 1, "files": {"<path below the folder>":
// "<sha256>"}}.
#include <algorithm>
#include <map>
#include <set>
#include <system_error>

#include <nlohmann/json.hpp>

#include "base/files.h"
#include "base/sha256.h"
#include "golden/store.h"
#include "model/quantise.h"

namespace assay {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kManifest = "MANIFEST.json";
constexpr std::string_view kFile = "golden.h5";
constexpr std::string_view kWeights = "weights.json";
constexpr std::size_t kMaxManifest = std::size_t{16} << 20U;
constexpr int kSchema = 1;

/// Below the folder, and spelled in one way only.
bool is_plain(const std::string& relative) {
  const fs::path path(relative);
  return !relative.empty() && path.is_relative() && path.lexically_normal().generic_string() == relative &&
         *path.begin() != "..";
}

Result<std::map<std::string, std::string>> read_manifest(const fs::path& data) {
  const std::string where = (data / kManifest).string();
  ASSAY_TRY(text, read_file(where, kMaxManifest));
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  if (!json.is_object()) return fail({Failure::bad_input, where, "", "a JSON object", "something else"});
  const auto schema = json.find("schema");
  if (schema == json.end() || !schema->is_number_integer() || *schema != kSchema)
    return fail(
        {Failure::bad_input, where, "schema", std::to_string(kSchema), schema == json.end() ? "none" : schema->dump()});
  const auto files = json.find("files");
  if (files == json.end() || !files->is_object())
    return fail({Failure::bad_input, where, "files", "an object of paths and hashes", "something else"});
  std::map<std::string, std::string> manifest;
  for (const auto& [path, hash] : files->items()) {
    if (!is_plain(path)) return fail({Failure::bad_input, where, "files", "paths below the folder", path});
    if (!hash.is_string()) return fail({Failure::bad_input, where, "files." + path, "a hash", hash.dump()});
    manifest[path] = hash.get<std::string>();
  }
  return manifest;
}

Result<GoldenEntry> of_other_weights(const fs::path& data, const std::string& name) {
  const std::string where = (data / name / kWeights).string();
  ASSAY_TRY(text, read_file(where, kMaxManifest));
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  const auto word = [&](const char* key) {
    return json.is_object() && json.contains(key) && json[key].is_string() ? json[key].get<std::string>() : "";
  };
  if (const std::string synthetic = word("synthetic"); !synthetic.empty()) {
    auto named = SyntheticName::parse(synthetic);
    if (!named) return fail({Failure::bad_input, where, "synthetic", named.error().expected, synthetic});
    return GoldenEntry{name, data / name / kFile, {}, {}, *named};
  }
  const std::string of = word("of");
  if (!is_plain(of) || of.find('/') != std::string::npos)
    return fail({Failure::bad_input, where, "of", "the name of a golden", of});
  ASSAY_TRY(weights, weights_named(word("weights"), where));
  return GoldenEntry{name, data / name / kFile, data / of / "checkpoint", weights, {}};
}

/// Paths of all files below `folder`, relative to `data`, sorted.
Result<std::set<std::string>> files_below(const fs::path& data, const fs::path& folder) {
  std::set<std::string> found;
  std::error_code error;
  fs::recursive_directory_iterator walk(folder, error), end;
  for (; !error && walk != end; walk.increment(error))
    if (!walk->is_directory(error)) found.insert(walk->path().lexically_relative(data).generic_string());
  if (error) return fail({Failure::io, folder.string(), "", "a readable folder", error.message()});
  return found;
}

}  // namespace

Result<Checkpoint> open_checkpoint(const GoldenEntry& entry, const fs::path& cache) {
  if (entry.synthetic) return synthetic_checkpoint(*entry.synthetic, {.cache = cache});
  ASSAY_TRY(checkpoint, Checkpoint::open(entry.checkpoint));
  if (entry.weights) ASSAY_CHECK(quantise(checkpoint, *entry.weights));
  return checkpoint;
}

Result<std::vector<GoldenEntry>> list_goldens(const fs::path& data) {
  ASSAY_TRY(manifest, read_manifest(data));
  // Both what is promised and what is there: a golden that only one of them has is for check_manifest to report.
  std::set<std::string> names;
  for (const auto& [path, hash] : manifest)
    if (const fs::path file(path); file.filename() == kFile) names.insert(file.parent_path().generic_string());
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(data, error))
    if (fs::exists(entry.path() / kFile, error)) names.insert(entry.path().filename().string());
  std::vector<GoldenEntry> goldens;
  goldens.reserve(names.size());
  for (const std::string& name : names) {
    if (fs::exists(data / name / kWeights, error)) {
      ASSAY_TRY(entry, of_other_weights(data, name));
      goldens.push_back(std::move(entry));
      continue;
    }
    // A checkpoint that users run holds its golden; of a drawn one the two lie side by side.
    const fs::path beside = data / name / "checkpoint";
    const bool holds = !fs::exists(beside, error) && fs::exists(data / name / "config.json", error);
    goldens.push_back({name, data / name / kFile, holds ? data / name : beside});
  }
  return goldens;
}

Result<std::vector<std::string>> synthetic_goldens(std::span<const GoldenEntry> entries, std::string_view text) {
  ASSAY_TRY(asked, SyntheticName::parse(text));
  const bool any_format = text == asked.variant;
  std::vector<std::string> names;
  std::string known;
  for (const GoldenEntry& entry : entries) {
    if (!entry.synthetic) continue;
    known += (known.empty() ? "" : ", ") + entry.synthetic->text();
    if (entry.synthetic->variant == asked.variant && (any_format || entry.synthetic->format == asked.format))
      names.push_back(entry.name);
  }
  if (names.empty())
    return fail({Failure::bad_input, "synthetic model", std::string(text),
                 known.empty() ? "a golden of full size" : "one that there is a golden of: " + known, "none"});
  return names;
}

Result<void> check_manifest(const fs::path& data, std::string_view golden) {
  ASSAY_TRY(manifest, read_manifest(data));
  const std::string where = (data / kManifest).string();
  const std::string prefix = golden.empty() ? "" : std::string(golden) + "/";
  std::erase_if(manifest, [&](const auto& entry) { return !entry.first.starts_with(prefix); });
  if (manifest.empty())
    return fail(
        {Failure::bad_input, where, "files", golden.empty() ? "files" : "files of " + std::string(golden), "none"});
  ASSAY_TRY(present, files_below(data, golden.empty() ? data : data / golden));
  present.erase(std::string(kManifest));
  for (const std::string& path : present)
    if (!manifest.contains(path))
      return fail({Failure::bad_input, (data / path).string(), "", "an entry in " + std::string(kManifest), "none"});
  for (const auto& [path, expected] : manifest) {
    if (!present.contains(path)) return fail({Failure::bad_input, (data / path).string(), "", "a file", "none"});
    ASSAY_TRY(found, sha256_file(data / path));
    if (found != expected) return fail({Failure::bad_input, (data / path).string(), "sha256", expected, found});
  }
  return {};
}

}  // namespace assay
