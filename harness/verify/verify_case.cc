#include "harness/verify/verify_case.h"

#include <algorithm>
#include <chrono>

#include <fnmatch.h>

#include <fmt/format.h>

#include "harness/drive/draft.h"
#include "harness/drive/speculative.h"
#include "harness/drive/tap_pattern.h"
#include "harness/judge/judge.h"
#include "harness/verify/golden_round.h"
#include "harness/verify/other_experts.h"

namespace assay {
namespace {

/// What ids are chosen from: always offered.
bool is_logits(TapId id) { return id.tap == Tap::logits || id.tap == Tap::assistant_logits; }

bool offers(const Engine& engine, LogitRows logits, TapId id) {
  const std::string name = id.name();
  if (is_logits(id)) return logits != LogitRows::none;
  return std::any_of(engine.can.taps.begin(), engine.can.taps.end(),
                     [&](const std::string& pattern) { return tap_matches(pattern, name); });
}

/// What a Failure of an engine on a golden's inputs says about the engine.
Verdict verdict_of(const Failure& failure) {
  if (failure.kind == Failure::unsupported) return Verdict::unsupported;
  if (failure.kind == Failure::internal && failure.expected == kInTime) return Verdict::timeout;
  if (failure.kind != Failure::bad_output) return Verdict::crash;  // it refused what is right, or broke down politely
  return failure.expected == kFiniteLogits ? Verdict::fail_nan : Verdict::fail_shape;
}

/// The capability that a path needs and the engine lacks; empty if it has all.
std::string lacks(const Capabilities& can, Path path) {
  if (path.kind != Path::nocache && !can.cache) return "the engine has no cache";
  if (path.kind == Path::batched && !can.batch) return "the engine takes no batches";
  return "";
}

/// What the engine declares about the variant. Nothing declared about any: what it can of all.
Result<VariantSupport> support_of(const Engine& engine, const CaseId& id) {
  const Capabilities& can = engine.can;
  if (can.variants.empty()) return VariantSupport{.variant = id.variant, .dtypes = {}, .logits = can.logits};
  for (const VariantSupport& support : can.variants)
    if (::fnmatch(support.variant.c_str(), id.variant.c_str(), 0) == 0) return support;
  return fail({Failure::unsupported, id.engine, id.variant, "a variant that the engine declares", "none that matches"});
}

/// The dtype of a weight that an engine of these dtypes cannot be given, as it is or as F32; empty: there is none.
std::string_view foreign_dtype(const Checkpoint& checkpoint, std::span<const std::string> dtypes) {
  const auto takes = [&](std::string_view dtype) {
    return std::find(dtypes.begin(), dtypes.end(), dtype) != dtypes.end();
  };
  if (dtypes.empty() || takes("F32")) return "";
  for (const auto& [name, tensor] : checkpoint.tensors)
    if (tensor.has_floats() && !name.ends_with(".layer_scalar") && !takes(name_of(tensor.dtype)))
      return name_of(tensor.dtype);
  return "";
}

constexpr std::string_view kIdsAlone = "ids alone were judged: nothing was numerically verified";

class CaseVerifier {
 public:
  CaseVerifier(const CaseUnderTest& test, const Selection& selection)
      : test_(test),
        selection_(selection),
        view_{.plan = test.checkpoint.plan,
              .batch = test.inputs.batch,
              .tokens = test.inputs.tokens,
              .mask = test.inputs.mask,
              .positions = test.inputs.positions,
              .media = media_rows(test.checkpoint.plan, test.inputs.more).value_or(MediaRows{}),  // drive() says why
              .taps = test.golden.taps,
              .arithmetic = test.engine.can.arithmetic},
        vacuous_(test.golden.taps.size()) {
    if (!test.checkpoint.plan.assistant) return;
    view_.tokens = test.golden.draft_steps;  // rows of a drafter's taps are steps of a round, none of them padding
    view_.mask = view_.positions = {};
  }

  PathResult run(Path path) {
    const auto start = std::chrono::steady_clock::now();
    PathResult result = judge(path);
    result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return result;
  }

