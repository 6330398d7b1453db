#include "harness/verify/verify.h"

#include <algorithm>
#include <fstream>
#include <memory>

#include <fmt/format.h>
#include <omp.h>

#include "golden/check.h"
#include "golden/child.h"
#include "harness/verify/isolate.h"
#include "harness/verify/verify_case.h"
#include "reports/json.h"

namespace assay {
namespace {

// A case's first message is one of these and what belongs to it; each further one is a PathResult in JSON.
constexpr std::string_view kPaths = "paths";
constexpr std::string_view kBad = "bad";
constexpr std::string_view kCase = "case";  // before each case's messages

/// Selected paths on which the filter takes any tap or the ids.
std::vector<Path> selected_paths(const Subject& subject, const SubjectCase& loaded, const Selection& selection) {
  std::vector<Path> paths = paths_of(subject.checkpoint.plan, loaded.golden, loaded.inputs, selection);
  std::erase_if(paths, [&](Path path) {
    const auto takes = [&](std::string_view tap) {
      return filter_matches(selection.filter, subject_of(subject.name, loaded.golden.name, path.name(), tap));
    };
    return !takes(kGeneratedIds) && !takes(kGeneratedLogits) &&
           std::none_of(loaded.golden.taps.begin(), loaded.golden.taps.end(),
                        [&](const GoldenTap& tap) { return takes(tap.id.name()); });
  });
  return paths;
}

std::vector<std::string> split_lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

/// A case on an engine, over as many children as its crashes make necessary.
struct Job {
  const Engine* engine = nullptr;
  const Subject* subject = nullptr;
  std::string case_name;
  std::vector<std::string> remaining;  ///< paths that a crash before them left over; empty = from the start
  std::vector<PathResult> results;

  std::string unit() const { return unit_name(engine->can.name, subject->name, case_name); }

  CaseId id() const {
    return {engine->can.name, subject->name, subject->variant, case_name, subject->model, engine->spelt};
  }

  Work work(const VerifyOptions& options, int threads) const {
    return [this, &options, threads](const Send& send) {
      omp_set_num_threads(threads);
      const Result<SubjectCase> loaded = load_case(*subject, case_name);
      if (!loaded) return send(std::string(kBad) + "\n" + loaded.error().message());
      std::vector<Path> paths = selected_paths(*subject, *loaded, options.selection);
      if (!remaining.empty())
        std::erase_if(paths, [&](Path path) {
          return std::find(remaining.begin(), remaining.end(), path.name()) == remaining.end();
        });
      std::string names(kPaths);
      for (const Path path : paths) names += "\n" + path.name();
      send(names);
      const CaseUnderTest test{id(),           *engine,        subject->checkpoint,
                               loaded->golden, loaded->inputs, subject->target ? &*subject->target : nullptr};
      verify_case(test, paths, options.selection, [&](const PathResult& result) { send(to_json(result)); });
    };
  }

  /// Adds what came of a child; `remaining` holds what another child must do.
  Result<void> take(const Outcome& outcome) {
    remaining.clear();
    const auto unreadable = [&](std::string why) {
      return fail({Failure::bad_input, subject->name, case_name, "a readable golden", std::move(why)});
    };
    if (outcome.messages.empty()) return unreadable(outcome.what);
    std::vector<std::string> paths = split_lines(outcome.messages.front());
    if (paths.front() == kBad) return unreadable(outcome.messages.front().substr(kBad.size() + 1));
    paths.erase(paths.begin());
    for (std::size_t i = 1; i < outcome.messages.size(); ++i) {
      ASSAY_TRY(result, path_result_from_json(outcome.messages[i], "result of " + case_name));
      results.push_back(std::move(result));
    }
    const std::size_t finished = outcome.messages.size() - 1;
    if (outcome.end == Outcome::finished || finished >= paths.size()) return {};
    if (outcome.end == Outcome::crashed) {
      results.push_back(without_taps(id(), paths[finished], Verdict::crash, outcome.what));
      remaining.assign(paths.begin() + std::ptrdiff_t(finished) + 1, paths.end());
    } else {
      for (std::size_t i = finished; i < paths.size(); ++i)
        results.push_back(
            without_taps(id(), paths[i], Verdict::timeout,
                         i == finished ? outcome.what : "not run: " + paths[finished] + " took all the time"));
    }
    return {};
  }
};

/// In the order of results.
std::vector<Job> jobs_of(std::span<const Engine* const> engines, std::span<const Subject> subjects) {
  std::vector<Job> jobs;
  for (const Engine* engine : engines)
    for (const Subject& subject : subjects)
      for (const std::string& name : subject.cases)
        jobs.push_back({.engine = engine, .subject = &subject, .case_name = name, .remaining = {}, .results = {}});
  return jobs;
}

/// Cases that one child does one after the other. Of an engine in this process: one, whose crash may then cost no
/// other. Of an engine in a process of its own: those of a golden, so that it starts once for all.
struct Lane {
  std::vector<Job*> jobs;

