#include "kernels/spec/attention_merge.h"

#include <cmath>
#include <limits>

#include "kernels/spec/value_trial.h"
#include "kernels/tolerance.h"

namespace assay::kernels {
namespace {

std::unique_ptr<Trial> trial(Format, Acts, const Shape& s, std::uint64_t seed) {
  const int rows = s[0], chunks = s[1], d = s[2];
  const std::size_t each = std::size_t(d) + 2;
  std::vector<float> partial = random_floats(std::size_t(rows) * std::size_t(chunks) * each, 2, seed);
  for (std::size_t p = 0; p < std::size_t(rows) * std::size_t(chunks); ++p) {
    float* part = partial.data() + p * each;
    // Now and then a part, or a whole row of them, saw nothing.
    if (p % 5 == 3 || p / std::size_t(chunks) % 7 == 6) {
      std::fill_n(part, d, 0.0F);
      part[d] = -std::numeric_limits<float>::infinity();
      part[d + 1] = 0;
    } else {
      part[d] = part[d] * 5;
      part[d + 1] = 1 + part[d + 1] * part[d + 1] * 50;
    }
  }
  const auto input = guarded(partial);
  std::vector<Values> outputs{{.count = std::size_t(rows) * std::size_t(d), .row_values = d}};
  return std::make_unique<ValueTrial>(
      rows, std::move(outputs),
      [=](const Kernel& kernel, std::span<float* const> out, int first, int last) {
        function<spec::attention_merge>(kernel)(input->as<float>(), chunks, d, out[0], first, last);
      },
      [=](std::span<Values> out) {
        for (int r = 0; r < rows; ++r) {
          const float* parts = partial.data() + std::size_t(r) * std::size_t(chunks) * each;
          double largest = -std::numeric_limits<double>::infinity(), sum = 0;
          for (int i = 0; i < chunks; ++i) largest = std::fmax(largest, parts[std::size_t(i) * each + std::size_t(d)]);
          std::vector<double> weights(std::size_t(chunks), 0);
          for (std::size_t i = 0; i < weights.size(); ++i) {
            const float* part = parts + i * each;
            if (part[d + 1] == 0) continue;
            weights[i] = part[d + 1] * std::exp(part[d] - largest);
            sum += weights[i];
          }
          for (int c = 0; c < d; ++c) {
            double value = 0, magnitude = 0;
            for (std::size_t i = 0; i < weights.size(); ++i) {
              const double product = weights[i] * parts[i * each + std::size_t(c)];
              value += product;
              magnitude += std::fabs(product);
            }
            const std::size_t at = std::size_t(r) * std::size_t(d) + std::size_t(c);
            out[0].exact[at] = sum == 0 ? 0 : value / sum;
            // Each weight's exponential errs by a few ULP, its argument by one of the largest difference, 20.
            out[0].atol[at] = rounded(8 * std::sqrt(double(chunks)) + 30, sum == 0 ? 0 : magnitude / sum).atol;
          }
        }
        return Lost{};
      });
}

}  // namespace

const OpInfo& info_of(spec::attention_merge) {
  static const OpInfo info{
      .op = Op::attention_merge,
      .name = "attention_merge",
      .what = "chunks' parts of attention to one",
      .dims = {"rows", "chunks", "head_dim"},
      .awkward =
          [](Format, Acts) {
            std::vector<Shape> shapes;
            for (const int d : {1, 2, 7, 16, 17, 33, 64, 256, 512})
              for (const int chunks : {1, 2, 5, 33}) shapes.push_back({1 + (d + chunks) % 19, chunks, d});
            return shapes;
          },
      .cost =
          [](Format, Acts, const Shape& s) {
            return Cost{.bytes = 4.0 * s[0] * (s[1] * (s[2] + 2.0) + s[2]), .flops = 2.0 * s[0] * s[1] * s[2]};
          },
      .trial = trial,
      .invalid = [](Format format, Acts acts, const Shape& s) { return invalid_fp32(format, acts, s, 3); },
  };
  return info;
}

}  // namespace assay::kernels
