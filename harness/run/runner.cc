#include "harness/run/runner.h"

#include <algorithm>
#include <utility>

#include "model/assistant.h"
#include "model/checkpoint.h"

namespace assay {
namespace {

constexpr TapId kNorm{Tap::norm, -1};

Result<Processor> open_processor(const std::filesystem::path& model, const std::filesystem::path& tokenizer) {
  if (tokenizer.empty()) return Processor::open(model);
  ASSAY_TRY(opened, Tokenizer::open(tokenizer));
  return Processor::open(model, std::move(opened));
}

}  // namespace

Result<std::unique_ptr<Runner>> Runner::open(const std::filesystem::path& model, const Engine& engine,
                                             const RunnerOptions& options) {
  ASSAY_TRY(checkpoint, Checkpoint::open(model));
  if (checkpoint.plan.assistant)
    return fail({Failure::bad_input, model.string(), "model_type", "a model; a drafter goes with --draft",
                 checkpoint.config.model_type});
  ASSAY_TRY(processor, open_processor(model, options.tokenizer));
  ASSAY_TRY(generation, read_generation_config(model));
  std::unique_ptr<Runner> runner(
      new Runner(model, engine, std::move(checkpoint), std::move(processor), std::move(generation)));
  ASSAY_TRY(session, engine.open(runner->checkpoint_));
  runner->session_ = std::move(session);
  if (!options.draft.empty()) {
    ASSAY_TRY(draft, Checkpoint::open(options.draft));
    runner->draft_checkpoint_ = std::move(draft);
    if (!runner->draft_checkpoint_->plan.assistant)
      return fail({Failure::bad_input, options.draft.string(), "model_type", "a drafter: gemma4_assistant",
                   runner->draft_checkpoint_->config.model_type});
    ASSAY_CHECK(with_target(runner->draft_checkpoint_->plan, runner->checkpoint_.plan));
    ASSAY_TRY(drafter, engine.open(*runner->draft_checkpoint_));
    runner->drafter_ = std::move(drafter);
    ASSAY_TRY(drafting, read_generation_config(options.draft));
    runner->draft_tokens_ = drafting.assistant_tokens.value_or(0);
  }
  return runner;
}

Result<CaseInputs> Runner::inputs_of(std::span<const std::string> texts, std::span<const MediaFiles> media,
                                     const ProcessOptions& options) const {
  if (texts.size() > 1 && !engine_.can.batch)
    return fail({Failure::unsupported, "engine " + engine_.can.name, "--prompt", "one, as it has no batches",
                 std::to_string(texts.size())});
  ASSAY_TRY(batch, processor_.batch(texts, media, options));
  CaseInputs inputs;
  inputs.batch = batch.rows;
  inputs.tokens = batch.tokens;
  if (inputs.tokens == 0) return fail({Failure::bad_input, "prompt", "", "at least one token", "none"});
  inputs.ids = std::move(batch.ids);
  // What says nothing is not passed: no padding, no media.
  const auto any = [](const std::vector<std::int64_t>& values, std::int64_t other) {
    return std::any_of(values.begin(), values.end(), [&](std::int64_t value) { return value != other; });
  };
  if (any(batch.mask, 1)) inputs.mask = std::move(batch.mask);
  if (any(batch.types, 0)) inputs.types = std::move(batch.types);
  inputs.more = std::move(batch.media);
  if (!inputs.mask.empty()) inputs.positions = positions_of(inputs);
  return inputs;
}

Result<CaseInputs> Runner::render(std::span<const Conversation> conversations, const AskOptions& options) const {
  const auto chat = ChatTemplate::open(folder_);
  if (!chat) {
    Failure failure = chat.error();
    failure.expected += failure.expected.empty() ? "" : "; --raw takes a prompt as it is";
    return fail(std::move(failure));
  }
  std::vector<std::string> texts;
  std::vector<MediaFiles> media;
  for (const Conversation& conversation : conversations) {
    ASSAY_TRY(text, chat->render(conversation.messages, conversation.tools, {.enable_thinking = options.think}));
    texts.push_back(std::move(text));
    media.push_back(conversation.media);
  }
  return inputs_of(texts, media,
                   {.image_tokens = options.image_tokens, .strict = options.strict, .add_special = false});
}

Result<CaseInputs> Runner::raw(std::span<const std::string> texts, const MediaFiles& media,
                               const AskOptions& options) const {
  return inputs_of(texts, std::vector<MediaFiles>(texts.size(), media),
                   {.image_tokens = options.image_tokens, .strict = options.strict, .add_special = true});
}

Result<Generated> Runner::generate(CaseInputs inputs, GenerateOptions options, const OnToken& on_token) {
  options.cache = engine_.can.cache;
  options.drafter = drafter_.get();
  if (options.draft_tokens == 0) options.draft_tokens = draft_tokens_;
  if (!options.config.pad_id) options.config.pad_id = tokenizer().pad();
  return assay::generate(*session_, std::move(inputs), options, on_token);
}

Result<std::vector<NamedTensor>> Runner::embed(CaseInputs inputs) {
  const Path path{.kind = engine_.can.cache ? Path::prefill : Path::nocache};
  ASSAY_TRY(driven, drive(*session_, inputs, {.path = path, .generate = 0, .taps = {kNorm}}));
  const std::vector<float>* found = driven.find(kNorm);
  if (found == nullptr)
    return fail({Failure::unsupported, "engine " + engine_.can.name, "text.norm", "a tap that it offers", "none"});
  std::vector<float> rows = *found;
  const auto hidden = std::size_t(plan().hidden);
  std::vector<std::int64_t> mask = inputs.mask;
  if (mask.empty()) mask.assign(inputs.ids.size(), 1);
  for (std::size_t i = 0; i < mask.size(); ++i)
    if (mask[i] == 0) std::fill_n(rows.begin() + std::ptrdiff_t(i * hidden), hidden, 0.0F);
  const std::vector<std::int64_t> shape{inputs.batch, inputs.tokens};
  std::vector<NamedTensor> out;
  out.push_back({"text.norm", Tensor::own({inputs.batch, inputs.tokens, plan().hidden}, std::move(rows))});
  out.push_back({"input_ids", Tensor::own(shape, std::move(inputs.ids))});
  out.push_back({"attention_mask", Tensor::own(shape, std::move(mask))});
  return out;
}

}  // namespace assay