  Work work(const VerifyOptions& options, int threads) const {
    return [this, &options, threads](const Send& send) {
      for (const Job* job : jobs) {
        send(kCase);
        job->work(options, threads)(send);
      }
    };
  }

  /// Hands each job what came of it; in `again` those of which something is left.
  Result<void> take(const Outcome& outcome, std::vector<Job*>& again) const {
    std::vector<Outcome> parts;
    for (const std::string& message : outcome.messages) {
      if (message == kCase)
        parts.emplace_back();
      else if (!parts.empty())
        parts.back().messages.push_back(message);
    }
    if (parts.empty()) parts.emplace_back();
    parts.back().end = outcome.end;
    parts.back().what = outcome.what;
    for (std::size_t i = 0; i < jobs.size(); ++i) {
      if (i < parts.size()) ASSAY_CHECK(jobs[i]->take(parts[i]));
      if (i >= parts.size() || !jobs[i]->remaining.empty()) again.push_back(jobs[i]);
    }
    return {};
  }
};

std::vector<Lane> lanes_of(std::span<Job* const> jobs, std::size_t children) {
  std::size_t groups = 0;
  const auto follows = [&](std::size_t i) {
    return i > 0 && jobs[i]->engine->outside && jobs[i]->engine == jobs[i - 1]->engine &&
           jobs[i]->subject == jobs[i - 1]->subject;
  };
  for (std::size_t i = 0; i < jobs.size(); ++i) groups += follows(i) ? 0 : 1;
  const std::size_t most = groups >= children ? jobs.size() : (jobs.size() + children - 1) / children;
  std::vector<Lane> lanes;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    if (!follows(i) || lanes.back().jobs.size() >= most) lanes.emplace_back();
    lanes.back().jobs.push_back(jobs[i]);
  }
  return lanes;
}

}  // namespace

Result<SubjectCase> load_case(const Subject& subject, const std::string& name) {
  ASSAY_TRY(golden, subject.load(name));
  ASSAY_TRY(inputs, CaseInputs::from(golden.inputs, subject.name + "/" + name));
  return SubjectCase{std::move(golden), std::move(inputs)};
}

namespace {

/// A golden that no manifest vouches for: HDF5 sees it in child processes only.
Result<Subject> open_foreign(const std::string& file, const std::string& model) {
  ASSAY_TRY(checkpoint, Checkpoint::open(model));
  const auto summary = [&]() -> Result<std::string> {
    ASSAY_TRY(golden, Golden::open(file));
    ASSAY_CHECK(check_belongs(golden.info(), model));
    if (!golden.info().target.empty())
      return fail({Failure::unsupported, file, "@target", "a golden of one model by itself",
                   "a drafter's, whose target " + golden.info().target + " is looked up in the repository"});
    if (const auto findings = check_plan(golden.info(), checkpoint.plan); !findings.empty())
      return fail({Failure::bad_input, file, findings.front().at, "the plan of " + model, findings.front().what});
    std::string lines = golden.info().variant;
    for (const std::string& name : golden.info().cases) lines += "\n" + name;
    return lines;
  };
  std::error_code error;
  if (!std::filesystem::is_regular_file(file, error)) return fail({Failure::io, file, "", "a golden's file", "none"});
  ASSAY_TRY(text, in_child(file, {}, summary));
  std::vector<std::string> lines = split_lines(text);
  if (lines.empty()) return fail({Failure::bad_input, file, "variant", "a name", "none"});
  return Subject{file,
                 lines.front(),
                 std::move(checkpoint),
                 {lines.begin() + 1, lines.end()},
                 [file](std::string_view name) -> Result<GoldenCase> {
                   ASSAY_TRY(golden, Golden::open(file));
                   return golden.load(name);
                 },
                 model};
}

}  // namespace

namespace {

/// The definition is compared before a byte is drawn.
Result<Checkpoint> open_synthetic(const GoldenEntry& entry, const GoldenInfo& info, const std::filesystem::path& cache,
                                  bool weights) {
  ASSAY_TRY(model, synthetic_model(*entry.synthetic));
  ASSAY_CHECK(check_belongs(info, model));
  if (weights) return open_checkpoint(entry, cache);
  Checkpoint checkpoint;
  checkpoint.plan = std::move(model.plan);
  return checkpoint;
}

}  // namespace

