// A GGUF file (versions 2 and 3, little-endian), memory-mapped: typed metadata, then tensors as llama.cpp stores them.
// Every count, length, offset, type, alignment and shape is checked against the file before a byte is used. Not here:
// what the keys mean for Gemma 4 (gguf_model.h), split files, writing.
// Source: the format as PyPI's gguf 0.19 writes it (gguf_writer.py, constants.py).
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/tensor.h"

namespace assay {

/// The format's own numbers.
enum class GgufType : std::uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64 };

/// One metadata value, still in the file; the file's bytes must outlive it.
struct GgufValue {
  GgufType type = GgufType::u8;
  GgufType element = GgufType::u8;   ///< of an array
  std::uint64_t count = 1;           ///< of an array's elements
  std::span<const std::byte> bytes;  ///< without the header of an array or a string

  /// What type it is, for messages: `u32`, `array of 35 bool`.
  std::string what() const;
  /// None where the type is another, or an unsigned number does not fit.
  std::optional<std::int64_t> integer() const;  ///< from any integer type
  std::optional<double> real() const;           ///< from f32 and f64
  std::optional<bool> flag() const;
  std::optional<std::string_view> text() const;
  /// All elements of an array of the kind; none where it is something else.
  std::optional<std::vector<std::int64_t>> integers() const;  ///< integers or booleans
  std::optional<std::vector<double>> reals() const;
  std::optional<std::vector<std::string_view>> texts() const;
};

/// A tensor, or why it cannot be read.
struct GgufTensor {
  Tensor tensor;  ///< the shape outermost first, as everywhere else: the file lists it innermost first
  /// `Q4_K`: a type without a dtype here, whose tensor has its shape and no bytes. Empty otherwise.
  std::string other_type;
};

class Gguf {
 public:
  /// The file must keep its size while a tensor lives.
  /// Errors: io; bad_input (truncated, overlapping or lying), naming the file and the key or tensor; unsupported
  /// (another version or byte order). A tensor of a type without a dtype is no error.
  static Result<Gguf> open(const std::filesystem::path& file);
  /// The same from bytes in memory, which must outlive the result unless `keep` owns them; `where` names them in
  /// messages.
  static Result<Gguf> parse(std::span<const std::byte> bytes, std::string where, std::shared_ptr<const void> keep = {});

  const std::string& where() const { return where_; }
  const std::map<std::string, GgufValue, std::less<>>& metadata() const { return metadata_; }
  const std::map<std::string, GgufTensor, std::less<>>& tensors() const { return tensors_; }
  /// Null where there is none.
  const GgufValue* find(std::string_view key) const;

 private:
  std::string where_;
  std::shared_ptr<const void> keep_;
  std::map<std::string, GgufValue, std::less<>> metadata_;
  std::map<std::string, GgufTensor, std::less<>> tensors_;
};

}  // namespace assay
