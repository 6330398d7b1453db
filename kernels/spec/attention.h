// Attention of some queries over one sequence's K/V: a prompt, a piece of one, one token; text and vision. Not here:
// the audio tower's (rel_attention.h), RoPE, norms, which keys there are. With s[p] = scale * (q[t, h] . k[p, g]) for
// the positions p that query t sees, g = h / (heads / kv_heads):
//   y[t, h] = sum over p of softmax(s)[p] * v[p, g]; zeros if it sees none
// Query t sees position p if from[t] <= p < to[t], and, with a mask, mask[t * mask_stride + p - mask_first] != 0.
// Causal, windows, image blocks, padding on the left and packed prompts are ranges; the mask is for holes in them. K/V:
// position p lies in row p % capacity of k and v [capacity, kv_heads * head_dim], in the kernel's format: fp32, bf16,
// or q8_0 with head_dim a multiple of 32. No two positions that some query of the call sees share a row. 0 <= from[t]
// where from[t] < to[t].
//
// Work is shared out in units, [first, last) of attention_units(a): a block of attention_queries(a) tokens, times one
// head of K/V (all query heads of its group: K/V are read once for them), times one chunk of `chunk` positions, counted
// from the lowest that the block's tokens see. chunk 0: one chunk holds all. With several chunks (a decoding step,
// where tokens and heads alone are too few units for threads) each leaves its part in `partial`, and attention_merge.h
// makes y of them. The answer depends on chunk, which the caller chooses by the keys alone, not on who works on what:
// the same bits for any split of the units. attention_chunks(a): how many there are; with 1 y is written and partial
// may be nullptr.
// Shapes: q, y [tokens, heads * head_dim]; from, to [tokens]; partial [tokens, heads, chunks, head_dim + 2]: the values
// normed within the chunk, the largest s, and the sum of exp(s - largest); zeros, -infinity and 0 of a chunk that the
// token sees nothing of. head_dim 1 to 512; heads a multiple of kv_heads.
// Reads nothing outside its operands, and of K/V only rows of positions from the first to the last that the unit's
// tokens see; those between that none sees are finite. Arithmetic: fp32 sums, exp to 2
// ULP. Mode bf16 (K/V in bf16): q is rounded to bf16 before it multiplies, nearest even, and so are the weights
// exp(s - the largest s so far) before they multiply v; the sum that they are divided by is of those not rounded.
// Scores, softmax and sums stay in fp32: what transformers' bf16 sdpa loses on the way, and no more. Instructions for
// bfloat16 may take what is below 2^-126 for 0.
// Bytes: q, y, and K/V of the positions that are seen once. FLOPs: 4 head_dim for each pair of query head and
// position. Source: Gemma4TextAttention, Gemma4VisionAttention, eager_attention_forward (transformers 5.22.2); of mode
// bf16 torch's cpu_flash_attention.
#pragma once

#include <cstddef>
#include <cstdint>

namespace assay::kernels {

struct Attention {
  const float* q;
  const std::byte *k, *v;
  const std::int32_t *from, *to;
  const std::uint8_t* mask;  ///< or nullptr
  float* y;
  float* partial;
  int tokens, heads, kv_heads, head_dim, capacity;
  int mask_first, mask_stride;
  int chunk;
  float scale;
};

constexpr int kAttentionRows =
    64;  ///< query rows, tokens times heads of a group, that a unit holds at most (if it can)
constexpr int kAttentionMaxDim = 512;  ///< of a head

/// Tokens of a unit: as many as make kAttentionRows rows, at least 1.
int attention_queries(const Attention& a);
int attention_chunks(const Attention& a);
int attention_units(const Attention& a);

/// What unit `index` is: chunks run fastest, then heads of K/V, then blocks of tokens.
struct AttentionUnit {
  int token, tokens;  ///< tokens [token, token + tokens)
  int kv_head, chunk;
  int begin, end;  ///< positions of its chunk that some of its tokens see; begin >= end: none
};
AttentionUnit attention_unit(const Attention& a, int index);

/// How engines choose `chunk`. Few queries are too little work to share out by tokens and heads: their keys are cut
/// into chunks of kKeysOfChunk, or longer ones where these would be more than kMostChunks, unless they are no more than
/// kKeysAlone.
constexpr int kFewQueries = 8, kKeysOfChunk = 256, kKeysAlone = 96, kMostChunks = 64;
/// How many: one where more would cost threads a meeting and bring little, else an even number, so that two threads
/// have as much to do. No fewer for more keys.
int attention_chunks_of(int keys);
/// `chunk` for so many keys, from the first to the last that some query sees; at least 1.
int attention_chunk_of(int keys);

namespace spec {

struct attention {
  using Fn = void(const Attention& a, int first, int last);
};

}  // namespace spec
}  // namespace assay::kernels
