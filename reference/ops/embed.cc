#include "reference/ops/embed.h"

namespace assay::reference {

void embed(std::span<const std::int64_t> ids, const Weight& table, float scale, Rows<float> out) {
  for (int token = 0; token < out.rows; ++token) {
    const std::span<float> row = out.row(token);
    table.row(int(ids[std::size_t(token)]), row);
    for (float& v : row) v *= scale;
  }
}

}  // namespace assay::reference
