// The oracle in a narrower type: every op's result is rounded to it, as a framework that computes in bf16 or fp16
// rounds what it stores. Sums inside an op stay as they are. A second engine of lower precision to hold the judge
// against, and one that faults can be bent into. Not here: weights, which are what the checkpoint holds.
#pragma once

#include "reference/parts.h"

namespace assay::reference {

enum class Rounding { bf16, fp16 };

/// Wraps what the tables hold, so that it comes after whatever bends them.
void round_results(Parts& parts, Rounding to);

}  // namespace assay::reference
