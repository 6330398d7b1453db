#include "harness/drive/drive.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <memory>
#include <utility>

#include "engine/media_rows.h"

namespace assay {
namespace {

constexpr std::int64_t kMaxPosition = std::int64_t{1} << 31;
constexpr std::int64_t kMaxType = 3;  // transformers' processor: 0 text, 1 image, 2 video, 3 audio

bool in_block(std::int64_t type) { return type == 1 || type == 2; }

bool blocks_matter(const Plan& plan) {
  return std::any_of(plan.layers.begin(), plan.layers.end(),
                     [](const LayerPlan& layer) { return layer.blocks != Blocks::causal; });
}

/// The prompt may be cut before token `at` if no row has both sides of the cut inside one block.
bool may_cut(const CaseInputs& inputs, int at) {
  for (int b = 0; b < inputs.batch; ++b) {
    const std::int64_t* row = inputs.types.data() + std::size_t(b) * std::size_t(inputs.tokens);
    if (in_block(row[at - 1]) && in_block(row[at])) return false;
  }
  return true;
}

/// [B, width] integers that grow by a token at a time.
struct Grid {
  int batch = 0, width = 0;
  std::vector<std::int64_t> values;

  std::vector<std::int64_t> columns(int first, int count) const {
    std::vector<std::int64_t> out;
    out.reserve(std::size_t(batch) * std::size_t(count));
    for (int b = 0; b < batch; ++b) {
      const auto row = values.begin() + std::ptrdiff_t(b) * width + first;
      out.insert(out.end(), row, row + count);
    }
    return out;
  }
  std::int64_t last(int b) const { return values[std::size_t(b + 1) * std::size_t(width) - 1]; }
  bool empty() const { return values.empty(); }

  /// One more column: next[b] for each row.
  void append(std::span<const std::int64_t> next) {
    std::vector<std::int64_t> grown;
    grown.reserve(values.size() + std::size_t(batch));
    for (int b = 0; b < batch; ++b) {
      const auto row = values.begin() + std::ptrdiff_t(b) * width;
      grown.insert(grown.end(), row, row + width);
      grown.push_back(next[std::size_t(b)]);
    }
    values = std::move(grown);
    ++width;
  }
};

/// Gathers the prompt's taps piece by piece, and the last row's logits of each batch row when asked to.
class Collector : public TapSink {
 public:
  Collector(const Plan& plan, const DriveOptions& options, int batch, int tokens, int first, int count, Driven& driven,
            std::vector<float>& last)
      : TapSink(deepest(plan)),
        plan_(plan),
        options_(options),
        batch_(batch),
        tokens_(tokens),
        first_(first),
        count_(count),
        driven_(driven),
        last_(last) {
    for (const TapId id : options.watched) want(id);
  }

  /// The prompt's: what is put together over its pieces.
  void collect() {
    for (const TapId id : options_.taps) {
      want(id);
      collected_.push_back(id);
    }
  }
  void want_last_logits() {
    want({Tap::logits, -1});
    last_logits_ = true;
  }

  void take(TapId id, Rows<const float> rows) override {
    const auto among = [&](const std::vector<TapId>& ids) {
      return std::find(ids.begin(), ids.end(), id) != ids.end();
    };
    if (among(options_.watched)) options_.watch(id, rows);
    if (id.tap == Tap::logits && last_logits_) keep_last(rows);
    if (!among(collected_)) return;
    if (row_space(id.tap) != RowSpace::tokens) {  // of the first piece, whole
      const std::span<const float> all = rows.all();
      driven_.taps.emplace_back(id, std::vector<float>(all.begin(), all.end()));
      return;
    }
    std::vector<float>& whole = storage(id);
    const std::size_t cols = std::size_t(rows.cols);
    if (id.tap == Tap::logits && rows.rows == batch_ && count_ > 1) {  // of the last tokens alone
      for (int b = 0; b < batch_; ++b) put(whole, b * tokens_ + first_ + count_ - 1, rows.row(b));
      return;
    }
    for (int b = 0; b < batch_; ++b)
      for (int t = 0; t < count_; ++t) {
        const std::span<const float> row = rows.row(b * count_ + t);
        std::copy(row.begin(), row.end(), whole.begin() + std::ptrdiff_t(std::size_t(b * tokens_ + first_ + t) * cols));
      }
  }

 private:
  static void put(std::vector<float>& whole, int at, std::span<const float> row) {
    std::copy(row.begin(), row.end(), whole.begin() + std::ptrdiff_t(std::size_t(at) * row.size()));
  }

