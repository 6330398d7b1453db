// The text decoder: tokens in, taps out, caches kept. Not here: which tokens there are (sequence.h), media (vision.h,
// audio.h), what the harness asks of a session (session.cc).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/cpu/kv_cache.h"
#include "engine/cpu/layers.h"
#include "engine/cpu/sequence.h"
#include "engine/cpu/soft_tokens.h"
#include "engine/cpu/weights.h"
#include "kernels/spec/gather.h"

namespace assay::cpu {

/// What a prompt has left behind: one cache a layer, those of KV-shared layers empty.
struct Memory {
  Sequence sequence;
  std::vector<KvCache> caches;
  SoftTokens soft;
};

class TextDecoder {
 public:
  /// Errors: bad_input (a tensor that is not there); unsupported (a dtype, an op without a kernel).
  static Result<TextDecoder> open(const Checkpoint& checkpoint, const Options& options);

  Memory make_memory() const;
  /// Forgets what a memory holds and makes it fit `batch` rows.
  void reset(Memory& memory, int batch) const;
  /// Runs a call's tokens, which memory.sequence already counts and memory.soft has been checked for. Rows that nobody
  /// asks for are not computed: behind the last layer that writes K/V only those whose logits are wanted, unless other
  /// taps are. Allocates nothing unless the call is longer than any before, or the one that has weights copied
  /// (Options::placement). Where that throws, memory is as before the call, but for keys that its mask has hidden;
  /// where a tap does, it has forgotten all.
  /// @param logit_rows  of each batch row, at least 1
  /// @param clock       that ops are timed with, or none
  /// Source: Gemma4TextModel.forward, Gemma4ForCausalLM.forward (transformers 5.22.2).
  void run(Rows<const std::int64_t> ids, Memory& memory, int logit_rows, TapSink& taps, OpClock* clock = nullptr);
  /// Whether any of the decoder's taps is wanted.
  bool is_asked(TapSink& taps) const;
  /// Rows of the embedding table, scaled. @param out  [ids, hidden]
  void embed(std::span<const std::int64_t> ids, float* out) const;

  const Plan& plan() const { return layers_.plan(); }

 private:
  struct Pass;  ///< a call

  TextDecoder(TextWeights weights, Layers layers) : weights_(std::move(weights)), layers_(std::move(layers)) {}

  void place_weights();
  void prepare(Pass& pass);
  void compute(Pass& pass, OpClock* clock);
  void plan_pieces(const Sequence& sequence, int batch, int tokens);
  void plan_memory(const Pass& pass, Memory& memory);
  void run_piece(const Team& team, Pass& pass, const Piece& piece);
  void embed_tokens(const Team& team, Pass& pass, const Piece& piece);
  void ple_inputs(const Team& team, Pass& pass, const Piece& piece, int needed_first);
  void head(const Team& team, Pass& pass);

  TextWeights weights_;
  Layers layers_;
  kernels::spec::gather::Fn *gather_ = nullptr, *gather_ple_ = nullptr;
  int decoded_ = 0;        ///< calls of few rows
  bool sideways_ = false;  ///< whether some layer lets image rows see keys to their right

  Pages head_;
  std::vector<Piece> pieces_;
  std::vector<int> units_;                  ///< of all pieces
  std::vector<const KvCache*> reads_;       ///< of a call
  std::vector<const std::uint8_t*> masks_;  ///< of a call
};

}  // namespace assay::cpu
