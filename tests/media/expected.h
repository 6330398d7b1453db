// What other programs made of the files beside this: expected.json and expected.safetensors. Not here: goldens.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/sha256.h"
#include "model/media/image.h"
#include "model/safetensors.h"
#include "temporary.h"

namespace assay {

inline std::filesystem::path media_file(const std::string& name) {
  return std::filesystem::path(ASSAY_SOURCE_DIR) / "tests" / "media" / name;
}

inline nlohmann::json expected_json() { return nlohmann::json::parse(bytes_of(media_file("expected.json"))); }

inline Tensor expected_tensor(const std::string& name) {
  const auto file = Safetensors::open(media_file("expected.safetensors"));
  return file.value().tensors().at(name);
}

inline std::string hash_of(const Image& image) { return sha256_hex(std::as_bytes(std::span(image.rgb))); }

/// The message of an expected failure.
template <class T>
std::string message_of(const Result<T>& result) {
  return result ? "no failure" : result.error().message();
}

}  // namespace assay
