// Faults of drafters and of targets that check their drafts: rows H2, H4 to H6, H8 and what is plausible beside. Not
// here: the decoder layers that a drafter shares with its target.
#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <utility>

#include "harness/faults/bend.h"
#include "model/assistant.h"
#include "reference/assistant.h"

namespace assay {

using namespace bend;  // NOLINT: the catalogue's own words

namespace {

using reference::AssistantOps;
using reference::SharedKv;

Fault drafter(std::string_view name, std::string_view row, std::string_view what, std::string_view shipped_in,
              Place shows_at, std::function<bool(Parts&)> inject) {
  return {.name = name,
          .row = row,
          .what = what,
          .shipped_in = shipped_in,
          .shows_at = std::move(shows_at),
          .inject = std::move(inject),
          .of = Fault::drafter};
}

/// A tap in the first layer, in execution order, of a kind.
Place layer(Tap tap, Which which = any) { return at(tap, std::move(which)); }

std::function<bool(Parts&)> ops(std::function<void(AssistantOps&)> edit) {
  return [edit](Parts& parts) {
    edit(parts.assistant->ops);
    return true;
  };
}

// What enters.

/// @param edit  of a row: the embedding and the hidden state, each as wide as the target
std::function<bool(Parts&)> inputs(std::function<void(const Parts&, std::span<float>, std::span<float>)> edit) {
  return ops([edit](AssistantOps& table) {
    table.inputs = [edit](const Parts& parts, const Forward& call) -> Result<Grid> {
      ASSAY_TRY(made, reference::assistant_inputs(parts, call));
      const std::size_t half = std::size_t(made.cols) / 2;
      for (int r = 0; r < made.rows; ++r) {
        const std::span<float> row = made.row(r);
        edit(parts, row.first(half), row.subspan(half));
      }
      return made;
    };
  });
}

void times(std::span<float> values, float factor) {
  for (float& value : values) value *= factor;
}

/// The drafter's own width, not the target's, of the hidden state.
void narrow_hidden(const Parts& parts, std::span<float>, std::span<float> hidden) {
  const auto width = std::min(std::size_t(parts.plan.hidden), hidden.size());
  std::ranges::fill(hidden.subspan(width), 0.0F);
}

std::function<bool(Parts&)> positions(std::function<std::int64_t(std::int64_t)> of) {
  return ops([of](AssistantOps& table) {
    table.positions = [of](const Parts& parts, const Forward& call) -> Result<std::vector<std::int64_t>> {
      ASSAY_TRY(made, reference::assistant_positions(parts, call));
      for (std::int64_t& position : made) position = of(position);
      return made;
    };
  });
}

/// Each token of a round one position further.
void advancing(AssistantOps& table) {
  const auto step = std::make_shared<std::int64_t>(-1);
  table.inputs = [step](const Parts& parts, const Forward& call) {
    ++*step;
    return reference::assistant_inputs(parts, call);
  };
  table.positions = [step](const Parts& parts, const Forward& call) -> Result<std::vector<std::int64_t>> {
    ASSAY_TRY(made, reference::assistant_positions(parts, call));
    for (std::int64_t& position : made) position += *step;
    return made;
  };
}

// Whom it looks at.

/// Edits what the sliding layers see, or all of them.
std::function<bool(Parts&)> seen(const Which& which,
                                 std::function<bool(const LayerPlan&, const Sequence&, int key)> of) {
  return [which, of](Parts& parts) {
    return each(parts, which, [&](Layer& one) {
      one.ops.visible = [of](const LayerPlan& plan, const Sequence& sequence, int row, int, std::span<char> sees) {
        for (int key = 0; key < sequence.keys(); ++key)
          sees[std::size_t(key)] = of(plan, sequence, key) && sequence.real[sequence.at(row, key)];
      };
    });
  };
}

int back(const Sequence& sequence, int key) { return sequence.keys() - 1 - key; }

std::function<bool(Parts&)> shared(std::function<Result<void>(const Parts&, const Forward&, bool, SharedKv&)> edit) {
  return ops([edit](AssistantOps& table) {
    table.shared = [edit](const Parts& parts, const Forward& call, bool sliding) -> Result<SharedKv> {
      ASSAY_TRY(made, reference::shared_kv(parts, call, sliding));
      ASSAY_CHECK(edit(parts, call, sliding, made));
      return made;
    };
  });
}

/// As many keys as are real count as real, from the front.
Result<void> real_in_front(const Parts&, const Forward&, bool, SharedKv& made) {
  Sequence& sequence = made.sequence;
  for (int b = 0; b < sequence.batch; ++b) {
    int count = 0;
    for (int key = 0; key < sequence.keys(); ++key) count += sequence.real[sequence.at(b, key)];
    for (int key = 0; key < sequence.keys(); ++key) sequence.real[sequence.at(b, key)] = key < count ? 1 : 0;
  }
  return {};
}

Result<void> padding_real(const Parts&, const Forward&, bool, SharedKv& made) {
  std::ranges::fill(made.sequence.real, char(1));
  return {};
}

/// Keys and values of the target's first layer of the kind instead of the last.
Result<void> first_donor(const Parts&, const Forward& call, bool sliding, SharedKv& made) {
  if (call.target == nullptr) return {};
  const std::vector<LayerPlan>& layers = call.target->plan().layers;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    if ((layers[i].window > 0) != sliding || layers[i].kv.kind != KvSource::own) continue;
    ASSAY_TRY(cached, call.target->cached_kv(int(i)));
    const int width = cached.keys.front().cols;
    Grid k(0, width), v(0, width);
    for (std::size_t b = 0; b < cached.keys.size(); ++b)
      for (auto [to, from] : {std::pair(&k, &cached.keys[b]), std::pair(&v, &cached.values[b])}) {
        to->rows += from->rows;
        const auto values = from->all();
        to->values.insert(to->values.end(), values.begin(), values.end());
      }
    made.kv = KvCache();
    made.kv.reset(int(cached.keys.size()), width);
    made.kv.append(k.view(), v.view());
    return {};
  }
  return {};
}

// What comes out.

void state_before_norm(Parts& parts) {
  const auto last = std::make_shared<Grid>();
  parts.ops.final_norm = [last, right = parts.ops.final_norm](const Parts& all, Rows<const float> x) {
    last->rows = x.rows;
    last->cols = x.cols;
    last->values.assign(x.all().begin(), x.all().end());
    return right(all, x);
  };
  parts.assistant->ops.state = [last](const Parts& all, Rows<const float>) {
    return reference::assistant_state(all, last->view());
  };
}

std::function<bool(Parts&)> ordered(std::function<void(Parts&)> edit) {
  return [edit](Parts& parts) {
    if (!parts.plan.assistant->centroids) return false;
    edit(parts);
    return true;
  };
}

/// Edits the logits of the tokens that no chosen cluster holds.
std::function<bool(Parts&)> others(std::function<void(Rows<float> row, float fill, float& smallest)> of) {
  return ordered([of](Parts& parts) {
    parts.assistant->ops.ordered_logits = [of](const Parts& all, Rows<const float> normed,
                                               std::span<const int> clusters) {
      Grid made = reference::ordered_logits(all, normed, clusters);
      const float fill = *std::ranges::min_element(made.values);
      for (int r = 0; r < made.rows; ++r) {
        float smallest = std::numeric_limits<float>::infinity();
        for (const float value : made.row(r))
          if (value != fill) smallest = std::min(smallest, value);
        of({made.row(r).data(), 1, made.cols}, fill, smallest);
      }
      return made;
    };
  });
}

std::function<bool(Parts&)> others_are(float (*of)(float fill, float smallest)) {
  return others([of](Rows<float> row, float fill, float& smallest) {
    for (float& value : row.all())
      if (value == fill) value = of(fill, smallest);
  });
}

void transposed_ordering(Parts& parts) {
  std::vector<std::int64_t>& ordering = parts.assistant->weights.token_ordering;
  const std::vector<std::int64_t> right = ordering;
  const auto count = std::size_t(parts.plan.assistant->centroids->count);
  const std::size_t each = right.size() / count;
  for (std::size_t cluster = 0; cluster < count; ++cluster)
    for (std::size_t i = 0; i < each; ++i) ordering[cluster * each + i] = right[i * count + cluster];
}

std::vector<Fault> entering() {
  const Place in = model(Tap::assistant_in);
  const Place turned = layer(Tap::assistant_attn_q_rope);
  return {
      drafter("draft-inputs-swapped", "x", "The hidden state comes before the embedding.", "", in,
              inputs([](const Parts&, std::span<float> embedding, std::span<float> hidden) {
                std::ranges::swap_ranges(embedding, hidden);
              })),
      drafter("draft-hidden-narrow", "H2", "Hidden rows have the drafter's width instead of the target's.",
              "elizaOS/llama.cpp#32", in, inputs(narrow_hidden)),
      drafter("draft-hidden-missing", "x", "Zeros instead of the target's hidden state.", "class of H2", in,
              inputs([](const Parts&, std::span<float>, std::span<float> hidden) { std::ranges::fill(hidden, 0.0F); })),
      drafter("draft-embedding-not-scaled", "x", "The embedding without the factor sqrt(H).", "", in,
              inputs([](const Parts& parts, std::span<float> embedding, std::span<float>) {
                times(embedding, 1 / std::sqrt(float(parts.plan.assistant->backbone)));
              })),
      drafter("draft-embedding-scaled-twice", "x", "The factor sqrt(H) twice.", "", in,
              inputs([](const Parts& parts, std::span<float> embedding, std::span<float>) {
                times(embedding, std::sqrt(float(parts.plan.assistant->backbone)));
              })),
      drafter("draft-position-advances", "x", "Each token of a round stands one position further.", "", turned,
              ops(advancing)),
      drafter("draft-position-of-the-last", "x", "A round stands at the last cached token's position.", "", turned,
              positions([](std::int64_t position) { return position - 1; })),
      drafter("draft-position-zero", "x", "A round stands at position 0.", "", turned,
              positions([](std::int64_t) { return std::int64_t{0}; })),
  };
}

std::vector<Fault> looking() {
  const Place of_sliding = layer(Tap::assistant_attn_ctx, sliding);
  const Place of_any = layer(Tap::assistant_attn_ctx);
  return {
      drafter("draft-window-short", "x", "Sliding layers see the window's keys, not one more.", "", of_sliding,
              seen(sliding, [](const LayerPlan& plan, const Sequence& sequence,
                               int key) { return back(sequence, key) < plan.window; })),
      drafter("draft-window-long", "x", "Sliding layers see two keys more than the window.", "", of_sliding,
              seen(sliding, [](const LayerPlan& plan, const Sequence& sequence,
                               int key) { return back(sequence, key) <= plan.window + 1; })),
      drafter("draft-window-ignored", "x", "Sliding layers see every key.", "", of_sliding,
              seen(sliding, [](const LayerPlan&, const Sequence&, int) { return true; })),
      drafter("draft-newest-key-unseen", "x", "The last key is masked, as if it were the query's own.", "", of_any,
              seen(any,
                   [](const LayerPlan& plan, const Sequence& sequence, int key) {
                     return back(sequence, key) > 0 && (plan.window == 0 || back(sequence, key) <= plan.window);
                   })),
      drafter("draft-keys-in-front", "H4", "Under left padding the real keys are taken to be the first ones.",
              "Blaizzy/mlx-vlm#1125", of_any, shared(real_in_front)),
      drafter("draft-padding-seen", "x", "Padding keys are seen.", "class of H4", of_any, shared(padding_real)),
      drafter("draft-first-donor", "x", "Keys and values of the target's first layer of the kind, not the last.", "",
              of_any, shared(first_donor)),
  };
}

std::vector<Fault> leaving() {
  const Place logits = model(Tap::assistant_logits);
  return {
      drafter("draft-state-before-norm", "x", "The state fed back is projected before the final norm.", "",
              model(Tap::assistant_state),
              [](Parts& parts) {
                state_before_norm(parts);
                return true;
              }),
      drafter("draft-softcap", "x", "The target's softcap on the drafter's logits.", "", logits,
              [](Parts& parts) {
                const auto capped = [](Grid made) {
                  for (float& value : made.values) value = 30 * std::tanh(value / 30);
                  return made;
                };
                AssistantOps& table = parts.assistant->ops;
                table.ordered_logits = [capped](const Parts& all, Rows<const float> normed,
                                                std::span<const int> clusters) {
                  return capped(reference::ordered_logits(all, normed, clusters));
                };
                table.dense_logits = [capped, right = table.dense_logits](const Parts& all, Rows<const float> normed) {
                  return capped(right(all, normed));
                };
                return true;
              }),
      drafter("draft-dense-head", "H6", "Ordered embeddings are not known: every token gets its logit.",
              "ggml-org/llama.cpp#24282", logits,
              ordered([](Parts& parts) { parts.plan.assistant->centroids.reset(); })),
      drafter("draft-ordering-ignored", "H6", "token_ordering is not read: cluster c is the c-th stretch of ids.",
              "class of ggml-org/llama.cpp#24282", logits, ordered([](Parts& parts) {
                auto& ordering = parts.assistant->weights.token_ordering;
                std::iota(ordering.begin(), ordering.end(), 0);
              })),
      drafter("draft-ordering-transposed", "x", "token_ordering is read column by column.", "", logits,
              ordered(transposed_ordering)),
      drafter("draft-cluster-fewer", "x", "One cluster fewer than the configuration says.", "", logits,
              ordered([](Parts& parts) { --parts.plan.assistant->centroids->used; })),
      drafter("draft-cluster-more", "x", "One cluster more.", "", logits,
              ordered([](Parts& parts) { ++parts.plan.assistant->centroids->used; })),
      drafter("draft-others-zero", "x", "Tokens of other clusters have logit 0.", "", logits,
              others_are([](float, float) { return 0.0F; })),
      drafter("draft-others-minus-large", "x", "Tokens of other clusters have a very large negative logit.", "", logits,
              others_are([](float, float) { return -1e9F; })),
      drafter("draft-others-smallest", "x", "Tokens of other clusters have the smallest logit, not 1 less.", "", logits,
              others_are([](float fill, float) { return fill + 1; })),
      drafter("draft-others-by-row", "x", "The smallest logit is taken row by row, not over the batch.", "", logits,
              others_are([](float, float smallest) { return smallest - 1; })),
  };
}

/// A target that forgets for no row more than for the one that accepted most.
class ForgetsTogether : public Session {
 public:
  explicit ForgetsTogether(std::unique_ptr<Session> inner) : Session(inner->plan()), inner_(std::move(inner)) {}

