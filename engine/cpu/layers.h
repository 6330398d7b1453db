// The decoder layers of a text model or a drafter, on rows of the residual that lie in the buffers. Not here: what
// enters the first and what is made of the last (text.h, assistant.h).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/cpu/attend.h"
#include "engine/cpu/kernel_table.h"
#include "engine/cpu/kv_cache.h"
#include "engine/cpu/sequence.h"
#include "engine/cpu/tap_sheet.h"
#include "engine/cpu/text_buffers.h"
#include "engine/cpu/visibility.h"
#include "engine/cpu/weights.h"

namespace assay::cpu {

/// What a part of the model calls its layers' taps; none: nobody can ask for it.
struct LayerTaps {
  Tap attn_norm, attn_q, attn_q_rope, attn_ctx, attn_out, post_attn, ffn_norm, mlp, post_ffn, out;
  std::optional<Tap> attn_k = {}, attn_k_rope = {}, attn_v = {}, router_probs = {}, router_topk = {}, experts = {},
                     ple_out = {};
};

/// Tokens [start, start + tokens) of each batch row, which go through all layers together.
struct Piece {
  int start, tokens;
  std::span<const int> units;  ///< ends of the steps in which rings are filled and looked at; the last is `tokens`
};

/// A piece on its way through the layers. Every thread has one of its own, all alike.
struct Passage {
  TapSheet& sheet;
  const LayerTaps& taps;
  int batch;
  Piece piece;
  int needed_first;                            ///< the first token whose way to the end is of interest
  int first = 0;                               ///< tokens [first, piece.tokens) of each batch row are still computed
  std::span<const KvCache* const> reads;       ///< a layer each
  std::span<KvCache> writes;                   ///< a layer each; of layers with K/V of their own
  const Sequence* sequence;                    ///< numbers of the keys that are written
  std::span<const std::uint8_t* const> masks;  ///< a batch row each: which keys are real; nullptr: all in range

  int of_each() const { return piece.tokens - first; }
  int count() const { return batch * of_each(); }
  bool wants(std::optional<Tap> id, int layer) const { return id && sheet.wants(*id, layer); }
  /// Offers `cols` values of each row that is still computed, if anybody wants them. All threads come.
  void offer(const Team& team, std::optional<Tap> id, int layer, const float* values, int cols) const;
};

class Layers {
 public:
  /// Errors: unsupported (an op without a kernel).
  /// @param widths  of all matrices whose inputs lie in buffers()
  static Result<Layers> make(const Plan& plan, std::vector<LayerWeights> weights, const Widths& widths,
                             const Options& options);

  /// Room for so many rows; nothing is kept. Free if there was room.
  void plan_rows(std::size_t rows);
  std::size_t rows() const { return planned_rows_; }
  /// Room for attention over so many keys.
  void plan_keys(int batch, int keys);
  /// Tables of RoPE and of who sees whom, for this thread's rows: row r of a piece is at `position(b, t)` and sees
  /// `seen(view, b, t)`, t counted in the piece. Rows are complete when all threads have synchronised.
  template <class Position, class Seen>
  void fill_tables(const Team& team, int batch, int tokens, const Position& position, const Seen& seen) const;
  /// All layers, in place in buffers().x. They stop where nothing is left to compute.
  void run(const Team& team, Passage& passage) const;

  const TextBuffers& buffers() const { return buffers_; }
  std::vector<Matrix*> matrices() { return dense_matrices(weights_); }
  const KernelTable& kernels() const { return kernels_; }
  const Plan& plan() const { return plan_; }
  const Options& options() const { return options_; }
  /// Whether a layer's K/V are read by later ones.
  bool lends(int index) const { return lends_[std::size_t(index)]; }
  /// The last layer with K/V of its own: behind it a token is of interest for its own sake only.
  int last_writer() const { return last_writer_; }
  /// Multiply-adds of an op and a row.
  std::int64_t work() const { return work_; }

 private:
  Layers(Plan plan, const Options& options) : plan_(std::move(plan)), options_(options), kinds_(plan_) {}

  TextBuffers carve(Carver& carver, std::size_t rows) const;
  void turn_row(int r, std::int64_t position) const;
  void attention(const Team& team, Passage& passage, int index) const;
  void look(const Team& team, const Passage& passage, int index, int of_each) const;
  void feed_forward(const Team& team, const Passage& passage, int index) const;
  void experts(const Team& team, const Passage& passage, int index) const;
  void per_layer(const Team& team, const Passage& passage, int index) const;
  void norm(const Team& team, int rows, const float* from, const std::vector<float>& weight, float* to) const;
  void norm_add(const Team& team, int rows, const float* from, const std::vector<float>& weight, const float* residual,
                float scalar, float* to) const;
  void gated_rows(const Team& team, const LayerWeights& w, int width, int rows) const;
  template <class Make>
  void make_rows(const Team& team, int rows, std::span<const Product> products, float* x, bool kept,
                 const Make& make) const;
  void gate(const Team& team, const float* up, int up_stride, int cols, int rows) const;
  void keep_last(const Team& team, Passage& passage, int first) const;

  Plan plan_;
  Options options_;
  LayerKinds kinds_;
  KernelTable kernels_;
  OperandKernels operand_kernels_;
  std::vector<LayerWeights> weights_;
  std::vector<bool> lends_;
  int last_writer_ = -1;
  std::int64_t work_ = 0;
  Middle middle_ = Middle::whole;
  TextWidths widths_{{}, {}};

  std::size_t planned_rows_ = 0;
  Pages arena_, partial_;
  TextBuffers buffers_{};
};

template <class Position, class Seen>
void Layers::fill_tables(const Team& team, int batch, int tokens, const Position& position, const Seen& seen) const {
  const Team::Part part = team.split(batch * tokens);
  for (int r = part.first; r < part.last; ++r) {
    const int b = r / tokens, t = r % tokens;
    turn_row(r, position(b, t));
    for (std::size_t i = 0; i < kinds_.views.size(); ++i) {
      const KeyRange range = seen(kinds_.views[i], b, t);
      buffers_.from[i][r] = range.from;
      buffers_.to[i][r] = range.to;
    }
  }
}

}  // namespace assay::cpu
