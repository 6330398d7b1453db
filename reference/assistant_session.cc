#include "reference/assistant_session.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "reference/assistant.h"

namespace assay::reference {
namespace {

constexpr std::array<std::string_view, 7> kInputs = {"inputs_embeds",
                                                     "last_hidden_state",
                                                     "position_ids",
                                                     "shared_kv_states/full_attention/key",
                                                     "shared_kv_states/full_attention/value",
                                                     "shared_kv_states/sliding_attention/key",
                                                     "shared_kv_states/sliding_attention/value"};

class AssistantSession : public Session {
 public:
  explicit AssistantSession(Parts parts) : Session(parts.plan), parts_(std::move(parts)) {}

 protected:
  /// Source: Gemma4AssistantForCausalLM.forward.
  Result<void> do_forward(const Forward& call, TapSink& taps) override {
    for (const NamedTensor& tensor : call.more)
      if (std::ranges::find(kInputs, tensor.name) == kInputs.end())
        return fail({Failure::unsupported, "reference", tensor.name, "an input of a drafter", ""});
    const AssistantOps& ops = parts_.assistant->ops;
    ASSAY_TRY(inputs, ops.inputs(parts_, call));
    Grid x = ops.project_in(parts_, inputs.view());
    taps.offer(Tap::assistant_in, -1, [&] { return x.view(); });
    std::vector<KvCache> caches(2);  // of sliding and of full layers
    std::array<Sequence, 2> sequences;
    for (const bool sliding : {true, false}) {
      const std::size_t kind = sliding ? 0 : 1;
      if (std::ranges::none_of(parts_.layers, [&](const Layer& one) { return (one.plan.window > 0) == sliding; }))
        continue;
      ASSAY_TRY(shared, ops.shared(parts_, call, sliding));
      caches[kind] = std::move(shared.kv);
      sequences[kind] = std::move(shared.sequence);
    }
    for (const Layer& layer : parts_.layers)
      x = run_layer(layer, sequences[layer.plan.window > 0 ? 0 : 1], caches, x.view(), taps);
    const Grid normed = parts_.ops.final_norm(parts_, x.view());
    taps.offer(Tap::assistant_norm, -1, [&] { return normed.view(); });
    Grid state, logits;
    taps.offer(Tap::assistant_state, -1, [&] {
      state = ops.state(parts_, normed.view());
      return state.view();
    });
    taps.offer(Tap::assistant_logits, -1, [&] {
      logits = parts_.plan.assistant->centroids
                   ? ops.ordered_logits(parts_, normed.view(), ops.clusters(parts_, normed.view()))
                   : ops.dense_logits(parts_, normed.view());
      return logits.view();
    });
    return {};
  }

 private:
  /// Source: Gemma4TextDecoderLayer.forward, with K/V that somebody else made.
  static Grid run_layer(const Layer& layer, const Sequence& sequence, std::span<KvCache> caches, Rows<const float> in,
                        TapSink& taps) {
    const LayerOps& ops = layer.ops;
    const int at = layer.index;
    const Grid attn_norm = ops.attn_norm(layer, in);
    taps.offer(Tap::assistant_attn_norm, at, [&] { return attn_norm.view(); });
    Grid q = ops.project_q(layer, attn_norm.view());
    taps.offer(Tap::assistant_attn_q, at, [&] { return q.view(); });
    ops.rotate_q(layer, sequence, q.view());
    taps.offer(Tap::assistant_attn_q_rope, at, [&] { return q.view(); });
    const Grid ctx = ops.attend(layer, sequence, q.view(), ops.source(layer, sequence, caches, attn_norm.view()));
    taps.offer(Tap::assistant_attn_ctx, at, [&] { return ctx.view(); });
    const Grid attn_out = ops.project_out(layer, ctx.view());
    taps.offer(Tap::assistant_attn_out, at, [&] { return attn_out.view(); });
    const Grid post_attn = ops.add_attn(layer, in, attn_out.view());
    taps.offer(Tap::assistant_post_attn, at, [&] { return post_attn.view(); });
    const Grid ffn_norm = ops.ffn_norm(layer, post_attn.view());
    taps.offer(Tap::assistant_ffn_norm, at, [&] { return ffn_norm.view(); });
    const Grid mlp = ops.mlp(layer, ffn_norm.view());
    taps.offer(Tap::assistant_mlp, at, [&] { return mlp.view(); });
    const Grid post_ffn = ops.add_ffn(layer, post_attn.view(), mlp.view(), {});
    taps.offer(Tap::assistant_post_ffn, at, [&] { return post_ffn.view(); });
    Grid out = ops.tail(layer, post_ffn.view(), {});
    taps.offer(Tap::assistant_out, at, [&] { return out.view(); });
    return out;
  }

  Parts parts_;
};

}  // namespace

std::unique_ptr<Session> make_assistant_session(Parts parts) {
  return std::make_unique<AssistantSession>(std::move(parts));
}

}  // namespace assay::reference