  void keep_last(Rows<const float> rows) {
    const int per_batch = rows.rows / batch_;
    last_.clear();
    for (int b = 0; b < batch_; ++b) {
      const std::span<const float> row = rows.row((b + 1) * per_batch - 1);
      last_.insert(last_.end(), row.begin(), row.end());
    }
  }

  std::vector<float>& storage(TapId id) {
    for (auto& [known, values] : driven_.taps)
      if (known == id) return values;
    const std::size_t size = std::size_t(batch_) * std::size_t(tokens_) * std::size_t(columns(plan_, id));
    return driven_.taps.emplace_back(id, std::vector<float>(size, std::numeric_limits<float>::quiet_NaN())).second;
  }

  const Plan& plan_;
  const DriveOptions& options_;
  int batch_, tokens_, first_, count_;
  Driven& driven_;
  std::vector<float>& last_;
  std::vector<TapId> collected_;
  bool last_logits_ = false;
};

/// The loops over Session::forward: what has been fed, and what comes next.
class Driver {
 public:
  Driver(Session& session, const CaseInputs& inputs, const DriveOptions& options)
      : session_(session), inputs_(inputs), options_(options) {
    const auto grid = [&](const std::vector<std::int64_t>& values) {
      return Grid{inputs.batch, inputs.tokens, values};
    };
    ids_ = grid(inputs.ids);
    mask_ = grid(inputs.mask);
    positions_ = grid(inputs.positions);
    types_ = grid(inputs.types);
  }

  Result<Driven> run() {
    const std::vector<std::pair<int, int>> cuts = pieces(session_.plan(), inputs_, options_.path);
    const bool wants_logits = wanted(Tap::logits);
    for (const auto& [first, count] : cuts) {
      const bool last = first + count == inputs_.tokens;
      Collector taps(session_.plan(), options_, inputs_.batch, inputs_.tokens, first, count, driven_, last_logits_);
      taps.collect();
      if (last && options_.generate > 0) taps.want_last_logits();
      const bool all_rows = wants_logits && !options_.last_logits;
      ASSAY_CHECK(forward(first, count, all_rows ? 0 : 1, taps));
      if (wants_logits && options_.last_logits)
        for (int b = 0; b < inputs_.batch; ++b) driven_.logit_rows.push_back(b * inputs_.tokens + first + count - 1);
    }
    for (int n = 0; n < options_.generate; ++n) {
      ASSAY_CHECK(choose());
      if (n + 1 == options_.generate) break;  // nobody asks what follows the last token
      const int first = options_.path.kind == Path::nocache ? 0 : ids_.width - 1;
      Collector taps(session_.plan(), options_, inputs_.batch, inputs_.tokens, first, ids_.width - first, driven_,
                     last_logits_);
      taps.want_last_logits();
      ASSAY_CHECK(forward(first, ids_.width - first, 1, taps));
    }
    return finish();
  }

 private:
  bool wanted(Tap tap) const {
    return std::any_of(options_.taps.begin(), options_.taps.end(), [&](TapId id) { return id.tap == tap; });
  }

  Result<void> forward(int first, int count, int logit_rows, TapSink& taps) {
    const std::vector<std::int64_t> ids = ids_.columns(first, count);
    Forward call;
    call.ids = {ids.data(), inputs_.batch, count};
    std::vector<std::int64_t> mask;
    if (!mask_.empty()) {
      mask = mask_.columns(0, first + count);
      call.mask = {mask.data(), inputs_.batch, first + count};
    }
    std::vector<NamedTensor> more;
    const std::vector<std::int64_t> shape{inputs_.batch, count};
    if (!positions_.empty()) more.push_back({"position_ids", Tensor::own(shape, positions_.columns(first, count))});
    if (!types_.empty()) more.push_back({"mm_token_type_ids", Tensor::own(shape, types_.columns(first, count))});
    if (first == 0) more.insert(more.end(), inputs_.more.begin(), inputs_.more.end());
    call.more = more;
    call.cache = options_.path.kind == Path::nocache ? Cache::none : first == 0 ? Cache::fresh : Cache::extend;
    call.logit_rows = logit_rows;
    return session_.forward(call, taps);
  }

