// One engine on any checkpoint and any inputs, its taps and greedy ids written to a file: the door through which
// tensors leave assay (DESIGN.md section 9). Not here: judging them, options and printing (harness/cli/verb_dump.cc).
#pragma once

#include <filesystem>
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
  std::filesystem::path model;
  std::string inputs;  ///< as read_inputs takes it
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
  std::vector<Written>
      datasets;  ///< taps/NAME float32 [B, T, ...] in causal order, then outputs/generated_ids [B, N] int64
};

/// Errors: those of reading, opening and driving; bad_input (a pattern that names no tap); unsupported (a path or a
/// batch that the engine has not); io. The file is written beside, then renamed.
Result<Dumped> dump(const Engine& engine, const DumpOptions& options);

}  // namespace assay
