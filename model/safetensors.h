// A safetensors file, memory-mapped: an 8-byte length, a JSON header, raw tensors. Every length, offset, dtype and
// shape is checked against the file before a byte is used. Not here: which tensors a model needs (checkpoint.h).
#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>

#include "base/result.h"
#include "model/tensor.h"

namespace assay {

class Safetensors {
 public:
  /// The file must keep its size while a tensor lives: the system kills who reads past the end of a mapped file.
  /// Errors: io; bad_input (truncated, overlapping or lying header), naming the file and the tensor; unsupported
  /// (dtype).
  static Result<Safetensors> open(const std::filesystem::path& file);
  /// The same from bytes in memory, which must outlive the result; `where` names them in messages.
  static Result<Safetensors> parse(std::span<const std::byte> bytes, std::string where,
                                   std::shared_ptr<const void> keep = {});

  const std::map<std::string, Tensor, std::less<>>& tensors() const { return tensors_; }
  const std::map<std::string, std::string, std::less<>>& metadata() const { return metadata_; }

 private:
  std::map<std::string, Tensor, std::less<>> tensors_;
  std::map<std::string, std::string, std::less<>> metadata_;
};

/// Writes beside, then renames. Tensors follow each other in the order given, aligned as the format asks.
Result<void> write_safetensors(const std::filesystem::path& file, std::span<const NamedTensor> tensors,
                               const std::map<std::string, std::string>& metadata = {});

}  // namespace assay
