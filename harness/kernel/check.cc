#include "harness/kernel/check.h"

#include <algorithm>
#include <chrono>
#include <set>

#include <fmt/format.h>

#include "harness/kernel/shapes.h"

namespace assay {
namespace {

using kernels::Checked;
using kernels::Kernel;
using kernels::OpInfo;
using kernels::Shape;
using kernels::Trial;

constexpr int kLargestSize = 70;
constexpr double kSmall = 1e6;  ///< bytes and FLOPs below which every split is tried

std::string text(const Checked& c) {
  std::string out = c.judged == 0 ? "nothing was judged" : "";
  if (c.wrong > 0)
    out = fmt::format("{} of {} wrong, worst {:.3g} x tolerance at {}: expected {:.9g}, found {:.9g}", c.wrong,
                      c.judged, c.worst_ratio, c.worst, c.expected, c.actual);
  if (!c.guards_intact) out += (out.empty() ? "" : "; ") + std::string("wrote beside its rows");
  return out;
}

bool same(std::span<const std::byte> a, const std::vector<std::byte>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

/// The first way of splitting the rows that gives other bits; empty if none does.
std::string other_bits(const Kernel& kernel, Trial& trial, const std::vector<std::byte>& whole, int threads,
                       bool small) {
  const int rows = trial.rows();
  std::set<int> counts{2, threads};
  if (small) counts.insert({1, 3});
  for (const int count : counts) {
    if (count < 1) continue;
    trial.reset();
    trial.run(kernel, count);
    if (!same(trial.output(), whole)) return fmt::format("other bits with {} threads than in one piece", count);
  }
  if (!small) return {};
  for (const int piece : {1, 3, 8, 17}) {
    if (piece >= rows) break;
    trial.reset();
    for (int first = 0; first < rows; first += piece) trial.run(kernel, first, std::min(first + piece, rows));
    if (!same(trial.output(), whole)) return fmt::format("other bits in pieces of {} than in one piece", piece);
  }
  return {};
}

}  // namespace

std::optional<KernelFault> check_shape(const Kernel& kernel, const Shape& shape, const CheckOptions& options,
                                       KernelReport& report) {
  const OpInfo& op = kernels::info(kernel.op);
  const auto fault = [&](std::string what) { return KernelFault{shape, options.seed, std::move(what)}; };
  const auto trial = op.trial(kernel.format, kernel.acts, shape, options.seed);
  trial->reset();
  static_cast<Trial&>(*trial).run(kernel, 0, trial->rows());
  const Checked checked = trial->check();
  ++report.shapes;
  report.judged += checked.judged;
  report.worst_ratio = std::max(report.worst_ratio, checked.worst_ratio);
  if (!checked.passed()) return fault(text(checked));

  const std::vector<std::byte> whole(trial->output().begin(), trial->output().end());
  const kernels::Cost cost = op.cost(kernel.format, kernel.acts, shape);
  const bool small = cost.bytes <= kSmall && cost.flops <= kSmall;
  if (std::string split = other_bits(kernel, *trial, whole, options.threads, small); !split.empty())
    return fault(std::move(split));

  const int first = trial->rows() / 3, last = std::max(first + 1, trial->rows() * 2 / 3);
  trial->reset();
  static_cast<Trial&>(*trial).run(kernel, first, last);
  const Checked part = trial->check(first, last);
  if (part.judged > 0 ? !part.passed() : !part.guards_intact)
    return fault(fmt::format("rows {} to {} alone: {}", first, last, text(part)));
  return {};
}

std::vector<Shape> small_shapes(const OpInfo& op, kernels::Format format, kernels::Acts acts) {
  std::vector<Shape> shapes = op.awkward(format, acts);
  if (shapes.empty()) return shapes;
  const Shape base = shapes[std::min<std::size_t>(shapes.size() - 1, 1)];
  std::set<Shape> known(shapes.begin(), shapes.end());
  for (std::size_t d = 0; d < op.dims.size(); ++d)
    for (int size = 1; size <= kLargestSize; ++size) {
      Shape shape = base;
      shape[d] = size;
      if (op.invalid(format, acts, shape).empty() && known.insert(shape).second) shapes.push_back(shape);
    }
  return shapes;
}

KernelReport check_kernel(const Kernel& kernel, std::span<const Shape> real, const CheckOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  const OpInfo& op = kernels::info(kernel.op);
  KernelReport report;
  report.kernel = kernel.name;
  std::vector<Shape> shapes = small_shapes(op, kernel.format, kernel.acts);
  std::set<Shape> known(shapes.begin(), shapes.end());
  for (const Shape& whole : real) {
    if (!op.invalid(kernel.format, kernel.acts, whole).empty()) continue;
    const Shape shape = cut(op, kernel.format, kernel.acts, whole, kCheckBytes, kCheckFlops);
    if (!known.insert(shape).second) continue;
    report.cut += shape == whole ? 0 : 1;
    shapes.push_back(shape);
  }
  for (const Shape& shape : shapes) {
    if (options.before) options.before(shape);
    if (auto fault = check_shape(kernel, shape, options, report)) report.faults.push_back(std::move(*fault));
    if (int(report.faults.size()) >= options.most_faults) break;
  }
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return report;
}

}  // namespace assay
