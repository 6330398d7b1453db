// Text that engines send, made fit for reports. Not here: each format's own escaping.
#pragma once

#include <string>
#include <string_view>

namespace assay {

/// Valid UTF-8 without control characters (an engine's message could hold terminal escapes, or bytes that XML forbids):
/// each offending byte becomes '?'. Newlines and tabs stay.
std::string printable(std::string_view text);

}  // namespace assay
