// `assay kernel list`: what kernels there are, what dispatch takes, where gaps are.
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "harness/cli/kernel_verbs.h"
#include "harness/kernel/select.h"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;
using kernels::Isa;
using kernels::Kernel;

Result<void> force_isa(const KernelOptions& options) {
  if (options.isa.empty()) return {};
  const auto isa = kernels::parse_isa(options.isa);
  if (!isa) return fail({Failure::bad_input, "--isa", "", "an instruction set of `kernel list`", options.isa});
  if (!kernels::limit_isa(*isa))
    return fail({Failure::unsupported, "--isa", "", "one that this machine has", options.isa});
  return {};
}

std::string isa_names(const std::vector<const Kernel*>& kernels) {
  std::string names;
  for (const Kernel* kernel : kernels)
    names += (names.empty() ? "" : " ") + std::string(kernels::name(kernel->isa)) +
             (kernels::runnable(*kernel) ? "" : "(not here)");
  return names;
}

}  // namespace

Result<int> list_of_kernels(const KernelOptions& options) {
  ASSAY_CHECK(force_isa(options));
  const std::vector<KernelRow> rows = kernel_rows();
  if (options.json) {
    Json out = Json::array();
    for (const KernelRow& row : rows) {
      Json names = Json::array(), gaps = Json::array();
      for (const Kernel* kernel : row.kernels)
        names.push_back(
            {{"kernel", kernel->name}, {"isa", kernels::name(kernel->isa)}, {"runs_here", kernels::runnable(*kernel)}});
      for (const Isa isa : row.gaps) gaps.push_back(kernels::name(isa));
      out.push_back({{"op", row.op->name},
                     {"format", kernels::name(row.format)},
                     {"acts", kernels::name(row.acts)},
                     {"taken", row.taken == nullptr ? Json(nullptr) : Json(row.taken->name)},
                     {"kernels", names},
                     {"gaps", gaps}});
    }
    fmt::print("{}\n", out.dump(1));
    return 0;
  }
  fmt::print("{:<16} {:<6} {:<5} {:<13} {}\n", "op", "format", "acts", "taken here", "kernels; - gaps");
  std::size_t gaps = 0;
  for (const KernelRow& row : rows) {
    std::string line = isa_names(row.kernels);
    for (const Isa isa : row.gaps) line += " -" + std::string(kernels::name(isa));
    gaps += row.gaps.size();
    fmt::print("{:<16} {:<6} {:<5} {:<13} {}\n", row.op->name, kernels::name(row.format), kernels::name(row.acts),
               row.taken == nullptr ? "nothing" : kernels::name(row.taken->isa), line);
  }
  fmt::print("{} kernels of {} ops; {} gaps, where a machine with that instruction set takes a lesser kernel\n",
             kernels::kernels().size(), kernels::ops().size(), gaps);
  return 0;
}

}  // namespace assay
