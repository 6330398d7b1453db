#include "harness/run/generate.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <string>
#include <utility>

#include "harness/sample/sampler.h"

namespace assay {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// The last position's logits of each row.
class LastLogits : public TapSink {
 public:
  LastLogits(const Plan& plan, int batch) : TapSink(int(plan.layers.size())), batch_(batch) { want({Tap::logits, -1}); }
  std::vector<float> values;  ///< [B, V]
  std::span<float> row(int b) {
    const std::size_t vocab = values.size() / std::size_t(batch_);
    return {values.data() + std::size_t(b) * vocab, vocab};
  }
  void take(TapId, Rows<const float> rows) override {
    const int per_row = rows.rows / batch_;
    values.clear();
    for (int b = 0; b < batch_; ++b) {
      const std::span<const float> last = rows.row((b + 1) * per_row - 1);
      values.insert(values.end(), last.begin(), last.end());
    }
  }

 private:
  int batch_;
};

/// Chooses, records and ends rows; the same for plain and speculative decoding.
class Chooser {
 public:
  Chooser(const GenerateOptions& options, int rows, const OnToken& on_token)
      : options_(options), on_token_(on_token), generated_(std::size_t(rows)), done_(std::size_t(rows), false) {
    for (int b = 0; b < rows; ++b) samplers_.emplace_back(options.config, options.seed + std::uint64_t(b));
  }

  std::int64_t choose(int row, std::span<float> logits) { return samplers_[std::size_t(row)].next(logits); }
  /// The same of logits that belong to somebody else.
  std::int64_t choose_copy(int row, std::span<const float> logits) {
    scratch_.assign(logits.begin(), logits.end());
    return choose(row, scratch_);
  }

  void record(int row, std::int64_t id) {
    GeneratedRow& made = generated_[std::size_t(row)];
    made.ids.push_back(id);
    const std::vector<std::int64_t>& stops = options_.config.stop_ids;
    std::optional<Finish> finish;
    if (std::find(stops.begin(), stops.end(), id) != stops.end())
      finish = Finish::stop;
    else if (int(made.ids.size()) >= options_.most)
      finish = Finish::length;
    if (finish) {
      made.finish = *finish;
      done_[std::size_t(row)] = true;
    }
    if (on_token_) on_token_(row, id, finish);
  }
  bool done(int row) const { return done_[std::size_t(row)]; }
  bool all_done() const { return std::find(done_.begin(), done_.end(), false) == done_.end(); }
  std::vector<GeneratedRow> take() { return std::move(generated_); }

