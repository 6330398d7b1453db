// The default entries of the audio tables. Not here: the tables (audio.h), the order in which they run (encode.h),
// arithmetic (ops/).
#pragma once

#include "reference/audio.h"

namespace assay::reference::audio {

/// What a convolution leaves of a mask: every other entry.
Frames halved(const Frames& frames);
/// relu(LayerNorm over channels of the convolution of x * mask).
/// Source: Gemma4AudioSubSampleConvProjectionLayer.
Grid convolve_clips(const Audio& audio, int index, Frames& frames, Rows<const float> x);
/// input_proj_linear of both convolutions: [clips * length, hidden]. Source: Gemma4AudioSubSampleConvProjection.
Grid subsample(const Audio& audio, Frames& frames, Rows<const float> mel);

/// in + residual_weight * post_norm(clamp(W2 act(W1 pre_norm(clamp(in))))). Source: Gemma4AudioFeedForward.
Grid feed_forward(const AudioLayer& layer, const FeedForwardWeights& w, Rows<const float> in);
/// in + norm_post_attn(clamp(post(attend(norm_pre_attn(clamp(in)))))). Source: Gemma4AudioLayer.
Grid attention(const AudioLayer& layer, const Frames& frames, Rows<const float> in);
/// in + linear_end(act(conv_norm(clamp(depthwise(glu(linear_start(pre_norm(in))))))); the first half of linear_start's
/// columns is gated by the second. Source: Gemma4AudioLightConv1d.
Grid convolution(const AudioLayer& layer, const Frames& frames, Rows<const float> in);
/// norm_out(clamp(in)).
Grid norm_out(const AudioLayer& layer, Rows<const float> in);

/// q_proj(x) * (d^-0.5 / ln 2) * softplus(per_dim_scale). Source of this and the rest: Gemma4AudioAttention.
Grid project_q(const AudioLayer& layer, Rows<const float> x);
/// k_proj(x) * (ln(1 + e) / ln 2).
Grid project_k(const AudioLayer& layer, Rows<const float> x);
Grid project_v(const AudioLayer& layer, Rows<const float> x);
/// relative_k_proj of sines, then cosines, of context / 2 ... 0 times 1 / 10000^(i / (hidden / 2 - 1)); not scaled.
/// Source: Gemma4AudioRelPositionalEncoding.
Grid relative_keys(const AudioLayer& layer);
/// transformers pads each query's products to context + 1, lays the block's out in one line and reads it again with
/// context a query: query i meets products[j - i], and where those end what the line holds. Source: _rel_shift.
void relative_shift(const AudioLayerPlan& plan, Rows<const float> products, int query, std::span<float> bias);
/// A real key from `past` - 1 frames before the query to `future` - 1 behind it. Source: sliding_window_mask_function.
bool visible(const AudioLayerPlan& plan, const Frames& frames, int clip, int query, int key);
/// softmax(cap tanh((q k + bias) / cap)) v over each block's context, invalid scores set to a value; frames outside the
/// clip are zeros and invalid.
Grid attend(const AudioLayer& layer, const Frames& frames, Rows<const float> q, Rows<const float> k,
            Rows<const float> v);

/// output_proj(x) + bias. Source: Gemma4AudioModel.forward.
Grid output(const Audio& audio, Rows<const float> last);
/// embedding_projection(rms(x)) of real frames. Source: Gemma4MultimodalEmbedder, Gemma4Model.forward.
Grid project(const Audio& audio, const Frames& frames, Rows<const float> encoded);

}  // namespace assay::reference::audio
