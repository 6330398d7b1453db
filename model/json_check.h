// Whether a text from outside is JSON that is safe to build a tree from. No header shows JSON. Not here: what the keys
// mean.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace assay {

/// A well-formed object, at most 64 levels deep (a million brackets would take gigabytes), no key twice in one object
/// (readers differ in which of the two they believe).
/// Errors: bad_input, naming `where` and the byte or the key.
Result<void> check_json_object(std::string_view text, const std::string& where);

}  // namespace assay
