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
enum class TapScope { model_in, layer, model_out };
enum class TapKind { embed, norm, linear, rope, context, residual, probs, choice, logits };
enum class TapColumns { hidden, ple, q, kv, ffn, experts, vocab };

struct TapInfo {
  Tap tap;
  std::string_view id, name;
  TapScope scope;
  TapKind kind;
  TapColumns columns;
  std::string_view op, inputs;
};

inline constexpr TapInfo kTaps[] = {
#define TAP(id, name, scope, kind, columns, op, inputs) \
  {Tap::id, #id, name, TapScope::scope, TapKind::kind, TapColumns::columns, #op, inputs},
#include "engine/taps.inc"
#undef TAP
};
inline constexpr int kTapCount = int(std::size(kTaps));
inline const TapInfo& info(Tap tap) { return kTaps[int(tap)]; }

/// Which tap of which layer; layer -1 is the model.
struct TapId {
  Tap tap;
  int layer = -1;

  /// `text.layer.07.attn.k_rope`, `text.norm`
  std::string name() const;
  static std::optional<TapId> parse(std::string_view name);
  /// Position among all taps of a model of `layers` layers, in the order in which they are computed.
  int order(int layers) const;
  bool operator==(const TapId&) const = default;
};

/// Whether a model of this plan has the tap at all: KV-shared layers have no K and V of their own, dense layers no
/// router.
bool exists(const Plan& plan, TapId id);
/// Every tap of a model, in causal order.
std::vector<TapId> all_taps(const Plan& plan);
/// Values in one row (token) of the tap.
int columns(const Plan& plan, TapId id);
/// Shape of one row as transformers has it: [heads, head_dim] for attn.q, [layers, width] for text.ple, else [columns].
std::vector<std::int64_t> row_shape(const Plan& plan, TapId id);

/// Where taps go. Costs one test an op when nobody asks.
class TapSink {
 public:
  explicit TapSink(int layers) : wanted_(std::size_t(layers) + 1, 0) {}
  virtual ~TapSink() = default;
  TapSink(const TapSink&) = delete;
  TapSink& operator=(const TapSink&) = delete;

  // One bit a tap, one word a layer; layer -1 is the model.
  bool wants(Tap tap, int layer) const { return (wanted_[std::size_t(layer + 1)] >> int(tap)) & 1U; }
  void want(TapId id) { wanted_[std::size_t(id.layer + 1)] |= std::uint32_t{1} << int(id.tap); }
  int layers() const { return int(wanted_.size()) - 1; }

  /// `rows` runs, and widens to fp32, only if asked for; rows are tokens, batch row by batch row.
  template <class MakeRows>
  void offer(Tap tap, int layer, MakeRows&& rows) {
    if (wants(tap, layer)) [[unlikely]]
      take({tap, layer}, rows());
  }

  /// Called once for each wanted tap. Rows: tokens; columns: those of the tap.
  virtual void take(TapId id, Rows<const float> rows) = 0;

 private:
  static_assert(kTapCount <= 32);
  std::vector<std::uint32_t> wanted_;
};

/// For calls that want no taps.
class NoTaps : public TapSink {
 public:
  explicit NoTaps(int layers) : TapSink(layers) {}
  void take(TapId, Rows<const float>) override {}
};

}  // namespace assay
