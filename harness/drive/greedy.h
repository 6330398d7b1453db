// The greedy choice, and the rows that it and a drafter need of a target's call. Private to the room. Not here: paths.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"

namespace assay {

/// The largest logit's index of each row. The lowest index wins ties, as torch.argmax has it.
/// @param logits  [rows, V]
/// Errors: bad_output, naming `tap`, when one is not finite.
Result<std::vector<std::int64_t>> greedy(std::span<const float> logits, int rows, std::string_view tap);

/// Keeps the last token's text.norm and all offered text.logits of a call.
class LastRows : public TapSink {
 public:
  LastRows(const Plan& plan, int batch) : TapSink(int(plan.layers.size())), batch_(batch) {
    want({Tap::norm, -1});
    want({Tap::logits, -1});
  }
  std::vector<float> hidden;  ///< [B, hidden]
  std::vector<float> logits;  ///< [B * rows, V]

  void take(TapId id, Rows<const float> rows) override;

 private:
  int batch_;
};

}  // namespace assay
