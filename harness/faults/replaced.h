// Text with one part put in another's place, for faults of templates and tokenizers.
#pragma once

#include <string>
#include <string_view>

namespace assay {

/// Every occurrence of `part`, which is not empty, from the left.
std::string replaced(std::string_view text, std::string_view part, std::string_view by);

}  // namespace assay
