#include "harness/kernel/roofs.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include <fmt/format.h>

#include "harness/machine/machine.h"

namespace assay {
namespace {

using kernels::Acts;
using kernels::Format;
using kernels::Op;
using kernels::Shape;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

struct RoofKind {
  std::string_view name;
  Op op;
  Acts acts;
  double per_cycle;  ///< most FLOPs of a core and cycle: two fused 512-bit units
};
constexpr RoofKind kKinds[] = {{"read", Op::read, Acts::fp32, 0},
                               {"fp32", Op::peak, Acts::fp32, 2.0 * 16 * 2},
                               {"bf16", Op::peak, Acts::bf16, 2.0 * 32 * 2},
                               {"int8", Op::peak, Acts::int8, 2.0 * 64 * 2}};

Shape shape_of(Op op) {
  if (op == Op::peak) return {1024, 1024};
  constexpr int kCols = 4096;
  const std::int64_t bytes = std::max(4 * last_level_cache(machine_facts()), std::int64_t{128} << 20);
  return {int(bytes / (4 * kCols)), kCols};
}

}  // namespace

std::string roof_of(Acts acts) { return std::string(kernels::name(acts)); }

Result<RoofMeter> RoofMeter::make(int threads, std::span<const std::string> names) {
  RoofMeter meter;
  meter.roofs_.threads = threads;
  for (const std::string& name : names) {
    const auto kind = std::find_if(std::begin(kKinds), std::end(kKinds), [&](auto& k) { return k.name == name; });
    if (kind == std::end(kKinds)) return fail({Failure::bad_input, "roofs", "", "read, fp32, bf16 or int8", name});
    const kernels::Kernel* kernel = kernels::best_kernel(kind->op, Format::fp32, kind->acts);
    if (kernel == nullptr) return fail({Failure::unsupported, "roofs", name, "a kernel for it", "none"});
    const kernels::OpInfo& op = kernels::info(kind->op);
    const Shape shape = shape_of(kind->op);
    const kernels::Cost cost = op.cost(Format::fp32, kind->acts, shape);
    meter.meters_.push_back({kernel, op.trial(Format::fp32, kind->acts, shape, 1)});
    meter.roofs_.all.push_back({.name = name,
                                .kernel = std::string(kernel->name),
                                .amount = kind->op == Op::read ? cost.bytes : cost.flops,
                                .seconds = {}});
  }
  return meter;
}

void RoofMeter::run(std::size_t index) { meters_[index].trial->run(*meters_[index].kernel, roofs_.threads); }

void RoofMeter::sample() {
  for (std::size_t i = 0; i < meters_.size(); ++i) {
    const auto start = Clock::now();
    run(i);
    add(i, seconds_since(start));
  }
}

bool RoofMeter::right() {
  bool right = true;
  for (Meter& meter : meters_) right = meter.trial->check().passed() && right;
  return right;
}

Result<Roofs> measure_roofs(int threads, int samples) {
  const std::vector<std::string> names(std::begin(kRoofNames), std::end(kRoofNames));
  ASSAY_TRY(meter, RoofMeter::make(threads, names));
  for (std::size_t i = 0; i < meter.size(); ++i) meter.run(i);
  for (int s = 0; s < samples; ++s) meter.sample();
  if (!meter.right()) return fail({Failure::bad_output, "roofs", "", "what their specs say", "something else"});
  return meter.roofs();
}

std::vector<std::string> doubts(const Roofs& roofs, int cores, double hertz) {
  std::vector<std::string> found;
  const auto rate = [&](std::string_view name) {
    const Roof* roof = roofs.find(name);
    return roof == nullptr ? 0 : roof->best_per_second();
  };
  const int busy = std::max(1, std::min(cores, roofs.threads));
  for (const RoofKind& kind : kKinds) {
    const double found_rate = rate(kind.name);
    if (!(found_rate > 0) || !std::isfinite(found_rate)) {
      found.push_back(fmt::format("{} was not measured", kind.name));
      continue;
    }
    // A virtual machine's clock may rise while another's is measured.
    const double most = kind.per_cycle * hertz * busy * 1.15;
    if (hertz > 0 && most > 0 && found_rate > most)
      found.push_back(fmt::format("{} of {} FLOP/s is more than {} cores could do at {}Hz", kind.name,
                                  short_number(found_rate), busy, short_number(hertz)));
  }
  for (const std::string_view narrow : {"bf16", "int8"})
    if (rate(narrow) > 0 && rate(narrow) < 0.8 * rate("fp32"))
      found.push_back(fmt::format("{} of {}FLOP/s is slower than fp32 of {}FLOP/s", narrow, short_number(rate(narrow)),
                                  short_number(rate("fp32"))));
  if (const double read = rate("read"); read > 0 && (read < 1e9 || read > 200e9 * busy))
    found.push_back(fmt::format("read of {}B/s is not between 1 GB/s and 200 GB/s a core", short_number(read)));
  return found;
}

double measured_hertz() {
#if defined(__x86_64__) || defined(__aarch64__)
  // Many short tries, of which the best counts: on a busy machine most are interrupted.
  constexpr int kSteps = 1 << 13, kTries = 400, kChain = 16;
  double best = 0;
  for (int t = 0; t < kTries; ++t) {
    std::uint64_t chain = 1, three = 3;  // a register: some processors add constants without taking a cycle
    const auto start = Clock::now();
    for (int i = 0; i < kSteps; ++i) {
      // Each addition needs the one before; the loop's own counter runs beside them.
#if defined(__x86_64__)
#define ASSAY_ADD "add %1, %0\n\t"
      asm volatile(ASSAY_ADD ASSAY_ADD ASSAY_ADD ASSAY_ADD ASSAY_ADD ASSAY_ADD ASSAY_ADD ASSAY_ADD ASSAY_ADD ASSAY_ADD
                       ASSAY_ADD ASSAY_ADD ASSAY_ADD ASSAY_ADD ASSAY_ADD ASSAY_ADD
                   : "+r"(chain)
                   : "r"(three)
                   : "cc");
#else
#define ASSAY_ADD "add %0, %0, %1\n\t"
      asm volatile(ASSAY_ADD ASSAY_ADD ASSAY_ADD ASSAY_ADD ASSAY_ADD ASSAY_ADD ASSAY_ADD ASSAY_ADD ASSAY_ADD ASSAY_ADD
                       ASSAY_ADD ASSAY_ADD ASSAY_ADD ASSAY_ADD ASSAY_ADD ASSAY_ADD
                   : "+r"(chain)
                   : "r"(three));
#endif
#undef ASSAY_ADD
    }
    const double seconds = seconds_since(start);
    if (seconds > 0) best = std::max(best, double(kSteps) * kChain / seconds);
  }
  return best;
#else
  return 0;
#endif
}

}  // namespace assay
