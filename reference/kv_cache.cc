#include "reference/kv_cache.h"

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

void KvCache::truncate(int length) {
  length_ = length;
  for (auto* side : {&keys_, &values_})
    for (std::vector<float>& row : *side) row.resize(std::size_t(length) * std::size_t(width_));
}

}  // namespace assay::reference
