// `assay faults`: the catalogue, and whether the suite finds every one of it.
#include <algorithm>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "golden/store.h"
#include "harness/cli/faults_json.h"
#include "harness/cli/progress.h"
#include "harness/cli/verbs.h"
#include "harness/faults/run.h"
#include "harness/locate/name_faults.h"

namespace assay {
namespace {

struct Options {
  std::vector<std::string> names;
  std::string golden;
  std::string arithmetic = "fp32";
  std::string out;
  int children = 0;
  bool json = false, markdown = false, verbose = false, name = false;
  int pairs = 0;
  std::uint64_t seed = 1;
};

nlohmann::json as_json(const Fault& fault) {
  return {{"name", fault.name},
          {"row", fault.row},
          {"what", fault.what},
          {"shipped_in", fault.shipped_in},
          {"control", fault.control}};
}

int list(const Options& options) {
  if (options.json) {
    nlohmann::json all = nlohmann::json::array();
    for (const Fault& fault : faults()) all.push_back(as_json(fault));
    fmt::print("{}\n", all.dump(1));
    return 0;
  }
  if (options.markdown) {
    fmt::print("{}", catalogue_markdown());
    return 0;
  }
  for (const Fault& fault : faults()) fmt::print("{:<4} {:<36} {}\n", fault.row, fault.name, fault.what);
  fmt::print("{} faults\n", faults().size());
  return 0;
}

int show(const Options& options) {
  for (const std::string& name : options.names) {
    const Fault* fault = find_fault(name);
    if (fault == nullptr)
      return report({Failure::bad_input, "faults show", "NAME", "a fault of `assay faults list`", name});
    if (options.json) {
      fmt::print("{}\n", as_json(*fault).dump(1));
      continue;
    }
    fmt::print("{} ({})\n  {}\n", fault->name, fault->row == "x" ? "not reported so far" : fault->row, fault->what);
    if (!fault->shipped_in.empty()) fmt::print("  shipped in: {}\n", fault->shipped_in);
    fmt::print("  {}\n", fault->control ? "must not be flagged"
                                        : "try it: ./assay faults run " + std::string(fault->name) + " -v");
  }
  return 0;
}

void print(const FaultOutcome& outcome, bool verbose) {
  const std::string_view verdict = outcome.as_it_should() ? "ok" : "FAIL";
  if (!outcome.error.empty()) {
    fmt::print("{:<36} {:<5} {}\n", outcome.fault, verdict, outcome.error);
  } else {
    fmt::print(
        "{:<36} {:<5} {:>2} goldens: {:>2} exact, {} right after, {} generating, {} elsewhere, {} unseen; {:.3g} x "
        "tolerance\n",
        outcome.fault, verdict, outcome.sightings.size(), outcome.count(Sighting::exact),
        outcome.count(Sighting::right_after), outcome.count(Sighting::generating), outcome.count(Sighting::elsewhere),
        outcome.count(Sighting::unseen), outcome.ratio());
  }
  for (const Sighting& s : outcome.sightings)
    if (verbose ||
        (!outcome.as_it_should() && (s.place == Sighting::elsewhere || outcome.control || !outcome.detected())))
      fmt::print("    {:<16} {:<12} {} {} first at {}, expected {}\n", s.golden, word(s.place), s.case_name, s.path,
                 s.first.empty() ? "-" : s.first, s.expected.empty() ? "nowhere" : s.expected);
}

/// In lower precision: where it is seen first, or how near the fault alone comes to what is allowed.
void print_lossy(const FaultOutcome& outcome) {
  if (!outcome.error.empty()) {
    fmt::print("{:<36} FAIL  {}\n", outcome.fault, outcome.error);
    return;
  }
  for (const Sighting& s : outcome.sightings)
    if (s.place != Sighting::unseen) {
      fmt::print("{:<36} {} first at {} of {}/{}/{}; {:.3g} x budget\n", outcome.fault,
                 outcome.control ? "FAIL  flagged" : "seen ", s.first, s.golden, s.case_name, s.path, s.ratio);
      return;
    }
  const auto nearest = std::ranges::max_element(outcome.sightings, {}, &Sighting::ratio);
  if (nearest == outcome.sightings.end())
    fmt::print("{:<36} FAIL  no golden has anything to bend\n", outcome.fault);
  else
    fmt::print("{:<36} {} {:.3g} x budget at {}/{}: effect {:.3g}, noise {:.3g}\n", outcome.fault,
               outcome.control          ? "quiet"
               : outcome.below_budget() ? "below"
                                        : "FAIL  over and not seen:",
               nearest->ratio, nearest->golden, nearest->nearest, nearest->effect, nearest->noise);
}

void print(const std::vector<Naming>& names, bool verbose) {
  for (const Naming& n : names)
    if (verbose || !n.named() || !n.error.empty())
      fmt::print("    {:<16} {:<12} {} {} {}\n", n.golden, n.named() ? "named" : "not named", n.case_name, n.path,
                 !n.error.empty()           ? n.error
                 : n.place == Naming::first ? "first"
                 : n.place == Naming::tied  ? (n.best == n.fault ? "first" : "tied with " + n.best)
                 : n.best.empty()           ? "no hypothesis"
                                            : "first is " + n.best);
}

double percent(std::ptrdiff_t part, std::ptrdiff_t whole) {
  return whole == 0 ? 100 : 100 * double(part) / double(whole);
}

/// What the catalogue's names come to.
struct NameTally {
  int faults = 0, named = 0, alone = 0, exact = 0, cases = 0, firsts = 0, ties = 0;