 protected:
  Result<void> do_forward(const Forward& call, TapSink& taps) override { return inner_->forward(call, taps); }
  Result<void> do_truncate(std::span<const int> keep) override {
    const std::vector<int> longest(keep.size(), *std::ranges::max_element(keep));
    return inner_->truncate(longest);
  }
  Result<CachedKv> do_cached_kv(int layer) override { return inner_->cached_kv(layer); }
  Result<std::vector<float>> do_embed(std::span<const std::int64_t> ids) override { return inner_->embed(ids); }

 private:
  std::unique_ptr<Session> inner_;
};

Fault target(std::string_view name, std::string_view row, std::string_view what, std::string_view shipped_in,
             std::function<bool(Parts&)> inject) {
  return {.name = name,
          .row = row,
          .what = what,
          .shipped_in = shipped_in,
          .shows_at =
              [](const Plan&) {
                return std::optional(TapId{Tap::assistant_logits, -1});
              },
          .inject = std::move(inject),
          .generating = true,
          .of = Fault::target};
}

/// Tokens that are checked together see each other both ways.
bool checked_without_order(Parts& parts) {
  return each(parts, any, [](Layer& one) {
    one.ops.visible = [right = one.ops.visible](const LayerPlan& plan, const Sequence& sequence, int row, int query,
                                                std::span<char> seen) {
      right(plan, sequence, row, query, seen);
      if (sequence.cached == 0 || sequence.tokens < 2) return;
      for (int key = sequence.cached; key < sequence.keys(); ++key)
        seen[std::size_t(key)] = sequence.real[sequence.at(row, key)];
    };
  });
}

std::vector<Fault> checking() {
  Fault keeps = target("target-keeps-rejected", "H5", "Rows that accepted less keep the K/V of rejected tokens.",
                       "Blaizzy/mlx-vlm ecdab011", [](Parts&) { return true; });
  keeps.wrap = [](std::unique_ptr<Session> inner) { return std::make_unique<ForgetsTogether>(std::move(inner)); };
  return {std::move(keeps),
          target("target-checks-without-order", "H8", "Drafted tokens see each other both ways while they are checked.",
                 "Anbeeld/beellama.cpp#79", checked_without_order)};
}

}  // namespace

std::vector<Fault> drafter_faults() {
  std::vector<Fault> all;
  for (auto* part : {entering, looking, leaving, checking})
    for (Fault& fault : part()) all.push_back(std::move(fault));
  return all;
}

}  // namespace assay
