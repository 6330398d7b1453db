#include "engine/cpu/text.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/cpu/placement.h"

namespace assay::cpu {
namespace {

/// Sliding layers add K/V and look at them in steps of this many tokens, so that a ring is hardly longer than a window.
constexpr int kUnit = KvCache::kSpare;

/// Calls of few rows wait for weights. Who has made so many is likely to make some hundred, which gain more than a copy
/// costs: a fifth of a second of E2B in Q4_0, where a token gains 2 to 6 milliseconds.
constexpr int kFewRows = 8, kSettled = 16;

constexpr LayerTaps kTextTaps = {.attn_norm = Tap::attn_norm,
                                 .attn_q = Tap::attn_q,
                                 .attn_q_rope = Tap::attn_q_rope,
                                 .attn_ctx = Tap::attn_ctx,
                                 .attn_out = Tap::attn_out,
                                 .post_attn = Tap::post_attn,
                                 .ffn_norm = Tap::ffn_norm,
                                 .mlp = Tap::mlp,
                                 .post_ffn = Tap::post_ffn,
                                 .out = Tap::out,
                                 .attn_k = Tap::attn_k,
                                 .attn_k_rope = Tap::attn_k_rope,
                                 .attn_v = Tap::attn_v,
                                 .router_probs = Tap::router_probs,
                                 .router_topk = Tap::router_topk,
                                 .experts = Tap::experts,
                                 .ple_out = Tap::ple_out};

}  // namespace

struct TextDecoder::Pass {
  Rows<const std::int64_t> ids;
  Memory& memory;
  TapSheet sheet;
  TapSink& sink;
  int batch, tokens, logit_rows;
  bool all_rows, logits;  ///< whether taps want every row; whether logits are wanted
  float* head_in;         ///< [batch * logit_rows, hidden]
  float* head_out;        ///< [batch * logit_rows, vocab]
};

Result<TextDecoder> TextDecoder::open(const Checkpoint& checkpoint, const Options& options) {
  const Plan& plan = checkpoint.plan;
  Loader loader(checkpoint, options.acts);
  TextWeights weights = load_text(loader, plan);
  std::vector<LayerWeights> layer_weights = load_layers(loader, plan);
  ASSAY_CHECK(loader.finish());
  ASSAY_TRY(layers, Layers::make(plan, std::move(layer_weights), loader.widths(), options));
  TextDecoder decoder(std::move(weights), std::move(layers));
  const auto gather = [](const Matrix& table) {
    return kernels::best<kernels::spec::gather>(table.format, kernels::Acts::fp32);
  };
  decoder.gather_ = gather(decoder.weights_.embed_tokens);
  decoder.gather_ple_ = gather(decoder.weights_.embed_tokens_per_layer);
  if (decoder.gather_ == nullptr || decoder.gather_ple_ == nullptr)
    return fail({Failure::unsupported, "cpu", "kernels", "one for op gather", "none that this machine can run"});
  if (options.placement == Placement::copied) decoder.place_weights();
  decoder.sideways_ =
      std::ranges::any_of(plan.layers, [](const LayerPlan& layer) { return layer.blocks != Blocks::causal; });
  return decoder;
}

void TextDecoder::place_weights() {
  std::vector<Matrix*> matrices = layers_.matrices();
  for (Matrix* matrix : {&weights_.lm_head, &weights_.per_layer_model_projection})
    if (!matrix->empty()) matrices.push_back(matrix);
  place(matrices, layers_.options().placement);
  if (plan().tied_head) weights_.embed_tokens = weights_.lm_head;
}

Memory TextDecoder::make_memory() const {
  Memory memory;
  for (const LayerPlan& layer : plan().layers)
    memory.caches.emplace_back(layer.kv.kind == KvSource::own ? layer.kv_width() : 0, layer.window,
                               layers_.options().kv, layers_.kernels().to_bf16);
  return memory;
}

void TextDecoder::reset(Memory& memory, int batch) const {
  memory.sequence.clear();
  memory.soft = {};
  for (KvCache& cache : memory.caches) cache.reset(batch);
}

void TextDecoder::embed(std::span<const std::int64_t> ids, float* out) const {
  if (!ids.empty())
    gather_(weights_.embed_tokens.w, ids.data(), float(std::sqrt(double(plan().hidden))), out, 0, int(ids.size()));
}

/// A piece holds as many tokens as the arena has rows for, a unit kUnit. Neither ends inside an image block where its
/// rows see one another.
void TextDecoder::plan_pieces(const Sequence& sequence, int batch, int tokens) {
  const bool whole_blocks = sideways_ && sequence.has_blocks();
  const auto end_of = [&](int start, int most, int limit) {
    int end = std::min(limit, start + most);
    if (!whole_blocks || end == limit) return end;
    while (end > start && !sequence.may_cut(end)) --end;
    if (end > start) return end;
    for (end = start + most; end < limit && !sequence.may_cut(end);) ++end;
    return end;
  };
  pieces_.clear();
  units_.clear();
  units_.reserve(std::size_t(tokens));  // pieces point into it
  const int room = std::max(1, int(layers_.rows()) / batch), count = (tokens + room - 1) / room;
  const int most = (tokens + count - 1) / std::max(1, count);  // about equal: each reads all weights
  for (int start = 0; start < tokens;) {
    const int end = end_of(start, most, tokens);
    const std::size_t before = units_.size();
    for (int unit = start; unit < end;) {
      unit = end_of(unit, kUnit, end);
      units_.push_back(unit - start);
    }
    pieces_.push_back({start, end - start, std::span(units_).subspan(before)});
    start = end;
  }
}

/// What the call needs beyond what was planned when the session was opened; nothing, as a rule.
void TextDecoder::plan_memory(const Pass& pass, Memory& memory) {
  int most = 1, unit = 1, length = 0;
  for (const Piece& piece : pieces_) {
    most = std::max(most, piece.tokens);
    for (int start = 0; const int end : piece.units) unit = std::max(unit, end - std::exchange(start, end));
  }
  layers_.plan_rows(std::size_t(most) * std::size_t(pass.batch));
  for (int b = 0; b < pass.batch; ++b) length = std::max(length, memory.sequence.row(b).length);
  layers_.plan_keys(pass.batch, length);
  reads_.clear();
  for (std::size_t i = 0; i < plan().layers.size(); ++i) {
    memory.caches[i].reserve(length, layers_.lends(int(i)) ? most : unit);
    reads_.push_back(&memory.caches[std::size_t(plan().layers[i].kv.layer)]);
  }
  masks_.clear();
  for (int b = 0; b < pass.batch; ++b) {
    const Sequence::Row& row = memory.sequence.row(b);
    masks_.push_back(row.holes ? row.real.data() : nullptr);
  }
}

bool TextDecoder::is_asked(TapSink& taps) const {
  return taps.wants(Tap::logits, -1) || TapSheet(taps, 1, 1).wants_rows(int(plan().layers.size()));
}

void TextDecoder::run(Rows<const std::int64_t> ids, Memory& memory, int logit_rows, TapSink& taps, OpClock* clock) {
  Pass pass{.ids = ids,
            .memory = memory,
            .sheet = TapSheet(taps, ids.rows, ids.cols),
            .sink = taps,
            .batch = ids.rows,
            .tokens = ids.cols,
            .logit_rows = logit_rows,
            .all_rows = false,
            .logits = taps.wants(Tap::logits, -1),
            .head_in = nullptr,
            .head_out = nullptr};
  pass.all_rows = pass.sheet.wants_rows(int(plan().layers.size()));
  try {
    if (ids.rows * ids.cols <= kFewRows && ++decoded_ == kSettled) place_weights();
    prepare(pass);
  } catch (...) {
    memory.sequence.take_back();                        // nothing has been computed: what was cached is still there
    if (memory.sequence.keys() == 0) memory.soft = {};  // they came with this call
    throw;
  }
  try {
    compute(pass, clock);
  } catch (...) {
    memory.sequence.clear();  // some caches have the call's K/V in place of earlier ones
    memory.soft = {};
    throw;
  }
}

/// All that the call needs, before any of it is computed.
void TextDecoder::prepare(Pass& pass) {
  plan_pieces(pass.memory.sequence, pass.batch, pass.tokens);
  plan_memory(pass, pass.memory);
  if (pass.logits) {
    const std::size_t rows = std::size_t(pass.batch) * std::size_t(pass.logit_rows);
    const auto carve = [&](Carver carver) {
      pass.head_in = carver.take<float>(rows * std::size_t(plan().hidden));
      pass.head_out = carver.take<float>(rows * std::size_t(plan().vocab));
      return carver.used();
    };
    head_.grow(carve(Carver()));
    carve(Carver(head_.data()));
  }
  pass.memory.soft.begin(plan(), pass.ids);
}

void TextDecoder::compute(Pass& pass, OpClock* clock) {
  const int together = std::min(pass.batch * pass.tokens, int(layers_.rows()));
  with_team(layers_.options().threads, layers_.work() * together, clock, [&](const Team& team) {
    for (const Piece& piece : pieces_) run_piece(team, pass, piece);
    if (pass.logits) head(team, pass);
  });
  Memory& memory = pass.memory;
  for (std::size_t i = 0; i < plan().layers.size(); ++i)
    if (plan().layers[i].kv.kind == KvSource::own)
      for (int b = 0; b < pass.batch; ++b) memory.caches[i].added(b, memory.sequence.row(b).length);
}

void TextDecoder::run_piece(const Team& team, Pass& pass, const Piece& piece) {
  const Sequence& sequence = pass.memory.sequence;
  const TextBuffers& buffers = layers_.buffers();
  int needed_first = pass.all_rows ? 0 : piece.tokens;
  if (pass.logits && !pass.all_rows)
    needed_first = std::clamp(pass.tokens - pass.logit_rows - piece.start, 0, piece.tokens);
  layers_.fill_tables(
      team, pass.batch, piece.tokens, [&](int b, int t) { return sequence.position(b, piece.start + t); },
      [&](const LayerKinds::View& view, int b, int t) {
        return visible(sequence, view.window, view.blocks, b, piece.start + t);
      });
  embed_tokens(team, pass, piece);
  if (plan().ple_width > 0) ple_inputs(team, pass, piece, needed_first);
  Passage passage{.sheet = pass.sheet,
                  .taps = kTextTaps,
                  .batch = pass.batch,
                  .piece = piece,
                  .needed_first = needed_first,
                  .reads = reads_,
                  .writes = pass.memory.caches,
                  .sequence = &sequence,
                  .masks = masks_};
  layers_.run(team, passage);
  if (passage.count() == 0) return;

  const Team::Part part = team.split(passage.count());
  if (part.first < part.last)
    layers_.kernels().rms_norm(buffers.x, weights_.norm.data(), plan().eps, plan().hidden, buffers.normed, part.first,
                               part.last);
  team.sync();
  const Rows<const float> normed{buffers.normed, passage.count(), plan().hidden};
  if (pass.sheet.wants(Tap::norm, -1))
    team.one([&] { pass.sheet.take({Tap::norm, -1}, piece.start + passage.first, normed); });
  if (!pass.logits) return;
  team.one([&] {
    const int first_logit = pass.tokens - pass.logit_rows;
    for (int b = 0; b < pass.batch; ++b)
      for (int t = std::max(passage.first, first_logit - piece.start); t < piece.tokens; ++t)
        std::ranges::copy(
            normed.row(b * passage.of_each() + t - passage.first),
            pass.head_in + std::ptrdiff_t(b * pass.logit_rows + piece.start + t - first_logit) * plan().hidden);
  });
}

/// Source: Gemma4Model.forward: placeholders of image, video and audio rows are looked up as the pad token.
void TextDecoder::embed_tokens(const Team& team, Pass& pass, const Piece& piece) {
  const TextBuffers& buffers = layers_.buffers();
  const std::vector<std::int64_t>& placeholders = plan().placeholder_ids;
  const int rows = pass.batch * piece.tokens;
  const Team::Part part = team.split(rows);
  for (int r = part.first; r < part.last; ++r) {
    const std::int64_t id = pass.ids.row(r / piece.tokens)[std::size_t(piece.start + r % piece.tokens)];
    buffers.ids[r] = std::ranges::find(placeholders, id) != placeholders.end() ? plan().pad_id : id;
  }
  if (part.first < part.last)
    gather_(weights_.embed_tokens.w, buffers.ids, float(std::sqrt(double(plan().hidden))), buffers.x, part.first,
            part.last);
  team.sync();
  team.one([&] {
    for (int b = 0; b < pass.batch; ++b)
      pass.memory.soft.merge(
          plan(), b, pass.ids.row(b).subspan(std::size_t(piece.start), std::size_t(piece.tokens)),
          {buffers.x + std::ptrdiff_t(b * piece.tokens) * plan().hidden, piece.tokens, plan().hidden});
    if (pass.sheet.wants(Tap::embed, -1))
      pass.sheet.take({Tap::embed, -1}, piece.start, {buffers.x, rows, plan().hidden});
  });
}

/// (norm(projection(embeds) * hidden^-0.5) + table row * sqrt(width)) * 2^-0.5, for a token's layers only as far as it
/// will go. Source: Gemma4TextModel.get_per_layer_inputs, project_per_layer_inputs.
void TextDecoder::ple_inputs(const Team& team, Pass& pass, const Piece& piece, int needed_first) {
  const TextBuffers& buffers = layers_.buffers();
  const int layers = int(plan().layers.size()), width = plan().ple_width, cols = layers * width;
  const int rows = pass.batch * piece.tokens;
  const Team::Part part = team.split(rows);
  team.lap("embed");
  if (part.first < part.last)
    gather_ple_(weights_.embed_tokens_per_layer.w, buffers.ids, float(std::sqrt(double(width))), buffers.ple,
                part.first, part.last);
  team.lap("ple.gather");
  // Tokens that end with their K/V in the last writer need no inputs from there on.
  const int of_all = needed_first > 0 ? layers_.last_writer() : layers;
  const Product all{&weights_.per_layer_model_projection, buffers.context, cols, 0, of_all * width};
  multiply(team, "ple.in", buffers.operands, buffers.x, rows, plan().hidden, {&all, 1});
  const int needed = piece.tokens - needed_first;
  for (int b = 0; b < pass.batch && of_all < layers && needed > 0; ++b) {
    const std::ptrdiff_t first = b * piece.tokens + needed_first;
    const Product rest{&weights_.per_layer_model_projection, buffers.context + first * cols + of_all * width, cols,
                       of_all * width, cols};
    multiply(team, "ple.in", buffers.operands, buffers.x + first * plan().hidden, needed, plan().hidden, {&rest, 1});
  }
  const float root = float(std::pow(double(plan().hidden), -0.5)), half = float(std::pow(2.0, -0.5));
  for (int r = part.first; r < part.last; ++r) {
    const int ends = r % piece.tokens >= needed_first ? layers : of_all;
    if (ends > 0)
      layers_.kernels().ple_mix(buffers.context, root, weights_.per_layer_projection_norm.data(), plan().eps,
                                buffers.ple, half, width, buffers.ple, r * layers, r * layers + ends);
  }
  team.sync();
  team.lap("ple.mix");
  if (pass.sheet.wants(Tap::ple, -1))
    team.one([&] { pass.sheet.take({Tap::ple, -1}, piece.start, {buffers.ple, rows, cols}); });
}

/// Source: Gemma4ForCausalLM.forward.
void TextDecoder::head(const Team& team, Pass& pass) {
  const int rows = pass.batch * pass.logit_rows, at_once = int(layers_.rows());
  for (int first = 0; first < rows; first += at_once) {
    const int count = std::min(at_once, rows - first);
    float* const logits = pass.head_out + std::ptrdiff_t(first) * plan().vocab;
    const Product product{&weights_.lm_head, logits, plan().vocab};
    multiply(team, "head", layers_.buffers().operands, pass.head_in + std::ptrdiff_t(first) * plan().hidden, count,
             plan().hidden, {&product, 1});
    const Team::Part part = team.split(plan().vocab, 16);
    for (int r = 0; r < count && plan().softcap > 0 && part.first < part.last; ++r) {
      float* const mine = logits + std::ptrdiff_t(r) * plan().vocab + part.first;
      layers_.kernels().softcap(mine, plan().softcap, part.last - part.first, mine, 0, 1);
    }
  }
  team.sync();
  team.lap("softcap");
  team.one([&] { pass.sink.take({Tap::logits, -1}, {pass.head_out, rows, plan().vocab}); });
}

}  // namespace assay::cpu
