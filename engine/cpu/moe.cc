#include "engine/cpu/moe.h"

#include <algorithm>
#include <cstring>
#include <span>

namespace assay::cpu {
namespace {

/// Slots of each token, and their weights in the same order.
void group(const MoeBuffers& buffers, const Experts& plan, int tokens) {
  std::int32_t* const starts = buffers.starts;
  std::fill_n(starts, plan.count + 1, 0);
  for (int i = 0; i < tokens * plan.used; ++i) ++starts[buffers.chosen[i] + 1];
  for (int e = 0; e < plan.count; ++e) starts[e + 1] += starts[e];
  // Each token's experts ascending; `used` is small.
  for (int t = 0; t < tokens; ++t) {
    std::int32_t* const chosen = buffers.chosen + std::ptrdiff_t(t) * plan.used;
    float* const weights = buffers.weights + std::ptrdiff_t(t) * plan.used;
    for (int i = 1; i < plan.used; ++i)
      for (int j = i; j > 0 && chosen[j] < chosen[j - 1]; --j) {
        std::swap(chosen[j], chosen[j - 1]);
        std::swap(weights[j], weights[j - 1]);
      }
    for (int i = 0; i < plan.used; ++i) buffers.slots[std::ptrdiff_t(t) * plan.used + i] = starts[chosen[i]]++;
  }
  for (int e = plan.count; e > 0; --e) starts[e] = starts[e - 1];
  starts[0] = 0;
}

/// For each expert with slots, this thread's rows of its matrix.
/// @param x  [slots, matrix.cols]; y [slots, matrix.rows]
void multiply_grouped(const Team& team, std::string_view op, const Operands& operands, const Matrix& first,
                      const Experts& plan, const std::int32_t* starts, const float* x, float* y) {
  const int slots = starts[plan.count], rows = first.w.rows, cols = first.w.cols;
  const kernels::Activations all = narrow(team, operands, first.acts, x, slots, cols);
  // Threads share rows times slots: an expert with many tokens is more work.
  constexpr int kGrain = 16;
  const int grains = (rows + kGrain - 1) / kGrain;
  const std::int64_t total = std::int64_t{slots} * grains;
  const std::int64_t begin = total * team.thread / team.threads, end = total * (team.thread + 1) / team.threads;
  for (int e = 0; e < plan.count; ++e) {
    const int count = starts[e + 1] - starts[e];
    if (count == 0) continue;
    const std::int64_t before = std::int64_t{starts[e]} * grains;
    const auto grain_at = [&](std::int64_t work) {
      return int(std::clamp<std::int64_t>((work - before + count - 1) / count, 0, grains));
    };
    const int from = std::min(rows, grain_at(begin) * kGrain), to = std::min(rows, grain_at(end) * kGrain);
    if (from >= to) continue;
    const Matrix matrix = first.part(e);
    const kernels::Activations mine = slice(all, first.acts, starts[e], count);
    float* const out = y + std::ptrdiff_t(starts[e]) * rows;
    if (count == 1)
      matrix.gemv(matrix.w, mine, out, from, to);
    else
      matrix.gemm(matrix.w, mine, out, rows, from, to);
  }
  team.sync();
  if (team.clock == nullptr) return;
  const auto hit = std::ranges::count_if(std::span(starts, std::size_t(plan.count)),
                                         [](const std::int32_t& start) { return (&start)[1] > start; });
  team.lap(op, {.bytes = double(hit) * rows * double(kernels::row_bytes(first.format, cols)),
                .flops = 2.0 * slots * rows * cols,
                .acts = first.acts});
}

}  // namespace

MoeBuffers MoeBuffers::carve(Carver& carver, std::size_t tokens, const Plan& plan, kernels::Acts acts) {
  std::size_t experts = 0, used = 0, width = 0;
  for (const LayerPlan& layer : plan.layers)
    if (layer.experts) {
      experts = std::max(experts, std::size_t(layer.experts->count));
      used = std::max(used, std::size_t(layer.experts->used));
      width = std::max(width, std::size_t(layer.experts->width));
    }
  const std::size_t slots = tokens * used, hidden = std::size_t(plan.hidden);
  MoeBuffers buffers{};
  if (experts == 0) return buffers;
  buffers.probs = carver.take<float>(tokens * experts);
  buffers.chosen = carver.take<std::int32_t>(slots);
  buffers.weights = carver.take<float>(slots);
  buffers.slots = carver.take<std::int32_t>(slots);
  buffers.starts = carver.take<std::int32_t>(experts + 1);
  buffers.in = carver.take<float>(slots * hidden);
  buffers.gate_up = carver.take<float>(slots * width * 2);
  buffers.gated = carver.take<float>(slots * width);
  buffers.out = carver.take<float>(slots * hidden);
  buffers.operands = Operands::carve(carver, slots, std::max(hidden, width), acts, false);
  return buffers;
}

void route(const Team& team, const KernelTable& kernels, const LayerWeights& w, const Experts& plan,
           const MoeBuffers& buffers, int tokens) {
  const Team::Part part = team.split(tokens);
  if (part.first < part.last)
    kernels.router({buffers.probs, w.per_expert_scale.data(), buffers.probs, buffers.chosen, buffers.weights,
                    plan.count, plan.used},
                   part.first, part.last);
  team.sync();
  team.lap("router.choice");
}

void scatter_choice(const MoeBuffers& buffers, const Experts& plan, int tokens, float* out) {
  std::fill_n(out, std::ptrdiff_t(tokens) * plan.count, 0.0F);
  for (int i = 0; i < tokens * plan.used; ++i)
    out[std::ptrdiff_t(i / plan.used) * plan.count + buffers.chosen[i]] = buffers.weights[i];
}

void run_experts(const Team& team, const KernelTable& kernels, const LayerWeights& w, const Experts& plan,
                 Activation activation, const MoeBuffers& buffers, const float* x, int tokens, int hidden, float* y) {
  team.one([&] { group(buffers, plan, tokens); });
  const Team::Part mine = team.split(tokens);
  for (int i = mine.first * plan.used; i < mine.last * plan.used; ++i)
    std::memcpy(buffers.in + std::ptrdiff_t(buffers.slots[i]) * hidden, x + std::ptrdiff_t(i / plan.used) * hidden,
                std::size_t(hidden) * sizeof(float));
  team.sync();
  team.lap("experts.group");
  multiply_grouped(team, "experts.gate_up", buffers.operands, w.experts_gate_up, plan, buffers.starts, buffers.in,
                   buffers.gate_up);
  const Team::Part slots = team.split(tokens * plan.used);
  if (slots.first < slots.last)  // rows 0 .. width - 1 of gate_up_proj are the gate, the others up
    kernels.gated({buffers.gate_up, buffers.gate_up + plan.width, buffers.gated, plan.width, 2 * plan.width,
                   2 * plan.width, plan.width, kernel_activation(activation)},
                  slots.first, slots.last);
  team.sync();
  team.lap("experts.gated");
  multiply_grouped(team, "experts.down", buffers.operands, w.experts_down, plan, buffers.starts, buffers.gated,
                   buffers.out);
  if (mine.first < mine.last)
    kernels.scatter_add({buffers.out, buffers.slots, buffers.weights, y, plan.used, hidden}, mine.first, mine.last);
  team.sync();
  team.lap("experts.scatter");
}

}  // namespace assay::cpu
