// What a decoder layer is made of, between ops and the whole: the default entries of the op table. Each reads the ops
// that it needs from its layer's table. Not here: the order in which they run (session.cc), arithmetic (ops/).
#pragma once

#include "reference/op_table.h"
#include "reference/parts.h"

namespace assay::reference {

/// x W^T + bias through the layer's table. @param x [tokens, w.cols]; result [tokens, w.rows]
Grid apply(const Layer& layer, Rows<const float> x, const Weight& w, std::span<const float> bias = {});
/// A norm of a copy of x through the layer's table.
Grid normed(const Layer& layer, Rows<const float> x, std::span<const float> weight);

Grid attn_norm(const Layer& layer, Rows<const float> in);
/// q_norm(q_proj(x)), each head by itself. Source of this and the next five: Gemma4TextAttention.forward.
Grid project_q(const Layer& layer, Rows<const float> x);
/// k_norm(k_proj(x)) and v_norm(v_proj(x)); where V is K, it is forked before k_norm.
KeysValues project_kv(const Layer& layer, Rows<const float> x);
void rotate_q(const Layer& layer, const Sequence& sequence, Rows<float> q);
void rotate_k(const Layer& layer, const Sequence& sequence, Rows<float> k);
void append(const Layer& layer, const Sequence& sequence, std::span<KvCache> caches, const KeysValues& kv);
const KvCache& source(const Layer& layer, const Sequence& sequence, std::span<KvCache> caches, Rows<const float> x);
/// Every query of the call over the keys that it sees: [tokens, heads * d].
Grid attend(const Layer& layer, const Sequence& sequence, Rows<const float> q, const KvCache& kv);
Grid project_out(const Layer& layer, Rows<const float> ctx);

/// in + post_attention_layernorm(attn_out). Source of this and the tail: Gemma4TextDecoderLayer.forward.
Grid add_attn(const Layer& layer, Rows<const float> in, Rows<const float> attn_out);
Grid ffn_norm(const Layer& layer, Rows<const float> post_attn);
/// down(act(gate(x)) * up(x)). Source: Gemma4TextMLP.
Grid mlp(const Layer& layer, Rows<const float> x);
/// softmax(proj(rms(post_attn) * scale * hidden^-0.5)): the router reads the residual itself. Source: Gemma4TextRouter.
Grid route(const Layer& layer, Rows<const float> post_attn);
Grid choose(const Layer& layer, Rows<const float> probs);
/// The chosen experts on pre_feedforward_layernorm_2(post_attn), weighted after down_proj. Source: Gemma4TextExperts.
Grid experts(const Layer& layer, Rows<const float> post_attn, Rows<const float> chosen);
/// post_attn + post_feedforward_layernorm(mlp), or with experts of post_1(mlp) + post_2(experts).
Grid add_ffn(const Layer& layer, Rows<const float> post_attn, Rows<const float> mlp, Rows<const float> experts);
/// Columns [index * width, (index + 1) * width) of the per-layer inputs.
Grid ple_slice(const Layer& layer, const Sequence& sequence, Rows<const float> ple);
/// post_per_layer_input_norm(projection(act(gate(post_ffn)) * ple)).
Grid ple_branch(const Layer& layer, Rows<const float> post_ffn, Rows<const float> ple);
/// (post_ffn + ple_out) * layer_scalar; ple_out may be empty.
Grid tail(const Layer& layer, Rows<const float> post_ffn, Rows<const float> ple_out);

/// Rows entering layer 0: the token's embedding times sqrt(hidden), the pad token's at placeholders.
/// Source of this and the next: Gemma4Model.forward, Gemma4TextModel.get_per_layer_inputs, project_per_layer_inputs.
Grid embed_tokens(const Parts& parts, std::span<const std::int64_t> ids);
/// (norm(projection(embeds) * hidden^-0.5) + table row * sqrt(width)) * 2^-0.5 for every layer: [tokens, layers *
/// width].
Grid ple_inputs(const Parts& parts, std::span<const std::int64_t> ids, Rows<const float> embeds);
Grid final_norm(const Parts& parts, Rows<const float> last);
/// The head, then the softcap. Source: Gemma4ForCausalLM.forward.
Grid logits(const Parts& parts, Rows<const float> normed);

}  // namespace assay::reference
