#include "harness/dump/dump_draft.h"

#include <algorithm>
#include <array>
#include <climits>
#include <memory>
#include <utility>

#include "engine/media_rows.h"
#include "harness/drive/draft.h"
#include "harness/drive/speculative.h"
#include "model/assistant.h"
#include "model/checkpoint.h"

namespace assay {
namespace {

constexpr std::string_view kTaps = "assistant.";

/// Keeps whatever is offered.
class Keep : public TapSink {
 public:
  Keep(int layers, std::span<const TapId> wanted) : TapSink(layers) {
    for (const TapId id : wanted) want(id);
  }
  std::vector<std::pair<TapId, std::vector<float>>> taps;

  void take(TapId id, Rows<const float> rows) override {
    taps.emplace_back(id, std::vector<float>(rows.data, rows.data + rows.size()));
  }
};

/// The patterns of a drafter's taps, or of its target's; a drafter shows all of its own where no pattern is its.
std::vector<std::string> patterns_of(const DumpOptions& options, bool drafter) {
  std::vector<std::string> mine;
  for (const std::string& pattern : options.taps)
    if (pattern.starts_with(kTaps) == drafter) mine.push_back(pattern);
  if (drafter && mine.empty()) mine.push_back(std::string(kTaps) + "*");
  return mine;
}

class Output {
 public:
  void taps(const Plan& plan, const MediaRows& media, std::vector<std::pair<TapId, std::vector<float>>> taps,
            std::int64_t rows) {
    for (auto& [id, values] : taps) {
      std::vector<std::int64_t> shape = tap_shape(plan, media, id, dumped.batch, rows);
      add("taps/" + id.name(), Tensor::own(std::move(shape), std::move(values)));
    }
  }
  void add(std::string name, Tensor tensor) {
    dumped.datasets.push_back({name, tensor.shape});
    tensors.push_back({std::move(name), std::move(tensor)});
  }

