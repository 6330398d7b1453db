// A run as GitHub Markdown, fit for a pull request's comment: a line that says it all, a table, failures folded away.
#pragma once

#include <string>

#include "reports/run.h"

namespace assay {

std::string to_markdown(const Run& run);

}  // namespace assay
