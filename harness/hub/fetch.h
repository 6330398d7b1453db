// One file of the hub into the cache: resumed, checked, then named. Private to its room. Not here: which files.
#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"
#include "harness/hub/hub.h"
#include "listing.h"

namespace assay {

/// The body of a small answer. Errors: io, bad_input.
Result<std::string> fetch_text(const std::string& url, const HubOptions& options);

/// Makes snapshots/COMMIT/NAME a link to a blob that has the file's checksum, downloading that unless it is there.
/// Errors: io; bad_input (a wrong checksum or size, no checksum promised at all).
Result<void> fetch_file(const HubId& id, const std::string& commit, const std::string& name, HubFile file,
                        const HubOptions& options);

}  // namespace assay
