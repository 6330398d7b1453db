#include "harness/drive/speculative.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "harness/drive/greedy.h"
#include "model/assistant.h"

namespace assay {
namespace {

/// text.norm and text.logits of every token of a call.
class AllRows : public TapSink {
 public:
  explicit AllRows(const Plan& plan) : TapSink(int(plan.layers.size())) {
    want({Tap::norm, -1});
    want({Tap::logits, -1});
  }
  std::vector<float> hidden, logits;

  void take(TapId id, Rows<const float> rows) override {
    (id.tap == Tap::norm ? hidden : logits).assign(rows.data, rows.data + rows.size());
  }
};

Result<void> check_finite(std::span<const float> logits) {
  for (const float value : logits)
    if (!std::isfinite(value))
      return fail({Failure::bad_output, "engine", "text.logits", std::string(kFiniteLogits), std::to_string(value)});
  return {};
}

}  // namespace

Result<Speculation> Speculation::start(Session& target, Session& drafter, const CaseInputs& inputs,
                                       SpeculativeOptions options) {
  ASSAY_CHECK(with_target(drafter.plan(), target.plan()));
  if (options.tokens < 1)
    return fail({Failure::bad_input, "speculation", "tokens", "at least 1", std::to_string(options.tokens)});
  Speculation run(target, drafter, std::move(options));
  std::vector<float> logits;
  ASSAY_TRY(start, draft_start(target, inputs, &logits));
  run.cached_ = inputs.tokens;
  run.masked_ = !inputs.mask.empty();
  const std::size_t vocab = logits.size() / std::size_t(inputs.batch), tokens = std::size_t(inputs.tokens);
  const std::size_t hidden = start.hidden.size() / std::size_t(inputs.batch);
  for (int b = 0; b < inputs.batch; ++b) {
    const auto at = [&](std::size_t each) { return std::ptrdiff_t(std::size_t(b) * each); };
    Row row;
    row.position = start.positions[std::size_t(b)];
    row.hidden.assign(start.hidden.begin() + at(hidden), start.hidden.begin() + at(hidden) + std::ptrdiff_t(hidden));
    if (run.masked_)
      row.mask.assign(inputs.mask.begin() + at(tokens), inputs.mask.begin() + at(tokens) + std::ptrdiff_t(tokens));
    else
      row.mask.assign(tokens, 1);
    row.done = run.options_.generate < 1;
    if (!row.done) row.newest = run.choose(b, std::span(logits).subspan(std::size_t(b) * vocab, vocab));
    run.rows_.push_back(std::move(row));
  }
  return run;
}

std::int64_t Speculation::choose(int row, std::span<const float> logits) const {
  if (options_.choose) return options_.choose(row, logits);
  return std::max_element(logits.begin(), logits.end()) - logits.begin();
}

bool Speculation::done() const {
  return std::all_of(rows_.begin(), rows_.end(), [](const Row& row) { return row.done; });
}

void Speculation::emit(Row& row, std::int64_t id) {
  row.newest = id;
  ++row.emitted;
  const std::vector<std::int64_t>& stops = options_.stop_ids;
  if (row.emitted >= options_.generate || std::find(stops.begin(), stops.end(), id) != stops.end()) row.done = true;
}

std::vector<std::int64_t> Speculation::masks(int more) const {
  if (!masked_) return {};
  std::vector<std::int64_t> all;
  for (const Row& row : rows_) {
    all.insert(all.end(), row.mask.begin(), row.mask.end());
    all.insert(all.end(), std::size_t(more), 1);
  }
  return all;
}

Result<std::vector<std::vector<std::int64_t>>> Speculation::next() {
  std::vector<std::vector<std::int64_t>> out(rows_.size());
  if (!begun_) {
    begun_ = true;
    for (std::size_t b = 0; b < rows_.size(); ++b)
      if (!rows_[b].done) {
        out[b] = {rows_[b].newest};
        emit(rows_[b], rows_[b].newest);
      }
    return out;
  }
  int most = 0;  // tokens that the row with most to come still needs
  for (const Row& row : rows_)
    if (!row.done) most = std::max(most, options_.generate - row.emitted);
  if (most == 0) return out;
  const int steps = std::min(options_.tokens, most - 1);  // the target adds one of its own
  ASSAY_TRY(drafted, draft_round(steps));
  return verify(drafted, steps);
}

Result<Drafted> Speculation::draft_round(int steps) {
  if (steps == 0) return Drafted{};
  DraftStart start;
  start.mask = masks(0);
  for (const Row& row : rows_) {
    start.newest.push_back(row.newest);
    start.positions.push_back(row.position);
    start.hidden.insert(start.hidden.end(), row.hidden.begin(), row.hidden.end());
  }
  return draft(*drafter_, *target_, start, steps);
}

Result<std::vector<std::vector<std::int64_t>>> Speculation::verify(const Drafted& drafted, int steps) {
  const int batch = int(rows_.size()), count = steps + 1;
  std::vector<std::int64_t> ids, positions, mask = masks(count);
  for (int b = 0; b < batch; ++b) {
    const Row& row = rows_[std::size_t(b)];
    ids.push_back(row.newest);
    for (int i = 0; i < steps; ++i) ids.push_back(drafted.ids[std::size_t(b * steps + i)]);
    for (int i = 0; i < count; ++i) positions.push_back(row.position + i);
  }
  const std::vector<NamedTensor> more = {{"position_ids", Tensor::own({batch, count}, std::move(positions))}};
  Forward call{.ids = {ids.data(), batch, count}, .mask = {}, .more = more, .cache = Cache::extend};
  if (!mask.empty()) call.mask = {mask.data(), batch, cached_ + count};
  AllRows sink(target_->plan());
  ASSAY_CHECK(target_->forward(call, sink));
  ASSAY_CHECK(check_finite(sink.logits));

  const std::size_t rows = std::size_t(batch) * std::size_t(count);
  const std::size_t vocab = sink.logits.size() / rows, hidden = sink.hidden.size() / rows;
  std::vector<std::vector<std::int64_t>> out(rows_.size());
  std::vector<int> keep;
  if (steps > 0) ++acceptance_.rounds;
  for (int b = 0; b < batch; ++b) {
    Row& row = rows_[std::size_t(b)];
    keep.push_back(cached_);  // of a row that is done: all that it was given
    row.mask.insert(row.mask.end(), std::size_t(count), 1);
    if (row.done) continue;
    acceptance_.drafted += steps;
    for (int i = 0; i < count && !row.done; ++i) {
      const std::size_t at = std::size_t(b * count + i);
      const std::int64_t id = choose(b, std::span(sink.logits).subspan(at * vocab, vocab));
      out[std::size_t(b)].push_back(id);
      emit(row, id);
      keep.back() = cached_ + i + 1;
      if (i == steps || id != drafted.ids[std::size_t(b * steps + i)]) break;
    }
    const std::size_t emitted = out[std::size_t(b)].size();
    acceptance_.accepted += std::int64_t(emitted) - 1;
    row.position += std::int64_t(emitted);
    const auto from = sink.hidden.begin() + std::ptrdiff_t((std::size_t(b * count) + emitted - 1) * hidden);
    row.hidden.assign(from, from + std::ptrdiff_t(hidden));
  }
  cached_ += count;
  ASSAY_CHECK(roll_back(keep));
  return out;
}

Result<void> Speculation::roll_back(std::span<const int> keep) {
  const int longest = *std::max_element(keep.begin(), keep.end());
  if (std::all_of(keep.begin(), keep.end(), [&](int length) { return length == cached_; })) return {};
  ASSAY_CHECK(target_->truncate(keep));
  for (std::size_t b = 0; b < rows_.size(); ++b) {
    std::vector<std::int64_t>& mask = rows_[b].mask;
    mask.resize(std::size_t(keep[b]));
    mask.insert(mask.begin(), std::size_t(longest - keep[b]), 0);
    masked_ = masked_ || keep[b] < longest;
  }
  cached_ = longest;
  return {};
}

Result<Speculated> speculate(Session& target, Session& drafter, const CaseInputs& inputs, SpeculativeOptions options) {
  ASSAY_TRY(run, Speculation::start(target, drafter, inputs, std::move(options)));
  Speculated out;
  out.generated.resize(std::size_t(inputs.batch));
  while (!run.done()) {
    ASSAY_TRY(tokens, run.next());
    for (std::size_t b = 0; b < tokens.size(); ++b)
      out.generated[b].insert(out.generated[b].end(), tokens[b].begin(), tokens[b].end());
  }
  out.acceptance = run.acceptance();
  return out;
}

}  // namespace assay
