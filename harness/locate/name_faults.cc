#include "harness/locate/name_faults.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <tuple>
#include <utility>

#include <omp.h>
#include <nlohmann/json.hpp>

#include "harness/frontend/stages.h"
#include "harness/locate/front_end.h"
#include "harness/locate/hypotheses.h"
#include "harness/locate/trial.h"
#include "harness/verify/isolate.h"
#include "model/processor/front_end.h"

namespace assay {
namespace {

using Json = nlohmann::json;

constexpr std::chrono::seconds kDeadline{1800};
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

std::string cbor(const Json& json) {
  const std::vector<std::uint8_t> bytes = Json::to_cbor(json);
  return {bytes.begin(), bytes.end()};
}

/// Faults and pairs of them that are asked for on the same case and path share its suspects.
struct Group {
  std::vector<std::size_t> faults, pairs;  ///< of Named
  std::size_t asked() const { return faults.size() + pairs.size(); }
};
using Groups = std::map<std::tuple<std::string, std::string, std::string>, Group>;

std::vector<Naming> one_by_one(const std::vector<FaultOutcome>& outcomes) {
  std::vector<Naming> names;
  for (const FaultOutcome& outcome : outcomes)
    for (const Sighting& sighting : outcome.sightings)
      if (!outcome.control && sighting.place != Sighting::unseen)
        names.push_back({.fault = outcome.fault,
                         .golden = sighting.golden,
                         .case_name = sighting.case_name,
                         .path = sighting.path});
  return names;
}

/// Pairs of faults that show on the same case and path, each as likely as any other: a case counts by its pairs.
std::vector<PairNaming> draw_pairs(const std::vector<FaultOutcome>& outcomes, int pairs, std::uint64_t seed) {
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
  // Drawn with our own arithmetic, because std::uniform_int_distribution differs from library to library.
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
  return names;
}

Naming name_one(Trial* trial, const FaultGoldens& goldens, const Naming& asked) {
  const Fault* const fault = find_fault(asked.fault);
  Naming named = asked;
  const auto wrong = [&](const Failure& why) {
    named.error = why.message();
    return named;
  };
  if (trial != nullptr) {
    const auto found = trial->hypotheses({&fault, 1});
    if (!found) return wrong(found.error());
    return *found ? naming(asked.fault, **found) : named;
  }
  if (!fault->bend || !goldens.front_end) return named;
  const auto found = name_front_end(*fault, *goldens.front_end, asked.case_name);
  return found ? *found : wrong(found.error());
}

PairNaming name_pair(Trial& trial, PairNaming pair) {
  const Fault* const both[] = {find_fault(pair.faults[0]), find_fault(pair.faults[1])};
  const auto found = trial.hypotheses(both);
  if (!found) {
    pair.error = found.error().message();
  } else if (!*found) {
    pair.error = "together they show nothing";
  } else {
    pair.named = std::ranges::any_of(**found, [&](const Hypothesis& one) {
      const auto has = [&](const std::string& fault) {
        return one.fault == fault || std::ranges::find(one.with, fault) != one.with.end();
      };
      return one.tied && (has(pair.faults[0]) || has(pair.faults[1]));
    });
    if (!(*found)->empty()) pair.best = (*found)->front().fault;
  }
  return pair;
}

/// Runs in a child. Sends [is a pair, its index, ...] as soon as it knows.
void name_group(const Groups::value_type& group, const Named& asked, const FaultGoldens& goldens, const Send& send) {
  omp_set_num_threads(1);  // there is a child a core
  const auto& [golden, case_name, path_name] = group.first;
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
  for (const std::size_t i : group.second.faults) {
    Naming named = asked.faults[i];
    named.error = error;
    if (error.empty()) named = name_one(trial ? &*trial : nullptr, goldens, asked.faults[i]);
    send(cbor({false, i, int(named.place), named.best, named.before, named.left, named.error}));
  }
  for (const std::size_t i : group.second.pairs) {
    PairNaming named = asked.pairs[i];
    named.error = error.empty() ? "no golden" : error;
    if (trial) named = name_pair(*trial, asked.pairs[i]);
    send(cbor({true, i, named.best, named.named, named.error}));
  }
}

/// Takes what a child sent into `named`; what it did not come to gets the child's end as its error.
void take(const Group& group, const Outcome& outcome, Named& named) {
  const std::string end = outcome.what.empty() ? "no result" : outcome.what;
  for (const std::size_t i : group.faults) named.faults[i].error = end;
  for (const std::size_t i : group.pairs) named.pairs[i].error = end;
  for (const std::string& message : outcome.messages) {
    const Json json = Json::from_cbor(message);
    const std::size_t i = json[1];
    if (json[0].get<bool>()) {
      PairNaming& pair = named.pairs[i];
      pair.best = json[2];
      pair.named = json[3];
      pair.error = json[4];
      continue;
    }
    Naming& one = named.faults[i];
    one.place = Naming::Place(json[2].get<int>());
    one.best = json[3];
    one.before = json[4];
    one.left = json[5];
    one.error = json[6];
  }
}

/// What is known of a group alone.
Named part_of(const Named& named, const Group& group) {
  Named part;
  for (const std::size_t i : group.faults) part.faults.push_back(named.faults[i]);
  for (const std::size_t i : group.pairs) part.pairs.push_back(named.pairs[i]);
  return part;
}

}  // namespace

Named name_faults(const std::vector<FaultOutcome>& outcomes, const FaultGoldens& goldens,
                  const NamingOptions& options) {
  Named named;
  if (options.singly) named.faults = one_by_one(outcomes);
  named.pairs = draw_pairs(outcomes, options.pairs, options.seed);
  Groups groups;
  for (std::size_t i = 0; i < named.faults.size(); ++i)
    groups[{named.faults[i].golden, named.faults[i].case_name, named.faults[i].path}].faults.push_back(i);
  for (std::size_t i = 0; i < named.pairs.size(); ++i)
    groups[{named.pairs[i].golden, named.pairs[i].case_name, named.pairs[i].path}].pairs.push_back(i);
  std::vector<const Groups::value_type*> order;
  for (const auto& group : groups) order.push_back(&group);
  // The longest first, so that none is left alone at the end.
  std::ranges::stable_sort(order, [](const auto* a, const auto* b) { return a->second.asked() > b->second.asked(); });
  const Named asked = named;
  std::vector<Work> works;
  for (const auto* group : order)
    works.push_back([group, &asked, &goldens](const Send& send) { name_group(*group, asked, goldens, send); });
  std::size_t done = 0;
  isolate(works, {.children = options.children,
                  .deadline = kDeadline,
                  .ended = {},
                  .came = [&](std::size_t at, const Outcome& outcome) {
                    const Group& group = order[at]->second;
                    take(group, outcome, named);
                    if (options.ended) options.ended(part_of(named, group), ++done, order.size());
                  }});
  return named;
}

}  // namespace assay
