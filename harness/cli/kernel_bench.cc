// `assay kernel bench`: kernels beside the roofs of this machine, and beside one another.
#include <algorithm>
#include <cstdio>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/files.h"
#include "harness/cli/kernel_verbs.h"
#include "harness/cli/progress.h"
#include "harness/cli/verbs.h"
#include "harness/kernel/bench.h"
#include "harness/machine/machine.h"
#include "model/published_config.h"
#include "reports/bench_report.h"

namespace assay {
namespace {

using kernels::Isa;
using kernels::Kernel;
using kernels::OpInfo;
using kernels::Shape;

/// Kernels of one op, format and mode that take turns; with portable and Eigen as yardsticks.
std::vector<std::vector<const Kernel*>> groups_of(const std::vector<const Kernel*>& selected, bool alone) {
  std::vector<std::vector<const Kernel*>> groups;
  const auto same = [](const Kernel& a, const Kernel& b) {
    return a.op == b.op && a.format == b.format && a.acts == b.acts;
  };
  for (const Kernel* kernel : selected) {
    auto group = std::find_if(groups.begin(), groups.end(), [&](const auto& g) { return same(*g[0], *kernel); });
    if (group == groups.end()) group = groups.emplace(group);
    group->push_back(kernel);
  }
  if (alone) return groups;
  for (auto& group : groups)
    for (const Kernel& kernel : kernels::kernels())
      if ((kernel.isa == Isa::portable || kernel.isa == Isa::eigen) && same(*group[0], kernel) &&
          kernels::runnable(kernel) && std::find(group.begin(), group.end(), &kernel) == group.end())
        group.push_back(&kernel);
  return groups;
}

Result<BenchRun> bench_run(const KernelOptions& options, const std::string& command) {
  BenchRun run{.version = version(),
               .command = command,
               .model = {},
               .machine = machine_facts(),
               .roofs = {},
               .results = {},
               .facts = {}};
  for (const std::string& model : options.models) run.model += (run.model.empty() ? "" : " ") + model;
  ASSAY_TRY(selected, chosen_kernels(options));
  if (options.taken)
    std::erase_if(selected, [](const Kernel* kernel) {
      return kernel != kernels::best_kernel(kernel->op, kernel->format, kernel->acts);
    });
  ASSAY_TRY(uses, uses_of(options, {"e2b"}));
  ASSAY_TRY(others, uses_of(options, published_names()));  // for ops that E2B has no use for: experts
  const KernelBenchOptions how{.threads = threads_of(options),
                               .repetitions = options.repetitions,
                               .seconds = options.seconds,
                               .cold = true,
                               .warm = !options.no_warm};
  const auto groups = groups_of(selected, options.alone);
  const Progress progress("kernels");
  std::size_t done = 0;
  for (const auto& group : groups) {
    progress.show(done++, groups.size());
    const OpInfo& op = kernels::info(group[0]->op);
    std::vector<Shape> shapes = costly_shapes(op, *group[0], uses, options.top);
    if (shapes.empty()) shapes = costly_shapes(op, *group[0], others, options.top);
    if (!options.shape.empty()) {
      const auto shape = kernels::parse_shape(op, options.shape);
      if (!shape)
        return fail({Failure::bad_input, "--shape", std::string(op.name), "as many numbers as it has dimensions",
                     options.shape});
      shapes = {*shape};
    }
    for (const Shape& shape : shapes) ASSAY_CHECK(bench_kernels({.kernels = group, .shape = shape}, how, run));
  }
  progress.clear();
  return run;
}

}  // namespace

Result<int> timed_kernels(const KernelOptions& options, const std::string& command) {
  ASSAY_TRY(run, bench_run(options, command));
  if (!options.svg.empty())
    ASSAY_CHECK(write_file(options.svg, bars_svg("Share of the roof, by kernel", bars_of(run))));
  if (options.json)
    fmt::print("{}", to_json(run));
  else
    fmt::print("{}", bench_report(run));
  bool right = true;
  for (const BenchResult& result : run.results) right = right && result.right.value_or(true);
  if (!right) fmt::print(stderr, "assay: a kernel that was timed computed something else than its spec says\n");
  return !right ? 1 : run.results.empty() ? 3 : 0;
}

}  // namespace assay
