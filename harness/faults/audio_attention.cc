// Faults of the conformer's chunked attention: rows E8, E11.
#include <numbers>

#include "harness/faults/bend_towers.h"
#include "reference/ops/dot.h"
#include "reference/ops/linear.h"
#include "reference/ops/softmax.h"

namespace assay {

using namespace bend;  // NOLINT: the catalogue's own words

namespace {

Fault attention(std::string_view name, std::string_view row, std::string_view what, std::string_view shipped_in,
                std::function<void(AudioLayer&)> edit) {
  return {.name = name,
          .row = row,
          .what = what,
          .shipped_in = shipped_in,
          .shows_at = tower(Tap::audio_attn),
          .inject = [edit](Parts& oracle) { return audio_layers(oracle, edit); }};
}

Fault control(std::string_view name, std::string_view what, std::function<void(AudioLayer&)> edit) {
  Fault fault = attention(name, "-", what, "", std::move(edit));
  fault.shows_at = nowhere;
  fault.control = true;
  return fault;
}

/// Queries with a factor that is wrong; `factor` gets d and a lane's per_dim_scale.
std::function<void(AudioLayer&)> queries(double (*factor)(double d, double per_dim_scale)) {
  return [factor](AudioLayer& l) {
    l.ops.project_q = [factor](const AudioLayer& self, Rows<const float> x) {
      Grid q = self.ops.linear(x, self.weights.q_proj);
      const auto d = std::size_t(self.plan.head_dim);
      for (std::size_t i = 0; i < q.values.size(); ++i)
        q.values[i] *= float(factor(double(d), self.weights.per_dim_scale[i % d]));
      return q;
    };
  };
}

double softplus(double x) { return std::log1p(std::exp(x)); }

using Visible = bool(const AudioLayerPlan&, const Frames&, int clip, int query, int key);

std::function<void(AudioLayer&)> visible(Visible* see) {
  return [see](AudioLayer& l) { l.ops.visible = see; };
}

/// The distance that key j of a query's context is met with, by `column`; outside of the relative keys nothing is
/// added.
std::function<void(AudioLayer&)> shift(int (*column)(int query, int j, int columns)) {
  return [column](AudioLayer& l) {
    l.ops.relative_shift = [column](const AudioLayerPlan&, Rows<const float> products, int query,
                                    std::span<float> bias) {
      for (int j = 0; j < int(bias.size()); ++j) {
        const int at = column(query, j, products.cols);
        bias[std::size_t(j)] = at >= 0 && at < products.cols ? products.row(query)[std::size_t(at)] : 0.0F;
      }
    };
  };
}

/// Relative keys of sines laid out otherwise: lane i of `half` sines and cosines goes to `lane`.
std::function<void(AudioLayer&)> sines(std::size_t (*lane)(std::size_t i, bool cosine, std::size_t half), int off) {
  return [lane, off](AudioLayer& l) {
    l.ops.relative_keys = [lane, off](const AudioLayer& self) {
      const int farthest = self.plan.context() / 2;
      const auto half = std::size_t(self.hidden) / 2;
      Grid table(farthest + 1, self.hidden), keys(farthest + 1, self.weights.relative_k_proj.rows);
      for (int r = 0; r <= farthest; ++r)
        for (std::size_t i = 0; i < half; ++i) {
          const double step = std::log(10000.0) / std::max(double(half) - off, 1.0);
          const double angle = double(farthest - r) * std::exp(-double(i) * step);
          table.row(r)[lane(i, false, half)] = float(std::sin(angle));
          table.row(r)[lane(i, true, half)] = float(std::cos(angle));
        }
      reference::linear(table.view(), self.weights.relative_k_proj, {}, keys.view());
      return keys;
    };
  };
}

/// Relative keys times a factor of each column.
std::function<void(AudioLayer&)> relative(double (*factor)(const AudioLayer&, std::size_t column)) {
  return [factor](AudioLayer& l) {
    l.ops.relative_keys = [factor](const AudioLayer& self) {
      Grid keys = reference::audio::relative_keys(self);
      for (int r = 0; r < keys.rows; ++r)
        for (std::size_t c = 0; c < std::size_t(keys.cols); ++c) keys.row(r)[c] *= float(factor(self, c));
      return keys;
    };
  };
}

/// The same attention without blocks: every query meets the keys it sees, each by its distance.
Grid attend_without_blocks(const AudioLayer& self, const Frames& frames, Rows<const float> q, Rows<const float> k,
                           Rows<const float> v) {
  const auto d = std::size_t(self.plan.head_dim);
  const Grid relative = self.ops.relative_keys(self);
  Grid ctx(q.rows, q.cols);
  for (int row = 0; row < q.rows; ++row)
    for (std::size_t head = 0; head < std::size_t(self.plan.heads); ++head) {
      const int clip = row / frames.length, query = row % frames.length;
      const auto part = [&](Rows<const float> x, int r) { return x.row(r).subspan(head * d, d); };
      std::vector<float> scores(std::size_t(frames.length));
      std::vector<char> seen(scores.size());
      for (int key = 0; key <= query; ++key) {
        seen[std::size_t(key)] = self.ops.visible(self.plan, frames, clip, query, key) ? 1 : 0;
        if (!seen[std::size_t(key)]) continue;
        const float score = reference::dot(part(q, row), part(k, row - query + key)) +
                            reference::dot(part(q, row), part(relative.view(), self.plan.past - (query - key)));
        scores[std::size_t(key)] = self.plan.logit_cap * std::tanh(score / self.plan.logit_cap);
      }
      reference::softmax(scores, seen);
      for (int key = 0; key <= query; ++key)
        for (std::size_t c = 0; c < d; ++c)
          ctx.row(row)[head * d + c] += scores[std::size_t(key)] * part(v, row - query + key)[c];
    }
  return ctx;
}

}  // namespace

std::vector<Fault> audio_attention_faults() {
  constexpr double kLn2 = std::numbers::ln2;
  return {
      attention("audio-per-dim-scale-zero", "E8", "softplus(per_dim_scale) is never filled in: queries are 0.",
                "ggml-org/llama.cpp#21421", queries([](double, double) { return 0.0; })),
      attention("audio-per-dim-scale-ignored", "E8", "per_dim_scale is taken for 0 everywhere.", "class of E8",
                queries([](double d, double) { return std::pow(d, -0.5) / kLn2 * softplus(0); })),
      attention("audio-softplus-missing", "E8", "Queries are multiplied by per_dim_scale without softplus.",
                "class of E8", queries([](double d, double s) { return std::pow(d, -0.5) / kLn2 * s; })),
      attention("audio-query-scale-without-ln2", "x", "Queries are not divided by ln 2.", "",
                queries([](double d, double s) { return std::pow(d, -0.5) * softplus(s); })),
      attention("audio-query-scale-without-root", "x", "Queries are not multiplied by d^-0.5, as the text's are not.",
                "", queries([](double, double s) { return softplus(s) / kLn2; })),
      attention("audio-key-scale-missing", "x", "Keys are not multiplied by ln(1 + e) / ln 2.", "",
                [](AudioLayer& l) {
                  l.ops.project_k = [](const AudioLayer& self, Rows<const float> x) {
                    return self.ops.linear(x, self.weights.k_proj);
                  };
                }),
      attention("audio-softcap-missing", "A19", "The conformer's scores are not capped.", "class of A19",
                [](AudioLayer& l) { l.plan.logit_cap = 1e6F; }),
      attention("audio-mask-before-softcap", "x", "Invalid scores are set before the cap, which leaves them at -cap.",
                "", [](AudioLayer& l) { l.plan.invalid_logit = -l.plan.logit_cap; }),
      attention("audio-invalid-scores-zero", "x", "Invalid scores become 0.", "",
                [](AudioLayer& l) { l.plan.invalid_logit = 0; }),
      attention("audio-span-one-too-long", "x", "A query sees 13 frames, as many as there are relative positions.", "",
                visible([](const AudioLayerPlan& plan, const Frames& frames, int clip, int query, int key) {
                  AudioLayerPlan bent = plan;
                  ++bent.past;
                  return reference::audio::visible(bent, frames, clip, query, key);
                })),
      attention("audio-span-one-too-short", "x", "A query sees one frame less.", "",
                visible([](const AudioLayerPlan& plan, const Frames& frames, int clip, int query, int key) {
                  AudioLayerPlan bent = plan;
                  --bent.past;
                  return reference::audio::visible(bent, frames, clip, query, key);
                })),
      attention("audio-whole-context-seen", "x", "A query sees its block's whole context behind it.", "",
                visible([](const AudioLayerPlan&, const Frames& frames, int clip, int query, int key) {
                  return key <= query && frames.is_real(clip, key);
                })),
      attention("audio-future-seen", "x", "A query sees the frames of its block that follow it.", "",
                visible([](const AudioLayerPlan& plan, const Frames& frames, int clip, int query, int key) {
                  return query - key < plan.past && frames.is_real(clip, key);
                })),
      attention("audio-mask-inverted", "E11", "A mask of the other kind: allowed positions are masked.",
                "huggingface/transformers#48818",
                visible([](const AudioLayerPlan& plan, const Frames& frames, int clip, int query, int key) {
                  return !reference::audio::visible(plan, frames, clip, query, key);
                })),
      attention("audio-blocks-see-themselves-alone", "x", "A query sees its own chunk, and nothing of the one before.",
                "", visible([](const AudioLayerPlan& plan, const Frames& frames, int clip, int query, int key) {
                  return query / plan.chunk == key / plan.chunk &&
                         reference::audio::visible(plan, frames, clip, query, key);
                })),
      attention("audio-attention-runs-on", "x", "A clip's first frames see the last ones of the clip before.", "",
                [](AudioLayer& l) {
                  l.ops.attend = [](const AudioLayer& self, const Frames& frames, Rows<const float> q,
                                    Rows<const float> k, Rows<const float> v) {
                    return reference::audio::attend(self, {1, frames.rows(), frames.real}, q, k, v);
                  };
                }),
      attention("audio-softcap-of-fifty", "x", "Scores are capped at 50, whatever the config says.", "",
                [](AudioLayer& l) { l.plan.logit_cap = 50; }),
      attention(
          "audio-relative-keys-scaled", "x", "Relative keys are multiplied by ln(1 + e) / ln 2 as keys are.", "",
          relative([](const AudioLayer&, std::size_t) { return std::log(1 + std::numbers::e) / std::numbers::ln2; })),
      attention("audio-relative-keys-of-raw-queries", "x", "Relative keys meet queries that are not scaled.", "",
                relative([](const AudioLayer& self, std::size_t c) {
                  const auto d = std::size_t(self.plan.head_dim);
                  const double scale = std::pow(double(d), -0.5) / std::numbers::ln2;
                  return 1 / (scale * softplus(self.weights.per_dim_scale[c % d]));
                })),
      attention("audio-relative-keys-missing", "x", "Scores are those of content alone.", "",
                shift([](int, int, int) { return -1; })),
      attention("audio-relative-keys-reversed", "x", "Relative positions run from 0 to 12 instead of from 12 to 0.", "",
                shift([](int query, int j, int columns) { return columns - 1 - (j - query); })),
      attention("audio-relative-keys-one-off", "x", "Relative positions are one too large.", "",
                shift([](int query, int j, int) { return j - query - 1; })),
      attention("audio-relative-shift-missing", "x", "Relative products are added without the shift.", "",
                shift([](int, int j, int) { return j; })),
      attention("audio-cosines-before-sines", "x", "Relative positions are [cos | sin].", "",
                sines([](std::size_t i, bool cosine, std::size_t half) { return cosine ? i : half + i; }, 1)),
      attention("audio-sines-interleaved", "x", "Sines and cosines of relative positions alternate.", "",
                sines([](std::size_t i, bool cosine, std::size_t) { return 2 * i + (cosine ? 1 : 0); }, 1)),
      attention("audio-timescales-over-half", "x", "Timescales divide by n instead of n - 1.", "",
                sines([](std::size_t i, bool cosine, std::size_t half) { return cosine ? half + i : i; }, 0)),
      control("audio-attention-without-blocks",
              "Every query meets its keys by their distance, without blocks and shift. Must NOT be flagged.",
              [](AudioLayer& l) { l.ops.attend = attend_without_blocks; }),
      control("audio-padding-seen",
              "Frames behind a clip's end are not masked: no query looks ahead. Must NOT be flagged.",
              [](AudioLayer& l) {
                l.ops.visible = [](const AudioLayerPlan& plan, const Frames&, int, int query, int key) {
                  return query >= key && query - key < plan.past;
                };
              }),
      control("audio-invalid-scores-lower", "Invalid scores become -1e30 instead of -1e9. Must NOT be flagged.",
              [](AudioLayer& l) { l.plan.invalid_logit = -1e30F; }),
  };
}

}  // namespace assay
