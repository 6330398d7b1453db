#include "reference/visibility.h"

namespace assay::reference {

void visible(const LayerPlan& plan, const Sequence& sequence, int row, int query, std::span<char> seen) {
  const int block = sequence.block[sequence.at(row, query)];
  for (int key = 0; key < sequence.keys(); ++key) {
    const bool causal = key <= query;
    const bool inside = plan.window == 0 || key > query - plan.window;
    const bool same_block = block >= 0 && sequence.block[sequence.at(row, key)] == block;
    const bool same_pack = sequence.pack[sequence.at(row, key)] == sequence.pack[sequence.at(row, query)];
    bool sees = causal && inside && same_pack;
    switch (plan.blocks) {
      case Blocks::causal: break;
      case Blocks::inside_window: sees = (causal || same_block) && inside && same_pack; break;
      case Blocks::beyond_window: sees = sees || same_block; break;
    }
    seen[std::size_t(key)] = sees && sequence.real[sequence.at(row, key)];
  }
}

}  // namespace assay::reference
