// Faults of the mixture of experts: rows C1 to C4, C6, C7.
#include <numeric>

#include "harness/faults/bend.h"
#include "reference/ops/softmax.h"
#include "reference/ops/top_k.h"

namespace assay {

using namespace bend;  // NOLINT: the catalogue's own words

namespace {

Fault expert(std::string_view name, std::string_view row, std::string_view what, std::string_view shipped_in, Tap shows,
             std::function<void(Layer&)> edit) {
  return {.name = name,
          .row = row,
          .what = what,
          .shipped_in = shipped_in,
          .shows_at = at(shows, has_experts),
          .inject = [edit](Parts& oracle) { return each(oracle, has_experts, edit); }};
}

/// The probabilities with the router's input made by `input`.
std::function<Grid(const Layer&, Rows<const float>)> routed(
    std::function<Grid(const Layer&, Rows<const float>)> input) {
  return [input](const Layer& self, Rows<const float> post_attn) {
    Grid probs = reference::apply(self, input(self, post_attn).view(), self.weights.router_proj);
    for (int r = 0; r < probs.rows; ++r) reference::softmax(probs.row(r), {});
    return probs;
  };
}

Grid router_input(const Layer& self, Rows<const float> x, bool root, bool weights) {
  Grid y = reference::normed(self, x, {});
  for (std::size_t i = 0; i < y.values.size(); ++i) {
    if (weights) y.values[i] *= self.weights.router_scale[i % std::size_t(self.hidden)];
    if (root) y.values[i] /= std::sqrt(float(self.hidden));
  }
  return y;
}

/// The choice with `finish` given the probabilities of the chosen, in order, and their experts.
std::function<Grid(const Layer&, Rows<const float>)> chosen(
    std::function<float(const Layer&, float prob, float sum, std::size_t expert)> weight) {
  return [weight](const Layer& self, Rows<const float> probs) {
    const std::vector<float> ones(std::size_t(probs.cols), 1.0F);
    Grid kept(probs.rows, probs.cols);
    for (int r = 0; r < probs.rows; ++r) {
      reference::top_k(probs.row(r), self.plan.experts->used, ones, kept.row(r));
      float sum = 0;
      for (std::size_t e = 0; e < ones.size(); ++e) sum += kept.row(r)[e] != 0 ? probs.row(r)[e] : 0;
      for (std::size_t e = 0; e < ones.size(); ++e)
        if (kept.row(r)[e] != 0) kept.row(r)[e] = weight(self, probs.row(r)[e], sum, e);
    }
    return kept;
  };
}

}  // namespace

std::vector<Fault> expert_faults() {
  return {
      expert("experts-ignored", "C1", "Only the dense feed-forward block runs.", "llmmanorg/llmman#181", Tap::post_ffn,
             [](Layer& layer) {
               layer.ops.add_ffn = [](const Layer& self, Rows<const float> post_attn, Rows<const float> mlp,
                                      Rows<const float>) { return reference::add_ffn(self, post_attn, mlp, {}); };
             }),
      expert("router-reads-normed-input", "C2", "The router is fed the experts' normed input instead of the residual.",
             "Blaizzy/mlx-vlm#1347", Tap::router_probs,
             [](Layer& layer) {
               layer.ops.route = [](const Layer& self, Rows<const float> post_attn) {
                 return reference::route(
                     self, reference::normed(self, post_attn, self.weights.pre_feedforward_layernorm_2).view());
               };
             }),
      expert("router-root-missing", "C3", "The router's input is not multiplied by hidden^-0.5.",
             "NVIDIA-NeMo/Megatron-Bridge#4683", Tap::router_probs,
             [](Layer& layer) {
               layer.ops.route =
                   routed([](const Layer& self, Rows<const float> x) { return router_input(self, x, false, true); });
             }),
      expert("router-scale-missing", "C3", "The router's input is not multiplied by its learned scale.",
             "NVIDIA-NeMo/Megatron-Bridge#4683", Tap::router_probs,
             [](Layer& layer) {
               layer.ops.route =
                   routed([](const Layer& self, Rows<const float> x) { return router_input(self, x, true, false); });
             }),
      expert("router-norm-missing", "C3", "The router's input is not normed.", "class of C3", Tap::router_probs,
             [](Layer& layer) {
               layer.ops.route = routed([](const Layer& self, Rows<const float> x) {
                 Grid y(x);
                 for (std::size_t i = 0; i < y.values.size(); ++i)
                   y.values[i] *=
                       self.weights.router_scale[i % std::size_t(self.hidden)] / std::sqrt(float(self.hidden));
                 return y;
               });
             }),
      expert("expert-scale-missing", "C3", "The chosen weights are not multiplied by per_expert_scale.",
             "NVIDIA-NeMo/Megatron-Bridge#4683", Tap::router_topk,
             [](Layer& layer) {
               layer.ops.choose = chosen([](const Layer&, float prob, float sum, std::size_t) { return prob / sum; });
             }),
      expert("expert-scale-before-renormalising", "C3",
             "per_expert_scale is applied before the weights are made to sum to 1.", "NVIDIA-NeMo/Megatron-Bridge#4683",
             Tap::router_topk,
             [](Layer& layer) {
               layer.ops.choose = [](const Layer& self, Rows<const float> probs) {
                 Grid kept = reference::choose(self, probs);
                 for (int r = 0; r < kept.rows; ++r) {
                   const float sum = std::accumulate(kept.row(r).begin(), kept.row(r).end(), 0.0F);
                   for (float& v : kept.row(r)) v /= sum;
                 }
                 return kept;
               };
             }),
      expert("top-k-not-renormalised", "C3", "The chosen probabilities are used as they are.", "class of C3",
             Tap::router_topk,
             [](Layer& layer) {
               layer.ops.choose = chosen([](const Layer& self, float prob, float, std::size_t expert) {
                 return prob * self.weights.per_expert_scale[expert];
               });
             }),
      {.name = "softmax-over-chosen",
       .row = "C4",
       .what = "A softmax over the chosen scores alone: the same numbers but for rounding. Must NOT be flagged.",
       .shipped_in = "Blaizzy/mlx-vlm#1030",
       .shows_at = nowhere,
       .inject =
           [](Parts& oracle) {
             return each(oracle, has_experts, [](Layer& layer) {
               layer.ops.choose = [](const Layer& self, Rows<const float> probs) {
                 Grid kept = reference::choose(self, probs);
                 for (int r = 0; r < kept.rows; ++r) {
                   std::vector<float> scores(std::size_t(kept.cols), 0.0F);
                   std::vector<char> seen(scores.size(), 0);
                   for (std::size_t e = 0; e < scores.size(); ++e) {
                     seen[e] = kept.row(r)[e] != 0;
                     scores[e] = std::log(probs.row(r)[e]);
                   }
                   reference::softmax(scores, seen);
                   for (std::size_t e = 0; e < scores.size(); ++e)
                     kept.row(r)[e] = scores[e] * self.weights.per_expert_scale[e];
                 }
                 return kept;
               };
             });
           },
       .control = true},
      expert("router-quantised", "C6", "The router's weights are quantised to 4 bits like the experts'.",
             "Blaizzy/mlx-vlm#901", Tap::router_probs,
             [](Layer& layer) {
               std::vector<float> values = layer.weights.router_proj.floats();
               through_blocks(values, 7);
               layer.weights.router_proj =
                   reference::Weight::own(layer.weights.router_proj.rows, layer.hidden, std::move(values));
             }),
      expert("one-expert-too-few", "C7", "top_k_experts is read under another name and its default is one less.",
             "vllm-project/vllm#50460", Tap::router_topk, [](Layer& layer) { layer.plan.experts->used -= 1; }),
      expert("expert-gate-and-up-swapped", "x", "The halves of gate_up_proj are taken in the other order.", "",
             Tap::experts,
             [](Layer& layer) {
               layer.ops.experts = [](const Layer& self, Rows<const float> x, Rows<const float> weights) {
                 Layer swapped = self;
                 const Experts& plan = *self.plan.experts;
                 std::vector<float> stack;
                 for (int e = 0; e < plan.count; ++e) {
                   const std::vector<float> both = self.weights.experts_gate_up.part(e).floats();
                   const auto half = both.begin() + std::ptrdiff_t(both.size() / 2);
                   stack.insert(stack.end(), half, both.end());
                   stack.insert(stack.end(), both.begin(), half);
                 }
                 swapped.weights.experts_gate_up =
                     reference::Weight::own(2 * plan.width, self.hidden, std::move(stack));
                 return reference::experts(swapped, x, weights);
               };
             }),
      expert("experts-read-dense-norm", "x", "The experts read the dense block's normed input.", "", Tap::experts,
             [](Layer& layer) { layer.weights.pre_feedforward_layernorm_2 = layer.weights.pre_feedforward_layernorm; }),
      expert("branch-norms-swapped", "x", "post_feedforward_layernorm_1 and _2 are swapped.", "", Tap::post_ffn,
             [](Layer& layer) {
               std::swap(layer.weights.post_feedforward_layernorm_1, layer.weights.post_feedforward_layernorm_2);
             }),
      expert("joint-norm-missing", "x",
             "The sum of dense block and experts is added without post_feedforward_layernorm.", "", Tap::post_ffn,
             [](Layer& layer) {
               layer.ops.add_ffn = [](const Layer& self, Rows<const float> post_attn, Rows<const float> mlp,
                                      Rows<const float> experts) {
                 const Grid both =
                     reference::sum(reference::normed(self, mlp, self.weights.post_feedforward_layernorm_1).view(),
                                    reference::normed(self, experts, self.weights.post_feedforward_layernorm_2).view());
                 return reference::sum(post_attn, both.view());
               };
             }),
  };
}

}  // namespace assay
