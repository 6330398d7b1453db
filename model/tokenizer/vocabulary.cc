#include "vocabulary.h"

#include <algorithm>
#include <functional>

namespace assay {
namespace {

std::uint32_t hash_of(std::string_view token) {
  const std::size_t hash = std::hash<std::string_view>{}(token);
  return std::uint32_t(hash ^ (hash >> 32));
}

}  // namespace

std::size_t Vocabulary::slot_of(std::string_view token, std::uint32_t hash) const {
  const std::size_t last = slots_.size() - 1;
  for (std::size_t slot = hash & last;; slot = (slot + 1) & last) {
    if (slots_[slot] == 0) return slot;
    const Entry& entry = entries_[slots_[slot] - 1];
    if (entry.hash == hash && name(slots_[slot] - 1) == token) return slot;
  }
}

void Vocabulary::grow() {
  slots_.assign(std::max<std::size_t>(64, slots_.size() * 2), 0);
  const std::size_t last = slots_.size() - 1;
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    std::size_t slot = entries_[i].hash & last;
    while (slots_[slot] != 0) slot = (slot + 1) & last;
    slots_[slot] = std::uint32_t(i + 1);
  }
}

bool Vocabulary::add(std::string_view token, std::uint32_t id) {
  if ((entries_.size() + 1) * 2 > slots_.size()) grow();
  const std::uint32_t hash = hash_of(token);
  const std::size_t slot = slot_of(token, hash);
  if (slots_[slot] != 0) return false;
  entries_.push_back({text_.size(), std::uint32_t(token.size()), id, hash});
  text_ += token;
  slots_[slot] = std::uint32_t(entries_.size());
  return true;
}

Result<void> Vocabulary::finish(const std::string& where) {
  std::uint32_t highest = 0;
  for (const Entry& entry : entries_) highest = std::max(highest, entry.id);
  const std::size_t limit = entries_.size() * 4 + 65536;
  if (highest >= limit)
    return fail({Failure::bad_input, where, "",
                 "ids below " + std::to_string(limit) + " for " + std::to_string(entries_.size()) + " tokens",
                 std::to_string(highest)});
  by_id_.assign(std::size_t{highest} + 1, 0);
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    std::uint32_t& entry = by_id_[entries_[i].id];
    if (entry != 0)
      return fail(
          {Failure::bad_input, where, "", "each id once", "id " + std::to_string(entries_[i].id) + " for two tokens"});
    entry = std::uint32_t(i + 1);
  }
  return {};
}

std::optional<std::uint32_t> Vocabulary::find(std::string_view token) const {
  if (slots_.empty()) return std::nullopt;
  const std::size_t slot = slot_of(token, hash_of(token));
  if (slots_[slot] == 0) return std::nullopt;
  return entries_[slots_[slot] - 1].id;
}

std::optional<std::string_view> Vocabulary::token(std::int64_t id) const {
  if (id < 0 || std::uint64_t(id) >= by_id_.size() || by_id_[std::size_t(id)] == 0) return std::nullopt;
  return name(by_id_[std::size_t(id)] - 1);
}

}  // namespace assay
