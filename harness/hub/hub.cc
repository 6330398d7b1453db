#include "harness/hub/hub.h"

#include <algorithm>
#include <cstdlib>
#include <set>
#include <system_error>
#include <vector>

#include "base/files.h"
#include "checksum.h"
#include "fetch.h"
#include "http.h"
#include "listing.h"
#include "model/shard_index.h"

namespace assay {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kLongestPart = 96;  // huggingface_hub's rule for a whole id
constexpr std::size_t kLargestIndex = std::size_t{64} << 20;
constexpr std::string_view kOneFile = "model.safetensors";

bool is_name_char(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '_' || c == '.';
}

/// validate_repo_id's rules, which also keep `..` out and `--` free to part org from name.
bool valid_part(std::string_view part) {
  const auto outer = [](char c) { return c == '-' || c == '.'; };
  return !part.empty() && part.size() <= kLongestPart && std::all_of(part.begin(), part.end(), is_name_char) &&
         !outer(part.front()) && !outer(part.back()) && part.find("--") == part.npos && part.find("..") == part.npos;
}

/// A branch, tag or commit; `refs/pr/1` has slashes.
bool valid_revision(std::string_view revision) {
  if (revision.empty() || revision.size() > kLongestPart || revision.front() == '/' || revision.back() == '/')
    return false;
  return std::all_of(revision.begin(), revision.end(),
                     [](char c) { return is_name_char(c) || c == '/' || c == '+'; }) &&
         revision.find("..") == revision.npos && revision.find("//") == revision.npos &&
         revision.find("./") == revision.npos && revision.front() != '.';
}

bool is_commit(std::string_view text) { return text.size() == 40 && is_checksum(text); }

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : value;
}

bool is_true(std::string value) {
  std::transform(value.begin(), value.end(), value.begin(), [](unsigned char c) { return char(std::toupper(c)); });
  return value == "1" || value == "ON" || value == "YES" || value == "TRUE";
}

fs::path expanded(const std::string& path) {
  return path.starts_with("~/") ? fs::path(variable("HOME")) / path.substr(2) : fs::path(path);
}

bool there(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

/// The weight files of a folder with an index, or the one of a folder without.
Result<std::set<std::string>> shards(const fs::path& index) {
  ASSAY_TRY(text, read_file(index, kLargestIndex));
  ASSAY_TRY(map, parse_shard_index(text, index.string()));
  std::set<std::string> names;
  for (const auto& [tensor, file] : map) names.insert(file);
  return names;
}

struct Missing {
  std::string needed;  ///< a file without which nothing works; empty: none
  bool tokenizer = false;
};

Missing missing_from(const fs::path& snapshot, HubNeed need) {
  if (!there(snapshot / "config.json")) return {.needed = "config.json"};
  if (need == HubNeed::config) return {};
  Missing missing{.tokenizer = !there(snapshot / "tokenizer.json") && !there(snapshot / "tokenizer.model")};
  if (there(snapshot / kIndexFile)) {
    const auto names = shards(snapshot / kIndexFile);
    if (!names) return {.needed = std::string(kIndexFile)};
    for (const std::string& name : *names)
      if (!there(snapshot / name)) missing.needed = name;
  } else if (!there(snapshot / kOneFile)) {
    missing.needed = kOneFile;
  }
  return missing;
}

/// The snapshot that the cache has for a revision; empty: none.
fs::path cached_snapshot(const HubId& id, const HubOptions& options) {
  const fs::path folder = options.cache / id.folder();
  std::string commit = id.revision;
  if (!is_commit(commit)) {
    const auto ref = read_file(folder / "refs" / id.revision, 1024);
    commit = ref ? *ref : "";
    while (!commit.empty() && std::isspace(static_cast<unsigned char>(commit.back())) != 0) commit.pop_back();
  }
  std::error_code error;
  const fs::path snapshot = folder / "snapshots" / commit;
  return is_commit(commit) && fs::is_directory(snapshot, error) ? snapshot : fs::path();
}

Result<fs::path> fetch_snapshot(const HubId& id, const HubOptions& options, HubNeed need) {
  const std::string url = options.endpoint + "/api/models/" + url_escaped(id.repo(), false) + "/revision/" +
                          url_escaped(id.revision, true) + "?blobs=true";
  ASSAY_TRY(text, fetch_text(url, options));
  ASSAY_TRY(listing, parse_listing(text, url));
  if (!listing.files.contains("config.json"))
    return fail({Failure::bad_input, url, "", "a repository with config.json", "none"});
  const fs::path folder = options.cache / id.folder(), snapshot = folder / "snapshots" / listing.commit;
  const auto fetch = [&](const std::string& name) -> Result<void> {
    const auto file = listing.files.find(name);
    if (file == listing.files.end())
      return fail({Failure::bad_input, url, name, "a file that the index names", "none"});
    return fetch_file(id, listing.commit, name, file->second, options);
  };
  for (const std::string& name : small_files(listing, need)) ASSAY_CHECK(fetch(name));
  // Weights come last: a snapshot that has them has all.
  if (need == HubNeed::checkpoint) {
    std::set<std::string> weights{std::string(kOneFile)};
    if (listing.files.contains(kIndexFile)) {
      ASSAY_TRY(named, shards(snapshot / kIndexFile));
      weights = named;
    } else if (!listing.files.contains(kOneFile)) {
      return fail({Failure::bad_input, url, "", "a repository with model.safetensors or its index", "neither"});
    }
    for (const std::string& name : weights) ASSAY_CHECK(fetch(name));
  }
  if (id.revision != listing.commit) {
    const fs::path ref = folder / "refs" / id.revision;
    std::error_code error;
    fs::create_directories(ref.parent_path(), error);
    ASSAY_CHECK(write_file(ref, listing.commit));
  }
  return snapshot;
}

}  // namespace

