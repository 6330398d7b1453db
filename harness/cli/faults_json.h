// What became of faults, as JSON. Not here: running them, tables for people (verb_faults.cc).
#pragma once

#include <string_view>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "harness/faults/run.h"
#include "harness/locate/name_faults.h"

namespace assay {

std::string_view word(Sighting::Place place);
std::string_view word(Naming::Place place);

/// @param arithmetic  that it was run in: in lower precision a fault may be below what that should lose
/// @param names       of this fault
nlohmann::json as_json(const FaultOutcome& outcome, std::string_view arithmetic, const std::vector<Naming>& names);
nlohmann::json as_json(const Naming& naming);
nlohmann::json as_json(const std::vector<PairNaming>& pairs);

}  // namespace assay
