#include "harness/cli/faults_json.h"

#include <nlohmann/json.hpp>

namespace assay {

std::string_view word(Sighting::Place place) {
  switch (place) {
    case Sighting::unseen: return "unseen";
    case Sighting::exact: return "exact";
    case Sighting::right_after: return "right after";
    case Sighting::generating: return "generating";
    case Sighting::elsewhere: return "elsewhere";
  }
  return "";
}

std::string_view word(Naming::Place place) {
  switch (place) {
    case Naming::first: return "first";
    case Naming::tied: return "tied";
    case Naming::other: return "other";
    case Naming::none: return "none";
  }
  return "";
}

nlohmann::json as_json(const FaultOutcome& outcome, std::string_view arithmetic, const std::vector<Naming>& names) {
  nlohmann::json sightings = nlohmann::json::array(), naming = nlohmann::json::array();
  for (const Sighting& s : outcome.sightings)
    sightings.push_back({{"golden", s.golden},
                         {"case", s.case_name},
                         {"path", s.path},
                         {"expected", s.expected},
                         {"first", s.first},
                         {"place", word(s.place)},
                         {"ratio", s.ratio},
                         {"nearest", s.nearest},
                         {"effect", s.effect},
                         {"noise", s.noise}});
  for (const Naming& n : names) {
    naming.push_back(as_json(n));
    naming.back().erase("fault");
  }
  const bool lossy = arithmetic != "fp32";
  const bool ok = lossy && !outcome.control ? outcome.detected() || outcome.below_budget() : outcome.as_it_should();
  return {{"fault", outcome.fault},         {"ok", ok},
          {"arithmetic", arithmetic},       {"below_budget", lossy && outcome.below_budget()},
          {"detected", outcome.detected()}, {"control", outcome.control},
          {"error", outcome.error},         {"sightings", std::move(sightings)},
          {"naming", std::move(naming)}};
}

nlohmann::json as_json(const Naming& n) {
  return {{"fault", n.fault},       {"golden", n.golden}, {"case", n.case_name}, {"path", n.path},
          {"place", word(n.place)}, {"best", n.best},     {"error", n.error}};
}

nlohmann::json as_json(const std::vector<PairNaming>& pairs) {
  nlohmann::json all = nlohmann::json::array();
  for (const PairNaming& pair : pairs)
    all.push_back({{"golden", pair.golden},
                   {"case", pair.case_name},
                   {"path", pair.path},
                   {"faults", {pair.faults[0], pair.faults[1]}},
                   {"best", pair.best},
                   {"named", pair.named},
                   {"error", pair.error}});
  return all;
}

}  // namespace assay
