// `assay kernel list`: what kernels there are, what dispatch takes, where gaps are; at which shapes models call them.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "harness/cli/kernel_verbs.h"
#include "harness/kernel/select.h"
#include "model/published_config.h"

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

Json json_of(const KernelRow& row, const std::vector<KernelUse>& uses) {
  Json names = Json::array(), gaps = Json::array(), shapes = Json::array();
  for (const Kernel* kernel : row.kernels)
    names.push_back(
        {{"kernel", kernel->name}, {"isa", kernels::name(kernel->isa)}, {"runs_here", kernels::runnable(*kernel)}});
  for (const Isa isa : row.gaps) gaps.push_back(kernels::name(isa));
  for (const KernelUse& use : uses)
    if (use.op == row.op && row.op->invalid(row.format, row.acts, use.shape).empty())
      shapes.push_back({{"shape", kernels::to_string(*row.op, use.shape)}, {"calls", use.calls}, {"parts", use.parts}});
  return {{"op", row.op->name},
          {"format", kernels::name(row.format)},
          {"acts", kernels::name(row.acts)},
          {"taken", row.taken == nullptr ? Json(nullptr) : Json(row.taken->name)},
          {"kernels", names},
          {"gaps", gaps},
          {"dims", row.op->dims},
          {"shapes", shapes}};
}

void print_rows(const std::vector<KernelRow>& rows) {
  fmt::print("{:<16} {:<6} {:<5} {:<13} {}\n", "op", "format", "acts", "taken here", "kernels; - gaps");
  std::size_t kernels = 0, gaps = 0;
  std::vector<const kernels::OpInfo*> ops;
  for (const KernelRow& row : rows) {
    std::string line = isa_names(row.kernels);
    for (const Isa isa : row.gaps) line += " -" + std::string(kernels::name(isa));
    kernels += row.kernels.size();
    gaps += row.gaps.size();
    if (std::find(ops.begin(), ops.end(), row.op) == ops.end()) ops.push_back(row.op);
    fmt::print("{:<16} {:<6} {:<5} {:<13} {}\n", row.op->name, kernels::name(row.format), kernels::name(row.acts),
               row.taken == nullptr ? "nothing" : kernels::name(row.taken->isa), line);
  }
  fmt::print("{} kernels of {} ops; {} gaps, where a machine with that instruction set takes a lesser kernel\n",
             kernels, ops.size(), gaps);
}

/// Each op once, whatever its formats.
void print_shapes(const std::vector<KernelRow>& rows, const std::vector<KernelUse>& uses) {
  std::vector<const kernels::OpInfo*> done;
  for (const KernelRow& row : rows) {
    if (std::find(done.begin(), done.end(), row.op) != done.end()) continue;
    done.push_back(row.op);
    std::string dims;
    for (const std::string_view dim : row.op->dims) dims += (dims.empty() ? "" : " x ") + std::string(dim);
    fmt::print("{}: {}\n", row.op->name, dims);
    for (const KernelUse& use : uses)
      if (use.op == row.op)
        fmt::print("  {:<36} {:>5g} x  {}\n", kernels::to_string(*row.op, use.shape), use.calls, use.parts);
  }
  fmt::print("calls: the most in one pass, of a decoding step, a prompt, an image or a clip\n");
}

}  // namespace

Result<int> list_of_kernels(const KernelOptions& options) {
  ASSAY_CHECK(force_isa(options));
  ASSAY_TRY(selected, select_kernels(options.names, true));
  std::vector<KernelUse> uses;
  if (options.json || options.shapes) {
    ASSAY_TRY(found, uses_of(options, published_names()));
    uses = std::move(found);
  }
  std::vector<KernelRow> rows = kernel_rows();
  for (KernelRow& row : rows)
    std::erase_if(row.kernels, [&](const Kernel* kernel) {
      return std::find(selected.begin(), selected.end(), kernel) == selected.end();
    });
  std::erase_if(rows, [](const KernelRow& row) { return row.kernels.empty(); });
  if (options.json) {
    Json out = Json::array();
    for (const KernelRow& row : rows) out.push_back(json_of(row, uses));
    fmt::print("{}\n", out.dump(1));
  } else if (options.shapes) {
    print_shapes(rows, uses);
  } else {
    print_rows(rows);
  }
  return 0;
}

}  // namespace assay
