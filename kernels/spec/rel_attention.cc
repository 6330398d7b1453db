#include "kernels/spec/rel_attention.h"

#include <algorithm>
#include <cmath>

#include "kernels/spec/value_trial.h"
#include "kernels/tolerance.h"

namespace assay::kernels {
namespace {

constexpr float kCap = 5, kInvalid = -1e9F;  // a cap that bends these scores

struct Dot {
  double value = 0, error = 0;
};
Dot dot(const float* a, const float* b, int n) {
  Dot dot;
  double partial = 0, squares = 0;
  for (int i = 0; i < n; ++i) {
    const double product = double{a[i]} * b[i];
    dot.value += product;
    squares += product * product;
    partial = std::max(partial, std::fabs(dot.value));
  }
  dot.error = 0x1p-24 * std::sqrt(double(n)) * std::max(partial, 2 * std::sqrt(squares));  // dot_fp32 without its eight
  return dot;
}

std::unique_ptr<Trial> trial(Format, Acts, const Shape& s, std::uint64_t seed) {
  const int frames = s[0], heads = s[1], d = s[2], chunk = s[3], past = s[4], future = s[5];
  const bool masked = s[6] != 0;
  const int width = heads * d, context = chunk + past + future, positions = context / 2 + 1;
  const std::size_t row = std::size_t(width);
  const float unit = 4 / std::sqrt(float(d));
  const std::vector<float> q = random_floats(std::size_t(frames) * row, unit, seed);
  const std::vector<float> k = random_floats(std::size_t(frames) * row, 2, seed + 1);
  const std::vector<float> relative = random_floats(std::size_t(positions) * row, 2, seed + 3);
  std::vector<float> v = random_floats(std::size_t(frames) * row, 1, seed + 2);
  for (float& value : v) value += 0.5F;
  std::vector<std::uint8_t> real;
  real.reserve(std::size_t(frames));
  // Padding at the end, more of it than a context is long in long clips, and a hole.
  for (int t = 0; t < frames; ++t)
    real.push_back(masked && ((t >= (frames + 1) / 2 && t > 2) || t == 1) ? 0 : std::uint8_t(1 + t % 255));
  const auto qs = guarded(q), ks = guarded(k), vs = guarded(v), relatives = guarded(relative), mask = guarded(real);
  std::vector<Values> outputs{{.count = q.size(), .row_values = width}};
  return std::make_unique<ValueTrial>(
      frames, std::move(outputs),
      [=](const Kernel& kernel, std::span<float* const> out, int first, int last) {
        function<spec::rel_attention>(kernel)({.q = qs->as<float>(),
                                               .k = ks->as<float>(),
                                               .v = vs->as<float>(),
                                               .relative = relatives->as<float>(),
                                               .real = masked ? mask->as<std::uint8_t>() : nullptr,
                                               .y = out[0],
                                               .frames = frames,
                                               .heads = heads,
                                               .head_dim = d,
                                               .positions = positions,
                                               .chunk = chunk,
                                               .past = past,
                                               .future = future,
                                               .cap = kCap,
                                               .invalid = kInvalid},
                                              first, last);
      },
      [=](std::span<Values> out) {
        Lost lost;
        const int step = std::max(1, frames / 64);
        std::vector<double> scores(std::size_t(context), 0), errors(scores.size(), 0);
        for (int t = 0; t < frames; t += step)
          for (int h = 0; h < heads; ++h) {
            const std::size_t lane = std::size_t(h) * std::size_t(d);
            const auto at = [&](const std::vector<float>& rows, int r) {
              return rows.data() + std::size_t(r) * row + lane;
            };
            const int begin = t / chunk * chunk, i = t - begin;
            for (int j = 0; j < context; ++j) {
              const int frame = begin - past + j, n = i * context + j, from = begin + n / (context + 1);
              const int position = n % (context + 1), distance = t - frame;
              const bool inside = frame >= 0 && frame < frames;
              Dot sum = inside ? dot(at(q, t), at(k, frame), d) : Dot{};
              if (position < positions && from < frames) {
                const Dot bias = dot(at(q, from), at(relative, position), d);
                sum.value += bias.value;
                sum.error += bias.error;
              }
              const bool near = distance >= 0 ? distance < past : -distance < future;
              const bool valid = inside && real[std::size_t(frame)] != 0 && near;
              const double capped = std::tanh(sum.value / kCap) * kCap;
              scores[std::size_t(j)] = valid ? capped : double{kInvalid};
              errors[std::size_t(j)] = valid ? sum.error + 0x1p-24 * 4 * (std::fabs(capped) + 1) : 0;
            }
            const double largest = *std::max_element(scores.begin(), scores.end());
            double sum = 0;
            for (double& score : scores) sum += score = std::exp(score - largest);
            for (int c = 0; c < d; ++c) {
              const auto value = [&](int j) {
                const int frame = begin - past + j;
                return frame < 0 || frame >= frames ? 0.0 : double{at(v, frame)[c]};
              };
              double exact = 0, magnitude = 0, squares = 0;
              const std::size_t index = std::size_t(t) * row + lane + std::size_t(c);
              for (int j = 0; j < context; ++j) {
                const double product = scores[std::size_t(j)] / sum * value(j);
                exact += product;
                magnitude += std::fabs(product);
                if (std::fabs(product) > std::fabs(lost.delta)) lost = {.index = index, .delta = product};
              }
              for (int j = 0; j < context; ++j) {
                const double moved =
                    scores[std::size_t(j)] / sum * std::fabs(value(j) - exact) * errors[std::size_t(j)];
                squares += moved * moved;
              }
              out[0].exact[index] = exact;
              out[0].atol[index] = attention_fp32(context, squares, magnitude).atol + 0x1p-126;
            }
          }
        return lost;
      });
}

}  // namespace

const OpInfo& info_of(spec::rel_attention) {
  static const OpInfo info{
      .op = Op::rel_attention,
      .name = "rel_attention",
      .what = "audio: attention of chunks with relative positions",
      .dims = {"frames", "heads", "head_dim", "chunk", "past", "future", "masked"},
      .awkward =
          [](Format, Acts) {
            std::vector<Shape> shapes;
            int turn = 0;
            for (const int d : {1, 2, 7, 8, 16, 17, 33, 64, 128})
              for (const int frames : {1, 5, 12, 40}) {
                shapes.push_back({frames, 1 + turn % 4, d, 12, 12, 0, turn % 2});
                if (turn % 3 == 0) shapes.push_back({frames, 2, d, 5, 3, 4, turn % 2});  // misaligned, with a future
                if (turn % 4 == 0) shapes.push_back({frames, 1, d, 9, 2, 0, 0});
                ++turn;
              }
            return shapes;
          },
      .cost =
          [](Format, Acts, const Shape& s) {
            const double width = double(s[1]) * s[2], context = s[3] + s[4] + s[5];
            return Cost{.bytes = 4 * width * (4.0 * s[0] + context / 2), .flops = 6 * width * s[0] * context};
          },
      .trial = trial,
      .invalid = [](Format format, Acts acts, const Shape& s) -> std::string {
        if (std::string wrong = invalid_fp32(format, acts, s, 4); !wrong.empty()) return wrong;
        if (s[4] < 0 || s[5] < 0) return "a negative dimension";
        return s[3] + s[4] + s[5] > kRelAttentionMaxContext ? "a context of more than 256 frames" : "";
      },
  };
  return info;
}

}  // namespace assay::kernels
