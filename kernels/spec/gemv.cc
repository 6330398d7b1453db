#include "kernels/spec/gemv.h"

#include "kernels/op.h"
#include "kernels/spec/matrix_trial.h"

namespace assay::kernels {

const OpInfo& info_of(spec::gemv) {
  static const OpInfo info{
      .op = Op::gemv,
      .name = "gemv",
      .what = "y = W x for one token",
      .dims = {"rows", "cols"},
      .awkward =
          [](Format format, Acts acts) {
            std::vector<Shape> shapes;
            for (const int cols : awkward_cols(format, acts))
              for (const int rows : {1, 2, 3, 4, 5, 7, 8, 15, 16, 17, 33, 70}) shapes.push_back({rows, cols});
            return shapes;
          },
      .cost = [](Format format, Acts acts, const Shape& s) { return matrix_cost(format, acts, s[0], s[1], 1); },
      .trial = [](Format format, Acts acts, const Shape& s, std::uint64_t seed) -> std::unique_ptr<Trial> {
        return std::make_unique<MatrixTrial>(
            format, acts, s[0], s[1], 1, seed,
            [](const Kernel& kernel, const Weights& w, const Activations& x, float* y, int /*stride*/, int first,
               int last) { function<spec::gemv>(kernel)(w, x, y, first, last); });
      },
      .invalid = [](Format format, Acts acts, const Shape& s) { return invalid_matrix(format, acts, s[0], s[1], 1); },
  };
  return info;
}

}  // namespace assay::kernels