 private:
  PathResult judge(Path path) {
    if (std::string lack = lacks(test_.engine.can, path); !lack.empty())
      return without_taps(test_.id, path.name(), Verdict::unsupported, std::move(lack));
    const Result<VariantSupport> support = support_of(test_.engine, test_.id);
    if (!support) return without_taps(test_.id, path.name(), Verdict::unsupported, support.error().message());
    if (const std::string_view dtype = foreign_dtype(test_.checkpoint, support->dtypes); !dtype.empty())
      return without_taps(test_.id, path.name(), Verdict::unsupported,
                          fmt::format("the engine declares no {} weights of {}, nor F32", dtype, test_.id.variant));
    logits_ = support->logits;
    auto session = test_.engine.open(test_.checkpoint);
    if (!session) return without_taps(test_.id, path.name(), verdict_of(session.error()), session.error().message());
    PathResult result = judge_by_golden(**session, path);
    if (may_choose_otherwise(view_.plan, view_.arithmetic) && std::ranges::any_of(result.taps, other_experts_show))
      judge_other_experts(**session, path, result);
    return result;
  }

  /// Whether experts that the golden did not choose may be the reason, or were let pass.
  static bool other_experts_show(const TapResult& tap) {
    const auto id = TapId::parse(tap.tap);
    return tap.verdict == Verdict::fail_numeric || (id && id->tap == Tap::router_topk && !tap.note.empty());
  }

  /// Replaces a result by one that allows for the choice of experts that rounding leaves open.
  void judge_other_experts(Session& session, Path path, PathResult& result) {
    const std::vector<TapId> taps = all_taps(view_.plan);
    const bool shows_all = std::ranges::all_of(
        taps, [&](TapId id) { return id.tap != Tap::router_topk || offers(test_.engine, logits_, id); });
    if (!shows_all) return let_unsure_experts_pass(path, result);
    const auto other = with_experts_of(session, test_.checkpoint, test_.golden, test_.inputs, path, view_.arithmetic);
    if (!other || !*other) return;
    const CaseUnderTest test{test_.id, test_.engine, test_.checkpoint, (*other)->golden, test_.inputs, test_.target};
    CaseVerifier again(test, selection_);
    again.logits_ = logits_;
    result = again.judge_by_golden(session, path);
    const std::string note = (*other)->note();
    result.note = result.note.empty() ? note : note + "; " + result.note;
  }

  /// Of an engine that does not show its choice nobody can tell a wrong value from another expert's.
  void let_unsure_experts_pass(Path path, PathResult& result) const {
    const auto unsure = unsure_experts(test_.checkpoint, test_.golden, test_.inputs, path, view_.arithmetic);
    if (!unsure || !*unsure) return;
    const int layers = int(view_.plan.layers.size());
    const int from = TapId{Tap::router_topk, (*unsure)->layer}.order(layers);
    for (TapResult& tap : result.taps) {
      const auto id = TapId::parse(tap.tap);  // none for what is generated
      if (tap.verdict != Verdict::fail_numeric || (id && id->order(layers) < from)) continue;
      tap.verdict = Verdict::unsupported;
      tap.note = fmt::format(
          "ambiguous: in {} rows rounding may take other experts, from layer {} on, and the engine shows no "
          "router.topk",
          (*unsure)->rows, (*unsure)->layer);
    }
    result.verdict = Verdict::pass;
    conclude(result);
  }

  PathResult judge_by_golden(Session& session, Path path) {
    PathResult result = without_taps(test_.id, path.name(), Verdict::pass, "");
    const std::vector<TapId> all = wanted(path);
    std::vector<TapId> logits;
    std::copy_if(all.begin(), all.end(), std::back_inserter(logits), is_logits);
    if (all.size() > logits.size()) judge_taps(session, path, all, "taps", result);
    if (!logits.empty()) judge_taps(session, path, logits, "logits", result);
    if (test_.golden.generated > 0 && (selected(path, kGeneratedIds) || selected(path, kGeneratedLogits))) {
      if (logits_ != LogitRows::none)
        judge_generated(session, path, result);
      else if (test_.engine.can.generate && selected(path, kGeneratedIds) && whole_prompt(path))
        judge_own_ids(session, result);
    }
    conclude(result);
    if (result.verdict == Verdict::pass && std::all_of(result.taps.begin(), result.taps.end(),
                                                       [](const TapResult& tap) { return tap.tap == kGeneratedIds; }))
      result.note = kIdsAlone;
    return result;
  }

  bool selected(Path path, std::string_view tap) const {
    return filter_matches(selection_.filter, subject_of(test_.id.golden, test_.id.case_name, path.name(), tap));
  }

