#include "harness/locate/name_faults.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <tuple>
#include <utility>

#include <nlohmann/json.hpp>

#include "harness/frontend/stages.h"
#include "harness/locate/evidence.h"
#include "harness/locate/front_end.h"
#include "harness/locate/hypotheses.h"
#include "harness/verify/isolate.h"
#include "model/processor/front_end.h"

namespace assay {
namespace {

using Json = nlohmann::json;

constexpr std::chrono::seconds kDeadline{1800};
/// What an engine may do otherwise and be right; a control of the catalogue.
constexpr std::string_view kOtherRounding = "sums-in-fp32";

/// A case of a golden, and what suspects gave on it so far.
class Trial {
 public:
  static Result<Trial> open(const GoldenEntry& entry, const std::string& case_name, Path path) {
    ASSAY_TRY(golden, Golden::open(entry.file));
    ASSAY_TRY(models, open_models(entry, golden.info()));
    ASSAY_TRY(one, golden.load(case_name));
    ASSAY_TRY(inputs, CaseInputs::from(one.inputs, entry.name + "/" + case_name));
    return Trial(std::move(models), std::move(one), std::move(inputs), path);
  }

  /// What locate would say of an engine with these faults; best first. Nothing where nothing is wrong.
  Result<std::optional<std::vector<Hypothesis>>> hypotheses(std::span<const Fault* const> bent) {
    std::vector<const Fault*> engine = {find_fault(kOtherRounding)};
    engine.insert(engine.end(), bent.begin(), bent.end());
    ASSAY_TRY(view, case_view(models_.checkpoint.plan, golden_, inputs_, "fp32"));
    Watch watch{.path = path_};
    for (const GoldenTap& tap : golden_.taps) watch.taps.push_back(tap.id);
    std::vector<Piece> seen;
    for (const bool generate : {false, true}) {  // only where no prompt shows it
      watch.generate = generate;
      ASSAY_TRY(oracle, bent_oracle(engine, models_.checkpoint, target()));
      if (!oracle.bent) return std::optional<std::vector<Hypothesis>>();
      ASSAY_TRY(observed, observe(*oracle.session, oracle.target.get(), golden_, inputs_, watch));
      seen = evidence(view, golden_, observed, watch);
      if (birth(seen)) break;
    }
    const std::optional<Birth> born = birth(seen);
    if (!born) return std::optional<std::vector<Hypothesis>>();
    std::vector<Hypothesis> found;
    for (const bool earlier : {false, true}) {
      if (earlier && !found.empty() && explains_all(found.front())) break;
      for (const Fault* fault : suspects(models_.checkpoint.plan, path_, *born, earlier)) {
        ASSAY_TRY(pieces, suspect(*fault, view, watch));
        if (!pieces) continue;
        if (const auto how_well = score(seen, *pieces)) found.push_back(hypothesis({fault}, *how_well));
      }
      rank(found);
    }
    return std::optional(std::move(found));
  }

 private:
  Trial(Models models, GoldenCase golden, CaseInputs inputs, Path path)
      : models_(std::move(models)), golden_(std::move(golden)), inputs_(std::move(inputs)), path_(path) {}

  const Checkpoint* target() const { return models_.target ? &*models_.target : nullptr; }

  /// Null where this model has nothing to bend, or the oracle will not run so.
  Result<const std::vector<Piece>*> suspect(const Fault& fault, const CaseView& view, const Watch& watch) {
    const auto [known, fresh] = known_.try_emplace({fault.name, watch.generate});
    if (fresh) {
      auto pieces = suspect_evidence({&fault}, models_.checkpoint, target(), view, golden_, inputs_, watch);
      if (pieces && *pieces) {
        known->second = std::move(**pieces);
        for (Piece& piece : *known->second) piece.expected = {};  // the engine's pieces have it
      }
    }
    return known->second ? &*known->second : nullptr;
  }

