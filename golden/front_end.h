// The front-end goldens on disk: for a request (a text, a conversation, media files) every stage that transformers'
// processors went through before a model sees anything. golden/data/front-end/: front-end.h5, checkpoints/, files/. Not
// here: computing stages (harness/frontend), goldens of models (store.h).
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "golden/check.h"

namespace assay {

inline constexpr std::string_view kFrontEnd = "front-end";  ///< the golden's name, its engine's and its variant's

struct FrontEndStage {
  std::string name;                 ///< `image.0.decoded`
  std::vector<std::int64_t> shape;  ///< of the whole stage
  std::vector<std::int64_t> rows;   ///< along the first axis, ascending, those that are kept; empty = all
  bool integral = false;            ///< bytes, ids, positions: equal or wrong
  std::vector<float> values;        ///< of the rows kept; integers are below 2^24
  bool whole() const { return rows.empty(); }
};

struct FrontEndCase {
  std::string name, what;
  std::string request;  ///< JSON (harness/frontend/request.h)
  std::vector<FrontEndStage> stages;
  const FrontEndStage* find(std::string_view stage) const;
};

class FrontEndGolden {
 public:
  /// The one below `data`, after its hashes were checked. Errors: io; bad_input, naming group, attribute or dataset.
  static Result<FrontEndGolden> open(const std::filesystem::path& data);
  /// Whether there is one below `data`.
  static bool exists(const std::filesystem::path& data);

  const std::filesystem::path& folder() const { return folder_; }
  std::filesystem::path file() const { return folder_ / "front-end.h5"; }
  const std::vector<std::string>& cases() const { return cases_; }
  std::filesystem::path files() const { return folder_ / "files"; }
  std::filesystem::path checkpoint(std::string_view name) const { return folder_ / "checkpoints" / name; }
  Result<FrontEndCase> load(std::string_view name) const;

 private:
  std::filesystem::path folder_;
  std::vector<std::string> cases_;
};

/// What makes it unfit to judge by: a stage that is empty, not finite, or the same number everywhere in every case.
std::vector<Finding> check_front_end(const std::filesystem::path& data);

}  // namespace assay
