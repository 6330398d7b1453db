#include "engine/cpu/moe.h"

#include <algorithm>
#include <cstring>

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

/// work(expert, first, last) for `each` rows at a time of every expert that has slots, in turns.
template <class Work>
void share_experts(const Team& team, const Experts& plan, const std::int32_t* starts, int rows, int each,
                   const Work& work) {
  const int blocks = (rows + each - 1) / each;
  int last = -1, expert = -1;  // turns come in order: experts that were passed stay passed
  const auto hit = [&](int e) { return starts[e + 1] > starts[e]; };
  int hits = 0;
  for (int e = 0; e < plan.count; ++e) hits += hit(e) ? 1 : 0;
  team.take_turns(hits * blocks, [&](int turn) {
    for (; last < turn / blocks; ++last) do
        ++expert;
      while (!hit(expert));
    const int first = turn % blocks * each;
    work(expert, first, std::min(first + each, rows));
  });
  team.sync();
}

OpNeeds needs_of_experts(const Matrix& first, const Experts& plan, const std::int32_t* starts) {
  OpNeeds needs{.acts = first.acts};
  for (int e = 0; e < plan.count; ++e)
    if (starts[e + 1] > starts[e])
      needs.bytes += double(first.w.rows) * double(kernels::row_bytes(first.format, first.w.cols));
  needs.flops = 2.0 * starts[plan.count] * first.w.rows * first.w.cols;
  return needs;
}

/// Rows of x, as a mode has them, where their tokens' slots are.
void gather(const kernels::Activations& x, kernels::Acts acts, const MoeBuffers& buffers, int used,
            const Team::Part& tokens) {
  const auto cols = std::size_t(x.cols);
  const auto copy = [](const auto* from, auto* to, std::size_t row, std::size_t slot, std::size_t values) {
    std::memcpy(to + slot * values, from + row * values, values * sizeof(*to));
  };
  for (int i = tokens.first * used; i < tokens.last * used; ++i) {
    const auto row = std::size_t(i / used), slot = std::size_t(buffers.slots[i]);
    const auto* const bytes = static_cast<const std::byte*>(x.values);
    if (acts == kernels::Acts::fp32) copy(static_cast<const float*>(x.values), buffers.in, row, slot, cols);
    if (acts == kernels::Acts::bf16) copy(bytes, buffers.entering.bf16.values, row, slot, 2 * cols);
    if (acts != kernels::Acts::int8) continue;
    copy(bytes, buffers.entering.int8.values, row, slot, cols);
    copy(x.scales, buffers.entering.int8.scales, row, slot, cols / kernels::kActsBlock);
    copy(x.sums, buffers.entering.int8.sums, row, slot, 2 * cols / kernels::kActsBlock);
  }
}

}  // namespace

MoeBuffers MoeBuffers::carve(Carver& carver, std::size_t tokens, const Plan& plan, kernels::Acts acts, int threads,
                             bool floats) {
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
  if (floats) buffers.in = carver.take<float>(slots * hidden);
  if (floats) buffers.gated = carver.take<float>(slots * width);
  buffers.out = carver.take<float>(slots * hidden);
  const std::size_t slice =
      std::max(tokens * kSlice, std::min(tokens, std::size_t(kFew)) * (width + kernels::kActsBlock));
  buffers.slices = carver.take<float>(std::size_t(threads) * 2 * slice);
  buffers.slice = std::ptrdiff_t(slice);
  buffers.entering = Operands::carve(carver, slots, hidden, acts, false);
  buffers.middle = Operands::carve(carver, slots, width, acts, false);
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
                 Activation activation, const MoeBuffers& buffers, const Operands& operands, const float* x, int tokens,
                 int hidden, float* y) {
  const Matrix &gate_up = w.experts_gate_up, &down = w.experts_down;
  const int width = plan.width;
  const std::int32_t* const starts = buffers.starts;
  const kernels::Activations entering = narrow(team, operands, gate_up.acts, x, tokens, hidden);
  team.one([&] { group(buffers, plan, tokens); });
  const Team::Part mine = team.split(tokens);
  gather(entering, gate_up.acts, buffers, plan.used, mine);
  team.sync();
  team.lap("experts.group");

  // Rows 0 .. width - 1 of gate_up_proj are the gate, the others up. As in a feed-forward, slices of both are made,
  // gated and narrowed by one thread; few tokens read a matrix from front to back instead.
  const kernels::Activations in = buffers.entering.view(gate_up.acts, buffers.in, starts[plan.count], hidden);
  const int of_thread =
      ((width + team.threads - 1) / team.threads + kernels::kActsBlock - 1) / kernels::kActsBlock * kernels::kActsBlock;
  const int each = tokens < MoeBuffers::kFew ? of_thread : MoeBuffers::kSlice;
  float* const gate = buffers.slices + team.thread * 2 * buffers.slice;
  float* const up = gate + buffers.slice;
  const bool narrows = down.acts != kernels::Acts::fp32;
  share_experts(team, plan, starts, width, each, [&](int e, int first, int last) {
    const int begin = starts[e], count = starts[e + 1] - begin, cols = last - first;
    const Matrix matrix = gate_up.part(e);
    const kernels::Activations some = slice(in, gate_up.acts, begin, count);
    multiply_rows({&matrix, gate, each, first}, some, first, last);
    multiply_rows({&matrix, up, each, width + first}, some, width + first, width + last);
    kernels.gated({gate, up, narrows ? gate : buffers.gated + std::ptrdiff_t(begin) * width + first, cols, each, each,
                   narrows ? each : width, kernel_activation(activation)},
                  0, count);
    for (int t = 0; t < count && narrows; ++t)
      narrow_slice(buffers.middle, down.acts, gate + std::ptrdiff_t(t) * each, cols, begin + t, first, width);
  });
  if (team.clock != nullptr) team.lap("experts.gate_up", needs_of_experts(gate_up, plan, starts));

  const kernels::Activations middle = buffers.middle.view(down.acts, buffers.gated, starts[plan.count], width);
  constexpr int kRows = 704;  // few tokens pass by: the panels that nothing was fetched for weigh more than even turns
  share_experts(team, plan, starts, hidden, tokens < MoeBuffers::kFew ? (hidden + 1) / 2 : kRows,
                [&](int e, int first, int last) {
                  const int begin = starts[e], count = starts[e + 1] - begin;
                  const Matrix matrix = down.part(e);
                  multiply_rows({&matrix, buffers.out + std::ptrdiff_t(begin) * hidden + first, hidden, first},
                                slice(middle, down.acts, begin, count), first, last);
                });
  if (team.clock != nullptr) team.lap("experts.down", needs_of_experts(down, plan, starts));
  if (mine.first < mine.last)
    kernels.scatter_add({buffers.out, buffers.slots, buffers.weights, y, plan.used, hidden}, mine.first, mine.last);
  team.sync();
  team.lap("experts.scatter");
}

}  // namespace assay::cpu
