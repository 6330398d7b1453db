#include "reference/session.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string_view>
#include <utility>

#include "reference/assistant_session.h"
#include "reference/ops/embed.h"
#include "reference/step.h"

namespace assay::reference {
namespace {

constexpr std::array<std::string_view, 9> kInputs = {
    "position_ids",       "mm_token_type_ids",    "pixel_values",   "image_position_ids", "pixel_values_videos",
    "video_position_ids", "num_frames_per_video", "input_features", "input_features_mask"};

/// The last n tokens of each batch row.
Grid last_rows(Rows<const float> x, int batch, int n) {
  const int tokens = x.rows / batch;
  Grid out(batch * n, x.cols);
  for (int b = 0; b < batch; ++b)
    std::ranges::copy(x.slice(b * tokens + tokens - n, n).all(), out.view().slice(b * n, n).data);
  return out;
}

class ReferenceSession : public Session {
 public:
  explicit ReferenceSession(Parts parts)
      : Session(parts.plan), parts_(std::move(parts)), caches_(parts_.layers.size()) {}

 protected:
  Result<void> do_forward(const Forward& call, TapSink& taps) override {
    ASSAY_CHECK(check(call));
    if (call.cache == Cache::extend) return run(call, taps, sequence_, caches_, soft_);
    Sequence sequence;
    ASSAY_TRY(soft, parts_.ops.encode(parts_, call.more, taps));
    if (call.cache == Cache::none) {
      std::vector<KvCache> caches(parts_.layers.size());
      return run(call, taps, sequence, caches, soft);
    }
    ASSAY_CHECK(run(call, taps, sequence, caches_, soft));
    sequence_ = std::move(sequence);
    soft_ = std::move(soft);
    return {};
  }

  Result<void> do_step(TapId tap, std::span<const NamedTensor> inputs, TapSink& taps) override {
    return step_tap(parts_, tap, inputs, taps);
  }

  /// Rows of a batch stay side by side: the cache shrinks to the longest kept length, and what a row forgot before that
  /// is treated as padding from then on.
  Result<void> do_truncate(std::span<const int> keep) override {
    if (int(keep.size()) != sequence_.batch)
      return fail({Failure::bad_input, "truncate", "keep", std::to_string(sequence_.batch) + " lengths",
                   std::to_string(keep.size())});
    for (const int length : keep)
      if (length < 0 || length > sequence_.keys())
        return fail({Failure::bad_input, "truncate", "keep", "0 to " + std::to_string(sequence_.keys()),
                     std::to_string(length)});
    const int longest = *std::ranges::max_element(keep);
    Sequence kept = sequence_;
    kept.cached = 0;
    kept.tokens = longest;
    kept.positions.clear();
    kept.real.assign(std::size_t(kept.batch) * std::size_t(longest), 0);
    kept.block.assign(kept.real.size(), -1);
    kept.pack.assign(kept.real.size(), 0);
    for (int b = 0; b < kept.batch; ++b) {
      const int length = keep[std::size_t(b)], padding = longest - length;
      for (int key = 0; key < length; ++key)
        kept.real[kept.at(b, padding + key)] = sequence_.real[sequence_.at(b, key)];
    }
    for (const Layer& layer : parts_.layers)
      if (layer.plan.kv.kind == KvSource::own) caches_[std::size_t(layer.index)].truncate(keep);
    sequence_ = std::move(kept);
    return {};
  }

  Result<CachedKv> do_cached_kv(int layer) override {
    CachedKv views;
    const KvCache& cache = caches_[std::size_t(layer)];
    for (int b = 0; b < sequence_.batch; ++b) {
      views.keys.push_back(cache.keys(b));
      views.values.push_back(cache.values(b));
    }
    return views;
  }

  /// Source: Gemma4TextScaledWordEmbedding, as get_input_embeddings() hands it out: placeholders are looked up too.
  Result<std::vector<float>> do_embed(std::span<const std::int64_t> ids) override {
    Grid out(int(ids.size()), parts_.plan.hidden);
    reference::embed(ids, parts_.weights.embed_tokens, float(std::sqrt(double(parts_.plan.hidden))), out.view());
    return std::move(out.values);
  }

 private:
  Result<void> check(const Forward& call) const {
    const Plan& plan = parts_.plan;
    if (plan.ple_width > 0)
      for (const std::int64_t id : call.ids.all())
        if (id >= plan.ple_vocab && std::ranges::find(plan.placeholder_ids, id) == plan.placeholder_ids.end())
          return fail({Failure::bad_input, "forward", "input_ids",
                       "ids below vocab_size_per_layer_input, " + std::to_string(plan.ple_vocab), std::to_string(id)});
    for (const NamedTensor& tensor : call.more)
      if (std::ranges::find(kInputs, tensor.name) == kInputs.end())
        return fail({Failure::unsupported, "reference", tensor.name, "an argument of transformers' forward", ""});
    return {};
  }

