#include "kernels/op.h"

#include <charconv>

namespace assay::kernels {

void Trial::run(const Kernel& kernel, int threads) {
  const std::int64_t count = rows();
#pragma omp parallel for num_threads(threads) schedule(static, 1)
  for (int t = 0; t < threads; ++t) run(kernel, int(count * t / threads), int(count * (t + 1) / threads));
}

std::optional<Shape> parse_shape(const OpInfo& op, std::string_view text) {
  Shape shape{};
  for (std::size_t d = 0; d < op.dims.size(); ++d) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), shape[d]);
    if (error != std::errc()) return {};
    text.remove_prefix(std::size_t(end - text.data()));
    if (d + 1 == op.dims.size()) break;
    if (text.empty() || text.front() != 'x') return {};
    text.remove_prefix(1);
  }
  if (!text.empty()) return {};
  return shape;
}

std::string to_string(const OpInfo& op, const Shape& shape) {
  std::string text;
  for (std::size_t d = 0; d < op.dims.size(); ++d) text += (d == 0 ? "" : "x") + std::to_string(shape[d]);
  return text;
}

}  // namespace assay::kernels
