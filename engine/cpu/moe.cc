#include "engine/cpu/moe.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace assay::cpu {
namespace {

/// Slots, whose they are, and which experts have some.
void group(const MoeBuffers& buffers, const Experts& plan, int tokens) {
  std::int32_t* const starts = buffers.starts;
  std::fill_n(starts, plan.count + 1, 0);
  for (int i = 0; i < tokens * plan.used; ++i) ++starts[buffers.chosen[i] + 1];
  for (int e = 0; e < plan.count; ++e) starts[e + 1] += starts[e];
  for (int i = 0; i < tokens * plan.used; ++i) {
    const std::int32_t slot = starts[buffers.chosen[i]]++;
    buffers.owners[slot] = i / plan.used;
    buffers.shares[slot] = buffers.weights[i];
  }
  for (int e = plan.count; e > 0; --e) starts[e] = starts[e - 1];
  starts[0] = 0;
  std::int32_t* const hit = buffers.hit;
  *hit = 0;
  for (int e = 0; e < plan.count; ++e)
    if (starts[e + 1] > starts[e]) hit[++*hit] = e;
}

OpNeeds needs_of_experts(const Matrix& first, const Experts& plan, const std::int32_t* starts) {
  OpNeeds needs{.acts = first.acts};
  for (int e = 0; e < plan.count; ++e)
    if (starts[e + 1] > starts[e])
      needs.bytes += double(first.w.rows) * double(kernels::row_bytes(first.format, first.w.cols));
  needs.flops = 2.0 * starts[plan.count] * first.w.rows * first.w.cols;
  return needs;
}

/// Rows of x, as a mode has them, where some of their tokens' slots are.
void gather(const kernels::Activations& x, kernels::Acts acts, const MoeBuffers& buffers, const Team::Part& slots) {
  const auto cols = std::size_t(x.cols);
  const auto copy = [](const auto* from, auto* to, std::size_t row, std::size_t slot, std::size_t values) {
    std::memcpy(to + slot * values, from + row * values, values * sizeof(*to));
  };
  for (int i = slots.first; i < slots.last; ++i) {
    const auto row = std::size_t(buffers.owners[i]), slot = std::size_t(i);
    const auto* const bytes = static_cast<const std::byte*>(x.values);
    if (acts == kernels::Acts::fp32) copy(static_cast<const float*>(x.values), buffers.in, row, slot, cols);
    if (acts == kernels::Acts::bf16) copy(bytes, buffers.entering.bf16.values, row, slot, 2 * cols);
    if (acts != kernels::Acts::int8) continue;
    copy(bytes, buffers.entering.int8.values, row, slot, cols);
    copy(x.scales, buffers.entering.int8.scales, row, slot, cols / kernels::kActsBlock);
    copy(x.sums, buffers.entering.int8.sums, row, slot, 2 * cols / kernels::kActsBlock);
  }
}

/// What the two halves of a layer's experts have in common.
struct Run {
  const Team& team;
  const KernelTable& kernels;
  const MoeBuffers& buffers;
  const std::int32_t* starts;
  const std::int32_t* hit;  ///< experts that have slots
  int hits;
  int tokens;