std::optional<HubId> HubId::parse(std::string_view text) {
  HubId id;
  if (const std::size_t at = text.find('@'); at != text.npos) {
    id.revision = text.substr(at + 1);
    text = text.substr(0, at);
  }
  const std::size_t slash = text.find('/');
  if (slash == text.npos || !valid_revision(id.revision)) return std::nullopt;
  id.org = text.substr(0, slash);
  id.name = text.substr(slash + 1);
  if (!valid_part(id.org) || !valid_part(id.name) || text.size() > kLongestPart) return std::nullopt;
  return id;
}

HubOptions HubOptions::from_environment() {
  HubOptions options;
  if (const std::string cache = variable("HF_HUB_CACHE"); !cache.empty())
    options.cache = expanded(cache);
  else if (const std::string older = variable("HUGGINGFACE_HUB_CACHE"); !older.empty())
    options.cache = expanded(older);
  else if (const std::string home = variable("HF_HOME"); !home.empty())
    options.cache = expanded(home) / "hub";
  else if (const std::string xdg = variable("XDG_CACHE_HOME"); !xdg.empty())
    options.cache = expanded(xdg) / "huggingface" / "hub";
  else
    options.cache = expanded("~/.cache/huggingface/hub");
  if (std::string endpoint = variable("HF_ENDPOINT"); !endpoint.empty()) {
    while (endpoint.ends_with('/')) endpoint.pop_back();
    options.endpoint = endpoint;
  }
  options.token = variable("HF_TOKEN");
  while (!options.token.empty() && std::isspace(static_cast<unsigned char>(options.token.back())) != 0)
    options.token.pop_back();  // `export HF_TOKEN=$(cat file)` of a file with Windows line ends
  std::string offline = variable("HF_HUB_OFFLINE");
  if (offline.empty()) offline = variable("TRANSFORMERS_OFFLINE");
  options.offline = is_true(offline);
  return options;
}

Result<fs::path> hub_snapshot(const HubId& id, const HubOptions& options, HubNeed need) {
  const fs::path cached = cached_snapshot(id, options);
  const Missing missing = cached.empty() ? Missing{.needed = "config.json"} : missing_from(cached, need);
  if (missing.needed.empty() && !missing.tokenizer) return cached;
  if (!options.offline) {
    auto fetched = fetch_snapshot(id, options, need);
    if (fetched || !missing.needed.empty()) return fetched;
  }
  if (missing.needed.empty()) return cached;  // whoever needs the tokenizer will say so
  const fs::path folder = options.cache / id.folder();
  return fail({Failure::io, cached.empty() ? folder.string() : cached.string(), id.repo() + "@" + id.revision,
               cached.empty() ? "a snapshot in the cache, as HF_HUB_OFFLINE is set" : missing.needed, "none"});
}

Result<fs::path> find_model(const std::string& model, const HubOptions& options, HubNeed need) {
  std::error_code error;
  if (fs::is_directory(model, error) || (model.ends_with(".gguf") && fs::is_regular_file(model, error)))
    return fs::path(model);
  const auto id = HubId::parse(model);
  if (!id || fs::exists(model, error))
    return fail({Failure::io, model, "", "a directory, a .gguf file, or a hub id: org/name[@revision]",
                 fs::exists(model, error) ? "a file" : "neither"});
  return hub_snapshot(*id, options, need);
}

}  // namespace assay
