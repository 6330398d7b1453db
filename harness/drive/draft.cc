#include "harness/drive/draft.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "harness/drive/greedy.h"

namespace assay {
namespace {

/// One step's taps, put where they belong among all steps'.
class StepTaps : public TapSink {
 public:
  StepTaps(const Plan& plan, std::span<const TapId> wanted, int batch, int steps, Drafted& drafted)
      : TapSink(int(plan.layers.size())), asked_(wanted), batch_(batch), steps_(steps), drafted_(drafted) {
    for (const TapId id : wanted) want(id);
    want({Tap::assistant_state, -1});
    want({Tap::assistant_logits, -1});
  }

  int step = 0;
  std::vector<float> state, logits;  ///< of the last step, [B, columns]

  void take(TapId id, Rows<const float> rows) override {
    const std::span<const float> values = rows.all();
    if (id.tap == Tap::assistant_state) state.assign(values.begin(), values.end());
    if (id.tap == Tap::assistant_logits) {
      logits.assign(values.begin(), values.end());
      put(drafted_.logits, rows);
    }
    if (std::find(asked_.begin(), asked_.end(), id) != asked_.end()) put(storage(id), rows);
  }

 private:
  void put(std::vector<float>& whole, Rows<const float> rows) const {
    const std::size_t cols = std::size_t(rows.cols);
    whole.resize(std::size_t(batch_) * std::size_t(steps_) * cols, std::numeric_limits<float>::quiet_NaN());
    for (int b = 0; b < batch_; ++b)
      std::copy_n(rows.row(b).begin(), cols,
                  whole.begin() + std::ptrdiff_t((std::size_t(b) * std::size_t(steps_) + std::size_t(step)) * cols));
  }
  std::vector<float>& storage(TapId id) {
    for (auto& [known, values] : drafted_.taps)
      if (known == id) return values;
    return drafted_.taps.emplace_back(id, std::vector<float>()).second;
  }

  std::span<const TapId> asked_;
  int batch_, steps_;
  Drafted& drafted_;
};

}  // namespace

Result<Drafted> draft(Session& drafter, Session& target, const DraftStart& start, int steps,
                      std::span<const TapId> taps, std::span<const std::int64_t> given) {
  const int batch = start.batch();
  Drafted drafted;
  drafted.ids.assign(std::size_t(batch) * std::size_t(steps), 0);
  StepTaps sink(drafter.plan(), taps, batch, steps, drafted);
  std::vector<std::int64_t> last = start.newest;
  std::vector<float> hidden = start.hidden;
  const auto backbone = std::int64_t(hidden.size()) / batch;
  for (int step = 0; step < steps; ++step) {
    const std::vector<NamedTensor> more = {
        {"position_ids", Tensor::own({batch, 1}, start.positions)},
        {"last_hidden_state", Tensor::own({batch, 1, backbone}, std::move(hidden))},
    };
    Forward call{.ids = {last.data(), batch, 1}, .mask = {}, .more = more, .target = &target};
    if (!start.mask.empty()) call.mask = {start.mask.data(), batch, int(start.mask.size()) / batch};
    sink.step = step;
    ASSAY_CHECK(drafter.forward(call, sink));
    ASSAY_TRY(next, greedy(sink.logits, batch, "assistant.logits"));
    for (int b = 0; b < batch; ++b) drafted.ids[std::size_t(b * steps + step)] = next[std::size_t(b)];
    last = std::move(next);
    for (int b = 0; b < batch && !given.empty(); ++b) last[std::size_t(b)] = given[std::size_t(b * steps + step)];
    hidden = sink.state;
  }
  return drafted;
}

Result<DraftStart> draft_start(Session& target, const CaseInputs& inputs, std::vector<float>* logits) {
  LastRows sink(target.plan(), inputs.batch);
  const std::vector<std::int64_t> shape{inputs.batch, inputs.tokens};
  std::vector<NamedTensor> more = inputs.more;
  if (!inputs.positions.empty()) more.push_back({"position_ids", Tensor::own(shape, inputs.positions)});
  if (!inputs.types.empty()) more.push_back({"mm_token_type_ids", Tensor::own(shape, inputs.types)});
  Forward call{.ids = {inputs.ids.data(), inputs.batch, inputs.tokens}, .mask = {}, .more = more, .logit_rows = 1};
  if (!inputs.mask.empty()) call.mask = {inputs.mask.data(), inputs.batch, inputs.tokens};
  ASSAY_CHECK(target.forward(call, sink));
  DraftStart start;
  ASSAY_TRY(newest, greedy(sink.logits, inputs.batch, "text.logits"));
  start.newest = std::move(newest);
  start.mask = inputs.mask;
  for (int b = 0; b < inputs.batch; ++b) {
    const auto last = std::size_t(b + 1) * std::size_t(inputs.tokens) - 1;
    start.positions.push_back(inputs.positions.empty() ? inputs.tokens : inputs.positions[last] + 1);
  }
  start.hidden = std::move(sink.hidden);
  if (logits != nullptr) *logits = std::move(sink.logits);
  return start;
}

Result<Driven> drive_draft(Session& target, Session& drafter, const CaseInputs& inputs, const DriveOptions& options) {
  for (const TapId id : options.taps)
    if (!exists(drafter.plan(), id))
      return fail({Failure::bad_input, "taps", id.name(), "a tap of this drafter", "none of that name"});
  ASSAY_TRY(start, draft_start(target, inputs));
  std::span<const std::int64_t> given;
  if (options.round != nullptr) {
    const std::size_t batch = start.newest.size();
    if (options.round->newest.size() != batch || options.round->drafted.size() != batch * std::size_t(options.generate))
      return fail({Failure::bad_input, "round", "tokens", "one a row, and one a row and step", "another number"});
    start.newest = options.round->newest;
    given = options.round->drafted;
  }
  ASSAY_TRY(drafted, draft(drafter, target, start, options.generate, options.taps, given));
  Driven driven;
  driven.taps = std::move(drafted.taps);
  driven.generated = std::move(drafted.ids);
  driven.generated_logits = std::move(drafted.logits);
  const int layers = int(drafter.plan().layers.size());
  std::sort(driven.taps.begin(), driven.taps.end(),
            [&](const auto& a, const auto& b) { return a.first.order(layers) < b.first.order(layers); });
  return driven;
}

}  // namespace assay