 private:
  const GenerateOptions& options_;
  const OnToken& on_token_;
  std::vector<Sampler> samplers_;
  std::vector<GeneratedRow> generated_;
  std::vector<bool> done_;
  std::vector<float> scratch_;
};

/// [B, T] with one more column.
void append(std::vector<std::int64_t>& grid, int batch, std::span<const std::int64_t> next) {
  if (grid.empty()) return;
  const std::size_t width = grid.size() / std::size_t(batch);
  std::vector<std::int64_t> grown;
  grown.reserve(grid.size() + std::size_t(batch));
  for (std::size_t b = 0; b < std::size_t(batch); ++b) {
    const auto row = grid.begin() + std::ptrdiff_t(b * width);
    grown.insert(grown.end(), row, row + std::ptrdiff_t(width));
    grown.push_back(next[b]);
  }
  grid = std::move(grown);
}

/// The last `count` columns of [B, T].
std::vector<std::int64_t> tail(const std::vector<std::int64_t>& grid, int batch, int count) {
  const std::size_t width = grid.size() / std::size_t(batch);
  std::vector<std::int64_t> out;
  for (std::size_t b = 0; b < std::size_t(batch); ++b) {
    const auto end = grid.begin() + std::ptrdiff_t((b + 1) * width);
    out.insert(out.end(), end - count, end);
  }
  return out;
}

/// The newest `count` tokens of the sequences through the session.
Result<void> forward(Session& session, const CaseInputs& inputs, int count, Cache cache, LastLogits& logits) {
  const int batch = inputs.batch;
  const std::vector<std::int64_t> ids = tail(inputs.ids, batch, count);
  Forward call;
  call.ids = {ids.data(), batch, count};
  if (!inputs.mask.empty()) call.mask = {inputs.mask.data(), batch, inputs.tokens};
  std::vector<NamedTensor> more;
  const std::vector<std::int64_t> shape{batch, count};
  if (!inputs.positions.empty())
    more.push_back({"position_ids", Tensor::own(shape, tail(inputs.positions, batch, count))});
  if (!inputs.types.empty())
    more.push_back({"mm_token_type_ids", Tensor::own(shape, tail(inputs.types, batch, count))});
  if (cache != Cache::extend) more.insert(more.end(), inputs.more.begin(), inputs.more.end());
  call.more = more;
  call.cache = cache;
  call.logit_rows = 1;
  ASSAY_CHECK(session.forward(call, logits));
  for (const float value : logits.values)
    if (!std::isfinite(value))
      return fail({Failure::bad_output, "engine", "text.logits", std::string(kFiniteLogits), std::to_string(value)});
  return {};
}

Result<Generated> plain(Session& session, CaseInputs& inputs, const GenerateOptions& options, Chooser& chooser) {
  Generated out;
  const auto start = Clock::now();
  LastLogits logits(session.plan(), inputs.batch);
  const std::int64_t pad = options.config.pad_id.value_or(session.plan().pad_id);
  int fresh = inputs.tokens;
  Cache cache = options.cache ? Cache::fresh : Cache::none;
  while (true) {
    ASSAY_CHECK(forward(session, inputs, fresh, cache, logits));
    std::vector<std::int64_t> next(std::size_t(inputs.batch), pad), positions;
    for (int b = 0; b < inputs.batch; ++b) {
      if (!chooser.done(b)) {
        next[std::size_t(b)] = chooser.choose(b, logits.row(b));
        chooser.record(b, next[std::size_t(b)]);
      }
      if (!inputs.positions.empty()) positions.push_back(tail(inputs.positions, inputs.batch, 1)[std::size_t(b)] + 1);
    }
    if (out.prompt_seconds == 0) out.prompt_seconds = seconds_since(start);
    if (chooser.all_done()) break;
    const std::vector<std::int64_t> ones(std::size_t(inputs.batch), 1), zeros(std::size_t(inputs.batch), 0);
    append(inputs.ids, inputs.batch, next);
    append(inputs.mask, inputs.batch, ones);
    append(inputs.types, inputs.batch, zeros);
    append(inputs.positions, inputs.batch, positions);
    ++inputs.tokens;
    fresh = options.cache ? 1 : inputs.tokens;
    if (options.cache) cache = Cache::extend;
  }
  out.generate_seconds = seconds_since(start) - out.prompt_seconds;
  return out;
}

Result<Generated> speculative(Session& session, const CaseInputs& inputs, const GenerateOptions& options,
                              Chooser& chooser) {
  Generated out;
  const auto start = Clock::now();
  SpeculativeOptions speculative{.generate = options.most, .stop_ids = options.config.stop_ids};
  if (options.draft_tokens > 0) speculative.tokens = options.draft_tokens;
  speculative.choose = [&](int row, std::span<const float> logits) { return chooser.choose_copy(row, logits); };
  ASSAY_TRY(speculation, Speculation::start(session, *options.drafter, inputs, speculative));
  while (!speculation.done()) {
    ASSAY_TRY(next, speculation.next());
    if (out.prompt_seconds == 0) out.prompt_seconds = seconds_since(start);
    for (int b = 0; b < inputs.batch; ++b)
      for (const std::int64_t id : next[std::size_t(b)]) chooser.record(b, id);
  }
  out.generate_seconds = seconds_since(start) - out.prompt_seconds;
  out.acceptance = speculation.acceptance();
  return out;
}

}  // namespace

std::string_view name_of(Finish finish) { return finish == Finish::stop ? "stop" : "length"; }

std::int64_t Generated::tokens() const {
  std::int64_t sum = 0;
  for (const GeneratedRow& row : rows) sum += std::int64_t(row.ids.size());
  return sum;
}

std::vector<std::int64_t> positions_of(const CaseInputs& inputs) {
  std::vector<std::int64_t> positions;
  for (int b = 0; b < inputs.batch; ++b) {
    std::int64_t next = 0;
    for (int t = 0; t < inputs.tokens; ++t) {
      const std::size_t at = std::size_t(b) * std::size_t(inputs.tokens) + std::size_t(t);
      const bool real = inputs.mask.empty() || inputs.mask[at] != 0;
      positions.push_back(real ? next++ : 0);
    }
  }
  return positions;
}

Result<Generated> generate(Session& session, CaseInputs inputs, const GenerateOptions& options,
                           const OnToken& on_token) {
  if (options.most < 1)
    return fail({Failure::bad_input, "--max-tokens", "", "at least 1", std::to_string(options.most)});
  for (const std::int64_t id : inputs.ids)
    if (id < 0 || id >= session.plan().vocab)
      return fail({Failure::bad_input, "prompt", "input_ids",
                   "ids below the model's vocabulary of " + std::to_string(session.plan().vocab), std::to_string(id)});
  if (!inputs.mask.empty() && inputs.positions.empty()) inputs.positions = positions_of(inputs);
  Chooser chooser(options, inputs.batch, on_token);
  auto out = options.drafter != nullptr ? speculative(session, inputs, options, chooser)
                                        : plain(session, inputs, options, chooser);
  if (out) out->rows = chooser.take();
  return out;
}

}  // namespace assay
