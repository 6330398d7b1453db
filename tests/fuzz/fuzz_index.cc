// Any bytes as model.safetensors.index.json: refused, or shards that stay in their directory.
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <string_view>

#include "model/shard_index.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto index = assay::parse_shard_index({reinterpret_cast<const char*>(data), size}, "fuzz");
  if (!index) return 0;
  for (const auto& [tensor, shard] : *index) {
    const std::filesystem::path path = std::filesystem::path("directory") / shard;
    if (path.parent_path() != "directory" || path.filename() == ".." || path.filename() == ".") std::abort();
  }
  return 0;
}
