// A drafter's round: several tokens in a row from one state of its target. Not here: whether the target agrees
// (speculative.h).
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"
#include "harness/drive/drive.h"

namespace assay {

/// Where a round starts: the target has cached everything before the newest token of each row.
struct DraftStart {
  std::vector<std::int64_t> newest;     ///< [B]
  std::vector<std::int64_t> positions;  ///< [B], of the newest; constant through the round
  std::vector<float> hidden;            ///< [B, hidden of the target]: text.norm of the token before the newest
  std::vector<std::int64_t> mask;       ///< [B, cached], 0 = padding; empty = all 1

  int batch() const { return int(newest.size()); }
};

struct Drafted {
  std::vector<std::int64_t> ids;  ///< [B, steps], each the largest logit's; the lowest index wins ties
  std::vector<float> logits;      ///< [B, steps, V of the drafter]
  std::vector<std::pair<TapId, std::vector<float>>> taps;  ///< [B * steps, columns]
};

/// Drafts `steps` tokens. Each step gets the token before it and the hidden state that came with that token: first the
/// target's, then the drafter's own. Source: SinglePositionMultiTokenCandidateGenerator.get_candidates.
/// @param given  [B, steps]: tokens that the steps after get, whatever is drafted; empty: what is drafted
/// Errors: those of the sessions; bad_output when logits are not finite.
Result<Drafted> draft(Session& drafter, Session& target, const DraftStart& start, int steps,
                      std::span<const TapId> taps = {}, std::span<const std::int64_t> given = {});

/// The whole prompt through the target, and the newest token that it chooses.
/// @param logits  what that token was chosen from, [B, V]
/// Errors: those of Session::forward; bad_output when logits are not finite.
Result<DraftStart> draft_start(Session& target, const CaseInputs& inputs, std::vector<float>* logits = nullptr);

/// The first round after a prompt, as a path: rows of the taps are the round's steps, [B * steps, columns], and
/// `generated` are the drafted ids. `options.generate` is the number of steps; `options.path` says nothing.
/// Errors: those of draft; bad_input (a tap the drafter lacks, a round's tokens that are not [B] and [B, steps]).
Result<Driven> drive_draft(Session& target, Session& drafter, const CaseInputs& inputs, const DriveOptions& options);

}  // namespace assay
