#include "model/safetensors.h"

#include <algorithm>
#include <cstring>
#include <vector>

#include <nlohmann/json.hpp>

#include "json_check.h"
#include "model/mapped_file.h"

namespace assay {
namespace {

using nlohmann::json;

constexpr std::size_t kPrefix = 8;                     // the header's length, little-endian
constexpr std::uint64_t kLongestHeader = 100'000'000;  // the format's own limit

/// Where one tensor lies in the data part.
struct Extent {
  std::uint64_t begin = 0, end = 0;
  std::string_view name;
};

/// Why one header entry was refused; the caller adds the file and the tensor.
using Refusal = std::optional<Failure>;

Failure refusal(std::string expected, std::string found, Failure::Kind kind = Failure::bad_input) {
  return {kind, "", "", std::move(expected), std::move(found)};
}

/// For messages: an outsider's array may be long.
std::string brief(const json& value) {
  std::string text = value.dump();
  if (text.size() > 80) text.replace(77, std::string::npos, "...");
  return text;
}

Refusal read_dtype(const json& entry, Tensor& tensor) {
  const auto dtype = entry.find("dtype");
  if (dtype == entry.end() || !dtype->is_string()) return refusal("a dtype", "none");
  const auto known = dtype_named(dtype->get_ref<const std::string&>());
  if (!known)
    return refusal("dtype F32, F16, BF16, F64, BOOL or an integer", dtype->get<std::string>(), Failure::unsupported);
  tensor.dtype = *known;
  return {};
}

Refusal read_shape(const json& entry, Tensor& tensor, std::uint64_t& bytes) {
  const auto shape = entry.find("shape");
  if (shape == entry.end() || !shape->is_array()) return refusal("a shape", "none");
  auto product = std::int64_t(size_of(tensor.dtype));
  for (const json& extent : *shape) {
    if (!extent.is_number_unsigned() || extent.get<std::uint64_t>() > std::uint64_t(INT64_MAX))
      return refusal("a shape of non-negative integers", brief(*shape));
    tensor.shape.push_back(extent.get<std::int64_t>());
    if (__builtin_mul_overflow(product, tensor.shape.back(), &product))
      return refusal("a shape of fewer than 2^63 bytes", brief(*shape));
  }
  bytes = std::uint64_t(product);
  return {};
}

Refusal read_offsets(const json& entry, std::uint64_t bytes, std::uint64_t data_size, Extent& extent) {
  const auto offsets = entry.find("data_offsets");
  if (offsets == entry.end() || !offsets->is_array() || offsets->size() != 2 || !(*offsets)[0].is_number_unsigned() ||
      !(*offsets)[1].is_number_unsigned())
    return refusal("two data_offsets", offsets == entry.end() ? "none" : brief(*offsets));
  extent.begin = (*offsets)[0].get<std::uint64_t>();
  extent.end = (*offsets)[1].get<std::uint64_t>();
  if (extent.begin > extent.end || extent.end > data_size)
    return refusal("data_offsets in order within " + std::to_string(data_size) + " bytes", brief(*offsets));
  if (extent.end - extent.begin != bytes)
    return refusal(std::to_string(bytes) + " bytes, as dtype and shape ask",
                   std::to_string(extent.end - extent.begin) + " by data_offsets");
  return {};
}

Refusal read_entry(const json& entry, std::span<const std::byte> data, Tensor& tensor, Extent& extent) {
  if (!entry.is_object() || entry.size() != 3) return refusal("dtype, shape and data_offsets", "other keys");
  std::uint64_t bytes = 0;
  if (auto refused = read_dtype(entry, tensor)) return refused;
  if (auto refused = read_shape(entry, tensor, bytes)) return refused;
  if (auto refused = read_offsets(entry, bytes, data.size(), extent)) return refused;
  tensor.bytes = data.subspan(extent.begin, bytes);
  return {};
}

/// The format leaves no byte unnamed and none named twice, so that nothing can hide in a file.
Refusal check_cover(std::vector<Extent> extents, std::uint64_t data_size, std::string& name) {
  std::sort(extents.begin(), extents.end(),
            [](const Extent& a, const Extent& b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
  std::uint64_t end = 0;
  for (const Extent& extent : extents) {
    if (extent.begin != end) {
      name = extent.name;
      return refusal("data_offsets that start at " + std::to_string(end) + ", where the tensor before ends",
                     std::to_string(extent.begin));
    }
    end = extent.end;
  }
  if (end != data_size)
    return refusal(std::to_string(end) + " bytes of data, as the header says", std::to_string(data_size));
  return {};
}

}  // namespace

Result<Safetensors> Safetensors::parse(std::span<const std::byte> bytes, std::string where,
                                       std::shared_ptr<const void> keep) {
  const auto bad = [&where](std::string field, std::string expected, std::string found) {
    return fail({Failure::bad_input, where, std::move(field), std::move(expected), std::move(found)});
  };
  if (bytes.size() < kPrefix) return bad("", "at least 8 bytes", std::to_string(bytes.size()));
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), kPrefix);
  const std::uint64_t most = std::min<std::uint64_t>(bytes.size() - kPrefix, kLongestHeader);
  if (length > most) return bad("header length", "at most " + std::to_string(most), std::to_string(length));

  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + kPrefix, length);
  if (!text.starts_with('{')) return bad("header", "a JSON object", "something else");
  ASSAY_CHECK(check_json_object(text, where));
  const json header = json::parse(text, nullptr, false);
  if (!header.is_object()) return bad("header", "a JSON object", "something else");

  const std::span<const std::byte> data = bytes.subspan(kPrefix + length);
  Safetensors file;
  std::vector<Extent> extents;
  for (const auto& [name, entry] : header.items()) {
    if (name == "__metadata__") {
      if (!entry.is_object()) return bad(name, "an object", entry.type_name());
      for (const auto& [key, value] : entry.items()) {
        if (!value.is_string()) return bad(std::string(name).append(".").append(key), "a string", value.type_name());
        file.metadata_.emplace(key, value.get<std::string>());
      }
      continue;
    }
    const auto tensor = file.tensors_.emplace(name, Tensor{}).first;
    Extent extent;
    if (auto refused = read_entry(entry, data, tensor->second, extent)) {
      refused->where = where;
      refused->field = name;
      return fail(std::move(*refused));
    }
    tensor->second.keep = keep;
    extent.name = tensor->first;
    extents.push_back(extent);
  }
  std::string at = "data";
  if (auto refused = check_cover(std::move(extents), data.size(), at))
    return bad(at, refused->expected, refused->found);
  return file;
}

Result<Safetensors> Safetensors::open(const std::filesystem::path& file) {
  ASSAY_TRY(mapping, MappedFile::open(file, kPrefix));
  return parse(mapping->bytes(), file.string(), mapping);
}

}  // namespace assay