Result<std::vector<Subject>> open_goldens(const std::filesystem::path& data, const Selection& selection, bool weights) {
  if (!selection.model.empty()) {
    if (selection.goldens.size() != 1)
      return fail({Failure::bad_input, "--model", "", "one --golden FILE.h5 beside it",
                   std::to_string(selection.goldens.size())});
    ASSAY_TRY(subject, open_foreign(selection.goldens.front(), selection.model));
    std::vector<Subject> subjects;
    subjects.push_back(std::move(subject));
    return subjects;
  }
  ASSAY_TRY(entries, list_goldens(data));
  for (const std::string& name : selection.goldens)
    if (std::none_of(entries.begin(), entries.end(), [&](const GoldenEntry& entry) { return entry.name == name; }))
      return fail({Failure::bad_input, data.string(), "", "a golden called " + name, "none"});
  std::vector<Subject> subjects;
  for (const GoldenEntry& entry : entries) {
    if (!selection.has_golden(entry.name) || (entry.synthetic && selection.goldens.empty())) continue;
    ASSAY_CHECK(check_manifest(data, entry.name));
    ASSAY_TRY(golden, Golden::open(entry.file));
    const GoldenInfo info = golden.info();
    ASSAY_TRY(checkpoint,
              entry.synthetic ? open_synthetic(entry, info, selection.cache, weights) : open_checkpoint(entry));
    std::optional<Checkpoint> target;
    if (!info.target.empty()) {
      ASSAY_TRY(opened, open_target(data, info, checkpoint.plan));
      target = std::move(opened.checkpoint);
    }
    subjects.push_back({entry.name,
                        info.variant,
                        std::move(checkpoint),
                        info.cases,
                        [golden = std::move(golden)](std::string_view name) { return golden.load(name); },
                        {},
                        std::move(target)});
  }
  return subjects;
}

std::vector<std::string> units_of(std::span<const Engine* const> engines, std::span<const Subject> subjects) {
  std::vector<std::string> names;
  for (const Job& job : jobs_of(engines, subjects)) names.push_back(job.unit());
  return names;
}

Result<std::vector<PathResult>> verify(std::span<const Engine* const> engines, std::span<const Subject> subjects,
                                       const VerifyOptions& options) {
  std::vector<Job> jobs = jobs_of(engines, subjects);
  const Units& units = options.units;
  if (units.takes) std::erase_if(jobs, [&](const Job& job) { return !units.takes(job.unit()); });
  const int children = options.children > 0 ? options.children : cores();
  const int threads = std::max(1, cores() / std::max(1, std::min(children, int(jobs.size()))));

  std::vector<Job*> waiting;
  waiting.reserve(jobs.size());
  std::size_t done = 0;
  for (Job& job : jobs) {
    const std::vector<PathResult>* before = units.recall ? units.recall(job.unit()) : nullptr;
    if (before == nullptr) {
      waiting.push_back(&job);
    } else {
      job.results = *before;
      ++done;
    }
  }
  while (!waiting.empty()) {
    const std::vector<Lane> lanes = lanes_of(waiting, std::size_t(children));
    std::vector<Work> works;
    works.reserve(lanes.size());
    std::size_t longest = 1;
    for (const Lane& lane : lanes) {
      works.push_back(lane.work(options, threads));
      longest = std::max(longest, lane.jobs.size());
    }
    IsolateOptions isolation{.children = children, .deadline = options.timeout * double(longest), .ended = {}};
    if (options.progress)
      isolation.ended = [&](std::size_t ended) {
        options.progress(done + ended * waiting.size() / lanes.size(), done + waiting.size());
      };
    Result<void> taken;  // the first failure; what runs then still ends
    std::vector<Job*> again;
    isolation.came = [&](std::size_t i, const Outcome& outcome) {
      if (taken) taken = lanes[i].take(outcome, again);
      for (const Job* job : lanes[i].jobs)
        if (taken && units.keep && std::find(again.begin(), again.end(), job) == again.end())
          taken = units.keep(job->unit(), job->results);
    };
    isolate(works, isolation);
    ASSAY_CHECK(taken);
    done += waiting.size() - again.size();
    waiting = std::move(again);
  }
  std::vector<PathResult> results;
  for (Job& job : jobs) std::move(job.results.begin(), job.results.end(), std::back_inserter(results));
  return results;
}

Result<std::vector<Planned>> plan_of(std::span<const Subject> subjects, const Selection& selection) {
  std::vector<Planned> planned;
  for (const Subject& subject : subjects)
    for (const std::string& name : subject.cases) {
      ASSAY_TRY(loaded, load_case(subject, name));
      for (const Path path : selected_paths(subject, loaded, selection))
        planned.push_back({subject.name, name, path.name()});
    }
  return planned;
}

Machine this_machine() {
  Machine machine{.cpu = "unknown", .cores = cores()};
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);) {
    const std::size_t colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) {
      machine.cpu = line.substr(colon + 2);
      break;
    }
  }
  return machine;
}

}  // namespace assay
