// Keys and values of one layer, for every row of the batch. All tokens are kept, also those that a sliding window no
// longer reaches: visibility decides, so that the oracle stays a specification. Not here: rings, quantised caches.
#pragma once

#include <span>
#include <vector>

#include "base/rows.h"

namespace assay::reference {

class KvCache {
 public:
  void reset(int batch, int width);
  /// Appends `tokens` rows to each batch row; k and v are [batch * tokens, width].
  void append(Rows<const float> k, Rows<const float> v);
  /// Keeps the first keep[b] tokens of batch row b, behind zeros where another row keeps more.
  void truncate(std::span<const int> keep);
  int length() const { return length_; }
  /// Keys of batch row b, [length, width].
  Rows<const float> keys(int b) const { return view(keys_[std::size_t(b)]); }
  Rows<const float> values(int b) const { return view(values_[std::size_t(b)]); }
  /// The same to write to, for faults that spoil them.
  Rows<float> keys(int b) { return {keys_[std::size_t(b)].data(), length_, width_}; }
  Rows<float> values(int b) { return {values_[std::size_t(b)].data(), length_, width_}; }

 private:
  Rows<const float> view(const std::vector<float>& values) const { return {values.data(), length_, width_}; }

  int length_ = 0, width_ = 0;
  std::vector<std::vector<float>> keys_, values_;  ///< one a batch row
};

}  // namespace assay::reference
