// One more entry of metadata in the bytes of a GGUF file that is there already. Not here: whole files, written number
// by number (model/gguf_test.cc).
#pragma once

#include <cstdint>
#include <cstring>
#include <string>

#include "model/gguf/gguf.h"

namespace assay {

/// `parts` are what follows the type: a scalar's value, or an array's element type, count and elements. A second entry
/// behind it fills it up to whole alignments, so that tensors stay where they are.
template <class... Parts>
void add_gguf_entry(std::string& bytes, const std::string& key, GgufType type, Parts... parts) {
  constexpr std::size_t kCount = 16, kFirst = 24, kAlignment = 32;  // behind magic, version and the number of tensors
  std::string added;
  const auto number = [&added](auto value) { added.append(reinterpret_cast<const char*>(&value), sizeof value); };
  const auto entry = [&](const std::string& name, GgufType of, auto... values) {
    number(std::uint64_t(name.size()));
    added += name;
    number(std::uint32_t(of));
    (number(values), ...);
  };
  entry(key, type, parts...);
  const std::size_t filled = added.size() + 8 + key.size() + 1 + 4 + 8;
  const std::size_t filler = (kAlignment - filled % kAlignment) % kAlignment;
  entry(key + "~", GgufType::string, std::uint64_t(filler));
  added.append(filler, ' ');
  std::uint64_t count = 0;
  std::memcpy(&count, bytes.data() + kCount, sizeof count);
  count += 2;
  std::memcpy(bytes.data() + kCount, &count, sizeof count);
  bytes.insert(kFirst, added);
}

}  // namespace assay
