#include "reference/sequence.h"

namespace assay::reference {
namespace {

std::string shape(int rows, int cols) { return "[" + std::to_string(rows) + ", " + std::to_string(cols) + "]"; }

/// A tensor of [batch, tokens] (or [1, tokens], which holds for every row) as int64, or nothing.
Result<std::vector<std::int64_t>> per_token(const Forward& call, std::string_view name) {
  const Tensor* tensor = find(call.more, name);
  if (tensor == nullptr) return std::vector<std::int64_t>{};
  const int batch = call.ids.rows, tokens = call.ids.cols;
  const bool one_row = tensor->shape == std::vector<std::int64_t>{1, tokens};
  if (!one_row && tensor->shape != std::vector<std::int64_t>{batch, tokens})
    return fail({Failure::bad_input, "forward", std::string(name), shape(batch, tokens), shape_text(tensor->shape)});
  ASSAY_TRY(row, tensor->integers());
  std::vector<std::int64_t> values = row;
  for (int b = 1; one_row && b < batch; ++b) values.insert(values.end(), row.begin(), row.end());
  return values;
}

}  // namespace

Result<Sequence> extend(const Sequence& before, const Forward& call) {
  Sequence now;
  now.batch = call.ids.rows;
  now.cached = before.keys();
  now.tokens = call.ids.cols;
  now.reuses_cache = call.cache != Cache::none;
  if (now.cached > 0 && before.batch != now.batch)
    return fail({Failure::bad_input, "forward", "input_ids", std::to_string(before.batch) + " rows, as cached",
                 std::to_string(now.batch)});
  if (!call.mask.empty() && call.mask.cols != now.keys())
    return fail({Failure::bad_input, "forward", "attention_mask", shape(now.batch, now.keys()),
                 shape(call.mask.rows, call.mask.cols)});
  ASSAY_TRY(positions, per_token(call, "position_ids"));
  ASSAY_TRY(types, per_token(call, "mm_token_type_ids"));

  now.real.resize(std::size_t(now.batch) * std::size_t(now.keys()), 1);
  now.block.resize(now.real.size(), -1);
  now.pack.resize(now.real.size(), 0);
  const bool may_be_packed = call.mask.empty() && call.cache == Cache::none && !positions.empty();
  for (int row = 0; row < now.batch; ++row) {
    for (int key = 0; key < now.cached; ++key) now.real[now.at(row, key)] = before.real[before.at(row, key)];
    if (!call.mask.empty())
      for (int key = 0; key < now.keys(); ++key)
        if (call.mask.row(row)[std::size_t(key)] == 0) now.real[now.at(row, key)] = 0;
    for (int token = 1; token < now.tokens && may_be_packed; ++token) {
      const std::int64_t* position = &positions[std::size_t(row) * std::size_t(now.tokens)];
      const bool counts_on = position[token] - position[token - 1] == 1;
      now.pack[now.at(row, token)] = now.pack[now.at(row, token - 1)] + (counts_on ? 0 : 1);
    }
    int blocks = 0;
    for (int token = 0; token < now.tokens && !types.empty(); ++token) {
      const std::int64_t* type = &types[std::size_t(row) * std::size_t(now.tokens)];
      const auto is_vision = [&](int t) { return type[t] == 1 || type[t] == 2; };
      if (!is_vision(token)) continue;
      if (token == 0 || !is_vision(token - 1)) ++blocks;
      now.block[now.at(row, now.cached + token)] = blocks - 1;
    }
  }
  if (positions.empty())  // transformers' forward counts on from the cache, padding or not
    for (int row = 0; row < now.batch; ++row)
      for (int token = 0; token < now.tokens; ++token) positions.push_back(now.cached + token);
  now.positions = std::move(positions);
  return now;
}

}  // namespace assay::reference
