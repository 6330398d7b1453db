// The logits that a call shows. Not here: what they should be.
#pragma once

#include <vector>

#include "engine/engine.h"

namespace assay::cpu {

class Logits : public TapSink {
 public:
  explicit Logits(const Plan& plan) : TapSink(deepest(plan)) { want({Tap::logits, -1}); }
  void take(TapId, Rows<const float> rows) override { values.assign(rows.all().begin(), rows.all().end()); }
  std::vector<float> values;
};

}  // namespace assay::cpu
