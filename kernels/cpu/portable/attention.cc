#include "kernels/spec/attention.h"

#include "dot.h"
#include "elementary.h"

namespace assay::kernels::cpu::portable {
namespace {

bool sees(const Attention& a, int t, int p) {
  return p >= a.from[t] && p < a.to[t] &&
         (a.mask == nullptr ||
          a.mask[std::size_t(t) * std::size_t(a.mask_stride) + std::size_t(p - a.mask_first)] != 0);
}

/// To bf16 and back, nearest even.
void round_to_bf16(float& value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, 4);
  value = widen_bits((bits + 0x7fffU + (bits >> 16 & 1U)) & 0xffff0000U);
}

/// One query head after another, key after key. The sum is scaled down where a larger score turns up.
template <class Row, bool kRounds>
void unit(const Attention& a, const AttentionUnit& u, int chunks) {
  const int group = a.heads / a.kv_heads, d = a.head_dim, lane = u.kv_head * d;
  const std::size_t bytes = Row::bytes(a.kv_heads * d), each = std::size_t(chunks > 1 ? d + 2 : d);
  for (int t = u.token; t < u.token + u.tokens; ++t)
    for (int h = u.kv_head * group; h < (u.kv_head + 1) * group; ++h) {
      const std::size_t row = std::size_t(t) * std::size_t(a.heads) + std::size_t(h);
      float q[kAttentionMaxDim];
      std::memcpy(q, a.q + row * std::size_t(d), std::size_t(d) * 4);
      if constexpr (kRounds)
        for (int c = 0; c < d; ++c) round_to_bf16(q[c]);
      float* y = chunks > 1 ? a.partial + (row * std::size_t(chunks) + std::size_t(u.chunk)) * each : a.y + row * each;
      for (int c = 0; c < d; ++c) y[c] = 0;
      float largest = -INFINITY, sum = 0;
      for (int p = u.begin; p < u.end; ++p) {
        if (!sees(a, t, p)) continue;
        const std::size_t at = std::size_t(p % a.capacity) * bytes;
        float k[kAttentionMaxDim], v[kAttentionMaxDim];
        for (int c = 0; c < d; c += 32) {
          const int count = d - c < 32 ? d - c : 32;
          Row::values(a.k + at, lane + c, count, 1, k + c);
          Row::values(a.v + at, lane + c, count, 1, v + c);
        }
        const float score = sum_of_products(q, k, d) * a.scale;
        if (score > largest) {
          const float down = expf(largest - score);  // 0 at first
          largest = score;
          sum *= down;
          for (int c = 0; c < d; ++c) y[c] *= down;
        }
        float weight = expf(score - largest);
        sum += weight;
        if constexpr (kRounds) round_to_bf16(weight);
        for (int c = 0; c < d; ++c) y[c] += weight * v[c];
      }
      const float inverse = sum > 0 ? 1 / sum : 0;
      for (int c = 0; c < d; ++c) y[c] *= inverse;
      if (chunks > 1) y[d] = largest, y[d + 1] = sum;
    }
}

template <class Row, bool kRounds = false>
void attention(const Attention& a, int first, int last) {
  const int chunks = attention_chunks(a);
  for (int u = first; u < last; ++u) unit<Row, kRounds>(a, attention_unit(a, u), chunks);
}

}  // namespace

void attention_fp32_fp32(const Attention& a, int first, int last) { attention<Fp32>(a, first, last); }
void attention_bf16_fp32(const Attention& a, int first, int last) { attention<Bf16>(a, first, last); }
void attention_bf16_bf16(const Attention& a, int first, int last) { attention<Bf16, true>(a, first, last); }
void attention_q8_0_fp32(const Attention& a, int first, int last) { attention<Q8_0>(a, first, last); }

}  // namespace assay::kernels::cpu::portable