  /// @param before  the tokens that `caches` hold; becomes those and the call's
  /// @param soft    soft tokens of the prompt that are not yet merged
  Result<void> run(const Forward& call, TapSink& taps, Sequence& before, std::vector<KvCache>& caches,
                   SoftTokens& soft) {
    ASSAY_TRY(sequence, parts_.ops.extend(before, call));
    if (sequence.cached == 0)
      for (const Layer& layer : parts_.layers)
        caches[std::size_t(layer.index)].reset(sequence.batch, layer.plan.kv_width());

    const std::span<const std::int64_t> ids = call.ids.all();
    Grid x = parts_.ops.embed(parts_, ids);
    ASSAY_CHECK(parts_.ops.merge(parts_, ids, soft, x.view()));
    taps.offer(Tap::embed, -1, [&] { return x.view(); });
    Grid ple;
    if (parts_.plan.ple_width > 0) ple = parts_.ops.ple_inputs(parts_, ids, x.view());
    if (!ple.empty()) taps.offer(Tap::ple, -1, [&] { return ple.view(); });
    for (const Layer& layer : parts_.layers) x = run_layer(layer, sequence, caches, x.view(), ple.view(), taps);
    const Grid normed = parts_.ops.final_norm(parts_, x.view());
    taps.offer(Tap::norm, -1, [&] { return normed.view(); });
    const int logit_rows = call.logit_rows == 0 ? sequence.tokens : call.logit_rows;
    Grid logits;  // the largest product of all: only where somebody asks
    taps.offer(Tap::logits, -1, [&] {
      logits = parts_.ops.logits(parts_, last_rows(normed.view(), sequence.batch, logit_rows).view());
      return logits.view();
    });
    before = std::move(sequence);
    return {};
  }

  /// Source: Gemma4TextDecoderLayer.forward.
  static Grid run_layer(const Layer& layer, const Sequence& sequence, std::vector<KvCache>& caches,
                        Rows<const float> in, Rows<const float> ple, TapSink& taps) {
    const LayerOps& ops = layer.ops;
    const int at = layer.index;
    const Grid attn_norm = ops.attn_norm(layer, in);
    taps.offer(Tap::attn_norm, at, [&] { return attn_norm.view(); });

    Grid q = ops.project_q(layer, attn_norm.view());
    taps.offer(Tap::attn_q, at, [&] { return q.view(); });
    ops.rotate_q(layer, sequence, q.view());
    taps.offer(Tap::attn_q_rope, at, [&] { return q.view(); });
    if (layer.plan.kv.kind == KvSource::own) {
      KeysValues kv = ops.project_kv(layer, attn_norm.view());
      taps.offer(Tap::attn_k, at, [&] { return kv.k.view(); });
      ops.rotate_k(layer, sequence, kv.k.view());
      taps.offer(Tap::attn_k_rope, at, [&] { return kv.k.view(); });
      taps.offer(Tap::attn_v, at, [&] { return kv.v.view(); });
      ops.append(layer, sequence, caches, kv);
    }
    const KvCache& source = ops.source(layer, sequence, caches, attn_norm.view());
    const Grid ctx = ops.attend(layer, sequence, q.view(), source);
    taps.offer(Tap::attn_ctx, at, [&] { return ctx.view(); });
    const Grid attn_out = ops.project_out(layer, ctx.view());
    taps.offer(Tap::attn_out, at, [&] { return attn_out.view(); });
    const Grid post_attn = ops.add_attn(layer, in, attn_out.view());
    taps.offer(Tap::post_attn, at, [&] { return post_attn.view(); });

    const Grid ffn_norm = ops.ffn_norm(layer, post_attn.view());
    taps.offer(Tap::ffn_norm, at, [&] { return ffn_norm.view(); });
    const Grid mlp = ops.mlp(layer, ffn_norm.view());
    taps.offer(Tap::mlp, at, [&] { return mlp.view(); });
    Grid experts;
    if (layer.plan.experts) {
      const Grid probs = ops.route(layer, post_attn.view());
      taps.offer(Tap::router_probs, at, [&] { return probs.view(); });
      const Grid chosen = ops.choose(layer, probs.view());
      taps.offer(Tap::router_topk, at, [&] { return chosen.view(); });
      experts = ops.experts(layer, post_attn.view(), chosen.view());
      taps.offer(Tap::experts, at, [&] { return experts.view(); });
    }
    const Grid post_ffn = ops.add_ffn(layer, post_attn.view(), mlp.view(), experts.view());
    taps.offer(Tap::post_ffn, at, [&] { return post_ffn.view(); });

    Grid ple_out;
    if (layer.plan.ple_width > 0) {
      const Grid slice = ops.ple_slice(layer, sequence, ple);
      ple_out = ops.ple_branch(layer, post_ffn.view(), slice.view());
      taps.offer(Tap::ple_out, at, [&] { return ple_out.view(); });
    }
    Grid out = ops.tail(layer, post_ffn.view(), ple_out.view());
    taps.offer(Tap::out, at, [&] { return out.view(); });
    return out;
  }

  Parts parts_;
  Sequence sequence_;            ///< of the cached tokens
  std::vector<KvCache> caches_;  ///< one a layer; those of KV-shared layers stay empty
  SoftTokens soft_;              ///< of the cached prompt
};

}  // namespace

std::unique_ptr<Session> make_session(Parts parts) {
  if (parts.assistant) return make_assistant_session(std::move(parts));
  return std::make_unique<ReferenceSession>(std::move(parts));
}

}  // namespace assay::reference
