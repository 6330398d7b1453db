#include "kernels/spec/gated.h"

#include <cmath>

#include "kernels/spec/activation_answer.h"
#include "kernels/spec/value_trial.h"
#include "kernels/tolerance.h"

namespace assay::kernels {
namespace {

std::unique_ptr<Trial> trial(Format, Acts, const Shape& s, std::uint64_t seed) {
  const int rows = s[0], cols = s[1], layout = s[3];
  const auto activation = Activation(s[2]);
  // 0: three matrices; 1: gate and up are halves of one, as an expert's are; 2: in place of gate, up a slice of wider
  // rows.
  const int gate_stride = layout == 1 ? 2 * cols : cols;
  const int up_stride = layout == 1 ? 2 * cols : layout == 2 ? cols + 3 : cols;
  const std::size_t up_at = layout == 1 ? std::size_t(cols) : 0;
  std::vector<float> gate = random_floats(std::size_t(rows) * std::size_t(gate_stride), 8, seed);
  gate[0] = 1.7F;  // an ordinary one in every shape
  const std::vector<float> up =
      layout == 1 ? gate
                  : random_floats(std::size_t(rows - 1) * std::size_t(up_stride) + std::size_t(cols), 3, seed + 1);
  const auto gates = guarded(gate), ups = guarded(up);
  std::vector<Values> outputs{{.count = std::size_t(rows) * std::size_t(cols), .row_values = cols}};
  if (layout == 2) outputs[0].before = gate;
  return std::make_unique<ValueTrial>(
      rows, std::move(outputs),
      [=](const Kernel& kernel, std::span<float* const> out, int first, int last) {
        function<spec::gated>(kernel)({.gate = layout == 2 ? out[0] : gates->as<float>(),
                                       .up = ups->as<float>() + up_at,
                                       .y = out[0],
                                       .cols = cols,
                                       .gate_stride = gate_stride,
                                       .up_stride = up_stride,
                                       .y_stride = cols,
                                       .activation = activation},
                                      first, last);
      },
      [=](std::span<Values> out) {
        for (std::size_t i = 0; i < out[0].count; ++i) {
          const std::size_t r = i / std::size_t(cols), c = i % std::size_t(cols);
          const double g = gate[r * std::size_t(gate_stride) + c], u = up[r * std::size_t(up_stride) + up_at + c];
          out[0].exact[i] = activation_exact(activation, g) * u;
          out[0].atol[i] = activation_tolerance(activation, g).atol * std::fabs(u) + rounded(1, out[0].exact[i]).atol;
        }
        return Lost{};
      });
}

}  // namespace

const OpInfo& info_of(spec::gated) {
  static const OpInfo info{
      .op = Op::gated,
      .name = "gated",
      .what = "activation(gate) * up",
      .dims = {"rows", "cols", "activation", "layout"},
      .awkward =
          [](Format, Acts) {
            std::vector<Shape> shapes;
            int turn = 0;
            for (const Shape& s : awkward_rows())
              for (int a = 0; a < kActivations; ++a) shapes.push_back({s[0], s[1], a, turn++ % 3});
            return shapes;
          },
      .cost =
          [](Format, Acts, const Shape& s) {
            const double values = double(s[0]) * s[1];
            return Cost{.bytes = 12 * values, .flops = 16 * values};
          },
      .trial = trial,
      .invalid = [](Format format, Acts acts, const Shape& s) -> std::string {
        if (std::string wrong = invalid_fp32(format, acts, s, 2); !wrong.empty()) return wrong;
        if (s[3] < 0 || s[3] > 2) return "no such layout";
        return s[2] < 0 || s[2] >= kActivations ? "no such activation" : "";
      },
  };
  return info;
}

}  // namespace assay::kernels
