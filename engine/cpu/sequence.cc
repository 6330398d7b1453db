#include "engine/cpu/sequence.h"

#include <algorithm>
#include <string>
#include <utility>

namespace assay::cpu {
namespace {

constexpr std::size_t kSpare = 4096;  // tokens to come, so that decoding does not allocate

std::string shape(int rows, int cols) { return "[" + std::to_string(rows) + ", " + std::to_string(cols) + "]"; }

/// A tensor of [batch, tokens], or [1, tokens] that holds for every row, as int64 in `out`; empty where there is none.
Result<void> per_token(const Forward& call, std::string_view name, std::vector<std::int64_t>& out) {
  out.clear();
  const Tensor* tensor = find(call.more, name);
  if (tensor == nullptr) return {};
  const int batch = call.ids.rows, tokens = call.ids.cols;
  const bool one_row = tensor->shape == std::vector<std::int64_t>{1, tokens};
  if (!one_row && tensor->shape != std::vector<std::int64_t>{batch, tokens})
    return fail({Failure::bad_input, "forward", std::string(name), shape(batch, tokens), shape_text(tensor->shape)});
  ASSAY_TRY(values, tensor->integers());
  for (int b = 0; b < (one_row ? batch : 1); ++b) out.insert(out.end(), values.begin(), values.end());
  return {};
}

/// Maximal runs of tokens that join the one before them, in each row.
template <class Key>
void find_runs(int batch, int tokens, const Key& joins, std::vector<Sequence::Run>& runs) {
  runs.assign(std::size_t(batch) * std::size_t(tokens), {0, 0});
  for (int b = 0; b < batch; ++b)
    for (int first = 0, end = 1; first < tokens; first = end++) {
      while (end < tokens && joins(b, end)) ++end;
      for (int t = first; t < end; ++t) runs[std::size_t(b) * std::size_t(tokens) + std::size_t(t)] = {first, end};
    }
}

}  // namespace

bool Sequence::may_cut(int t) const {
  for (int b = 0; b < batch(); ++b) {
    const Run run = block(b, t);
    if (run.first < t && t < run.end) return false;
  }
  return true;
}

void Sequence::clear() {
  rows_.clear();
  tokens_ = 0;
}

Result<void> Sequence::extend(const Forward& call) {
  const int batch = call.ids.rows, tokens = call.ids.cols, before = keys();
  if (before > 0 && batch != this->batch())
    return fail({Failure::bad_input, "forward", "input_ids", std::to_string(this->batch()) + " rows, as cached",
                 std::to_string(batch)});
  if (!call.mask.empty() && call.mask.cols != before + tokens)
    return fail({Failure::bad_input, "forward", "attention_mask", shape(batch, before + tokens),
                 shape(call.mask.rows, call.mask.cols)});
  std::vector<std::int64_t> positions, types;
  ASSAY_CHECK(per_token(call, "position_ids", positions));
  ASSAY_CHECK(per_token(call, "mm_token_type_ids", types));

  // What may throw comes before what changes.
  const std::size_t count = std::size_t(batch) * std::size_t(tokens);
  std::vector<Run> blocks, packs;
  const auto value = [tokens](const std::vector<std::int64_t>& values, int b, int t) {
    return values[std::size_t(b) * std::size_t(tokens) + std::size_t(t)];
  };
  if (!types.empty()) {
    const auto sees = [&](int b, int t) { return value(types, b, t) == 1 || value(types, b, t) == 2; };
    find_runs(
        batch, tokens, [&](int b, int t) { return sees(b, t) && sees(b, t - 1); }, blocks);
    for (std::size_t i = 0; i < count; ++i)
      if (types[i] != 1 && types[i] != 2) blocks[i] = {0, 0};
  }
  if (call.mask.empty() && call.cache == Cache::none && !positions.empty())
    find_runs(
        batch, tokens, [&](int b, int t) { return value(positions, b, t) - value(positions, b, t - 1) == 1; }, packs);
  positions_.reserve(count);
  rows_.resize(std::size_t(batch));
  for (Row& row : rows_)
    if (const auto length = std::size_t(row.length + tokens); length > row.real.capacity())
      row.real.reserve(length + kSpare);

  tokens_ = tokens;
  for (int b = 0; b < batch; ++b) {
    Row& row = rows_[std::size_t(b)];
    row.length += tokens;
    row.real.resize(std::size_t(row.length), 1);
    if (call.mask.empty()) continue;
    const std::span<const std::int64_t> mask = call.mask.row(b).subspan(std::size_t(row.shift));
    for (std::size_t key = 0; key < row.real.size(); ++key)
      if (mask[key] == 0) row.real[key] = 0;
    const auto first = std::ranges::find(row.real, 1);
    row.first_real = int(first - row.real.begin());
    row.holes = std::find(first, row.real.end(), 0) != row.real.end();
  }
  blocks_ = std::move(blocks);
  packs_ = std::move(packs);
  if (positions.empty()) {  // transformers' forward counts on from the cache, padding or not
    positions_.resize(count);
    for (std::size_t i = 0; i < count; ++i) positions_[i] = before + int(i % std::size_t(tokens));
  } else {
    positions_ = std::move(positions);
  }
  return {};
}

void Sequence::shorten(Row& row, int length) {
  row.length = length;
  row.real.resize(std::size_t(length));
  row.first_real = std::min(row.first_real, length);
  if (row.holes) row.holes = std::find(row.real.begin() + row.first_real, row.real.end(), 0) != row.real.end();
}

void Sequence::take_back() {
  for (Row& row : rows_) shorten(row, row.length - tokens_);
  tokens_ = 0;
}

void Sequence::truncate(std::span<const int> keep) {
  const int longest = *std::ranges::max_element(keep);
  for (std::size_t b = 0; b < rows_.size(); ++b) {
    Row& row = rows_[b];
    shorten(row, std::max(0, keep[b] - row.shift));
    row.shift = longest - row.length;
  }
  tokens_ = 0;
}

}  // namespace assay::cpu
