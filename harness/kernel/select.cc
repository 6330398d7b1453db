#include "harness/kernel/select.h"

#include <algorithm>
#include <utility>

namespace assay {
namespace {

using kernels::Isa;
using kernels::Kernel;

/// Instruction sets of this architecture but the yardsticks, which serve anything.
std::vector<Isa> own_isas() {
#if defined(__x86_64__)
  constexpr std::string_view kHere = "x86";
#else
  constexpr std::string_view kHere = "arm";
#endif
  constexpr std::pair<Isa, std::string_view> kIsas[] = {
#define ISA(name, architecture, needs) {Isa::name, #architecture},
#include "kernels/cpu/isas.inc"
#undef ISA
  };
  std::vector<Isa> isas;
  for (const auto& [isa, architecture] : kIsas)
    if (architecture == kHere) isas.push_back(isa);
  return isas;
}

/// Whether an instruction set has something for a mode: dot products of bfloat16 or of bytes serve their own alone.
bool serves(Isa isa, kernels::Acts acts) {
  const std::uint32_t needs = kernels::needs(isa);
  if ((needs & kernels::kAvx512Bf16) != 0) return acts == kernels::Acts::bf16;
  if ((needs & (kernels::kAvxVnni | kernels::kAvx512Vnni | kernels::kNeonDot)) != 0) return acts == kernels::Acts::int8;
  return true;
}

}  // namespace

bool means(std::string_view pattern, const Kernel& kernel) {
  std::string name(kernels::info(kernel.op).name);
  if (pattern == name || pattern == kernel.name) return true;
  name += "_" + std::string(kernels::name(kernel.format));
  if (pattern == name) return true;
  name += "_" + std::string(kernels::name(kernel.acts));
  return pattern == name;
}

Result<std::vector<const Kernel*>> select_kernels(const std::vector<std::string>& patterns, bool all) {
  for (const std::string& pattern : patterns) {
    const auto known = kernels::kernels();
    if (std::none_of(known.begin(), known.end(), [&](const Kernel& kernel) { return means(pattern, kernel); }))
      return fail({Failure::bad_input, "kernels", "", "an op, op_format, op_format_acts or a kernel of `kernel list`",
                   pattern});
  }
  std::vector<const Kernel*> selected;
  for (const Kernel& kernel : kernels::kernels()) {
    const bool meant = patterns.empty() || std::any_of(patterns.begin(), patterns.end(),
                                                       [&](const std::string& p) { return means(p, kernel); });
    if (meant && (all || kernels::runnable(kernel))) selected.push_back(&kernel);
  }
  return selected;
}

std::vector<KernelRow> kernel_rows() {
  std::vector<KernelRow> rows;
  for (const Kernel& kernel : kernels::kernels()) {
    auto row = std::find_if(rows.begin(), rows.end(), [&](const KernelRow& r) {
      return r.op->op == kernel.op && r.format == kernel.format && r.acts == kernel.acts;
    });
    if (row == rows.end())
      row = rows.insert(row, {.op = &kernels::info(kernel.op),
                              .format = kernel.format,
                              .acts = kernel.acts,
                              .kernels = {},
                              .taken = kernels::best_kernel(kernel.op, kernel.format, kernel.acts),
                              .gaps = {}});
    row->kernels.push_back(&kernel);
  }
  for (KernelRow& row : rows) {
    std::sort(row.kernels.begin(), row.kernels.end(), [](auto a, auto b) { return a->isa < b->isa; });
    for (const Isa isa : own_isas())
      if (serves(isa, row.acts) && std::none_of(row.kernels.begin(), row.kernels.end(),
                                                [isa](const Kernel* kernel) { return kernel->isa == isa; }))
        row.gaps.push_back(isa);
  }
  return rows;
}

}  // namespace assay
