#include "reference/visibility.h"

namespace assay::reference {

void visible(const LayerPlan& plan, const Sequence& sequence, int row, int query, std::span<char> seen) {
  const int block = sequence.block[sequence.at(row, query)];
  for (int key = 0; key < sequence.keys(); ++key) {
    const bool causal = key <= query;
    const bool inside = plan.window == 0 || key > query - plan.window;
    const bool same_block = block >= 0 && sequence.block[sequence.at(row, key)] == block;
    bool sees = causal && inside;
    switch (plan.blocks) {
      case Blocks::causal: break;
      case Blocks::inside_window: sees = (causal || same_block) && inside; break;
      case Blocks::beyond_window: sees = sees || same_block; break;
    }
    seen[std::size_t(key)] = sees && sequence.real[sequence.at(row, key)];
  }
}

}  // namespace assay::reference
