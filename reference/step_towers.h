// Teacher forcing of the towers: one of their ops on given inputs. Not here: text (step.cc), the order of ops
// (encode.cc).
#pragma once

#include <span>

#include "engine/engine.h"
#include "reference/encode.h"
#include "reference/ops/grid.h"
#include "reference/parts.h"

namespace assay::reference {

/// Makes a vision or audio tap from the inputs that taps.inc lists for it: taps by their full names, [n, L, ...] or
/// [rows, ...] float32; pixel_values, image_position_ids, input_features_mask... as transformers names them. Positions
/// and masks do not need the pixels and features they belong to. An encoder-free model's vision.projected is made from
/// vision.patch_embed, its audio.projected from audio.mel.
/// Errors: bad_input, naming the input that is missing or has a wrong shape.
Result<Grid> tower_tap(const Parts& parts, TapId tap, std::span<const NamedTensor> inputs);

/// The soft tokens that text.embed merges, from vision.projected (those of images, then those of videos) and
/// audio.projected: of each kind as many as `ids` has placeholders. Media that were not passed have none.
/// Errors: bad_input (media without their projected rows, or another number of them).
Result<SoftTokens> soft_tokens(const Parts& parts, std::span<const std::int64_t> ids,
                               std::span<const NamedTensor> inputs);

}  // namespace assay::reference
