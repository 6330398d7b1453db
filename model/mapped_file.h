// A file mapped read-only. Not here: what its bytes mean (safetensors.h, gguf/gguf.h).
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

#include "base/result.h"

namespace assay {

/// Unmapped with the last owner. The file must keep its size meanwhile: the system kills who reads past its end.
class MappedFile {
 public:
  /// Errors: io; bad_input (not a regular file, or shorter than `least` bytes, 1 or more).
  static Result<std::shared_ptr<const MappedFile>> open(const std::filesystem::path& file, std::size_t least);

  MappedFile(void* data, std::size_t size) : data_(data), size_(size) {}
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {static_cast<const std::byte*>(data_), size_}; }

 private:
  void* data_;
  std::size_t size_;
};

}  // namespace assay
