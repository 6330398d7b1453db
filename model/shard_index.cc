#include "model/shard_index.h"

#include <nlohmann/json.hpp>

#include "json_check.h"

namespace assay {
namespace {

/// A name that stays in its directory whatever the system makes of it.
bool plain(std::string_view name) {
  constexpr std::string_view kSuffix = ".safetensors";
  if (name.size() <= kSuffix.size() || name.size() > 255 || !name.ends_with(kSuffix) || name.starts_with('.'))
    return false;
  for (const char c : name)
    if (c == '/' || c == '\\' || c == ':' || static_cast<unsigned char>(c) < 0x20) return false;
  return true;
}

}  // namespace

Result<std::map<std::string, std::string, std::less<>>> parse_shard_index(std::string_view json, std::string where) {
  ASSAY_CHECK(check_json_object(json, where));
  const nlohmann::json index = nlohmann::json::parse(json, nullptr, false);
  const auto map = index.find("weight_map");
  if (map == index.end() || !map->is_object() || map->empty())
    return fail({Failure::bad_input, std::move(where), "weight_map", "an object that names tensors", "none"});
  std::map<std::string, std::string, std::less<>> shards;
  for (const auto& [tensor, shard] : map->items()) {
    if (!shard.is_string() || !plain(shard.get_ref<const std::string&>()))
      return fail({Failure::bad_input, std::move(where), "weight_map." + tensor,
                   "the name of a .safetensors file beside the index",
                   shard.is_string() ? shard.get<std::string>() : shard.type_name()});
    shards.emplace(tensor, shard.get<std::string>());
  }
  return shards;
}

}  // namespace assay
