// Taps: the named tensors that an engine shows and the judge compares, and the sink they go to. One row of taps.inc
// each. Not here: judging them, storing them.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/rows.h"
#include "model/plan.h"

namespace assay {

enum class Tap : std::uint8_t {
#define TAP(id, name, scope, kind, columns, op, inputs) id,
#include "engine/taps.inc"
#undef TAP
};
/// Of which part of the model, and where in it; in causal order.
enum class TapScope {
  vision_in,
  vision_layer,
  vision_out,
  audio_in,
  audio_layer,
  audio_out,
  model_in,
  layer,
  model_out,
  assistant_in,
  assistant_layer,
  assistant_out
};
enum class TapKind { embed, norm, linear, rope, context, residual, probs, choice, logits };
enum class TapColumns {
  hidden,
  ple,
  q,
  kv,
  ffn,
  experts,
  vocab,
  backbone,
  vision_hidden,
  vision_q,
  vision_kv,
  audio_features,
  audio_hidden,
  audio_output
};

struct TapInfo {
  Tap tap;
  std::string_view id, name;
  TapScope scope;
  TapKind kind;
  TapColumns columns;
  std::string_view op, inputs;
  std::string_view scope_name, kind_name, columns_name;  ///< as taps.inc spells them
};

inline constexpr TapInfo kTaps[] = {
#define TAP(id, name, scope, kind, columns, op, inputs) \
  {Tap::id, #id, name, TapScope::scope, TapKind::kind, TapColumns::columns, #op, inputs, #scope, #kind, #columns},
#include "engine/taps.inc"
#undef TAP
};
inline constexpr int kTapCount = int(std::size(kTaps));
inline const TapInfo& info(Tap tap) { return kTaps[int(tap)]; }

/// The four parts of a model, each with its own layers; in causal order.
enum class TapPart { vision, audio, text, assistant };
constexpr TapPart part_of(TapScope scope) { return TapPart(int(scope) / 3); }
constexpr bool is_layer(TapScope scope) { return int(scope) % 3 == 1; }
inline TapPart part_of(Tap tap) { return part_of(info(tap).scope); }

/// What the rows of a tap stand for. Taps of one row space may be compared row by row.
enum class RowSpace {
  tokens,        ///< of the call, batch row by batch row (text.logits: the last ones)
  patches,       ///< of all images, then of all frames of all videos, padding included
  vision_soft,   ///< soft tokens of all images, then of all videos
  frames,        ///< rows of input_features, padding included
  audio_frames,  ///< what two convolutions leave of them
  audio_soft,    ///< soft tokens of all clips
};
RowSpace row_space(Tap tap);

/// Which tap of which layer of its part; layer -1 is the part around its layers.
struct TapId {
  Tap tap;
  int layer = -1;

  /// `text.layer.07.attn.k_rope`, `text.norm`, `vision.layer.00.out`
  std::string name() const;
  static std::optional<TapId> parse(std::string_view name);
  /// Grows in the order in which taps are computed. Text taps count from 0 in a decoder of `layers` layers; those of
  /// the towers come before as negative numbers, a drafter's behind them all.
  int order(int layers) const;
  bool operator==(const TapId&) const = default;
};

/// Whether a model of this plan has the tap at all: KV-shared layers have no K and V of their own, dense layers no
/// router, text-only models no towers; a drafter has assistant taps alone.
bool exists(const Plan& plan, TapId id);
/// Every tap of a model, in causal order.
std::vector<TapId> all_taps(const Plan& plan);
/// The tap that an entry of the table's inputs column stands for: `in`, `kv:attn_v`, `post_attn`. None for inputs that
/// are no taps, and for a drafter's target.
std::optional<TapId> input_tap(const Plan& plan, TapId id, std::string_view input);
/// The taps that `id`'s op reads, by the table, in its order: those that this model has.
std::vector<TapId> input_taps(const Plan& plan, TapId id);
/// Layers of the deepest part: what a TapSink needs to know of a model.
int deepest(const Plan& plan);
/// Values in one row (token) of the tap.
int columns(const Plan& plan, TapId id);
/// Shape of one row as transformers has it: [heads, head_dim] for attn.q, [layers, width] for text.ple, else [columns].
std::vector<std::int64_t> row_shape(const Plan& plan, TapId id);

/// Where taps go. Costs one test an op when nobody asks.
class TapSink {
 public:
  /// @param layers  of the deepest part of the model
  explicit TapSink(int layers) : wanted_(std::size_t(layers) + 1, 0) {}
  virtual ~TapSink() = default;
  TapSink(const TapSink&) = delete;
  TapSink& operator=(const TapSink&) = delete;

  // One bit a tap, one word a layer for all parts; layer -1 is what is around the layers.
  bool wants(Tap tap, int layer) const {
    return std::size_t(layer + 1) < wanted_.size() && ((wanted_[std::size_t(layer + 1)] >> int(tap)) & 1U);
  }
  void want(TapId id) { wanted_[std::size_t(id.layer + 1)] |= std::uint64_t{1} << int(id.tap); }
  int layers() const { return int(wanted_.size()) - 1; }

  /// `rows` runs, and widens to fp32, only if asked for; rows are those of the tap's row space.
  template <class MakeRows>
  void offer(Tap tap, int layer, MakeRows&& rows) {
    if (wants(tap, layer)) [[unlikely]]
      take({tap, layer}, rows());
  }

  /// Called once for each wanted tap. Rows: those of its row space; columns: those of the tap.
  virtual void take(TapId id, Rows<const float> rows) = 0;

 private:
  static_assert(kTapCount <= 64);
  std::vector<std::uint64_t> wanted_;
};

/// For calls that want no taps.
class NoTaps : public TapSink {
 public:
  explicit NoTaps(int layers) : TapSink(layers) {}
  void take(TapId, Rows<const float>) override {}
};

}  // namespace assay
