#include "harness/faults/observe.h"

#include <algorithm>
#include <utility>

#include "engine/media_rows.h"
#include "golden/check.h"
#include "harness/drive/draft.h"
#include "harness/drive/speculative.h"
#include "harness/verify/golden_round.h"
#include "reference/session.h"

namespace assay {
namespace {

/// A drafter beside its target: the first round after a prompt, or ids alone.
Result<Driven> drive_drafter(Session& target, Session& drafter, const GoldenCase& golden, const CaseInputs& inputs,
                             DriveOptions options, bool golden_round) {
  options.generate = golden.draft_steps;
  const RoundTokens round = golden_round ? round_of(golden, inputs.batch) : RoundTokens{};
  if (golden_round) options.round = &round;
  if (options.path.kind == Path::draft) return drive_draft(target, drafter, inputs, options);
  ASSAY_TRY(spoken, speculate(target, drafter, inputs, {.generate = golden.generated, .tokens = golden.draft_steps}));
  Driven driven;
  for (const auto& row : spoken.generated) driven.generated.insert(driven.generated.end(), row.begin(), row.end());
  return driven;
}

}  // namespace

Result<Models> open_models(const GoldenEntry& entry, const GoldenInfo& info) {
  ASSAY_TRY(checkpoint, open_checkpoint(entry));
  Models models{std::move(checkpoint), std::nullopt};
  if (info.target.empty()) return models;
  ASSAY_TRY(target, open_target(entry.file.parent_path().parent_path(), info, models.checkpoint.plan));
  models.target = std::move(target.checkpoint);
  return models;
}

Result<CaseView> case_view(const Plan& plan, const GoldenCase& golden, const CaseInputs& inputs,
                           std::string_view arithmetic) {
  CaseView view{.plan = plan,
                .batch = inputs.batch,
                .tokens = inputs.tokens,
                .mask = inputs.mask,
                .positions = inputs.positions,
                .taps = golden.taps,
                .arithmetic = arithmetic};
  if (plan.assistant) {  // rows of a drafter's taps are steps of a round, none of them padding
    view.tokens = golden.draft_steps;
    view.mask = view.positions = {};
    return view;
  }
  ASSAY_TRY(media, media_rows(plan, inputs.more));
  view.media = media;
  return view;
}

Result<Observed> observe(Session& session, Session* target, const GoldenCase& golden, const CaseInputs& inputs,
                         const Watch& watch) {
  DriveOptions options{.path = watch.path, .generate = watch.generate ? golden.generated : 0, .taps = watch.taps};
  const auto run = [&] {
    return target != nullptr ? drive_drafter(*target, session, golden, inputs, options, watch.golden_round)
                             : drive(session, inputs, options);
  };
  Observed seen;
  auto driven = run();
  if (!driven && driven.error().kind == Failure::bad_output && options.generate > 0) {
    // Not finite while generating: seen, and later than any tap of the prompt can tell.
    options.generate = 0;
    driven = run();
    seen.finite = false;
  }
  // A tap with another number of rows breaks the engine's contract: it is wrong, if none before it is.
  if (!driven && driven.error().kind == Failure::bad_output) seen.misshapen = TapId::parse(driven.error().field);
  if (seen.misshapen) {
    const int layers = int(session.plan().layers.size()), at = seen.misshapen->order(layers);
    std::erase_if(options.taps, [&](TapId id) { return id.order(layers) >= at; });
    driven = run();
  }
  if (!driven) return fail(driven.error());
  seen.driven = *std::move(driven);
  return seen;
}

Result<BentOracle> bent_oracle(std::span<const Fault* const> faults, const Checkpoint& checkpoint,
                               const Checkpoint* target, std::optional<reference::Rounding> rounding) {
  BentOracle oracle{.bent = true};
  ASSAY_TRY(parts, reference::assemble(checkpoint));
  std::optional<reference::Parts> of_target;
  if (target != nullptr) {
    ASSAY_TRY(assembled, reference::assemble(*target));
    of_target = std::move(assembled);
  }
  for (const Fault* fault : faults) {
    const bool targets = fault->of == Fault::target;
    oracle.bent =
        oracle.bent && fault->inject && (!targets || of_target) && fault->inject(targets ? *of_target : parts);
  }
  if (!oracle.bent) return oracle;
  if (rounding) reference::round_results(parts, *rounding);
  if (rounding && of_target) reference::round_results(*of_target, *rounding);
  oracle.session = reference::make_session(std::move(parts));
  if (of_target) oracle.target = reference::make_session(*std::move(of_target));
  for (const Fault* fault : faults)
    if (fault->of == Fault::target && fault->wrap) oracle.target = fault->wrap(std::move(oracle.target));
  return oracle;
}

Result<std::unique_ptr<Session>> bent_session(std::span<const Fault* const> faults, const Checkpoint& checkpoint) {
  ASSAY_TRY(parts, reference::assemble(checkpoint));
  for (const Fault* fault : faults)
    if (!fault->inject || !fault->inject(parts))
      return fail({Failure::unsupported, "reference", std::string(fault->name), "a model that has something to bend",
                   "none of it"});
  std::unique_ptr<Session> session = reference::make_session(std::move(parts));
  for (const Fault* fault : faults)
    if (fault->wrap) session = fault->wrap(std::move(session));
  return session;
}

}  // namespace assay