  Dumped dumped;
  std::vector<NamedTensor> tensors;
};

/// transformers' own arguments of a drafter, checked as far as a call needs them to be.
Result<Dumped> dump_raw(const Engine& engine, const DumpOptions& options, const Checkpoint& checkpoint,
                        const std::vector<NamedTensor>& given) {
  const Tensor& embeds = *find(given, "inputs_embeds");
  const auto bad = [&](std::string field, std::string expected, std::string found) {
    return fail({Failure::bad_input, options.inputs, std::move(field), std::move(expected), std::move(found)});
  };
  constexpr std::int64_t kMost = 1 << 24;
  if (embeds.shape.size() != 3 || embeds.shape[0] < 1 || embeds.shape[1] < 1 || embeds.shape[0] > kMost ||
      embeds.shape[1] > kMost / embeds.shape[0])
    return bad("inputs_embeds", "[B, T, 2 * backbone_hidden_size]", shape_text(embeds.shape));
  Output out;
  out.dumped.batch = int(embeds.shape[0]);
  out.dumped.tokens = int(embeds.shape[1]);
  if (out.dumped.batch > 1 && !engine.can.batch)
    return fail({Failure::unsupported, "engine " + engine.can.name, "inputs_embeds", "one row",
                 std::to_string(out.dumped.batch)});
  const std::vector<std::int64_t> ids(std::size_t(out.dumped.batch) * std::size_t(out.dumped.tokens), 0);
  Forward call{.ids = {ids.data(), out.dumped.batch, out.dumped.tokens}, .mask = {}};
  std::vector<std::int64_t> mask;
  std::vector<NamedTensor> more;
  for (const NamedTensor& tensor : given) {
    if (tensor.name == "input_ids") continue;  // transformers ignores it
    if (tensor.name != "attention_mask") {
      more.push_back(tensor);
      continue;
    }
    const std::vector<std::int64_t>& shape = tensor.tensor.shape;
    if (shape.size() != 2 || shape[0] != out.dumped.batch || shape[1] < 1 || shape[1] > kMost)
      return bad("attention_mask", "[B, keys]", shape_text(shape));
    ASSAY_TRY(values, tensor.tensor.integers());
    mask = std::move(values);
    call.mask = {mask.data(), int(shape[0]), int(shape[1])};
  }
  call.more = more;
  ASSAY_TRY(taps, wanted_taps(engine, checkpoint.plan, patterns_of(options, true)));
  ASSAY_TRY(session, engine.open(checkpoint));
  Keep sink(int(checkpoint.plan.layers.size()), taps);
  ASSAY_CHECK(session->forward(call, sink));
  out.taps(checkpoint.plan, {}, std::move(sink.taps), out.dumped.tokens);
  ASSAY_CHECK(write_tensors(options.out, out.tensors));
  return std::move(out.dumped);
}

Result<void> add_target_taps(const Engine& engine, const DumpOptions& options, Session& target,
                             const CaseInputs& inputs, Output& out) {
  const std::vector<std::string> patterns = patterns_of(options, false);
  if (patterns.empty()) return {};
  ASSAY_TRY(taps, wanted_taps(engine, target.plan(), patterns));
  ASSAY_TRY(driven, drive(target, inputs, {.path = options.path, .generate = 0, .taps = taps}));
  ASSAY_TRY(media, media_rows(target.plan(), inputs.more));
  out.taps(target.plan(), media, std::move(driven.taps), inputs.tokens);
  return {};
}

}  // namespace

Result<Dumped> dump_draft(const Engine& engine, const DumpOptions& options) {
  if (options.draft_steps < 1)
    return fail({Failure::bad_input, "--draft-steps", "", "a number from 1", std::to_string(options.draft_steps)});
  ASSAY_TRY(given, read_tensors(options.inputs));
  ASSAY_TRY(checkpoint, Checkpoint::open(options.draft));
  if (!checkpoint.plan.assistant)
    return fail({Failure::bad_input, options.draft.string(), "model_type",
                 "gemma4_assistant or gemma4_unified_assistant", checkpoint.config.model_type});
  if (find(given, "inputs_embeds") != nullptr) {
    const std::array<std::string, 2> nested = {"shared_kv_states/full_attention", "shared_kv_states/sliding_attention"};
    ASSAY_TRY(all, read_tensors(options.inputs, nested));
    return dump_raw(engine, options, checkpoint, all);
  }
  if (options.model.empty())
    return fail({Failure::bad_input, "--model", "", "the drafter's target, or inputs_embeds among the inputs", "none"});
  ASSAY_TRY(inputs, CaseInputs::from(std::move(given), options.inputs));
  if (inputs.batch > 1 && !engine.can.batch)
    return fail(
        {Failure::unsupported, "engine " + engine.can.name, "input_ids", "one row", std::to_string(inputs.batch)});
  ASSAY_TRY(target_checkpoint, Checkpoint::open(options.model));
  ASSAY_CHECK(with_target(checkpoint.plan, target_checkpoint.plan));
  ASSAY_TRY(taps, wanted_taps(engine, checkpoint.plan, patterns_of(options, true)));
  ASSAY_TRY(target, engine.open(target_checkpoint));
  ASSAY_TRY(drafter, engine.open(checkpoint));

  Output out;
  out.dumped.batch = inputs.batch;
  out.dumped.tokens = inputs.tokens;
  ASSAY_CHECK(add_target_taps(engine, options, *target, inputs, out));
  ASSAY_TRY(start, draft_start(*target, inputs));
  ASSAY_TRY(drafted, draft(*drafter, *target, start, options.draft_steps, taps));
  const int layers = int(checkpoint.plan.layers.size());
  std::sort(drafted.taps.begin(), drafted.taps.end(),
            [&](const auto& a, const auto& b) { return a.first.order(layers) < b.first.order(layers); });
  out.taps(checkpoint.plan, {}, std::move(drafted.taps), options.draft_steps);
  out.add("outputs/next_ids", Tensor::own({inputs.batch}, start.newest));
  out.add("outputs/drafted_ids", Tensor::own({inputs.batch, options.draft_steps}, std::move(drafted.ids)));
  if (options.generate > 0) {
    ASSAY_TRY(spoken, speculate(*target, *drafter, inputs, {.generate = options.generate}));
    std::vector<std::int64_t> ids;
    for (const auto& row : spoken.generated) ids.insert(ids.end(), row.begin(), row.end());
    out.add("outputs/generated_ids", Tensor::own({inputs.batch, options.generate}, std::move(ids)));
    const Acceptance& accepted = spoken.acceptance;
    out.dumped.note = std::to_string(accepted.accepted) + " of " + std::to_string(accepted.drafted) +
                      " drafted tokens accepted in " + std::to_string(accepted.rounds) + " rounds";
  }
  ASSAY_CHECK(write_tensors(options.out, out.tensors));
  return std::move(out.dumped);
}

}  // namespace assay