  Models models_;
  GoldenCase golden_;
  CaseInputs inputs_;
  Path path_;
  std::map<std::pair<std::string_view, bool>, std::optional<std::vector<Piece>>> known_;
};

/// Where a fault stands among the hypotheses.
Naming naming(const std::string& fault, const std::vector<Hypothesis>& hypotheses) {
  Naming naming{.fault = fault};
  if (hypotheses.empty()) return naming;
  const Hypothesis& best = hypotheses.front();
  naming.best = best.fault;
  naming.before = best.before;
  naming.left = best.left;
  const auto self = std::ranges::find(hypotheses, fault, &Hypothesis::fault);
  naming.place = self == hypotheses.begin()               ? Naming::first
                 : self != hypotheses.end() && self->tied ? Naming::tied
                                                          : Naming::other;
  return naming;
}

Result<Naming> name_front_end(const Fault& fault, const FrontEndGolden& golden, const std::string& case_name) {
  ASSAY_TRY(one, golden.load(case_name));
  FrontEnd steps = front_end();
  fault.bend(steps);
  ASSAY_TRY(stages, judge_stages(golden, one, steps));
  ASSAY_TRY(found, front_end_hypotheses(golden, one, stages));
  return naming(std::string(fault.name), found);
}

Json as_json(const Naming& n) { return {n.fault, int(n.place), n.best, n.before, n.left, n.error}; }

std::string cbor(const Json& json) {
  const std::vector<std::uint8_t> bytes = Json::to_cbor(json);
  return {bytes.begin(), bytes.end()};
}

}  // namespace

std::vector<Naming> name_faults(const std::vector<FaultOutcome>& outcomes, const FaultGoldens& goldens, int children,
                                const std::function<void(std::size_t, std::size_t)>& ended) {
  // Faults that show on the same case share its suspects.
  std::map<std::tuple<std::string, std::string, std::string>, std::vector<std::string>> groups;
  std::vector<Naming> names;
  for (const FaultOutcome& outcome : outcomes)
    for (const Sighting& sighting : outcome.sightings) {
      if (outcome.control || sighting.place == Sighting::unseen) continue;
      groups[{sighting.golden, sighting.case_name, sighting.path}].push_back(outcome.fault);
      names.push_back(
          {.fault = outcome.fault, .golden = sighting.golden, .case_name = sighting.case_name, .path = sighting.path});
    }
  std::vector<Work> works;
  std::vector<const decltype(groups)::value_type*> order;
  for (const auto& group : groups) order.push_back(&group);
  // The longest first, so that none is left alone at the end.
  std::ranges::stable_sort(order, [](const auto* a, const auto* b) { return a->second.size() > b->second.size(); });
  for (const auto* group : order)
    works.push_back([group, &goldens](const Send& send) {
      const auto& [golden, case_name, path_name] = group->first;
      const auto entry = std::ranges::find(goldens.models, golden, &GoldenEntry::name);
      std::optional<Trial> trial;
      std::string error;
      if (entry != goldens.models.end()) {
        auto opened = Trial::open(*entry, case_name, Path::parse(path_name).value_or(Path{}));
        if (opened)
          trial = *std::move(opened);
        else
          error = opened.error().message();
      }
      for (const std::string& fault : group->second) {
        const Fault* const one = find_fault(fault);
        Naming named{.fault = fault, .error = error};
        if (trial) {
          const auto found = trial->hypotheses({&one, 1});
          if (!found)
            named.error = found.error().message();
          else if (*found)
            named = naming(fault, **found);
        } else if (one->bend && goldens.front_end) {
          const auto found = name_front_end(*one, *goldens.front_end, case_name);
          if (found)
            named = *found;
          else
            named.error = found.error().message();
        }
        send(cbor(as_json(named)));
      }
    });
  const std::vector<Outcome> done =
      isolate(works, {.children = children, .deadline = kDeadline, .ended = [&](std::size_t n) {
                        if (ended) ended(n, works.size());
                      }});
  for (std::size_t i = 0; i < order.size(); ++i) {
    const auto& [golden, case_name, path] = order[i]->first;
    std::map<std::string, Json> said;
    for (const std::string& message : done[i].messages) {
      Json json = Json::from_cbor(message);
      said.emplace(json[0].get<std::string>(), json);
    }
    for (Naming& name : names) {
      if (name.golden != golden || name.case_name != case_name || name.path != path) continue;
      const auto found = said.find(name.fault);
      if (found == said.end()) {
        name.error = done[i].what.empty() ? "no result" : done[i].what;
        continue;
      }
      const Json& json = found->second;
      name.place = Naming::Place(json[1].get<int>());
      name.best = json[2];
      name.before = json[3];
      name.left = json[4];
      name.error = json[5];
    }
  }
  return names;
}

std::vector<PairNaming> name_pairs(const std::vector<FaultOutcome>& outcomes, const FaultGoldens& goldens, int pairs,
                                   std::uint64_t seed, int children,
                                   const std::function<void(std::size_t, std::size_t)>& ended) {
  // By case and path, so that both show on the same one.
  std::map<std::tuple<std::string, std::string, std::string>, std::vector<std::string>> groups;
  for (const FaultOutcome& outcome : outcomes)
    for (const Sighting& sighting : outcome.sightings) {
      const Fault* fault = find_fault(outcome.fault);
      if (outcome.control || sighting.place == Sighting::unseen || fault == nullptr || !fault->inject) continue;
      groups[{sighting.golden, sighting.case_name, sighting.path}].push_back(outcome.fault);
    }
  std::erase_if(groups, [](const auto& group) { return group.second.size() < 2; });
  std::vector<PairNaming> names;
  if (groups.empty()) return names;
  // Each pair of faults as likely as any other: a group counts by its pairs. Drawn with our own arithmetic, because
  // std::uniform_int_distribution differs from library to library.
  std::mt19937_64 random(seed);
  const auto draw = [&](std::size_t n) { return std::size_t(random() % n); };
  std::size_t all = 0;
  for (const auto& group : groups) all += group.second.size() * (group.second.size() - 1) / 2;
  std::set<std::tuple<std::string, std::string, std::string>> drawn;
  for (std::size_t tries = 0; names.size() < std::size_t(std::max(pairs, 0)) && tries < 100 * std::size_t(pairs);
       ++tries) {
    std::size_t at = draw(all);
    auto group = groups.begin();
    for (; at >= group->second.size() * (group->second.size() - 1) / 2; ++group)
      at -= group->second.size() * (group->second.size() - 1) / 2;
    const std::size_t a = draw(group->second.size()), b = draw(group->second.size());
    if (a >= b) continue;
    const auto& [golden, case_name, path] = group->first;
    if (!drawn.insert({golden, group->second[a], group->second[b]}).second) continue;
    names.push_back({.golden = golden, .case_name = case_name, .path = path});
    names.back().faults[0] = group->second[a];
    names.back().faults[1] = group->second[b];
  }
  std::vector<Work> works;
  for (const PairNaming& pair : names)
    works.push_back([&pair, &goldens](const Send& send) {
      const auto entry = std::ranges::find(goldens.models, pair.golden, &GoldenEntry::name);
      if (entry == goldens.models.end()) return send(cbor({"", false, "no golden"}));
      auto trial = Trial::open(*entry, pair.case_name, Path::parse(pair.path).value_or(Path{}));
      if (!trial) return send(cbor({"", false, trial.error().message()}));
      const Fault* const both[] = {find_fault(pair.faults[0]), find_fault(pair.faults[1])};
      const auto found = trial->hypotheses(both);
      if (!found) return send(cbor({"", false, found.error().message()}));
      if (!*found) return send(cbor({"", false, "together they show nothing"}));
      const bool named = std::ranges::any_of(**found, [&](const Hypothesis& one) {
        return one.tied && (one.fault == pair.faults[0] || one.fault == pair.faults[1]);
      });
      send(cbor({(*found)->empty() ? "" : (*found)->front().fault, named, ""}));
    });
  const std::vector<Outcome> done =
      isolate(works, {.children = children, .deadline = kDeadline, .ended = [&](std::size_t n) {
                        if (ended) ended(n, works.size());
                      }});
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (done[i].messages.empty()) {
      names[i].error = done[i].what.empty() ? "no result" : done[i].what;
      continue;
    }
    const Json json = Json::from_cbor(done[i].messages.front());
    names[i].best = json[0];
    names[i].named = json[1];
    names[i].error = json[2];
  }
  return names;
}

}  // namespace assay
