#include "kernels/spec/read.h"

#include <cstring>

#include "kernels/op.h"
#include "kernels/spec/exact_trial.h"
#include "kernels/spec/random.h"

namespace assay::kernels {
namespace {

std::unique_ptr<Trial> trial(Format, Acts, const Shape& s, std::uint64_t seed) {
  const int rows = s[0], cols = s[1];
  auto x = std::make_shared<Guarded>(std::size_t(rows) * std::size_t(cols) * 4, 64);
  std::vector<std::uint32_t> folded(std::size_t(rows), 0);
#pragma omp parallel for
  for (int r = 0; r < rows; ++r)
    for (int c = 0; c < cols; ++c) {
      const std::size_t i = std::size_t(r) * std::size_t(cols) + std::size_t(c);
      const auto word = std::uint32_t(random_bits(seed, i));
      x->as<std::uint32_t>()[i] = word;
      folded[std::size_t(r)] ^= word;
    }
  std::vector<ExactOutput> outputs{{.row_bytes = 4, .expected = std::vector<std::byte>(folded.size() * 4)}};
  std::memcpy(outputs[0].expected.data(), folded.data(), folded.size() * 4);
  return std::make_unique<ExactTrial>(
      rows, 4, std::move(outputs),
      [x, cols](const Kernel& kernel, std::span<std::byte* const> out, int first, int last) {
        function<spec::read>(kernel)(x->as<std::uint32_t>(), cols, reinterpret_cast<std::uint32_t*>(out[0]), first,
                                     last);
      });
}

}  // namespace

const OpInfo& info_of(spec::read) {
  static const OpInfo info{
      .op = Op::read,
      .name = "read",
      .what = "reads memory: the roof of bytes",
      .dims = {"rows", "cols"},
      .awkward =
          [](Format, Acts) {
            return std::vector<Shape>{{1, 256}, {2, 512}, {7, 768}, {70, 1280}};
          },
      .cost = [](Format, Acts, const Shape& s) { return Cost{.bytes = 4.0 * s[0] * (s[1] + 1.0)}; },
      .trial = trial,
      .invalid = [](Format format, Acts acts, const Shape& s) -> std::string {
        if (format != Format::fp32 || acts != Acts::fp32) return "reads 32-bit words";
        return s[0] < 1 || s[1] < 1 || s[1] % 256 != 0 ? "columns are not a multiple of 256" : "";
      },
  };
  return info;
}

}  // namespace assay::kernels
