// A batch of prompts to generated ids, each handed on as it is chosen: sampled or greedy, until a stop token or the
// length. Not here: text in or out (conversation.h, stream.h), what a prompt is made of, drafting
// (harness/drive/speculative.h, which is called where there is a drafter).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"
#include "harness/drive/drive.h"
#include "harness/drive/speculative.h"
#include "model/generation_config.h"

namespace assay {

/// Why a row ended.
enum class Finish {
  stop,   ///< a stop token, which is the last id
  length  ///< as many ids as were asked for
};
std::string_view name_of(Finish finish);

struct GenerateOptions {
  GenerationConfig config = {};  ///< stop and suppressed ids, sampling
  std::uint64_t seed = 0;        ///< row b draws with seed + b: what it draws does not hang on its neighbours
  int most = 256;                ///< ids of a row; at least 1
  bool cache = true;             ///< false: an engine without one runs the whole sequence for each token
  Session* drafter = nullptr;    ///< proposes tokens; the ids are the same
  int draft_tokens = 0;          ///< a round; 0: the default of speculative.h
};

struct GeneratedRow {
  std::vector<std::int64_t> ids;  ///< the stop token included, as transformers' generate returns it
  Finish finish = Finish::length;
};

struct Generated {
  std::vector<GeneratedRow> rows;
  double prompt_seconds = 0;             ///< until the first ids were chosen: encoders and the whole prompt
  double generate_seconds = 0;           ///< from there to the end
  std::optional<Acceptance> acceptance;  ///< where there was a drafter

  std::int64_t tokens() const;  ///< of all rows
};

/// Called for each id as it is chosen; `finish` is set with a row's last.
using OnToken = std::function<void(int row, std::int64_t id, std::optional<Finish> finish)>;

/// position_ids as generate makes them of a mask: 0, 1, ... from a row's first token; 0 in padding. [B, T]
std::vector<std::int64_t> positions_of(const CaseInputs& inputs);

/// Positions are filled in where the inputs have a mask and none. A row that has ended is fed the pad token, as
/// transformers does, until the others have. Errors: those of the sessions; bad_input (an id that the model lacks);
/// bad_output when logits are not finite.
Result<Generated> generate(Session& session, CaseInputs inputs, const GenerateOptions& options,
                           const OnToken& on_token);

}  // namespace assay
