// Speculative decoding: a drafter proposes tokens, its target checks them all in one call and keeps those that it would
// have chosen itself, so that the output is the target's own, token for token. Not here: one round's drafting
// (draft.h), text, stopping for other reasons than ids and length.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"
#include "harness/drive/draft.h"
#include "harness/drive/drive.h"

namespace assay {

struct SpeculativeOptions {
  int generate = 0;  ///< most tokens of a row
  /// Drafted tokens a round, fewer where no more are needed: transformers' num_assistant_tokens with its default
  /// schedule "constant".
  int tokens = 20;
  std::vector<std::int64_t> stop_ids = {};  ///< a row ends with the first of these, which counts as a token
  /// The token that a row of logits stands for; empty = the largest. Called once for each token that comes out, in
  /// order, so that drawing one at random gives what it would have given without a drafter.
  std::function<std::int64_t(int row, std::span<const float> logits)> choose = {};
};

struct Acceptance {
  std::int64_t rounds = 0;    ///< of drafting, each with one call of the target
  std::int64_t drafted = 0;   ///< tokens, of rows that were not yet done
  std::int64_t accepted = 0;  ///< of these

  double rate() const { return drafted == 0 ? 0 : double(accepted) / double(drafted); }
};

/// A batch on its way. Rows accept different numbers of tokens; the target forgets what each rejected.
class Speculation {
 public:
  /// The prompt through the target, media included. Both sessions must outlive this and be used by nobody else.
  /// Errors: bad_input (a drafter that does not fit the target); those of the sessions.
  static Result<Speculation> start(Session& target, Session& drafter, const CaseInputs& inputs,
                                   SpeculativeOptions options);

  /// The next tokens of each row: the first time one each, from the prompt; then one more than its accepted ones. A row
  /// that is done gets none. Errors: those of the sessions; bad_output when logits are not finite.
  Result<std::vector<std::vector<std::int64_t>>> next();
  bool done() const;
  /// No more tokens for this row.
  void finish(int row) { rows_[std::size_t(row)].done = true; }
  const Acceptance& acceptance() const { return acceptance_; }

 private:
  struct Row {
    std::int64_t newest = 0, position = 0;  ///< not yet in the target's cache
    std::vector<float> hidden;              ///< text.norm of the token before it
    std::vector<std::int64_t> mask;         ///< of the cached tokens
    int emitted = 0;
    bool done = false;
  };

  Speculation(Session& target, Session& drafter, SpeculativeOptions options)
      : target_(&target), drafter_(&drafter), options_(std::move(options)) {}

  std::int64_t choose(int row, std::span<const float> logits) const;
  void emit(Row& row, std::int64_t id);
  Result<Drafted> draft_round(int steps);
  Result<std::vector<std::vector<std::int64_t>>> verify(const Drafted& drafted, int steps);
  Result<void> roll_back(std::span<const int> keep);
  /// The masks of all rows side by side; empty where there is nothing to mask.
  std::vector<std::int64_t> masks(int more) const;

  Session *target_, *drafter_;
  SpeculativeOptions options_;
  std::vector<Row> rows_;
  int cached_ = 0;       ///< width of the target's cache, padding counted
  bool masked_ = false;  ///< whether some row has padding, or the prompt came with a mask
  bool begun_ = false;
  Acceptance acceptance_;
};

struct Speculated {
  std::vector<std::vector<std::int64_t>> generated;  ///< of each row
  Acceptance acceptance;
};

/// All rounds. Errors: those of Speculation.
Result<Speculated> speculate(Session& target, Session& drafter, const CaseInputs& inputs, SpeculativeOptions options);

}  // namespace assay
