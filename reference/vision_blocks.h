// The default entries of the vision tables. Not here: the tables (vision.h), the order in which they run (encode.h),
// arithmetic (ops/).
#pragma once

#include "reference/vision.h"

namespace assay::reference::vision {

/// input_proj(2 (pixels - 0.5)) + table[x] + table[y]; padding gets no position. Source: Gemma4VisionPatchEmbedder.
Grid patch_embed(const Vision& vision, const Patches& patches, Rows<const float> pixels);
/// pos_norm(ln2(dense(ln1(pixels))) + positions), LayerNorms all. Source: Gemma4UnifiedVisionEmbedder.
Grid embed_pixels(const Vision& vision, const Patches& patches, Rows<const float> pixels);

Grid attn_norm(const VisionLayer& layer, Rows<const float> in);
/// q_norm(q_proj(x)), each head by itself. Source of this and the next six: Gemma4VisionAttention.
Grid project_q(const VisionLayer& layer, Rows<const float> x);
Grid project_k(const VisionLayer& layer, Rows<const float> x);
/// v_norm(v_proj(x)), a norm without weight.
Grid project_v(const VisionLayer& layer, Rows<const float> x);
void rotate(const VisionLayer& layer, const Patches& patches, Rows<float> x);
/// All of the item but its padding.
void visible(std::span<const PatchPosition> item, std::span<char> seen);
Grid attend(const VisionLayer& layer, const Patches& patches, Rows<const float> q, Rows<const float> k,
            Rows<const float> v);
Grid project_out(const VisionLayer& layer, Rows<const float> ctx);
/// in + post_attention_layernorm(attn_out). Source of this and the rest of a layer: Gemma4VisionEncoderLayer.
Grid add_attn(const VisionLayer& layer, Rows<const float> in, Rows<const float> attn_out);
Grid ffn_norm(const VisionLayer& layer, Rows<const float> post_attn);
/// down(act(gate(x)) * up(x)). Source: Gemma4VisionMLP.
Grid mlp(const VisionLayer& layer, Rows<const float> x);
Grid add_ffn(const VisionLayer& layer, Rows<const float> post_attn, Rows<const float> mlp);

/// The mean of each cell of side x side patches by their positions, times sqrt(hidden). Cells of an item are counted
/// row by row in its own width; side follows from the number of patches. Padding is zero and lies in the first cell;
/// cells without patches are no tokens. Source: Gemma4VisionPooler.
Grid pool(const Vision& vision, const Patches& patches, Rows<const float> last);
/// Every patch but padding is a soft token. Source: Gemma4UnifiedModel.get_image_features.
Grid keep_real(const Vision& vision, const Patches& patches, Rows<const float> embedded);
/// (x - std_bias) * std_scale. Source: Gemma4VisionModel.forward.
void standardize(const Vision& vision, Rows<float> pooled);
/// embedding_projection(rms(pooled)). Source: Gemma4MultimodalEmbedder.
Grid project(const Vision& vision, Rows<const float> pooled);

}  // namespace assay::reference::vision
