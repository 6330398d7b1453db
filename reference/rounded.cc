#include "reference/rounded.h"

#include <functional>
#include <span>
#include <utility>

#include "base/widen.h"

namespace assay::reference {
namespace {

using Round = float (*)(float);

float to_bf16(float x) { return widen_bf16(narrow_bf16(x)); }
float to_fp16(float x) { return widen_f16(narrow_f16(x)); }

class Rounder {
 public:
  explicit Rounder(Round round) : round_(round) {}

  /// Ops that return rows.
  template <class... Args>
  void operator()(std::function<Grid(Args...)>& op) const {
    if (!op) return;
    op = [op = std::move(op), round = round_](Args... args) {
      Grid y = op(std::forward<Args>(args)...);
      apply(round, y.values);
      return y;
    };
  }
  /// Ops that change rows in place.
  template <class... Args>
  void in_place(std::function<void(Rows<float>, Args...)>& op) const {
    if (!op) return;
    op = [op = std::move(op), round = round_](Rows<float> x, Args... args) {
      op(x, std::forward<Args>(args)...);
      apply(round, {x.data, x.size()});
    };
  }

  void layer(LayerOps& ops) const {
    in_place(ops.rms_norm);
    in_place(ops.rope);
    ops.linear = [op = std::move(ops.linear), round = round_](Rows<const float> x, const Weight& w,
                                                              std::span<const float> bias, Rows<float> y) {
      op(x, w, bias, y);
      apply(round, {y.data, y.size()});
    };
    ops.project_kv = [op = std::move(ops.project_kv), round = round_](const Layer& self, Rows<const float> normed) {
      KeysValues kv = op(self, normed);
      apply(round, kv.k.values);
      apply(round, kv.v.values);
      return kv;
    };
    // Not route: probabilities are fp32 in transformers, whatever the model is.
    for (auto* op : {&ops.attn_norm, &ops.project_q, &ops.project_out, &ops.ffn_norm, &ops.mlp}) (*this)(*op);
    (*this)(ops.attend);
    for (auto* op : {&ops.add_attn, &ops.experts, &ops.ple_branch, &ops.tail}) (*this)(*op);
    (*this)(ops.add_ffn);
    for (auto* op : {&ops.rotate_q, &ops.rotate_k}) rotation(*op);
  }

  void vision(Vision& vision) const {
    for (VisionLayer& layer : vision.layers) {
      VisionLayerOps& ops = layer.ops;
      in_place(ops.rms_norm);
      (*this)(ops.linear);
      for (auto* op :
           {&ops.attn_norm, &ops.project_q, &ops.project_k, &ops.project_v, &ops.project_out, &ops.ffn_norm, &ops.mlp})
        (*this)(*op);
      (*this)(ops.attend);
      for (auto* op : {&ops.add_attn, &ops.add_ffn}) (*this)(*op);
    }
    for (auto* op : {&vision.ops.patch_embed, &vision.ops.pool}) (*this)(*op);
    (*this)(vision.ops.project);
  }

  void audio(Audio& audio) const {
    for (AudioLayer& layer : audio.layers) {
      AudioLayerOps& ops = layer.ops;
      in_place(ops.rms_norm);
      (*this)(ops.linear);
      (*this)(ops.feed_forward);
      for (auto* op : {&ops.attention, &ops.convolution}) (*this)(*op);
      for (auto* op : {&ops.norm_out, &ops.project_q, &ops.project_k, &ops.project_v}) (*this)(*op);
      (*this)(ops.attend);
      (*this)(ops.convolve);
    }
    (*this)(audio.ops.convolve_clips);
    (*this)(audio.ops.subsample);
    (*this)(audio.ops.output);
    (*this)(audio.ops.project);
  }

  void model(ModelOps& ops) const {
    in_place(ops.rms_norm);
    (*this)(ops.embed);
    (*this)(ops.ple_inputs);
    for (auto* op : {&ops.final_norm, &ops.logits}) (*this)(*op);
  }

  void assistant(AssistantOps& ops) const {
    for (auto* op : {&ops.project_in, &ops.state, &ops.dense_logits}) (*this)(*op);
    (*this)(ops.ordered_logits);
  }

 private:
  static void apply(Round round, std::span<float> values) {
    for (float& value : values) value = round(value);
  }
  void rotation(std::function<void(const Layer&, const Sequence&, Rows<float>)>& op) const {
    if (!op) return;
    op = [op = std::move(op), round = round_](const Layer& self, const Sequence& sequence, Rows<float> x) {
      op(self, sequence, x);
      apply(round, {x.data, x.size()});
    };
  }

  Round round_;
};

}  // namespace

void round_results(Parts& parts, Rounding to) {
  const Rounder round(to == Rounding::bf16 ? to_bf16 : to_fp16);
  for (Layer& layer : parts.layers) round.layer(layer.ops);
  round.model(parts.ops);
  if (parts.assistant) round.assistant(parts.assistant->ops);
  if (parts.vision) round.vision(*parts.vision);
  if (parts.audio) round.audio(*parts.audio);
}

}  // namespace assay::reference
