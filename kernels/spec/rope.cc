#include "kernels/spec/rope.h"

#include <cmath>

#include "kernels/spec/value_trial.h"
#include "kernels/tolerance.h"

namespace assay::kernels {
namespace {

std::unique_ptr<Trial> trial(Format, Acts, const Shape& s, std::uint64_t seed) {
  const int tokens = s[0], heads = s[1], d = s[2], parts = s[3];
  const bool in_place = s[4] != 0;
  const std::vector<float> x = random_floats(std::size_t(tokens) * std::size_t(heads) * std::size_t(d), 3, seed);
  std::vector<float> cosines(std::size_t(tokens) * std::size_t(d / 2)), sines(cosines.size());
  const std::vector<float> angles = random_floats(cosines.size(), 100, seed + 1);
  for (std::size_t i = 0; i < angles.size(); ++i) {
    // Every third pair is not turned, as behind the end of proportional RoPE's frequencies.
    cosines[i] = i % 3 == 2 ? 1 : float(std::cos(double{angles[i]}));
    sines[i] = i % 3 == 2 ? 0 : float(std::sin(double{angles[i]}));
  }
  const auto input = guarded(x), c = guarded(cosines), n = guarded(sines);
  std::vector<Values> outputs{{.count = x.size(), .row_values = heads * d}};
  if (in_place) outputs[0].before = x;
  return std::make_unique<ValueTrial>(
      tokens, std::move(outputs),
      [=](const Kernel& kernel, std::span<float* const> out, int first, int last) {
        function<spec::rope>(kernel)({.x = in_place ? out[0] : input->as<float>(),
                                      .cosines = c->as<float>(),
                                      .sines = n->as<float>(),
                                      .y = out[0],
                                      .heads = heads,
                                      .head_dim = d,
                                      .parts = parts},
                                     first, last);
      },
      [=](std::span<Values> out) {
        const std::size_t pairs = std::size_t(d / parts / 2);
        for (std::size_t i = 0; i < x.size(); ++i) {
          const std::size_t lane = i % std::size_t(d), part = lane / (2 * pairs), token = i / std::size_t(heads * d);
          const bool low = lane % (2 * pairs) < pairs;
          const double other = low ? -x[i + pairs] : x[i - pairs];
          const std::size_t at = token * std::size_t(d / 2) + part * pairs + lane % pairs;
          out[0].exact[i] = x[i] * double{cosines[at]} + other * double{sines[at]};
          out[0].atol[i] = rounded(2, std::fabs(x[i] * cosines[at]) + std::fabs(other * sines[at])).atol;
        }
        return Lost{};
      });
}

}  // namespace

const OpInfo& info_of(spec::rope) {
  static const OpInfo info{
      .op = Op::rope,
      .name = "rope",
      .what = "rotary position embedding",
      .dims = {"tokens", "heads", "head_dim", "parts", "in_place"},
      .awkward =
          [](Format, Acts) {
            std::vector<Shape> shapes;
            int turn = 0;
            for (const int d : {2, 4, 6, 8, 14, 16, 30, 32, 34, 64, 66, 80, 256, 512})
              for (const int tokens : {1, 5, 18}) {
                shapes.push_back({tokens, 1 + turn % 3, d, 1, turn % 2});
                if (d % 4 == 0) shapes.push_back({tokens, 1 + turn % 4, d, 2, turn % 2});
                ++turn;
              }
            return shapes;
          },
      .cost =
          [](Format, Acts, const Shape& s) {
            const double values = double(s[0]) * s[1] * s[2];
            return Cost{.bytes = 8 * values + 4.0 * s[0] * s[2], .flops = 3 * values};
          },
      .trial = trial,
      .invalid = [](Format format, Acts acts, const Shape& s) -> std::string {
        if (std::string wrong = invalid_fp32(format, acts, s, 4); !wrong.empty()) return wrong;
        return s[2] % (2 * s[3]) != 0 ? "head_dim is not a multiple of 2 parts" : "";
      },
  };
  return info;
}

}  // namespace assay::kernels