  /// A drafter is driven beside its target, another session of the same engine.
  Result<Driven> driven_by(Session& session, DriveOptions options) const {
    const bool drafted = options.path.kind == Path::draft || options.path.kind == Path::speculative;
    if (!drafted) return drive(session, test_.inputs, options);
    if (test_.target == nullptr)
      return fail({Failure::bad_input, test_.id.golden, "path", "a target for " + options.path.name(), "none"});
    ASSAY_TRY(target, test_.engine.open(*test_.target));
    if (options.path.kind == Path::draft) {
      options.generate = test_.golden.draft_steps;
      const bool exact = view_.arithmetic == "fp32";  // else others may be chosen, and what follows is another round
      const RoundTokens round = exact ? RoundTokens{} : round_of(test_.golden, test_.inputs.batch);
      if (!exact) options.round = &round;
      return drive_draft(*target, session, test_.inputs, options);
    }
    ASSAY_TRY(spoken, speculate(*target, session, test_.inputs,
                                {.generate = options.generate, .tokens = test_.golden.draft_steps}));
    Driven driven;
    for (const auto& row : spoken.generated) driven.generated.insert(driven.generated.end(), row.begin(), row.end());
    return driven;
  }

  /// Taps that the golden holds, the engine has and nobody filtered out.
  std::vector<TapId> wanted(Path path) const {
    std::vector<TapId> ids;
    for (const GoldenTap& tap : test_.golden.taps)
      if (offers(test_.engine, logits_, tap.id) && selected(path, tap.id.name())) ids.push_back(tap.id);
    return ids;
  }

  void judge_taps(Session& session, Path path, const std::vector<TapId>& ids, const char* mode, PathResult& result) {
    std::vector<TapId> known;  // a golden's tap that the plan lacks is the judge's to report, not the engine's to offer
    std::copy_if(ids.begin(), ids.end(), std::back_inserter(known), [&](TapId id) { return exists(view_.plan, id); });
    const Result<Driven> driven =
        driven_by(session, {.path = path, .generate = 0, .taps = known, .last_logits = logits_ == LogitRows::last});
    if (!driven) {
      result.taps.push_back(of_failure(driven.error(), mode));
      return;
    }
    for (std::size_t i = 0; i < test_.golden.taps.size(); ++i) {
      const GoldenTap& golden = test_.golden.taps[i];
      if (std::find(ids.begin(), ids.end(), golden.id) == ids.end()) continue;
      const std::vector<float>* values = driven->find(golden.id);
      const bool some_rows = golden.id.tap == Tap::logits && logits_ == LogitRows::last;
      const std::optional<GoldenTap> shown = some_rows ? rows_among(golden, driven->logit_rows) : golden;
      if (!shown) continue;  // the golden keeps none of the rows that the engine shows
      TapResult judged = judge_tap(view_, *shown, values == nullptr ? std::span<const float>() : *values);
      judged.mode = mode;
      if (const std::string& why = vacuity(i); judged.verdict == Verdict::pass && !why.empty()) {
        judged.verdict = Verdict::fail_numeric;
        judged.note = why;
      }
      result.taps.push_back(std::move(judged));
    }
  }

  void judge_generated(Session& session, Path path, PathResult& result) {
    const Result<Driven> driven = driven_by(session, {.path = path, .generate = test_.golden.generated, .taps = {}});
    const auto add = [&](std::string_view name, const auto& judge_it) {
      if (!selected(path, name)) return;
      TapResult judged = driven ? judge_it() : of_failure(driven.error(), "ids");
      judged.tap = name;
      judged.mode = "ids";
      result.taps.push_back(std::move(judged));
    };
    if (path.kind != Path::speculative)  // its ids are the target's, whose logits its own golden holds
      add(kGeneratedLogits,
          [&] { return judge_generated_logits(view_, test_.golden, driven->generated, driven->generated_logits); });
    add(kGeneratedIds, [&] { return judge_ids(view_, test_.golden, driven->generated); });
  }

  /// Paths on which an engine that generates by itself can be given a prompt.
  static bool whole_prompt(Path path) { return path.kind == Path::prefill || path.kind == Path::batched; }

