// How many rows the media of a call have at each stage, from their shapes, masks and positions alone: what towers must
// offer, how a dump folds rows, how many placeholders a prompt needs. Not here: encoding them (engines).
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/taps.h"
#include "model/plan.h"
#include "model/tensor.h"

namespace assay {

/// Inputs of one kind: items of one padded length.
struct MediaGroup {
  int items = 0;   ///< images, frames of all videos, or clips
  int length = 0;  ///< patches of an item, or frames of a clip; padding included
  int soft = 0;    ///< soft tokens of all items

  bool operator==(const MediaGroup&) const = default;
};

struct MediaRows {
  MediaGroup images, videos, audio;
  int audio_length = 0;  ///< frames of a clip behind the convolutions
  int features = 0;      ///< values of an audio frame

  bool any() const { return images.items > 0 || videos.items > 0 || audio.items > 0; }
  /// Rows of a space that no token has; 0 for tokens and where nothing of the kind was passed.
  int rows(RowSpace space) const;
  /// What a tap's rows are folded into: [n, L] where all inputs of its tower have one length, else [rows].
  std::vector<std::int64_t> leading(RowSpace space) const;
  bool operator==(const MediaRows&) const = default;
};

/// Reads pixel_values with image_position_ids, pixel_values_videos with video_position_ids (and num_frames_per_video,
/// if given), input_features with input_features_mask. Other names are left to the engine.
/// Errors: bad_input, naming the tensor: a shape, a position outside its table, patches that do not pool, one of a pair
/// without the other, media of a kind that the model does not take.
/// Source: Gemma4Model.get_image_features, get_video_features, Gemma4VisionPooler, Gemma4AudioModel and their
/// gemma4_unified forms (transformers 5.22.2).
Result<MediaRows> media_rows(const Plan& plan, std::span<const NamedTensor> tensors);

/// The shape of a tap's tensor: [batch, tokens, ...], or the leading extents of its media and a row.
std::vector<std::int64_t> tap_shape(const Plan& plan, const MediaRows& media, TapId id, std::int64_t batch,
                                    std::int64_t tokens);

/// A mask of zeros and ones, whatever its dtype. Errors: bad_input; unsupported (a dtype).
Result<std::vector<char>> mask_values(std::string_view name, const Tensor& tensor);

/// Image, video and audio placeholders among ids.
std::array<int, 3> count_placeholders(const Plan& plan, std::span<const std::int64_t> ids);

/// Whether a prompt has a placeholder for each soft token of the media passed with it. A kind that was not passed is
/// not counted. @param whole  whether ids are all of the prompt; a first piece may hold fewer. Errors: bad_input.
Result<void> check_placeholders(const Plan& plan, const MediaRows& media, std::span<const std::int64_t> ids,
                                bool whole);

}  // namespace assay
