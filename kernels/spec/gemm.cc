#include "kernels/spec/gemm.h"

#include "kernels/op.h"
#include "kernels/spec/matrix_trial.h"

namespace assay::kernels {

const OpInfo& info_of(spec::gemm) {
  static const OpInfo info{
      .op = Op::gemm,
      .name = "gemm",
      .what = "Y = X W^T for many tokens",
      .dims = {"rows", "cols", "tokens"},
      .awkward =
          [](Format format, Acts acts) {
            std::vector<Shape> shapes;
            int turn = 0;
            for (const int cols : awkward_cols(format, acts))
              for (const int tokens : {1, 2, 3, 4, 5, 6, 7, 13, 32})
                shapes.push_back({std::array{1, 7, 16, 33, 70}[std::size_t(turn++ % 5)], cols, tokens});
            return shapes;
          },
      .cost = [](Format format, Acts acts, const Shape& s) { return matrix_cost(format, acts, s[0], s[1], s[2]); },
      .trial = [](Format format, Acts acts, const Shape& s, std::uint64_t seed) -> std::unique_ptr<Trial> {
        return std::make_unique<MatrixTrial>(
            format, acts, s[0], s[1], s[2], seed,
            [](const Kernel& kernel, const Weights& w, const Activations& x, float* y, int stride, int first,
               int last) { function<spec::gemm>(kernel)(w, x, y, stride, first, last); });
      },
      .invalid = [](Format format, Acts acts,
                    const Shape& s) { return invalid_matrix(format, acts, s[0], s[1], s[2]); },
  };
  return info;
}

}  // namespace assay::kernels