  bool few() const { return tokens < MoeBuffers::kFew; }  ///< then matrices are read from front to back
  float* slices() const { return buffers.slices + team.thread * buffers.slice; }
};

int rounded_up(int n, int grain) { return (n + grain - 1) / grain * grain; }

/// act(gate) * up of every slot, as down's products have it. Rows 0 .. width - 1 of gate_up_proj are the gate, the
/// others up: as in a feed-forward, slices of both are made, gated and narrowed by one thread.
/// @param in  of slots
void make_middles(const Run& run, const Matrix& gate_up, kernels::Acts narrowed, int width, Activation activation,
                  const kernels::Activations& in) {
  const MoeBuffers& buffers = run.buffers;
  const int of_thread = rounded_up((width + run.team.threads - 1) / run.team.threads, kernels::kActsBlock);
  const int each = run.few() ? of_thread : MoeBuffers::kSlice, blocks = (width + each - 1) / each;
  float *const gate = run.slices(), *const up = gate + buffers.slice / 2;
  const bool narrows = narrowed != kernels::Acts::fp32;
  run.team.take_turns_ahead(run.hits * blocks, [&](int turn, int then) {
    const auto row_of = [&](int t, int row) {
      return gate_up.row(run.hit[t / blocks] * gate_up.w.rows + t % blocks * each + row);
    };
    const int e = run.hit[turn / blocks], first = turn % blocks * each, last = std::min(first + each, width);
    const int begin = run.starts[e], count = run.starts[e + 1] - begin, cols = last - first;
    const Matrix matrix = gate_up.part(e);
    const kernels::Activations some = slice(in, gate_up.acts, begin, count);
    multiply_rows({.matrix = &matrix, .y = gate, .stride = each, .first = first, .next = row_of(turn, width)}, some,
                  first, last);
    multiply_rows({.matrix = &matrix,
                   .y = up,
                   .stride = each,
                   .first = width + first,
                   .next = then < run.hits * blocks ? row_of(then, 0) : nullptr},
                  some, width + first, width + last);
    run.kernels.gated({gate, up, narrows ? gate : buffers.gated + std::ptrdiff_t(begin) * width + first, cols, each,
                       each, narrows ? each : width, kernel_activation(activation)},
                      0, count);
    for (int t = 0; t < count && narrows; ++t)
      narrow_slice(buffers.middle, narrowed, gate + std::ptrdiff_t(t) * each, cols, begin + t, first, width);
  });
  run.team.sync();
}

/// y = the weighted sums of down's products. A thread makes some columns of all experts' outputs, one expert after
/// another, and adds each to its tokens while it is at hand: a token's sum grows in the same order whoever makes it.
/// @param middle  of slots
void make_outputs(const Run& run, const Matrix& down, const kernels::Activations& middle, int hidden, float* y) {
  constexpr int kLeast = 64;
  float* const out = run.slices();
  const int of_thread = rounded_up((hidden + run.team.threads - 1) / run.team.threads, kLeast);
  const auto [most, least] = run.few() ? std::pair(of_thread, of_thread) : std::pair(MoeBuffers::kColumns, kLeast);
  run.team.take_pieces(hidden, most, least, [&](int from, int to) {
    const int cols = to - from;
    for (int t = 0; t < run.tokens; ++t) std::fill_n(y + std::ptrdiff_t(t) * hidden + from, cols, 0.0F);
    for (int i = 0; i < run.hits; ++i) {
      const int e = run.hit[i], begin = run.starts[e], count = run.starts[e + 1] - begin;
      const Matrix matrix = down.part(e);
      multiply_rows({.matrix = &matrix,
                     .y = out,
                     .stride = cols,
                     .first = from,
                     .next = i + 1 < run.hits ? down.row(run.hit[i + 1] * down.w.rows + from) : nullptr},
                    slice(middle, down.acts, begin, count), from, from + cols);
      run.kernels.scatter_add(
          {out, run.buffers.owners + begin, run.buffers.shares + begin, y + from, cols, cols, hidden}, 0, count);
    }
  });
  run.team.sync();
}

}  // namespace

MoeBuffers MoeBuffers::carve(Carver& carver, std::size_t tokens, const Plan& plan, const Widths& in, const Widths& down,
                             const OperandKernels& kernels, int threads) {
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
  buffers.owners = carver.take<std::int32_t>(slots);
  buffers.shares = carver.take<float>(slots);
  buffers.starts = carver.take<std::int32_t>(experts + 1);
  buffers.hit = carver.take<std::int32_t>(experts + 1);
  buffers.in = carver.take<float>(slots * in[kernels::Acts::fp32]);
  buffers.gated = carver.take<float>(slots * down[kernels::Acts::fp32]);
  const std::size_t few = std::min(tokens, std::size_t(kFew));
  const std::size_t slice = std::max({2 * tokens * kSlice, 2 * few * (width + kernels::kActsBlock), tokens * kColumns,
                                      few * (hidden + kernels::kActsBlock)});
  buffers.slices = carver.take<float>(std::size_t(threads) * slice);
  buffers.slice = std::ptrdiff_t(slice);
  buffers.entering = Operands::carve(carver, slots, in, false, kernels);
  buffers.middle = Operands::carve(carver, slots, down, false, kernels);
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
  const int slots = starts[plan.count];
  gather(entering, gate_up.acts, buffers, team.split(slots));
  team.sync();
  team.lap("experts.group");

  const Run run{team, kernels, buffers, starts, buffers.hit + 1, buffers.hit[0], tokens};
  make_middles(run, gate_up, down.acts, width, activation,
               buffers.entering.view(gate_up.acts, buffers.in, slots, hidden));
  if (team.clock != nullptr) team.lap("experts.gate_up", needs_of_experts(gate_up, plan, starts));
  make_outputs(run, down, buffers.middle.view(down.acts, buffers.gated, slots, width), hidden, y);
  if (team.clock != nullptr) team.lap("experts.down", needs_of_experts(down, plan, starts));
}

}  // namespace assay::cpu
