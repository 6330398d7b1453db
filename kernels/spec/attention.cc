#include "kernels/spec/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/widen.h"
#include "kernels/formats.h"
#include "kernels/spec/random.h"
#include "kernels/spec/value_trial.h"
#include "kernels/tolerance.h"

namespace assay::kernels {
namespace {

struct Range {
  int begin = 0, end = 0;
};
/// Positions that some of the tokens [token, token + tokens) see.
Range seen_by(const Attention& a, int token, int tokens) {
  Range range{std::numeric_limits<int>::max(), std::numeric_limits<int>::min()};
  for (int t = token; t < token + tokens; ++t) {
    if (a.from[t] >= a.to[t]) continue;
    range.begin = std::min(range.begin, int(a.from[t]));
    range.end = std::max(range.end, int(a.to[t]));
  }
  return range.begin < range.end ? range : Range{};
}

}  // namespace

int attention_queries(const Attention& a) { return std::max(1, kAttentionRows / (a.heads / a.kv_heads)); }

int attention_chunks(const Attention& a) {
  if (a.chunk == 0) return 1;
  const int block = attention_queries(a);
  int chunks = 1;
  for (int token = 0; token < a.tokens; token += block) {
    const Range seen = seen_by(a, token, std::min(block, a.tokens - token));
    chunks = std::max(chunks, (seen.end - seen.begin + a.chunk - 1) / a.chunk);
  }
  return chunks;
}

int attention_units(const Attention& a) {
  const int block = attention_queries(a);
  return (a.tokens + block - 1) / block * a.kv_heads * attention_chunks(a);
}

AttentionUnit attention_unit(const Attention& a, int index) {
  const int block = attention_queries(a), chunks = attention_chunks(a);
  AttentionUnit unit{};
  unit.chunk = index % chunks;
  unit.kv_head = index / chunks % a.kv_heads;
  unit.token = index / chunks / a.kv_heads * block;
  unit.tokens = std::min(block, a.tokens - unit.token);
  const Range seen = seen_by(a, unit.token, unit.tokens);
  unit.begin = a.chunk == 0 ? seen.begin : seen.begin + unit.chunk * a.chunk;
  unit.end = a.chunk == 0 ? seen.end : std::min(seen.end, unit.begin + a.chunk);
  return unit;
}

int attention_chunks_of(int keys) {
  return keys <= kKeysAlone ? 1 : std::min(kMostChunks, (keys + 2 * kKeysOfChunk - 1) / (2 * kKeysOfChunk) * 2);
}

int attention_chunk_of(int keys) {
  const int chunks = attention_chunks_of(keys);
  return std::max(1, (keys + chunks - 1) / chunks);
}

namespace {

constexpr int kDims = 9;
enum Dim { kTokens, kHeads, kKvHeads, kHeadDim, kKeys, kWindow, kChunk, kRing, kHoles };
/// How visibility departs from causal: bit 0, a mask with holes; bit 1, image blocks; bit 2, everything (vision).
enum Holes { kMask = 1, kBlocks = 2, kAll = 4 };

struct Operands {
  Acts acts{};
  std::vector<float> q, k, v;  ///< q as the mode has it; k and v as the cache's format holds them, by position
  std::vector<std::int32_t> from, to;
  std::vector<std::uint8_t> mask;
  std::shared_ptr<Guarded> q_at, k_at, v_at, from_at, to_at, mask_at;
  Attention a{};
  bool sees(int t, int p) const {
    if (p < from[std::size_t(t)] || p >= to[std::size_t(t)]) return false;
    return mask.empty() || mask[std::size_t(t) * std::size_t(a.mask_stride) + std::size_t(p - a.mask_first)] != 0;
  }
};

/// The ring's rows; what no position lies in is NaN, or for q8_0 infinite scales.
std::shared_ptr<Guarded> cache_of(Format format, std::vector<float>& by_position, int width, int first, int keys,
                                  int capacity) {
  const std::size_t bytes = row_bytes(format, width);
  auto made = std::make_shared<Guarded>(std::size_t(capacity) * bytes, format == Format::fp32 ? 4 : 2);
  std::fill(made->bytes().begin(), made->bytes().end(), std::byte{0x7f});
  if (format != Format::q8_0) std::fill(made->bytes().begin(), made->bytes().end(), std::byte{0xff});
  for (int p = first; p < keys; ++p) {
    const std::span<float> row(by_position.data() + std::size_t(p) * std::size_t(width), std::size_t(width));
    std::byte* to = made->data() + std::size_t(p % capacity) * bytes;
    quantize(format, row, to);
    dequantize(format, to, 1, row);
  }
  return made;
}

std::shared_ptr<Operands> operands(Format format, Acts acts, const Shape& s, std::uint64_t seed) {
  auto o = std::make_shared<Operands>();
  o->acts = acts;
  const int tokens = s[kTokens], heads = s[kHeads], kv_heads = s[kKvHeads], d = s[kHeadDim], keys = s[kKeys];
  const int window = s[kWindow], width = kv_heads * d, past = keys - tokens;
  for (int t = 0; t < tokens; ++t) {
    const int p = past + t;
    int from = window == 0 ? 0 : std::max(0, p - window + 1), to = p + 1;
    if ((s[kHoles] & kBlocks) != 0 && p % 9 >= 4) to = std::min(keys, p / 9 * 9 + 9);  // an image of five in nine rows
    if ((s[kHoles] & kAll) != 0) to = keys;
    if ((s[kHoles] & kMask) != 0 && t % 7 == 6) to = from;  // padding sees nothing
    o->from.push_back(from);
    o->to.push_back(to);
  }
  const int first = window == 0 ? 0 : std::max(0, past - window + 1);
  const int capacity = s[kRing] != 0 ? keys - first : keys;
  if ((s[kHoles] & kMask) != 0) {
    const int stride = keys - first + 3;
    o->a.mask_first = first;
    o->a.mask_stride = stride;
    for (int t = 0; t < tokens; ++t)
      for (int i = 0; i < stride; ++i)
        o->mask.push_back(random_bits(seed + 9, std::uint64_t(t) << 32 | std::uint64_t(i)) % 4 != 0 ||
                                  i == t + past - first
                              ? std::uint8_t(1 + i % 255)
                              : std::uint8_t{0});
  }
  // Scores of a few units, as norms of q and k leave them; each key a little of the same direction, so that no sum
  // cancels; V away from 0.
  o->q = random_floats(std::size_t(tokens) * std::size_t(heads) * std::size_t(d), 3, seed);
  o->k = random_floats(std::size_t(keys) * std::size_t(width), 1, seed + 1);
  o->v = random_floats(std::size_t(keys) * std::size_t(width), 1, seed + 2);
  for (float& v : o->v) v += 0.5F;
  o->k_at = cache_of(format, o->k, width, first, keys, capacity);
  o->v_at = cache_of(format, o->v, width, first, keys, capacity);
  o->q_at = guarded(o->q);
  if (acts == Acts::bf16)
    for (float& q : o->q) q = widen_bf16(narrow_bf16(q));
  o->from_at = guarded(o->from);
  o->to_at = guarded(o->to);
  o->mask_at = guarded(o->mask);
  o->a.q = o->q_at->as<float>();
  o->a.k = o->k_at->data();
  o->a.v = o->v_at->data();
  o->a.from = o->from_at->as<std::int32_t>();
  o->a.to = o->to_at->as<std::int32_t>();
  o->a.mask = o->mask.empty() ? nullptr : o->mask_at->as<std::uint8_t>();
  o->a.tokens = tokens;
  o->a.heads = heads;
  o->a.kv_heads = kv_heads;
  o->a.head_dim = d;
  o->a.capacity = capacity;
  o->a.chunk = s[kChunk];
  o->a.scale = 1.25F / std::sqrt(float(d));
  return o;
}

struct Part {
  std::vector<double> exact, atol;  ///< [head_dim]
  double largest = -std::numeric_limits<double>::infinity(), sum = 0;
  double score_atol = 0;
  double lost = 0;  ///< what the heaviest key adds to value 0
};

/// The exact answer for one query head over positions [begin, end).
Part part_of(const Operands& o, int t, int head, int begin, int end) {
  const Attention& a = o.a;
  const std::size_t d = std::size_t(a.head_dim), width = d * std::size_t(a.kv_heads);
  const std::size_t lane = std::size_t(head / (a.heads / a.kv_heads)) * d;
  const float* q = o.q.data() + (std::size_t(t) * std::size_t(a.heads) + std::size_t(head)) * d;
  Part part{.exact = std::vector<double>(d, 0), .atol = std::vector<double>(d, 0x1p-126)};
  std::vector<int> seen;
  std::vector<double> scores, errors;
  for (int p = begin; p < end; ++p) {
    if (!o.sees(t, p)) continue;
    const float* k = o.k.data() + std::size_t(p) * width + lane;
    double dot = 0, partial = 0, squares = 0;
    for (std::size_t c = 0; c < d; ++c) {
      const double product = double{q[c]} * k[c];
      dot += product;
      squares += product * product;
      partial = std::max(partial, std::fabs(dot));
    }
    partial = std::max(partial, 2 * std::sqrt(squares));
    seen.push_back(p);
    scores.push_back(dot * a.scale);
    // dot_fp32 without its eight; scaling, and the difference to a maximum, round once more each.
    errors.push_back(0x1p-24 * (std::sqrt(double(d)) * partial * a.scale + 2 * std::fabs(scores.back()) + 4));
    part.score_atol = std::max(part.score_atol, 8 * errors.back());
    part.largest = std::max(part.largest, scores.back());
  }
  if (seen.empty()) return part;
  for (double& score : scores) {
    score = std::exp(score - part.largest);
    part.sum += score;
  }
  double heaviest = 0;
  std::vector<double> magnitude(d, 0);
  for (std::size_t i = 0; i < seen.size(); ++i) {
    const float* v = o.v.data() + std::size_t(seen[i]) * width + lane;
    const double weight = scores[i] / part.sum;
    for (std::size_t c = 0; c < d; ++c) {
      part.exact[c] += weight * v[c];
      magnitude[c] += weight * std::fabs(v[c]);
    }
    if (weight * std::fabs(v[0]) > std::fabs(heaviest)) heaviest = weight * v[0];
  }
  part.lost = heaviest;
  std::vector<double> squares(d, 0), weighted(d, 0);
  for (std::size_t i = 0; i < seen.size(); ++i) {
    const float* v = o.v.data() + std::size_t(seen[i]) * width + lane;
    for (std::size_t c = 0; c < d; ++c) {
      const double weight = scores[i] / part.sum;
      const double moved = weight * (std::fabs(v[c] - part.exact[c]) + 0x1p-10 * std::fabs(v[c])) * errors[i];
      squares[c] += moved * moved;
      weighted[c] += weight * weight * v[c] * v[c];
    }
  }
  for (std::size_t c = 0; c < d; ++c) {
    part.atol[c] += attention_fp32(int(seen.size()), squares[c], magnitude[c]).atol;
    if (o.acts == Acts::bf16) part.atol[c] += weights_bf16(int(seen.size()), magnitude[c], weighted[c]).atol;
  }
  return part;
}

std::unique_ptr<Trial> trial(Format format, Acts acts, const Shape& s, std::uint64_t seed) {
  const auto o = operands(format, acts, s, seed);
  const Attention& whole = o->a;
  const int chunks = attention_chunks(whole), units = attention_units(whole),
            each = whole.head_dim + (chunks == 1 ? 0 : 2);
  Values out{.count = std::size_t(whole.tokens) * std::size_t(whole.heads) * std::size_t(chunks) * std::size_t(each)};
  out.rows.resize(out.count);
  for (int u = 0; u < units; ++u) {
    const AttentionUnit unit = attention_unit(whole, u);
    const int group = whole.heads / whole.kv_heads;
    for (int t = unit.token; t < unit.token + unit.tokens; ++t)
      for (int h = unit.kv_head * group; h < (unit.kv_head + 1) * group; ++h) {
        const std::size_t at = ((std::size_t(t) * std::size_t(whole.heads) + std::size_t(h)) * std::size_t(chunks) +
                                std::size_t(unit.chunk)) *
                               std::size_t(each);
        std::fill_n(out.rows.begin() + std::ptrdiff_t(at), each, u);
      }
  }
  return std::make_unique<ValueTrial>(
      units, std::vector<Values>{std::move(out)},
      [o, chunks](const Kernel& kernel, std::span<float* const> to, int first, int last) {
        Attention call = o->a;
        (chunks == 1 ? call.y : call.partial) = to[0];
        function<spec::attention>(kernel)(call, first, last);
      },
      [o, chunks, units, each](std::span<Values> to) {
        const Attention& a = o->a;
        const int group = a.heads / a.kv_heads, d = a.head_dim;
        // All of a small problem; of a large one units from the first to the last, and some tokens of each.
        const int judged = std::min(units, 64);
        Lost lost;
#pragma omp parallel for schedule(dynamic, 1)
        for (int i = 0; i < judged; ++i) {
          const AttentionUnit unit =
              attention_unit(a, judged == 1 ? 0 : int(std::int64_t{i} * (units - 1) / (judged - 1)));
          for (int t = unit.token; t < unit.token + unit.tokens; ++t) {
            if (judged < units && t != unit.token && t != unit.token + unit.tokens - 1) continue;
            for (int h = unit.kv_head * group; h < (unit.kv_head + 1) * group; ++h) {
              const std::size_t at = ((std::size_t(t) * std::size_t(a.heads) + std::size_t(h)) * std::size_t(chunks) +
                                      std::size_t(unit.chunk)) *
                                     std::size_t(each);
              const Part part = part_of(*o, t, h, unit.begin, unit.end);
              std::copy(part.exact.begin(), part.exact.end(), to[0].exact.begin() + std::ptrdiff_t(at));
              std::copy(part.atol.begin(), part.atol.end(), to[0].atol.begin() + std::ptrdiff_t(at));
              if (chunks > 1) {
                const std::size_t last = at + std::size_t(d);
                to[0].exact[last] = part.largest;
                to[0].atol[last] = part.score_atol;
                to[0].exact[last + 1] = part.sum;
                to[0].atol[last + 1] = part.sum * 2 * part.score_atol + rounded(8 * std::sqrt(part.sum), part.sum).atol;
              }
#pragma omp critical
              if (std::fabs(part.lost) > std::fabs(lost.delta)) lost = {.index = at, .delta = part.lost};
            }
          }
        }
        return lost;
      });
}

std::vector<Shape> awkward(Format format, Acts) {
  std::vector<Shape> shapes;
  const std::vector<int> dims = format == Format::q8_0 ? std::vector<int>{32, 64, 96, 256, 512}
                                                       : std::vector<int>{1,  2,  3,  5,  8,  15, 16,  17,  24,  31,
                                                                          32, 33, 48, 64, 72, 80, 128, 250, 256, 512};
  struct Heads {
    int heads, kv_heads;
  };
  constexpr Heads kHeadCounts[] = {{1, 1}, {8, 1}, {4, 2}, {3, 3}, {16, 2}, {10, 2}, {33, 1}};
  int turn = 0;
  for (const int d : dims)
    for (const int tokens : {1, 2, 7, 18, 50}) {
      const auto [heads, kv_heads] = kHeadCounts[turn % 7];
      const int keys = tokens + std::array{0, 1, 15, 40, 70}[std::size_t(turn % 5)];
      const int window = std::array{0, 0, 1, 8, 33}[std::size_t(turn / 2 % 5)];
      const int chunk = tokens == 1 ? std::array{0, 16, 7, 64}[std::size_t(turn % 4)] : turn % 6 == 5 ? 13 : 0;
      shapes.push_back(
          {tokens, heads, kv_heads, d, keys, window, chunk, turn % 3 == 0 && window != 0 ? 1 : 0, turn % 8});
      ++turn;
    }
  return shapes;
}

/// Pairs of a query and a position that it sees.
double pairs(const Shape& s, double* rows) {
  const int past = s[kKeys] - s[kTokens];
  double count = 0;
  for (int t = 0; t < s[kTokens]; ++t) {
    const int p = past + t, from = s[kWindow] == 0 ? 0 : std::max(0, p - s[kWindow] + 1);
    count += ((s[kHoles] & kAll) != 0 ? s[kKeys] : p + 1) - from;
  }
  *rows = s[kKeys] - (s[kWindow] == 0 ? 0 : std::max(0, past - s[kWindow] + 1));
  return count;
}

}  // namespace

const OpInfo& info_of(spec::attention) {
  static const OpInfo info{
      .op = Op::attention,
      .name = "attention",
      .what = "queries over a K/V cache",
      .dims = {"tokens", "heads", "kv_heads", "head_dim", "keys", "window", "chunk", "ring", "holes"},
      .awkward = awkward,
      .cost =
          [](Format format, Acts, const Shape& s) {
            double rows = 0;
            const double products = pairs(s, &rows) * s[kHeads] * s[kHeadDim] * 2;
            return Cost{.bytes = 2 * rows * double(row_bytes(format, s[kKvHeads] * s[kHeadDim])) +
                                 8.0 * s[kTokens] * s[kHeads] * s[kHeadDim],
                        .flops = 2 * products};
          },
      .trial = trial,
      .invalid = [](Format format, Acts acts, const Shape& s) -> std::string {
        if (acts == Acts::int8) return "activations are fp32 or bf16";
        if (acts == Acts::bf16 && format != Format::bf16) return "K/V is bf16 where activations are";
        if (format != Format::fp32 && format != Format::bf16 && format != Format::q8_0)
          return "K/V is fp32, bf16 or q8_0";
        for (const Dim dim : {kTokens, kHeads, kKvHeads, kHeadDim, kKeys})
          if (s[dim] < 1) return "a dimension below 1";
        if (s[kHeads] % s[kKvHeads] != 0) return "heads are not a multiple of kv_heads";
        if (s[kHeadDim] > kAttentionMaxDim) return "head_dim over 512";
        if (format == Format::q8_0 && s[kHeadDim] % 32 != 0) return "head_dim is not a multiple of 32";
        if (s[kKeys] < s[kTokens]) return "fewer keys than tokens";
        if (s[kWindow] < 0 || s[kChunk] < 0 || s[kHoles] < 0 || s[kHoles] >= 8)
          return "a negative dimension, or holes above 7";
        return {};
      },
  };
  static_assert(kDims == kHoles + 1 && kDims <= std::tuple_size_v<Shape>);
  return info;
}

}  // namespace assay::kernels
