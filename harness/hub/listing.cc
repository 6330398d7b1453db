#include "listing.h"

#include <algorithm>
#include <array>
#include <stdexcept>

#include <nlohmann/json.hpp>

#include "checksum.h"

namespace assay {
namespace {

using nlohmann::json;

constexpr int kDeepest = 16;
constexpr std::size_t kLongestName = 255;
constexpr std::int64_t kLargestFile = std::int64_t{1} << 42;

constexpr std::array<std::string_view, 13> kSmall = {
    "config.json",
    "generation_config.json",
    kIndexFile,
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "processor_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
};

bool plain_name(std::string_view name) {
  return !name.empty() && name.size() <= kLongestName && name != "." && name != ".." &&
         std::none_of(name.begin(), name.end(), [](char c) {
           return c == '/' || c == '\\' || static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
         });
}

/// Throws on a tree that is too deep to be a listing.
json parsed(std::string_view text) {
  return json::parse(text, [](int depth, json::parse_event_t, json&) {
    if (depth > kDeepest) throw std::runtime_error("more than " + std::to_string(kDeepest) + " levels");
    return true;
  });
}

std::string text_at(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

Result<HubFile> file_of(const json& row, const std::string& name, const std::string& where) {
  const auto wrong = [&](std::string expected, std::string found) {
    return fail({Failure::bad_input, where, name, std::move(expected), std::move(found)});
  };
  const auto large = row.find("lfs");
  const bool lfs = large != row.end() && large->is_object();
  const json& source = lfs ? *large : row;
  HubFile file;
  if (const auto size = source.find("size"); size != source.end() && !size->is_null()) {
    if (!size->is_number_integer() || size->get<std::int64_t>() < 0 || size->get<std::int64_t>() > kLargestFile)
      return wrong("a size from 0 to 2^42", size->dump());
    file.size = size->get<std::int64_t>();
  }
  file.checksum = lfs ? text_at(source, "sha256") : text_at(source, "blobId");
  if (lfs && file.checksum.empty()) file.checksum = text_at(source, "oid");
  if (!file.checksum.empty() && !is_checksum(file.checksum))
    return wrong("a checksum of 40 or 64 hexadecimal digits", file.checksum);
  return file;
}

}  // namespace

Result<HubListing> parse_listing(std::string_view text, const std::string& where) {
  HubListing listing;
  try {
    const json root = parsed(text);
    if (!root.is_object()) return fail({Failure::bad_input, where, "", "a JSON object", root.type_name()});
    listing.commit = text_at(root, "sha");
    if (listing.commit.size() != 40 || !is_checksum(listing.commit))
      return fail({Failure::bad_input, where, "sha", "a commit of 40 hexadecimal digits", listing.commit});
    const auto rows = root.find("siblings");
    if (rows == root.end() || !rows->is_array())
      return fail({Failure::bad_input, where, "siblings", "a list of files", "none"});
    for (const json& row : *rows) {
      if (!row.is_object()) return fail({Failure::bad_input, where, "siblings", "objects", row.type_name()});
      const std::string name = text_at(row, "rfilename");
      if (!plain_name(name)) continue;
      ASSAY_TRY(file, file_of(row, name, where));
      listing.files.insert_or_assign(name, std::move(file));
    }
  } catch (const std::exception& error) {
    return fail({Failure::bad_input, where, "", "a listing in JSON", error.what()});
  }
  return listing;
}

std::vector<std::string> small_files(const HubListing& listing, HubNeed need) {
  std::vector<std::string> names;
  for (const std::string_view name : kSmall)
    if ((need == HubNeed::checkpoint || name == kSmall[0]) && listing.files.contains(name)) names.emplace_back(name);
  std::stable_sort(names.begin(), names.end(), [&](const std::string& a, const std::string& b) {
    return listing.files.find(a)->second.size < listing.files.find(b)->second.size;
  });
  return names;
}

}  // namespace assay
