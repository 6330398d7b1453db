// A model that can be asked: its checkpoint, tokenizer, processor, chat template, generation settings and an engine's
// session on it. Not here: options and printing (harness/cli/verb_run.cc), where models come from (harness/hub).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"
#include "harness/drive/drive.h"
#include "harness/run/conversation.h"
#include "harness/run/generate.h"
#include "model/chat/chat_template.h"
#include "model/generation_config.h"
#include "model/processor/processor.h"
#include "model/tokenizer/tokenizer.h"

namespace assay {

struct RunnerOptions {
  std::filesystem::path tokenizer = {};  ///< a file or folder instead of the checkpoint's; empty: the checkpoint's
  std::filesystem::path draft = {};      ///< a drafter's checkpoint; empty: none
};

struct AskOptions {
  int image_tokens = 0;  ///< of each image; 0: the checkpoint's
  bool think = false;    ///< the template's enable_thinking
  bool strict = false;   ///< text that is no UTF-8 is an error
};

class Runner {
 public:
  /// Errors: io, bad_input, unsupported; those of opening each part. A missing chat template is one only when it is
  /// needed.
  static Result<std::unique_ptr<Runner>> open(const std::filesystem::path& model, const Engine& engine,
                                              const RunnerOptions& options);

  /// Conversations as the model's template renders them, padded on the left to one length.
  /// Errors: those of the template and the processor; unsupported (more than one, and an engine without batches).
  Result<CaseInputs> render(std::span<const Conversation> conversations, const AskOptions& options) const;
  /// Texts as they are, each with the same media.
  Result<CaseInputs> raw(std::span<const std::string> texts, const MediaFiles& media, const AskOptions& options) const;

  /// Cache and generation settings are filled in where they are the model's own to know.
  Result<Generated> generate(CaseInputs inputs, GenerateOptions options, const OnToken& on_token);

  /// The final norm of each token: `text.norm` [B, T, hidden], rows of padding zero, with input_ids and attention_mask
  /// [B, T].
  Result<std::vector<NamedTensor>> embed(CaseInputs inputs);

  const Tokenizer& tokenizer() const { return processor_.tokenizer(); }
  const GenerationConfig& generation() const { return generation_; }
  const Plan& plan() const { return checkpoint_.plan; }
  bool sees() const { return checkpoint_.plan.vision.has_value() && processor_.config().image.has_value(); }

 private:
  Runner(std::filesystem::path folder, const Engine& engine, Checkpoint checkpoint, Processor processor,
         GenerationConfig generation)
      : folder_(std::move(folder)),
        engine_(engine),
        checkpoint_(std::move(checkpoint)),
        processor_(std::move(processor)),
        generation_(std::move(generation)) {}

  Result<CaseInputs> inputs_of(std::span<const std::string> texts, std::span<const MediaFiles> media,
                               const ProcessOptions& options) const;

  std::filesystem::path folder_;
  const Engine& engine_;
  Checkpoint checkpoint_;
  std::optional<Checkpoint> draft_checkpoint_;
  Processor processor_;
  GenerationConfig generation_;
  int draft_tokens_ = 0;  ///< a round, as the drafter wants it; 0: it does not say
  std::unique_ptr<Session> session_, drafter_;
};

}  // namespace assay
