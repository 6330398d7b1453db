// A fault: a named, deliberate deviation of the oracle, or of the steps before it, that reproduces a bug people
// shipped. The suite must find each and name the tap or the stage where it starts. Not here: the catalogue itself,
// running it (run.h).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/taps.h"
#include "harness/drive/drive.h"
#include "reference/parts.h"

namespace assay {

struct FrontEnd;

struct Fault {
  std::string_view name;
  std::string_view row;   ///< of the catalogue in docs/FAULTS.md: A2; x for deviations that nobody has reported yet
  std::string_view what;  ///< one sentence
  std::string_view shipped_in;  ///< owner/repository#number, or what the row rests on
  /// The tap where it must first show, given the true plan; nothing where this model cannot show it.
  std::function<std::optional<TapId>(const Plan&)> shows_at = {};
  /// Bends the oracle; false where this model has nothing to bend.
  std::function<bool(reference::Parts&)> inject = {};
  /// Paths that can show it; empty = any that sees the whole prompt at once.
  std::vector<Path::Kind> paths = {};
  /// It shows only while generating: the first wrong tap is the logits of a generated token.
  bool generating = false;
  /// Whose oracle is bent: a model's by itself, one's of packed weights, a drafter's, or that
  /// of a drafter's target.
  enum Of { model, packed, drafter, target } of = model;
  /// A target's session inside another that does not do as it is told: for what no op of the oracle does.
  std::function<std::unique_ptr<Session>(std::unique_ptr<Session>)> wrap = {};
  /// A negative control: it must not show anywhere.
  bool control = false;
  /// Faults of the front end have these two instead of shows_at and inject: the stage where it must first show, without
  /// its number (`image.resized`), and what it does to the table of steps.
  std::string_view stage = {};
  std::function<void(FrontEnd&)> bend = {};
};

/// The whole catalogue, in the order of its rows.
const std::vector<Fault>& faults();
/// Null when there is none of that name.
const Fault* find_fault(std::string_view name);

/// Addresses of the issues that `shipped_in` names as owner/repository#number.
std::vector<std::string> links(const Fault& fault);

/// The catalogue as docs/FAULTS.md.
std::string catalogue_markdown();

// Each part of the catalogue is a file of its own.
std::vector<Fault> attention_faults();
std::vector<Fault> rope_faults();
std::vector<Fault> embedding_faults();
std::vector<Fault> layer_faults();
std::vector<Fault> cache_faults();
std::vector<Fault> mask_faults();
std::vector<Fault> expert_faults();
std::vector<Fault> numeric_faults();
std::vector<Fault> vision_input_faults();
std::vector<Fault> vision_layer_faults();
std::vector<Fault> vision_attention_faults();
std::vector<Fault> vision_pool_faults();
std::vector<Fault> projector_faults();
std::vector<Fault> unified_faults();
std::vector<Fault> audio_input_faults();
std::vector<Fault> audio_layer_faults();
std::vector<Fault> audio_attention_faults();
std::vector<Fault> merge_faults();
std::vector<Fault> block_faults();
std::vector<Fault> tower_numeric_faults();
std::vector<Fault> picture_faults();
std::vector<Fault> sound_faults();
std::vector<Fault> token_faults();
std::vector<Fault> chat_faults();
std::vector<Fault> generation_faults();
std::vector<Fault> drafter_faults();
std::vector<Fault> packed_faults();
std::vector<Fault> backend_faults();

}  // namespace assay
