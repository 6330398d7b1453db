#include "harness/cli/kernel_verbs.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include "harness/kernel/select.h"
#include "harness/machine/machine.h"
#include "model/published_config.h"

namespace assay {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;
using kernels::Kernel;
using kernels::OpInfo;
using kernels::Shape;

int threads_of(const KernelOptions& options) { return options.threads > 0 ? options.threads : machine_facts().cores; }

Result<std::vector<const Kernel*>> chosen_kernels(const KernelOptions& options) {
  if (!options.isa.empty() && !kernels::parse_isa(options.isa))
    return fail({Failure::bad_input, "--isa", "", "an instruction set of `kernel list`", options.isa});
  ASSAY_TRY(selected, select_kernels(options.names));
  if (!options.isa.empty())
    std::erase_if(selected, [&](const Kernel* kernel) { return kernels::name(kernel->isa) != options.isa; });
  return selected;
}

Result<std::vector<KernelUse>> uses_of(const KernelOptions& options, const std::vector<std::string_view>& models) {
  std::vector<std::string> names = options.models;
  if (names.empty()) names.assign(models.begin(), models.end());
  std::vector<KernelUse> uses;
  for (const std::string& name : names) {
    const auto known = published_names();
    const bool published = std::find(known.begin(), known.end(), name) != known.end();
    ASSAY_TRY(config, published ? published_config(name) : read_config(fs::path(name) / "config.json"));
    ASSAY_TRY(plan, make_plan(config));
    merge(uses, real_uses(plan));
  }
  return uses;
}

std::vector<Shape> costly_shapes(const OpInfo& op, const Kernel& kernel, const std::vector<KernelUse>& uses, int most) {
  std::vector<std::pair<double, Shape>> costs;
  for (const KernelUse& use : uses) {
    if (use.op != &op || !op.invalid(kernel.format, kernel.acts, use.shape).empty()) continue;
    const kernels::Cost cost = op.cost(kernel.format, kernel.acts, use.shape);
    costs.emplace_back(use.calls * std::max(cost.bytes, cost.flops * 0.04), use.shape);
  }
  std::stable_sort(costs.begin(), costs.end(), [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<Shape> shapes;
  // Timed again and again in place, an op would feed on its own output, until that is subnormal.
  const auto in_place = std::find(op.dims.begin(), op.dims.end(), "in_place");
  for (auto& [cost, shape] : costs) {
    if (in_place != op.dims.end()) shape[std::size_t(in_place - op.dims.begin())] = 0;
    if (int(shapes.size()) < most && std::find(shapes.begin(), shapes.end(), shape) == shapes.end())
      shapes.push_back(shape);
  }
  return shapes;
}

Json json_of(const KernelReport& report, const OpInfo& op) {
  Json faults = Json::array();
  for (const KernelFault& fault : report.faults)
    faults.push_back({{"shape", kernels::to_string(op, fault.shape)}, {"seed", fault.seed}, {"what", fault.what}});
  return {{"kernel", report.kernel}, {"shapes", report.shapes},           {"cut", report.cut},
          {"judged", report.judged}, {"worst_ratio", report.worst_ratio}, {"seconds", report.seconds},
          {"faults", faults}};
}

}  // namespace assay
