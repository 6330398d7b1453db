#include "kernels/spec/router.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/spec/value_trial.h"
#include "kernels/tolerance.h"

namespace assay::kernels {
namespace {

std::unique_ptr<Trial> trial(Format, Acts, const Shape& s, std::uint64_t seed) {
  const int tokens = s[0], experts = s[1], used = s[2];
  const bool in_place = s[3] != 0;
  std::vector<float> scores = random_floats(std::size_t(tokens) * std::size_t(experts), 6, seed);
  // Scores are multiples of 2^-4, so that no rounding changes their order; equals, which remain, test it.
  for (float& v : scores) v = std::round(v * 16) / 16;
  for (std::size_t i = 0; i < scores.size(); i += 11) scores[i] -= 100;  // probabilities of 0
  const std::vector<float> scale = random_floats(std::size_t(experts), 2, seed + 1);
  const auto input = guarded(scores), scales = guarded(scale);
  std::vector<Values> outputs{{.count = scores.size(), .row_values = experts},
                              {.count = std::size_t(tokens) * std::size_t(used), .row_values = used, .integers = true},
                              {.count = std::size_t(tokens) * std::size_t(used), .row_values = used}};
  if (in_place) outputs[0].before = scores;
  return std::make_unique<ValueTrial>(
      tokens, std::move(outputs),
      [=](const Kernel& kernel, std::span<float* const> out, int first, int last) {
        function<spec::router>(kernel)({.scores = in_place ? out[0] : input->as<float>(),
                                        .expert_scale = scales->as<float>(),
                                        .probs = out[0],
                                        .ids = reinterpret_cast<std::int32_t*>(out[1]),
                                        .weights = out[2],
                                        .experts = experts,
                                        .used = used},
                                       first, last);
      },
      [=](std::span<Values> out) {
        for (int t = 0; t < tokens; ++t) {
          const float* row = scores.data() + std::size_t(t) * std::size_t(experts);
          const double largest = *std::max_element(row, row + experts);
          double sum = 0;
          for (int e = 0; e < experts; ++e) sum += std::exp(row[e] - largest);
          const double terms = 8 * std::sqrt(double(experts));  // of the sum; after Higham, as in dot_fp32
          std::vector<double> probs;
          for (int e = 0; e < experts; ++e) {
            const std::size_t i = std::size_t(t) * std::size_t(experts) + std::size_t(e);
            probs.push_back(std::exp(row[e] - largest) / sum);
            out[0].exact[i] = probs.back();
            out[0].atol[i] = function_fp32(probs.back(), 0).atol + rounded(terms, probs.back()).atol;
          }
          std::vector<int> order(std::size_t(experts), 0);
          std::iota(order.begin(), order.end(), 0);
          std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return row[a] > row[b]; });
          // Probabilities that are both 0 in fp32 are equals, whatever their scores: not judged.
          double chosen = 0;
          for (int i = 0; i < used; ++i) chosen += probs[std::size_t(order[std::size_t(i)])];
          for (int i = 0; i < used; ++i) {
            const std::size_t at = std::size_t(t) * std::size_t(used) + std::size_t(i);
            const std::size_t e = std::size_t(order[std::size_t(i)]);
            if (probs[e] < 1e-30) continue;
            out[1].exact[at] = double(e);
            out[2].exact[at] = probs[e] / chosen * scale[e];
            out[2].atol[at] = function_fp32(out[2].exact[at], 0).atol +
                              rounded(8 * std::sqrt(double(used)) + 4, out[2].exact[at]).atol;
          }
        }
        return Lost{};
      });
}

}  // namespace

const OpInfo& info_of(spec::router) {
  static const OpInfo info{
      .op = Op::router,
      .name = "router",
      .what = "probabilities of experts, the top k and their weights",
      .dims = {"tokens", "experts", "used", "in_place"},
      .awkward =
          [](Format, Acts) {
            std::vector<Shape> shapes;
            int turn = 0;
            for (const int experts : {2, 3, 7, 8, 15, 16, 17, 33, 64, 100, 128})
              for (const int used : {1, 2, 8, experts})
                if (used <= experts)
                  for (const int tokens : {1, 18}) shapes.push_back({tokens, experts, used, turn++ % 2});
            return shapes;
          },
      .cost =
          [](Format, Acts, const Shape& s) {
            return Cost{.bytes = s[0] * (8.0 * s[1] + 8.0 * s[2]) + 4.0 * s[1],
                        .flops = double(s[0]) * s[1] * (16.0 + s[2])};
          },
      .trial = trial,
      .invalid = [](Format format, Acts acts, const Shape& s) -> std::string {
        if (std::string wrong = invalid_fp32(format, acts, s, 3); !wrong.empty()) return wrong;
        return s[2] > s[1] ? "more experts used than there are" : "";
      },
  };
  return info;
}

}  // namespace assay::kernels
