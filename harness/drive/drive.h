// How an engine is driven through a case: paths and greedy generation, as loops over Session::forward. Pure harness: it
// does not know which engine it drives. Not here: judging, goldens' files, processes.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"

namespace assay {

/// One input, by transformers' argument names.
struct CaseInputs {
  int batch = 0, tokens = 0;
  std::vector<std::int64_t> ids;        ///< [B, T]
  std::vector<std::int64_t> mask;       ///< [B, T]; empty = all 1
  std::vector<std::int64_t> positions;  ///< [B, T]; empty = 0 .. T - 1, transformers' default
  std::vector<std::int64_t> types;      ///< mm_token_type_ids [B, T]; empty = not passed
  std::vector<NamedTensor> more;        ///< everything else, passed on with the first piece

  /// From named tensors (input_ids, attention_mask, position_ids, mm_token_type_ids, others).
  /// Errors: bad_input, naming the tensor: input_ids missing, shapes that differ, values out of range.
  static Result<CaseInputs> from(std::vector<NamedTensor> tensors, std::string_view where);
};

/// A way through a case (DESIGN.md section 3).
struct Path {
  /// The last two are a drafter's: its first round after the prompt, and speculative decoding (draft.h, speculative.h).
  enum Kind { prefill, nocache, chunked, decode, batched, draft, speculative };
  Kind kind = prefill;
  int chunk = 0;  ///< chunked only: tokens a piece

  std::string name() const;  ///< `prefill`, `chunked:7`
  /// `chunked` alone leaves `chunk` 0, for the caller to fill in. Errors: bad_input.
  static Result<Path> parse(std::string_view name);
  bool operator==(const Path&) const = default;
};

/// Of a drafter.
struct RoundTokens {
  std::vector<std::int64_t> newest;   ///< [B], what the round starts from
  std::vector<std::int64_t> drafted;  ///< [B, steps]; the last step's goes nowhere
};

struct DriveOptions {
  Path path{};
  int generate = 0;          ///< greedy tokens after the prompt; no stop token
  std::vector<TapId> taps;   ///< wanted during the prompt
  bool last_logits = false;  ///< text.logits of each call's last token alone: all that some engines show
  /// Taps that `watch` hears of in every call, in the order of calls: those that generate too. Rows are the call's.
  std::vector<TapId> watched = {};
  std::function<void(TapId, Rows<const float>)> watch = {};
  /// What the steps of a drafter's round get, whatever target and drafter choose. Null: what they choose.
  const RoundTokens* round = nullptr;
};

struct Driven {
  /// All rows of the prompt by tap, [B * T, columns], or those of the media's row space; rows of padding are
  /// unspecified. Taps of towers that had nothing to encode are not there.
  std::vector<std::pair<TapId, std::vector<float>>> taps;
  std::vector<std::int64_t> generated;        ///< [B, generate]
  std::vector<float> generated_logits;        ///< [B, generate, V], what each of them was chosen from
  std::vector<std::int64_t> logit_rows = {};  ///< with last_logits: rows b * T + t of text.logits that are there
  const std::vector<float>* find(TapId id) const;
};

/// The pieces [first, first + count) in which `path` feeds the prompt. An image or video block stays whole where the
/// plan lets its rows see each other.
std::vector<std::pair<int, int>> pieces(const Plan& plan, const CaseInputs& inputs, Path path);

/// What a Failure of drive() expected when the logits that generating needs are not finite.
inline constexpr std::string_view kFiniteLogits = "finite logits";

/// Errors: bad_input (a tap the model lacks, chunks of nothing, placeholders that do not fit the media, media in a
/// batch that is fed in pieces); those of Session::forward; bad_output when logits are not finite while generating.
Result<Driven> drive(Session& session, const CaseInputs& inputs, const DriveOptions& options);

}  // namespace assay
