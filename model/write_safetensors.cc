#include <bit>
#include <cstring>
#include <fstream>
#include <set>

#include <nlohmann/json.hpp>

#include "base/files.h"
#include "model/safetensors.h"

namespace assay {

static_assert(std::endian::native == std::endian::little, "safetensors holds little-endian numbers");

Result<void> write_safetensors(const std::filesystem::path& file, std::span<const NamedTensor> tensors,
                               const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::set<std::string_view> names = {"__metadata__"};
  std::uint64_t end = 0;
  for (const auto& [name, tensor] : tensors) {
    if (!names.insert(name).second)
      return fail({Failure::internal, file.string(), name, "each name once", "a second tensor of that name"});
    if (is_packed(tensor.dtype))
      return fail({Failure::unsupported, file.string(), name, "a dtype that safetensors has",
                   std::string(name_of(tensor.dtype))});
    const auto size = std::uint64_t(tensor.elements()) * std::uint64_t(size_of(tensor.dtype));
    if (size != tensor.bytes.size())
      return fail({Failure::internal, file.string(), name, std::to_string(size) + " bytes, as dtype and shape ask",
                   std::to_string(tensor.bytes.size())});
    header[name] = {{"dtype", name_of(tensor.dtype)}, {"shape", tensor.shape}, {"data_offsets", {end, end + size}}};
    end += size;
  }
  // A name that is not UTF-8 becomes one that is: dump would throw.
  std::string text = header.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  text.resize((text.size() + 7) / 8 * 8, ' ');  // the data starts at a multiple of 8

  return write_beside(file, [&](const std::filesystem::path& temporary) -> Result<void> {
    std::ofstream out(temporary, std::ios::binary | std::ios::trunc);
    const std::uint64_t length = text.size();
    out.write(reinterpret_cast<const char*>(&length), sizeof length);
    out.write(text.data(), std::streamsize(text.size()));
    for (const NamedTensor& named : tensors)
      out.write(reinterpret_cast<const char*>(named.tensor.bytes.data()), std::streamsize(named.tensor.bytes.size()));
    out.flush();
    if (!out) return fail({Failure::io, file.string(), "", "a writable place", "a failed write"});
    return {};
  });
}

}  // namespace assay
