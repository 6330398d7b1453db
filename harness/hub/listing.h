// What a repository on the hub holds, and which of it is needed. Private to its room. Not here: HTTP.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "harness/hub/hub.h"

namespace assay {

struct HubFile {
  std::int64_t size = -1;  ///< -1: not said
  std::string checksum;    ///< empty: not said
};

struct HubListing {
  std::string commit;                                 ///< 40 hexadecimal digits
  std::map<std::string, HubFile, std::less<>> files;  ///< those with a plain name in the top folder
};

/// The answer of /api/models/ORG/NAME/revision/REVISION?blobs=true. Files in folders are left out, as are names that
/// are none (`..`, control characters): nothing of this program's is called so. Errors: bad_input (not JSON, no commit,
/// sizes or checksums that are none).
Result<HubListing> parse_listing(std::string_view json, const std::string& where);

/// The files of `need` but for the weights, smallest first.
std::vector<std::string> small_files(const HubListing& listing, HubNeed need);

inline constexpr std::string_view kIndexFile = "model.safetensors.index.json";

}  // namespace assay
