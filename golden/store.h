// Goldens and dumps on disk: the only room that knows HDF5 (DESIGN.md section 4). Committed goldens are hashed against
// a manifest before they are opened; any other HDF5 file is read in a child process (child.h), because the library
// (1.10.8) can crash on malformed files. Not here: judging, running engines, what makes a golden good (check.h).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "engine/taps.h"
#include "golden/rows.h"
#include "model/checkpoint.h"
#include "model/synthetic.h"
#include "model/tensor.h"

namespace assay {

/// How far transformers moves when it computes otherwise.
struct Noise {
  double most = 0;  ///< the largest change
  double rms = 0;
};

/// A stored tap of one case.
struct GoldenTap {
  TapId id;
  std::vector<std::int64_t> shape;  ///< [B, T, ...] or, with rows, [rows, ...]; soft tokens [S, ...]
  /// Flat rows that are kept, ascending: tokens b * T + t; in a tower n * L + i, images before frames of videos, none
  /// of them padding. Empty = all.
  std::vector<std::int64_t> rows;
  /// How far transformers moves from itself: in other orders of summation, the most of it over rtol * |value|, and in
  /// bf16, or with int8 activations (goldens of packed weights). NaN where that was not measured.
  double noise_fp32 = 0, noise_excess = 0, noise_bf16 = 0, noise_bf16_rms = 0, noise_int8 = 0, noise_int8_rms = 0;
  /// Of noise.h5, by its names of arithmetics: fp16, bf16, int8 (several runs), kv_bf16, kv_fp16, kv_q8_0. What was not
  /// measured is not there.
  std::vector<std::pair<std::string, Noise>> losses = {};
  double margin =
      0;  ///< of discrete choices: the smallest gap between what was chosen and what was not; may be infinite
  double margin_noise = 0;  ///< of a drafter's clusters: how much their scores move; of others their own tap says it
  std::vector<float> values;
};

struct GoldenCase {
  std::string name, what;
  std::vector<std::string> paths;           ///< prefill, nocache, chunked, decode, batched
  std::vector<NamedTensor> inputs;          ///< by transformers' argument names
  std::vector<GoldenTap> taps;              ///< in causal order
  std::vector<std::int64_t> generated_ids;  ///< [B, generated]
  int generated = 0;  ///< tokens a row; 0: the case has no outputs (after right padding nothing can be generated)
  double generated_margin = 0;
  std::vector<float> generated_logits;  ///< [B, generated, V], what each id was chosen from
  std::vector<float> logits;            ///< [B, V], of the last position
  /// Drafters: tokens a round; taps are [B, draft_steps, ...]. The inputs are the target's prompt, generated_ids what
  /// was drafted (path draft) or what speculative decoding gives (speculative), logits the target's.
  int draft_steps = 0;
  /// Of noise.h5, where the model has experts: by arithmetic (int8 too) and layer, how far the router's
  /// probabilities move; NaN in layers without experts and where it was not measured.
  std::vector<std::pair<std::string, std::vector<double>>> router_noise = {};
};

/// What transformers resolved for one layer; the plan is tested against it.
struct GoldenLayer {
  std::string attention;
  int head_dim = 0, q_heads = 0, kv_heads = 0, window = 0, donor = 0;
  bool value_is_key = false;
  int ffn_width = 0, ple_width = 0, experts = 0, experts_used = 0, expert_width = 0;
  std::vector<float> inv_freq;
};

/// What transformers resolved for pictures: a tower, or the embedder of unified models, which has no layers.
struct GoldenVision {
  bool embedder = false;
  int hidden = 0, patch_values = 0, positions = 0, pool = 1;
  double eps = 0, layer_norm_eps = 0;  ///< of RMS norms; of the embedder's LayerNorms
  bool standardize = false;
  int layers = 0, heads = 0, kv_heads = 0, head_dim = 0, ffn_width = 0;
  bool clipped = false;
  std::vector<float> inv_freq;
};

/// The same for sound.
struct GoldenAudio {
  bool embedder = false;
  int features = 0;  ///< samples of a raw frame; 0 in a tower, whose config does not say how many mel bins there are
  int channels[2] = {0, 0}, frequencies = 0;
  int hidden = 0, output = 0;
  double eps = 0;  ///< of LayerNorms and of the projector
  int layers = 0, heads = 0, head_dim = 0, chunk = 0, past = 0, future = 0, ffn_width = 0, kernel = 0;
  double logit_cap = 0, invalid_logit = 0, residual_weight = 0, clamp = 0, layer_eps = 0, conv_eps = 0;
  bool clipped = false;
};

struct GoldenInfo {
  int schema = 0;
  std::string variant, transformers, torch, attn_implementation, dtype, checkpoint_sha256, generator_sha256;
  std::int64_t seed = 0;
  int hidden = 0, vocab = 0;
  double softcap = 0, rms_norm_eps = 0;
  std::string blocks;
  std::vector<GoldenLayer> layers;
  std::optional<GoldenVision> vision;
  std::optional<GoldenAudio> audio;
  std::vector<std::string> cases;                       ///< names, sorted
  std::string target, target_sha256;                    ///< drafters: whose golden's checkpoint is the target
  int backbone = 0, centroids = 0, centroids_used = 0;  ///< drafters
  /// Its weights were drawn to show every parameter. A trained checkpoint's were not: its cases show that it answers.
  bool exposing = true;
};

/// How this checkpoint makes soft tokens, for CaseRows::of.
SoftTokens soft_tokens(const GoldenInfo& info);

/// A golden in the repository: golden/data/NAME/{checkpoint/, golden.h5}.
/// One of packed weights holds weights.json, {"of": NAME, "weights": "q8_0"}: its checkpoint is another golden's,
/// packed as it is opened. One of full size holds {"synthetic": "e2b:q4_0:text"}: its checkpoint is computed, and takes
/// gigabytes, so that it is judged by only where it is asked for.
struct GoldenEntry {
  std::string name;
  std::filesystem::path file, checkpoint;  ///< no checkpoint where it is synthetic
  std::optional<Dtype> weights = {};       ///< q8_0 or q4_0
  std::optional<SyntheticName> synthetic = {};
};

/// The checkpoint that a golden was made of, packed where it is one of packed weights.
/// @param cache  of synthetic ones, as SyntheticOptions has it
/// Errors: as Checkpoint::open and synthetic_checkpoint.
Result<Checkpoint> open_checkpoint(const GoldenEntry& entry, const std::filesystem::path& cache = {});

/// Every golden below `data` (a folder with MANIFEST.json), sorted by name. Errors: io, bad_input.
Result<std::vector<GoldenEntry>> list_goldens(const std::filesystem::path& data);
/// Those of full size that `text` names: `e2b` in whatever format, `e2b:q4_0` in that one.
/// Errors: bad_input (no such model; none of it, naming those that there are).
Result<std::vector<std::string>> synthetic_goldens(std::span<const GoldenEntry> entries, std::string_view text);
/// Files of one golden, or of all, hashed against the manifest. Errors: bad_input (naming the first that differs).
Result<void> check_manifest(const std::filesystem::path& data, std::string_view golden = {});

/// A golden file, and noise.h5 beside it where there is one: what golden/generate/lossy.py has measured. `open` reads
/// what is small; `load` one case with its taps.
class Golden {
 public:
  /// A file whose hash was checked. Errors: io; bad_input, naming the group, attribute or dataset (noise.h5 of another
  /// golden is one).
  static Result<Golden> open(const std::filesystem::path& file);
  const GoldenInfo& info() const { return info_; }
  Result<GoldenCase> load(std::string_view name) const;

 private:
  std::filesystem::path file_;
  GoldenInfo info_;
  std::filesystem::path noise_;  ///< empty = none
};

/// Calls `use` with a golden and returns what it returns: one of the repository by its name, after its hashes were
/// checked, or any other file, then in a child process (child.h). Errors: those of opening it and of `use`.
Result<std::string> use_golden(const std::filesystem::path& data, const std::string& name_or_file,
                               const std::function<Result<std::string>(const Golden&)>& use);

/// Every dataset directly below `group` of a foreign HDF5 file, as f32 or i64 tensors. Read in a child process whose
/// death or endless loop is an error here. Errors: io; bad_input.
Result<std::vector<NamedTensor>> read_foreign_group(const std::filesystem::path& file, std::string_view group);

/// Writes datasets with their full paths (`taps/text.embed`), beside, then renamed. Errors: io.
Result<void> write_hdf5(const std::filesystem::path& file, std::span<const NamedTensor> datasets);

}  // namespace assay
