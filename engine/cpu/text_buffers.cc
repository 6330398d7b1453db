#include "engine/cpu/text_buffers.h"

#include <algorithm>

namespace assay::cpu {
namespace {

/// The place of `value`, which is appended if it is new.
template <class T>
int place(std::vector<T>& known, const T& value) {
  const auto found = std::ranges::find(known, value);
  if (found != known.end()) return int(found - known.begin());
  known.push_back(value);
  return int(known.size()) - 1;
}

}  // namespace

LayerKinds::LayerKinds(const Plan& plan) {
  for (const LayerPlan& layer : plan.layers) {
    rope_of.push_back(place(ropes, layer.rope));
    view_of.push_back(place(views, {layer.window, layer.blocks}));
  }
}

TextWidths::TextWidths(const Widths& of_all, const std::vector<LayerWeights>& layers) : all(of_all) {
  for (const LayerWeights& w : layers) {
    down.add(w.down_proj);
    experts_in.add(w.experts_gate_up);
    experts_down.add(w.experts_down);
  }
}

TextBuffers TextBuffers::carve(Carver& carver, std::size_t rows, const Plan& plan, const LayerKinds& kinds,
                               Middle middle, const TextWidths& widths, const OperandKernels& kernels, int threads) {
  const auto hidden = std::size_t(plan.hidden);
  std::size_t q = 0, kv = 0, ffn = std::size_t(plan.ple_width);
  for (const LayerPlan& layer : plan.layers) {
    q = std::max(q, std::size_t(layer.q_width()));
    kv = std::max(kv, std::size_t(layer.kv_width()));
    ffn = std::max(ffn, std::size_t(layer.ffn_width));
  }
  TextBuffers buffers{};
  const auto floats = [&](std::size_t cols) { return carver.take<float>(rows * cols); };
  buffers.ids = carver.take<std::int64_t>(rows);
  for (const Rope& rope : kinds.ropes) {
    buffers.cosines.push_back(floats(rope.inv_freq.size()));
    buffers.sines.push_back(floats(rope.inv_freq.size()));
  }
  for (std::size_t i = 0; i < kinds.views.size(); ++i) {
    buffers.from.push_back(carver.take<std::int32_t>(rows));
    buffers.to.push_back(carver.take<std::int32_t>(rows));
  }
  for (float** each : {&buffers.x, &buffers.normed, &buffers.out, &buffers.second}) *each = floats(hidden);
  for (float** each : {&buffers.q, &buffers.ctx}) *each = floats(q);
  for (float** each : {&buffers.k, &buffers.v}) *each = floats(kv);
  const std::size_t few = std::min(rows, std::size_t(kFusedRows)) * ffn, ple_gate = rows * std::size_t(plan.ple_width);
  buffers.gate = carver.take<float>(middle == Middle::narrowed ? std::max(few, ple_gate) : rows * ffn);
  buffers.up = carver.take<float>(middle == Middle::whole ? rows * ffn : few);
  buffers.few = carver.take<float>(std::size_t(threads) * kRowsAtOnce * hidden);
  if (middle != Middle::whole) buffers.slices = floats(std::size_t(threads) * 2 * kSlice);
  const std::size_t ple = std::size_t(plan.ple_width) * plan.layers.size();
  for (float** each : {&buffers.ple, &buffers.context}) *each = floats(ple);
  buffers.operands = Operands::carve(carver, rows, widths.all, false, kernels);
  if (middle != Middle::whole) buffers.gated = Operands::carve(carver, rows, widths.down, false, kernels);
  buffers.moe = MoeBuffers::carve(carver, rows, plan, widths.experts_in, widths.experts_down, kernels, threads);
  return buffers;
}

}  // namespace assay::cpu
