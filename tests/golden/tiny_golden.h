// A golden small enough to bend in every way: a checkpoint of four layers that has every tap, and two cases of random
// numbers that no one computed but that pass all checks. Not here: goldens of transformers (golden/data).
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "golden/hdf5.h"
#include "golden/store.h"
#include "model/checkpoint.h"

namespace assay {

struct TinyGolden {
  Plan plan;
  GoldenInfo info;
  std::vector<GoldenCase> cases;  ///< `batch` [2, 4], left-padded, and `short` [1, 6]

  GoldenTap& tap(int which_case, const std::string& name);
};

std::string tiny_config();
/// config.json and model.safetensors. `bend` may change tensors, by their names below the text model, before they are
/// written.
void write_tiny_checkpoint(const std::filesystem::path& folder,
                           const std::function<void(std::map<std::string, std::vector<float>>&)>& bend = {});
TinyGolden tiny_golden();
/// The same with pictures, a video and sound: `media` [1, 20] and `short`. No checkpoint goes with it.
TinyGolden tiny_media_golden(bool unified);

/// What write_golden leaves out or writes otherwise, by `/path` or `/path@attribute`.
struct Bends {
  std::set<std::string> without = {};
  std::map<std::string, hdf5::Value> attributes = {};
  std::map<std::string, Tensor> datasets = {};
};
/// Returns everything that it wrote, as in Bends.
std::vector<std::string> write_golden(const std::filesystem::path& file, const TinyGolden& golden,
                                      const Bends& bends = {});

/// data/tiny/{checkpoint/, golden.h5} and MANIFEST.json, whole and in agreement.
GoldenEntry write_data(const std::filesystem::path& data, TinyGolden golden,
                       const std::function<void(std::map<std::string, std::vector<float>>&)>& bend = {});
void write_manifest(const std::filesystem::path& data);

}  // namespace assay
