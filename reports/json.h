// Runs as JSON (schema/run.schema.json), written and read back: other programs read them, and results cross from a
// child process to its parent in this form. Not here: what the numbers mean (run.h).
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "reports/run.h"

namespace assay {

/// One result a line, so that two runs can be compared with diff. Numbers that are not finite are the strings "NaN",
/// "Infinity" and "-Infinity".
std::string to_json(const Run& run);
/// One line.
std::string to_json(const PathResult& result);

/// Errors: bad_input, naming the key.
Result<Run> run_from_json(std::string_view json, std::string_view where);
Result<PathResult> path_result_from_json(std::string_view json, std::string_view where);

}  // namespace assay
