#include "reference/kv_cache.h"

#include <algorithm>

namespace assay::reference {

void KvCache::reset(int batch, int width) {
  length_ = 0;
  width_ = width;
  keys_.assign(std::size_t(batch), {});
  values_.assign(std::size_t(batch), {});
}

void KvCache::append(Rows<const float> k, Rows<const float> v) {
  const int batch = int(keys_.size()), tokens = k.rows / batch;
  for (int b = 0; b < batch; ++b) {
    const auto add = [&](std::vector<float>& to, Rows<const float> from) {
      const auto rows = from.slice(b * tokens, tokens).all();
      to.insert(to.end(), rows.begin(), rows.end());
    };
    add(keys_[std::size_t(b)], k);
    add(values_[std::size_t(b)], v);
  }
  length_ += tokens;
}

void KvCache::truncate(std::span<const int> keep) {
  length_ = *std::ranges::max_element(keep);
  for (auto* side : {&keys_, &values_})
    for (std::size_t b = 0; b < side->size(); ++b) {
      std::vector<float>& row = (*side)[b];
      row.resize(std::size_t(keep[b]) * std::size_t(width_));
      row.insert(row.begin(), std::size_t(length_ - keep[b]) * std::size_t(width_), 0.0F);
    }
}

}  // namespace assay::reference