  void add(const FaultOutcome& outcome, const std::vector<Naming>& names) {
    exact += !outcome.control && outcome.as_it_should() && outcome.count(Sighting::right_after) == 0;
    if (names.empty()) return;
    ++faults;
    named += std::ranges::all_of(names, &Naming::named);
    alone += std::ranges::all_of(names, [](const Naming& n) { return n.place == Naming::first; });
    for (const Naming& n : names) {
      ++cases;
      firsts += n.place == Naming::first;
      ties += n.place == Naming::tied;
    }
  }
  /// A fault's name is help, its place is what the suite promises: less than all will do.
  bool enough() const { return percent(named, faults) >= 90; }
};

/// What is known so far, a line each, on the disk before the next: a run that is ended early leaves what it found.
class Journal {
 public:
  /// @param path  empty: none is kept
  static Result<Journal> open(const std::string& path) {
    Journal journal;
    if (path.empty()) return journal;
    journal.file_.open(path, std::ios::trunc);
    if (!journal.file_) return fail({Failure::bad_input, path, "--out", "a file that can be written", "none"});
    return journal;
  }
  void line(const nlohmann::json& what) {
    if (file_.is_open()) file_ << what.dump() << std::endl;
  }

 private:
  std::ofstream file_;
};

/// @param only  a golden's name; empty = all
Result<FaultGoldens> find_goldens(const std::string& only) {
  FaultGoldens goldens;
  ASSAY_TRY(models, list_goldens(data_folder()));
  ASSAY_CHECK(check_manifest(data_folder()));
  goldens.models = std::move(models);
  std::erase_if(goldens.models, [](const GoldenEntry& entry) { return entry.synthetic.has_value(); });  // minutes each
  if (!only.empty()) std::erase_if(goldens.models, [&](const GoldenEntry& entry) { return entry.name != only; });
  if ((only.empty() || only == kFrontEnd) && FrontEndGolden::exists(data_folder())) {
    ASSAY_TRY(front_end, FrontEndGolden::open(data_folder()));
    goldens.front_end = std::move(front_end);
  }
  if (goldens.models.empty() && !goldens.front_end)
    return fail({Failure::bad_input, data_folder().string(), "golden", "at least one", "none"});
  return goldens;
}

int run(const Options& options) {
  std::vector<const Fault*> chosen;
  for (const std::string& name : options.names) {
    const Fault* fault = find_fault(name);
    if (fault == nullptr)
      return report({Failure::bad_input, "faults run", "NAME", "a fault of `assay faults list`", name});
    chosen.push_back(fault);
  }
  if (chosen.empty())
    for (const Fault& fault : faults()) chosen.push_back(&fault);

  const bool lossy = options.arithmetic != "fp32";
  const std::size_t all_chosen = chosen.size();
  if (lossy) std::erase_if(chosen, [](const Fault* fault) { return !has_budget(*fault); });
  if (lossy && (options.name || options.pairs > 0))
    return report(
        {Failure::bad_input, "faults run", "--arithmetic", "fp32 beside --name and --pairs", options.arithmetic});
  const auto goldens = find_goldens(options.golden);
  if (!goldens) return report(goldens.error());

  auto journal = Journal::open(options.out);
  if (!journal) return report(journal.error());
  const Progress progress("faults");
  const std::vector<FaultOutcome> outcomes = run_faults(
      chosen, *goldens, options.children,
      [&](const FaultOutcome& outcome, std::size_t done) {
        journal->line(as_json(outcome, options.arithmetic, {}));
        progress.show(done, chosen.size());
      },
      options.arithmetic);
  progress.clear();

  Named named;
  if (options.name || options.pairs > 0) {
    const Progress naming("cases named");
    named = name_faults(outcomes, *goldens,
                        {.singly = options.name,
                         .pairs = options.pairs,
                         .seed = options.seed,
                         .children = options.children,
                         .ended = [&](const Named& here, std::size_t done, std::size_t every) {
                           for (const Naming& name : here.faults) journal->line({{"naming", as_json(name)}});
                           for (const nlohmann::json& pair : as_json(here.pairs)) journal->line({{"pair", pair}});
                           naming.show(done, every);
                         }});
    naming.clear();
  }
  const std::vector<PairNaming>& pairs = named.pairs;

  NameTally tally;
  int found = 0, wanted = 0, right = 0, quiet = 0, controls = 0, below = 0;
  nlohmann::json all = nlohmann::json::array();
  for (const FaultOutcome& outcome : outcomes) {
    if (outcome.control) {
      ++controls;
      quiet += outcome.as_it_should();
    } else {
      ++wanted;
      found += outcome.detected();
      below += outcome.below_budget();
      right += lossy ? outcome.detected() || outcome.below_budget() : outcome.as_it_should();
    }
    std::vector<Naming> own;
    std::ranges::copy_if(named.faults, std::back_inserter(own),
                         [&](const Naming& n) { return n.fault == outcome.fault; });
    tally.add(outcome, own);
    if (!options.json) {
      if (lossy)
        print_lossy(outcome);
      else
        print(outcome, options.verbose);
      print(own, options.verbose);
      continue;
    }
    all.push_back(as_json(outcome, options.arithmetic, own));
  }
  const auto one_named = std::ranges::count_if(pairs, &PairNaming::named);
  if (options.json && options.pairs > 0) all = {{"faults", std::move(all)}, {"pairs", as_json(pairs)}};
  for (const PairNaming& pair : pairs)
    if (!options.json && (options.verbose || !pair.named))
      fmt::print("{:<5} {} {} {}: {} + {}: {}\n", pair.named ? "ok" : "MISS", pair.golden, pair.case_name, pair.path,
                 pair.faults[0], pair.faults[1],
                 pair.error.empty() ? "best is " + (pair.best.empty() ? "none" : pair.best) : pair.error);
  if (options.json)
    fmt::print("{}\n", all.dump(1));
  else if (lossy)
    fmt::print(
        "faults in {}: {} of {} detected, {} below what it may lose, {} neither; {} of {} controls left alone; {} that "
        "are "
        "exact in any arithmetic were not run\n",
        options.arithmetic, found, wanted, below, wanted - right, quiet, controls, all_chosen - chosen.size());
  else
    fmt::print("faults: {} of {} detected, {} placed; {} of {} controls left alone\n", found, wanted, right, quiet,
               controls);
  if (!options.json && options.name) {
    fmt::print("detected: {} of {} faults ({:.1f} %)\n", found, wanted, percent(found, wanted));
    fmt::print("placed: {} of {} faults ({:.1f} %) at the exact tap, {} more at the next one that a case holds\n",
               tally.exact, wanted, percent(tally.exact, wanted), right - tally.exact);
    fmt::print(
        "named: {} of {} faults ({:.1f} %) first on every golden that shows them, or tied with the first where the "
        "case cannot tell them apart; {} ({:.1f} %) first on every one\n",
        tally.named, tally.faults, percent(tally.named, tally.faults), tally.alone, percent(tally.alone, tally.faults));
    fmt::print("named, by case: of {} {} first, {} tied ({:.1f} %)\n", tally.cases, tally.firsts, tally.ties,
               percent(tally.firsts + tally.ties, tally.cases));
  }
  if (!options.json && options.pairs > 0)
    fmt::print("pairs: one of the two named in {} of {} ({:.1f} %), seed {}\n", one_named, pairs.size(),
               percent(one_named, std::ssize(pairs)), options.seed);
  return right == wanted && quiet == controls && (!options.name || tally.enough()) ? 0 : 1;
}

}  // namespace

void add_faults(CLI::App& app, int& exit) {
  auto* verb = app.add_subcommand("faults", "the fault catalogue: list it, show one, run it against the goldens");
  verb->footer("Example: assay faults run rope-global-short -v");
  verb->require_subcommand(1);
  const auto options = std::make_shared<Options>();

  auto* list_verb = verb->add_subcommand("list", "every fault, one line each");
  list_verb->footer("Example: assay faults list --json");
  list_verb->add_flag("--json", options->json, "as JSON");
  list_verb->add_flag("--markdown", options->markdown, "as docs/FAULTS.md");
  list_verb->callback([options, &exit] { exit = list(*options); });

  auto* show_verb = verb->add_subcommand("show", "what a fault does and where it was shipped");
  show_verb->footer("Example: assay faults show donor-first-of-kind");
  show_verb->add_option("NAME", options->names, "faults")->required();
  show_verb->add_flag("--json", options->json, "as JSON");
  show_verb->callback([options, &exit] { exit = show(*options); });

  auto* run_verb = verb->add_subcommand("run", "inject faults into the reference: each must be detected, at its tap");
  run_verb->footer(
      "Example: assay faults run rope-global-short softcap-missing -v\n"
      "Exit code: 0 all found where they must be and controls left alone, 1 not so, 2 could not be run.");
  run_verb->add_option("NAME", options->names, "faults; all of them if none is named");
  run_verb->add_option("--golden", options->golden, "only this golden");
  run_verb
      ->add_option("--arithmetic", options->arithmetic,
                   "fp32; or bf16 or fp16: round all that the bent reference computes, and judge by what that loses")
      ->check(CLI::IsMember({"fp32", "bf16", "fp16"}));
  run_verb->add_option("-j", options->children, "processes at once; 0 = as many as cores");
  run_verb->add_flag("--json", options->json, "as JSON");
  run_verb->add_option("--out", options->out, "write what becomes of each as soon as it is known, a line of JSON each");
  run_verb->add_flag("--name", options->name,
                     "whether `locate` would call each by its name, on each golden that shows it");
  run_verb->add_option("--pairs", options->pairs, "so many random pairs of faults at once: is one of the two named?")
      ->check(CLI::Range(0, 1'000'000));
  run_verb->add_option("--seed", options->seed, "of the pairs")->capture_default_str();
  run_verb->add_flag("-v", options->verbose, "every golden's sighting");
  run_verb->callback([options, &exit] { exit = run(*options); });
}

}  // namespace assay