  /// The greedy token of each row, appended to what has been fed. The lowest index wins ties, as torch.argmax has it.
  Result<void> choose() {
    const std::size_t vocab = last_logits_.size() / std::size_t(inputs_.batch);
    std::vector<std::int64_t> next, positions;
    for (int b = 0; b < inputs_.batch; ++b) {
      const std::span<const float> row(last_logits_.data() + std::size_t(b) * vocab, vocab);
      for (const float value : row)
        if (!std::isfinite(value))
          return fail(
              {Failure::bad_output, "engine", "text.logits", std::string(kFiniteLogits), std::to_string(value)});
      next.push_back(std::max_element(row.begin(), row.end()) - row.begin());
      if (!positions_.empty()) positions.push_back(positions_.last(b) + 1);
    }
    chosen_.push_back(next);
    chosen_from_.push_back(last_logits_);
    ids_.append(next);
    const std::vector<std::int64_t> ones(std::size_t(inputs_.batch), 1), zeros(std::size_t(inputs_.batch), 0);
    if (!mask_.empty()) mask_.append(ones);
    if (!types_.empty()) types_.append(zeros);
    if (!positions_.empty()) positions_.append(positions);
    return {};
  }

  Driven finish() {
    for (int b = 0; b < inputs_.batch; ++b)
      for (const std::vector<std::int64_t>& step : chosen_) driven_.generated.push_back(step[std::size_t(b)]);
    for (int b = 0; b < inputs_.batch; ++b)
      for (const std::vector<float>& step : chosen_from_) {
        const std::size_t vocab = step.size() / std::size_t(inputs_.batch);
        const auto row = step.begin() + std::ptrdiff_t(std::size_t(b) * vocab);
        driven_.generated_logits.insert(driven_.generated_logits.end(), row, row + std::ptrdiff_t(vocab));
      }
    const int layers = int(session_.plan().layers.size());
    std::sort(driven_.taps.begin(), driven_.taps.end(),
              [&](const auto& a, const auto& b) { return a.first.order(layers) < b.first.order(layers); });
    return std::move(driven_);
  }

