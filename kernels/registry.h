// The table of all kernels, and which of them is taken for an op. One line of cpu/kernels.inc is one row; tests,
// benchmarks, dispatch and `kernel list` loop over the rows. Not here: what ops are and how they are tried (op.h).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "kernels/formats.h"
#include "kernels/isa.h"

namespace assay::kernels {

namespace spec {
#define OP(name) struct name;
#include "kernels/ops.inc"
#undef OP
}  // namespace spec

enum class Op : std::uint8_t {
#define OP(name) name,
#include "kernels/ops.inc"
#undef OP
};
enum class Backend : std::uint8_t { cpu };

/// Any op's function; only code that knows the op calls it, through function<Spec>(kernel).
using AnyFn = void();

struct Kernel {
  std::string_view name;  ///< gemv_q4_0_int8_avx2
  Op op;
  Format format;  ///< of the weights, or of what the op reads in their place
  Acts acts;      ///< the mode of the activations
  Backend backend;
  Isa isa;
  AnyFn* fn;
};

/// All of this architecture, in the order of the file.
std::span<const Kernel> kernels();
/// Empty for a name that there is not.
const Kernel* find_kernel(std::string_view name);
/// Whether this machine has what the kernel needs. limit_isa changes nothing here.
bool runnable(const Kernel& kernel);

/// From now on dispatch takes kernels of `isa` where there are some, else those of the best one that any machine with
/// `isa` could run. Empty: no limit. Call it before the first dispatch; kernels that were taken stay taken.
/// Returns false, and changes nothing, if this machine cannot run it.
bool limit_isa(std::optional<Isa> isa);

/// The kernel that dispatch takes; nullptr if there is none (a gap of the table).
const Kernel* best_kernel(Op op, Format format, Acts acts);

template <class Spec>
constexpr Op op_of = Op(-1);
#define OP(name) \
  template <>    \
  inline constexpr Op op_of<spec::name> = Op::name;
#include "kernels/ops.inc"
#undef OP

template <class Spec>
typename Spec::Fn* function(const Kernel& kernel) {
  return reinterpret_cast<typename Spec::Fn*>(kernel.fn);  // the table was made from a Spec::Fn* (registry.cc)
}
/// best<spec::gemv>(Format::q4_0, Acts::int8): the function to call, nullptr for a gap.
template <class Spec>
typename Spec::Fn* best(Format format, Acts acts) {
  const Kernel* kernel = best_kernel(op_of<Spec>, format, acts);
  return kernel == nullptr ? nullptr : function<Spec>(*kernel);
}

}  // namespace assay::kernels
