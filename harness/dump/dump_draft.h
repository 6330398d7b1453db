// A drafter beside its target, or alone on transformers' own arguments, its taps and ids written to a file. Not here: a
// model by itself (dump.h), judging.
#pragma once

#include "base/result.h"
#include "engine/engine.h"
#include "harness/dump/dump.h"

namespace assay {

/// With a prompt (input_ids): the target runs it, then the drafter one round of `draft_steps`. Written are taps/NAME of
/// the drafter, [B, steps, ...], and of the target as in dump() where the patterns name some; outputs/next_ids [B], the
/// token that the round starts from; outputs/drafted_ids [B, steps]; and where asked to generate, what speculative
/// decoding gives, outputs/generated_ids [B, N].
/// With inputs_embeds: the drafter's forward alone, on position_ids, attention_mask and
/// shared_kv_states/{full_attention,sliding_attention}/{key,value}; no target. Taps are [B, T, ...].
/// Errors: as dump().
Result<Dumped> dump_draft(const Engine& engine, const DumpOptions& options);

}  // namespace assay