  Session& session_;
  const CaseInputs& inputs_;
  const DriveOptions& options_;
  Grid ids_, mask_, positions_, types_;
  Driven driven_;
  std::vector<float> last_logits_;                 // [B, V]
  std::vector<std::vector<std::int64_t>> chosen_;  // a token of each row, a step
  std::vector<std::vector<float>> chosen_from_;    // [B, V], a step
};

/// One of the integer inputs, checked against [B, T] and a range.
Result<std::vector<std::int64_t>> integers_of(const NamedTensor& named, std::string_view where,
                                              std::span<const std::int64_t> shape, std::int64_t low,
                                              std::int64_t high) {
  if (!std::equal(shape.begin(), shape.end(), named.tensor.shape.begin(), named.tensor.shape.end()))
    return fail(
        {Failure::bad_input, std::string(where), named.name, shape_text(shape), shape_text(named.tensor.shape)});
  auto values = named.tensor.integers();
  if (!values)
    return fail(
        {Failure::bad_input, std::string(where), named.name, "integers", std::string(name_of(named.tensor.dtype))});
  for (const std::int64_t value : *values)
    if (value < low || value > high)
      return fail({Failure::bad_input, std::string(where), named.name,
                   "values from " + std::to_string(low) + " to " + std::to_string(high), std::to_string(value)});
  return values;
}

}  // namespace

Result<CaseInputs> CaseInputs::from(std::vector<NamedTensor> tensors, std::string_view where) {
  const std::string file(where);
  const Tensor* ids = assay::find(tensors, "input_ids");
  if (ids == nullptr) return fail({Failure::bad_input, file, "input_ids", "a tensor of that name", "none"});
  const std::vector<std::int64_t> shape = ids->shape;
  constexpr std::int64_t kMost = std::numeric_limits<int>::max();
  if (shape.size() != 2 || shape[0] < 1 || shape[1] < 1 || shape[0] > kMost || shape[1] > kMost / shape[0])
    return fail({Failure::bad_input, file, "input_ids", "[B, T] with at least one token", shape_text(shape)});
  CaseInputs inputs;
  inputs.batch = int(shape[0]);
  inputs.tokens = int(shape[1]);
  std::vector<std::string> seen;
  for (NamedTensor& named : tensors) {
    if (std::find(seen.begin(), seen.end(), named.name) != seen.end())
      return fail({Failure::bad_input, file, named.name, "once", "a second time"});
    seen.push_back(named.name);
    if (named.name == "input_ids") {
      ASSAY_TRY(values, integers_of(named, where, shape, 0, kMost));
      inputs.ids = std::move(values);
    } else if (named.name == "attention_mask") {
      ASSAY_TRY(values, integers_of(named, where, shape, 0, 1));
      inputs.mask = std::move(values);
    } else if (named.name == "position_ids") {
      const bool one_row = named.tensor.shape == std::vector<std::int64_t>{1, shape[1]};  // transformers broadcasts it
      const std::vector<std::int64_t> expected{one_row ? 1 : shape[0], shape[1]};
      ASSAY_TRY(values, integers_of(named, where, expected, 0, kMaxPosition));
      inputs.positions = values;
      for (int b = 1; one_row && b < inputs.batch; ++b)
        inputs.positions.insert(inputs.positions.end(), values.begin(), values.end());
    } else if (named.name == "mm_token_type_ids") {
      ASSAY_TRY(values, integers_of(named, where, shape, 0, kMaxType));
      inputs.types = std::move(values);
    } else {
      inputs.more.push_back(std::move(named));
    }
  }
  return inputs;
}

std::string Path::name() const {
  switch (kind) {
    case prefill: return "prefill";
    case nocache: return "nocache";
    case chunked: return chunk > 0 ? "chunked:" + std::to_string(chunk) : "chunked";
    case decode: return "decode";
    case batched: return "batched";
    case draft: return "draft";
    case speculative: return "speculative";
  }
  return "";
}

Result<Path> Path::parse(std::string_view name) {
  for (const Kind kind : {prefill, nocache, chunked, decode, batched, draft, speculative})
    if (Path path{kind, 0}; path.name() == name) return path;
  constexpr std::string_view kChunked = "chunked:";
  if (name.starts_with(kChunked)) {
    Path path{chunked, 0};
    const char* end = name.data() + name.size();
    const auto [stop, error] = std::from_chars(name.data() + kChunked.size(), end, path.chunk);
    if (error == std::errc() && stop == end && path.chunk > 0) return path;
  }
  return fail({Failure::bad_input, "path", "",
               "prefill, nocache, chunked, chunked:N, decode, batched, draft or speculative", std::string(name)});
}

const std::vector<float>* Driven::find(TapId id) const {
  for (const auto& [known, values] : taps)
    if (known == id) return &values;
  return nullptr;
}

std::vector<std::pair<int, int>> pieces(const Plan& plan, const CaseInputs& inputs, Path path) {
  int step = inputs.tokens;
  if (path.kind == Path::decode) step = 1;
  if (path.kind == Path::chunked && path.chunk > 0) step = path.chunk;
  const bool whole_blocks = !inputs.types.empty() && blocks_matter(plan);
  std::vector<std::pair<int, int>> out;
  for (int first = 0; first < inputs.tokens;) {
    int end = step < inputs.tokens - first ? first + step : inputs.tokens;
    while (whole_blocks && end < inputs.tokens && !may_cut(inputs, end)) ++end;
    out.emplace_back(first, end - first);
    first = end;
  }
  return out;
}

Result<Driven> drive(Session& session, const CaseInputs& inputs, const DriveOptions& options) {
  if (options.path.kind == Path::draft || options.path.kind == Path::speculative)
    return fail({Failure::bad_input, "path", options.path.name(), "a path of one model by itself", "a drafter's"});
  const auto bad = [](std::string field, std::string expected, std::string found) {
    return fail({Failure::bad_input, "drive", std::move(field), std::move(expected), std::move(found)});
  };
  if (options.path.kind == Path::chunked && options.path.chunk < 1)
    return bad("chunk", "at least 1", std::to_string(options.path.chunk));
  for (const std::vector<TapId>* ids : {&options.taps, &options.watched})
    for (const TapId id : *ids)
      if (!exists(session.plan(), id)) return bad("taps", "a tap of this model", id.name());
  ASSAY_TRY(media, media_rows(session.plan(), inputs.more));
  if (media.any()) ASSAY_CHECK(check_placeholders(session.plan(), media, inputs.ids, true));
  if (options.generate > 0 && !inputs.mask.empty())
    for (int b = 0; b < inputs.batch; ++b)  // the token after the last column continues what stands there
      if (inputs.mask[std::size_t(b + 1) * std::size_t(inputs.tokens) - 1] == 0)
        return bad("attention_mask", "padding on the left when generating",
                   "padding at the end of row " + std::to_string(b));
  return Driver(session, inputs, options).run();
}

}  // namespace assay