  /// The ids of an engine that shows no logits: it chooses them itself.
  void judge_own_ids(Session& session, PathResult& result) {
    const CaseInputs& inputs = test_.inputs;
    const std::vector<std::int64_t> shape{inputs.batch, inputs.tokens};
    std::vector<NamedTensor> more = inputs.more;
    if (!inputs.positions.empty()) more.push_back({"position_ids", Tensor::own(shape, inputs.positions)});
    if (!inputs.types.empty()) more.push_back({"mm_token_type_ids", Tensor::own(shape, inputs.types)});
    Forward call{.ids = {inputs.ids.data(), inputs.batch, inputs.tokens}, .mask = {}, .more = more};
    if (!inputs.mask.empty()) call.mask = {inputs.mask.data(), inputs.batch, inputs.tokens};
    const auto ids = session.generate(call, test_.golden.generated);
    TapResult judged = ids ? judge_ids(view_, test_.golden, *ids) : of_failure(ids.error(), "ids");
    judged.tap = kGeneratedIds;
    judged.mode = "ids";
    result.taps.push_back(std::move(judged));
  }

  /// The golden's tap at those of its rows that are among `rows`, ascending; none where there is none.
  std::optional<GoldenTap> rows_among(const GoldenTap& golden, std::span<const std::int64_t> rows) const {
    const std::size_t cols = std::size_t(columns(view_.plan, golden.id));
    GoldenTap out = golden;
    out.rows.clear();
    out.values.clear();
    for (std::size_t i = 0; (i + 1) * cols <= golden.values.size(); ++i) {
      const std::int64_t row = golden.rows.empty() ? std::int64_t(i) : golden.rows[i];
      const bool real =
          view_.mask.empty() || (std::size_t(row) < view_.mask.size() && view_.mask[std::size_t(row)] != 0);
      if (!real || std::find(rows.begin(), rows.end(), row) == rows.end()) continue;
      out.rows.push_back(row);
      const auto from = golden.values.begin() + std::ptrdiff_t(i * cols);
      out.values.insert(out.values.end(), from, from + std::ptrdiff_t(cols));
    }
    if (out.rows.empty()) return std::nullopt;
    return out;
  }

  static TapResult of_failure(const Failure& failure, const char* mode) {
    TapResult result;
    result.tap = TapId::parse(failure.field) ? failure.field : "forward";
    result.mode = mode;
    result.verdict = verdict_of(failure);
    result.note = failure.message();
    return result;
  }

  /// The same on every path, so worked out once.
  const std::string& vacuity(std::size_t tap) {
    if (!vacuous_[tap]) vacuous_[tap] = vacuous(view_, test_.golden.taps[tap]);
    return *vacuous_[tap];
  }

  static void conclude(PathResult& result) {
    if (result.taps.empty()) {
      result.verdict = Verdict::no_golden;
      result.note = "the golden holds nothing that the engine offers";
    } else if (const TapResult* first = first_failure(result)) {
      result.verdict = first->verdict;
    } else if (const auto lacking = std::find_if(result.taps.begin(), result.taps.end(),
                                                 [](const TapResult& t) { return t.verdict == Verdict::unsupported; });
               lacking != result.taps.end()) {
      result.verdict = Verdict::unsupported;
      result.note = lacking->note;
    }
  }

  const CaseUnderTest& test_;
  const Selection& selection_;
  CaseView view_;
  LogitRows logits_ = LogitRows::all;
  std::vector<std::optional<std::string>> vacuous_;
};

}  // namespace

std::vector<PathResult> verify_case(const CaseUnderTest& test, std::span<const Path> paths, const Selection& selection,
                                    const std::function<void(const PathResult&)>& done) {
  CaseVerifier verifier(test, selection);
  std::vector<PathResult> results;
  for (const Path path : paths) {
    results.push_back(verifier.run(path));
    if (done) done(results.back());
  }
  return results;
}

PathResult without_taps(const CaseId& id, std::string_view path, Verdict verdict, std::string note) {
  return {.engine = id.engine,
          .golden = id.golden,
          .variant = id.variant,
          .case_name = id.case_name,
          .path = std::string(path),
          .verdict = verdict,
          .note = std::move(note),
          .rerun = rerun_command(id, path),
          .taps = {}};
}

std::string rerun_command(const CaseId& id, std::string_view path) {
  const std::string model = id.model.empty() ? "" : " --model " + id.model;
  const std::string engine = id.spelt.empty() ? "--engine " + id.engine : id.spelt;
  return fmt::format("./assay verify {} --golden {}{} --filter '/{}/' --path {}", engine, id.golden, model,
                     id.case_name, path);
}

}  // namespace assay
