// A folder for a verb's own files that goes when the verb ends. Not here: caches that stay.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>

#include "base/result.h"

namespace assay {

class Scratch {
 public:
  /// @param what  begins its name. Errors: io.
  static Result<Scratch> make(const std::string& what) {
    std::error_code error;
    std::string pattern = (std::filesystem::temp_directory_path(error) / (what + "-XXXXXX")).string();
    if (error || mkdtemp(pattern.data()) == nullptr)
      return fail({Failure::io, pattern, "", "a folder that can be made", error.message()});
    return Scratch(pattern);
  }
  ~Scratch() {
    std::error_code error;
    if (!path_.empty()) std::filesystem::remove_all(path_, error);
  }
  Scratch(Scratch&& other) noexcept : path_(std::exchange(other.path_, std::filesystem::path())) {}
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  Scratch& operator=(Scratch&&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  explicit Scratch(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

}  // namespace assay
