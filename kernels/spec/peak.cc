#include "kernels/spec/peak.h"

#include <cstring>

#include "kernels/op.h"
#include "kernels/spec/exact_trial.h"

namespace assay::kernels {
namespace {

std::unique_ptr<Trial> trial(Format, Acts, const Shape& s, std::uint64_t /*seed: there is nothing to draw*/) {
  const int rows = s[0], steps = s[1];
  const std::vector<float> sums(std::size_t(rows), float(spec::kPeakProducts * steps));
  std::vector<ExactOutput> outputs{{.row_bytes = 4, .expected = std::vector<std::byte>(sums.size() * 4)}};
  std::memcpy(outputs[0].expected.data(), sums.data(), sums.size() * 4);
  return std::make_unique<ExactTrial>(
      rows, 4, std::move(outputs), [steps](const Kernel& kernel, std::span<std::byte* const> out, int first, int last) {
        function<spec::peak>(kernel)(steps, reinterpret_cast<float*>(out[0]), first, last);
      });
}

}  // namespace

const OpInfo& info_of(spec::peak) {
  static const OpInfo info{
      .op = Op::peak,
      .name = "peak",
      .what = "multiplies and adds out of registers: the roof of arithmetic",
      .dims = {"rows", "steps"},
      .awkward =
          [](Format, Acts) {
            return std::vector<Shape>{{1, 1}, {2, 1024}, {70, 3}};
          },
      .cost = [](Format, Acts, const Shape& s) { return Cost{.flops = 2.0 * s[0] * s[1] * spec::kPeakProducts}; },
      .trial = trial,
      .invalid = [](Format format, Acts, const Shape& s) -> std::string {
        if (format != Format::fp32) return "reads nothing: its format is fp32";
        return s[0] < 1 || s[1] < 1 || s[1] > 1024 ? "steps are not 1 to 1024" : "";
      },
  };
  return info;
}

}  // namespace assay::kernels
