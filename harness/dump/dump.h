// One engine on any checkpoint and any inputs, its taps and greedy ids written to a file: the door through which
// tensors leave assay (DESIGN.md section 9). Not here: judging them, options and printing (harness/cli/verb_dump.cc).
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"
#include "harness/drive/drive.h"

namespace assay {

/// Inputs from `FILE.h5:/GROUP`, or from a .safetensors file, where `/GROUP` is a prefix of its names; `/` when left
/// out. Errors: io; bad_input, naming the file and the tensor.
Result<CaseInputs> read_inputs(std::string_view spec);

struct DumpOptions {
  std::filesystem::path model;  ///< empty with `draft` alone, whose inputs are then transformers' own
  std::string synthetic;        ///< instead of `model`: a name of model/synthetic.h, such as `e2b:q4_0`
  bool keep_synthetic = false;  ///< in the cache, so that the next start maps it
  std::filesystem::path draft;  ///< a drafter's checkpoint; `model` is its target
  int draft_steps = 1;          ///< tokens of the round after the prompt
  std::string inputs;           ///< as read_inputs takes it
  Path path;
  std::vector<std::string> taps = {"text.logits"};  ///< patterns, each of which names a tap of this model at least
  int generate = 0;
  std::filesystem::path out;  ///< HDF5, or safetensors by its extension
};

struct Dumped {
  int batch = 0, tokens = 0;
  struct Written {
    std::string name;
    std::vector<std::int64_t> shape;
  };
  std::vector<Written> datasets;  ///< taps/NAME float32 in causal order, then outputs/generated_ids [B, N] int64
  std::string note = {};          ///< a line for people: with a drafter, how much was accepted
};

/// Every tensor of the group that `spec` names, and with `nested` those of groups below it that are named by paths.
/// Errors: io; bad_input.
Result<std::vector<NamedTensor>> read_tensors(std::string_view spec, std::span<const std::string> nested = {});

/// The taps of `plan` that patterns name, as far as the engine offers them, in causal order.
/// Errors: bad_input (a pattern that names none); unsupported (a tap by its name that the engine lacks).
Result<std::vector<TapId>> wanted_taps(const Engine& engine, const Plan& plan,
                                       const std::vector<std::string>& patterns);

/// Taps of text are [B, T, ...]; of towers [n, L, ...] where all their inputs have one length L, else [rows, ...];
/// soft tokens [S, ...]. Errors: those of reading, opening and driving; bad_input (a pattern that names no tap);
/// unsupported (a path or a batch that the engine has not); io. The file is written beside, then renamed.
Result<Dumped> dump(const Engine& engine, const DumpOptions& options);

/// safetensors by the file's extension, else HDF5. Errors: io.
Result<void> write_tensors(const std::filesystem::path& file, std::span<const NamedTensor> datasets);

}  // namespace assay
