#include "kernels/spec/gather.h"

#include <cstring>

#include "kernels/formats.h"
#include "kernels/op.h"
#include "kernels/spec/exact_trial.h"
#include "kernels/spec/matrix_trial.h"
#include "kernels/spec/random.h"
#include "kernels/spec/value_trial.h"

namespace assay::kernels {
namespace {

constexpr float kScale = 39.191835F;  // sqrt(1536)

std::unique_ptr<Trial> trial(Format format, Acts, const Shape& s, std::uint64_t seed) {
  const int tokens = s[0], rows = s[1], cols = s[2];
  const float tensor_scale = format == Format::i8 ? 0.0123F : 1;
  const std::size_t bytes = row_bytes(format, cols);
  auto table = std::make_shared<Guarded>(std::size_t(rows) * bytes, format == Format::fp32 ? 4
                                                                    : format == Format::i8 ? 1
                                                                                           : 2);
  random_weights(format, rows, cols, seed, table->data());
  std::vector<std::int64_t> ids(std::size_t(tokens), 0);
  for (std::size_t t = 0; t < ids.size(); ++t)
    ids[t] = t + 1 == ids.size() ? rows - 1 : std::int64_t(random_bits(seed + 1, t) % std::uint64_t(rows));
  ExactOutput output{.row_bytes = std::size_t(cols) * 4, .expected = {}};
  output.expected.resize(output.row_bytes * std::size_t(tokens));
  std::vector<float> row(std::size_t(cols), 0.0F);
  for (std::size_t t = 0; t < ids.size(); ++t) {
    dequantize(format, table->data() + std::size_t(ids[t]) * bytes, tensor_scale, row);
    for (float& v : row) v *= kScale;
    std::memcpy(output.expected.data() + t * output.row_bytes, row.data(), output.row_bytes);
  }
  const auto looked_up = guarded(ids);
  return std::make_unique<ExactTrial>(tokens, 4, std::vector<ExactOutput>{std::move(output)},
                                      [=](const Kernel& kernel, std::span<std::byte* const> out, int first, int last) {
                                        function<spec::gather>(kernel)({table->data(), rows, cols, tensor_scale},
                                                                       looked_up->as<std::int64_t>(), kScale,
                                                                       reinterpret_cast<float*>(out[0]), first, last);
                                      });
}

}  // namespace

const OpInfo& info_of(spec::gather) {
  static const OpInfo info{
      .op = Op::gather,
      .name = "gather",
      .what = "rows of a table by id, times a scale",
      .dims = {"tokens", "rows", "cols"},
      .awkward =
          [](Format format, Acts) {
            std::vector<Shape> shapes;
            for (const int cols : awkward_cols(format, Acts::fp32))
              for (const int tokens : {1, 4, 19}) shapes.push_back({tokens, 37, cols});
            return shapes;
          },
      .cost =
          [](Format format, Acts, const Shape& s) {
            return Cost{.bytes = s[0] * (double(row_bytes(format, s[2])) + 4.0 * s[2] + 8), .flops = 2.0 * s[0] * s[2]};
          },
      .trial = trial,
      .invalid = [](Format format, Acts acts, const Shape& s) -> std::string {
        if (acts != Acts::fp32) return "gives fp32";
        return invalid_matrix(format, acts, s[1], s[2], s[0]);
      },
  };
  return info;
}

}  // namespace assay::kernels
