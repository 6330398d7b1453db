#include "engine/cpu/visibility.h"

#include <algorithm>
#include <limits>

namespace assay::cpu {

KeyRange visible(const Sequence& sequence, int window, Blocks blocks, int b, int t) {
  const int key = sequence.key_of(b, t), start = key - t;
  int first_of_pack = 0, end_of_pack = std::numeric_limits<int>::max();
  if (sequence.has_packs()) {
    const Sequence::Run pack = sequence.pack(b, t);
    first_of_pack = start + pack.first;
    end_of_pack = start + pack.end;
  }
  KeyRange range{std::max(first_of_pack, window > 0 ? key - window + 1 : 0), key + 1};
  const Sequence::Run block = sequence.block(b, t);
  if (block.first < block.end) switch (blocks) {
      case Blocks::causal: break;
      case Blocks::inside_window: range.to = std::max(range.to, std::min(start + block.end, end_of_pack)); break;
      case Blocks::beyond_window:
        range.from = std::min(range.from, start + block.first);
        range.to = start + block.end;
        break;
    }
  range.from = std::max(range.from, sequence.row(b).first_real);
  return range;
}

}  // namespace assay::cpu
