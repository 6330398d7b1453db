// Takes the taps of a call that is computed in pieces and offers each once, whole. Where a call is one piece nothing is
// copied. Not here: where taps lie in a layer (layers.cc).
#pragma once

#include <utility>
#include <vector>

#include "base/rows.h"
#include "engine/taps.h"

namespace assay::cpu {

class TapSheet {
 public:
  TapSheet(TapSink& sink, int batch, int tokens) : sink_(sink), batch_(batch), tokens_(tokens) {}

  bool wants(Tap tap, int layer) const { return sink_.wants(tap, layer); }
  /// Whether any tap of the text decoder is wanted beside its logits.
  bool wants_rows(int layers) const {
    for (const TapInfo& row : kTaps) {
      if (part_of(row.scope) != TapPart::text || row.tap == Tap::logits) continue;
      for (int layer = is_layer(row.scope) ? 0 : -1; layer < (is_layer(row.scope) ? layers : 0); ++layer)
        if (wants(row.tap, layer)) return true;
    }
    return false;
  }

  /// @param rows   of tokens [first, first + rows.rows / batch) of each batch row
  void take(TapId id, int first, Rows<const float> rows) {
    const int count = rows.rows / batch_;
    if (count == tokens_) {
      sink_.take(id, rows);
      return;
    }
    std::vector<float>& whole = storage(id, rows.cols);
    for (int b = 0; b < batch_; ++b) {
      const std::span<const float> part = rows.slice(b * count, count).all();
      std::copy(part.begin(), part.end(), whole.begin() + std::ptrdiff_t(b * tokens_ + first) * rows.cols);
    }
    if (first + count == tokens_) sink_.take(id, {whole.data(), batch_ * tokens_, rows.cols});
  }

 private:
  std::vector<float>& storage(TapId id, int cols) {
    for (auto& [known, values] : whole_)
      if (known == id) return values;
    const std::size_t size = std::size_t(batch_) * std::size_t(tokens_) * std::size_t(cols);
    return whole_.emplace_back(id, std::vector<float>(size)).second;
  }

  TapSink& sink_;
  int batch_, tokens_;
  std::vector<std::pair<TapId, std::vector<float>>> whole_;
};

}  // namespace assay::cpu
