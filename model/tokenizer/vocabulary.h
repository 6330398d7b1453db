// Token strings and their ids, both ways: what BPE looks up for every character, merge and decoded id. Strings lie in
// one block and are found by open addressing, because half a million separate ones would take a second to build.
// Private to this folder. Not here: added tokens, which lie over it (added_tokens.h); merges (bpe.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace assay {

class Vocabulary {
 public:
  /// False, and nothing added, where the token is there already. At most 4 GiB of strings (files are smaller).
  bool add(std::string_view token, std::uint32_t id);
  /// Builds the way back. Errors: bad_input (an id twice, or so far past the others that a table by id would waste
  /// memory), naming `where`.
  Result<void> finish(const std::string& where);

  std::optional<std::uint32_t> find(std::string_view token) const;
  std::optional<std::string_view> token(std::int64_t id) const;  ///< after finish()
  std::size_t size() const { return entries_.size(); }
  /// The i-th token added, and its id.
  std::string_view name(std::size_t i) const { return {text_.data() + entries_[i].at, entries_[i].bytes}; }
  std::uint32_t id(std::size_t i) const { return entries_[i].id; }

 private:
  struct Entry {
    std::size_t at;
    std::uint32_t bytes, id, hash;
  };
  std::size_t slot_of(std::string_view token, std::uint32_t hash) const;
  void grow();

  std::string text_;
  std::vector<Entry> entries_;
  std::vector<std::uint32_t> slots_;  ///< entry + 1; 0 = free; a power of two, at most half full
  std::vector<std::uint32_t> by_id_;  ///< entry + 1; 0 = no token
};

}  // namespace assay
