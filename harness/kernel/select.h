// Which kernels of the table a user means, and what stands in it. Not here: what is done with them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kernels/op.h"

namespace assay {

/// Whether `pattern` is an op (gemv), op and format (gemv_q4_0), those and the mode of activations (gemv_q4_0_int8), or
/// the kernel's full name.
bool means(std::string_view pattern, const kernels::Kernel& kernel);

/// Kernels that some pattern means, in the order of the table; all of them for no patterns. Those that this machine
/// cannot run are left out unless `all`. Errors: bad_input (a pattern that means no kernel of the table).
Result<std::vector<const kernels::Kernel*>> select_kernels(const std::vector<std::string>& patterns, bool all = false);

/// One line of the table's overview: an op with a format and a mode.
struct KernelRow {
  const kernels::OpInfo* op = nullptr;
  kernels::Format format{};
  kernels::Acts acts{};
  std::vector<const kernels::Kernel*> kernels;  ///< in the order of instruction sets
  const kernels::Kernel* taken = nullptr;       ///< what dispatch takes here
  std::vector<kernels::Isa> gaps;               ///< instruction sets without a kernel for it
};
/// Of the whole table, in its order. A gap: an instruction set of this architecture that has something for the mode,
/// and no kernel for it; dispatch takes a lesser one there.
std::vector<KernelRow> kernel_rows();

}  // namespace assay
