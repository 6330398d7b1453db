// Models by their hub id: found in huggingface_hub's cache, or fetched into it, so that both programs share one copy.
// A download can be cut at any byte and goes on from there; what does not have the promised checksum never gets a name.
// Not here: what the files hold.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace assay {

/// `org/name` or `org/name@revision`.
struct HubId {
  std::string org, name, revision = "main";

  /// None unless it is spelt as one, with huggingface_hub's rules: nothing that could leave a folder.
  static std::optional<HubId> parse(std::string_view text);
  std::string repo() const { return org + "/" + name; }
  std::string folder() const { return "models--" + org + "--" + name; }
};

/// How far a download has come.
struct HubProgress {
  std::string file;
  std::int64_t done = 0, all = 0;  ///< bytes
};

struct HubOptions {
  std::filesystem::path cache;  ///< the folder of models--ORG--NAME
  std::string endpoint = "https://huggingface.co";
  std::string token;  ///< goes to the endpoint's host alone
  bool offline = false;
  int attempts = 5;                                       ///< without a byte in between
  std::chrono::milliseconds pause{1000};                  ///< before the second; doubles each time
  int stall_seconds = 30;                                 ///< how long a server may be silent
  std::function<void(const HubProgress&)> progress = {};  ///< called at most ten times a second

  /// HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME, XDG_CACHE_HOME, HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE,
  /// TRANSFORMERS_OFFLINE, as huggingface_hub reads them.
  static HubOptions from_environment();
};

enum class HubNeed {
  config,      ///< config.json
  checkpoint,  ///< and the weights, tokenizer, chat template, processor and generation configs
};

/// The snapshot folder of a model in the cache, complete for `need`; files that are missing are fetched.
/// Errors: io (no network, a server's answer, no space), bad_input (a listing that makes no sense, a wrong checksum),
/// each naming the file; offline, which file is missing.
Result<std::filesystem::path> hub_snapshot(const HubId& id, const HubOptions& options, HubNeed need);

/// What a `--model` names: a directory, or a .gguf file, if there is one of that name, else a hub id.
Result<std::filesystem::path> find_model(const std::string& model, const HubOptions& options, HubNeed need);

}  // namespace assay
