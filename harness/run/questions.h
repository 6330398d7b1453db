// Questions whose answers are known, to see whether a whole chain works: a checkpoint's own questions.json, else a few
// that any Gemma 4 answers. Not here: asking (runner.h), printing.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "harness/run/conversation.h"
#include "model/plan.h"

namespace assay {

struct Question {
  std::string name;
  Conversation conversation;
  std::string answer;  ///< what the reply must contain
};

/// A list of {name, messages, images, audio, videos, answer}; files are relative to `folder`, in the order of the
/// messages' parts. Errors: bad_input (not JSON, a key of a wrong type, no question, files and parts that differ).
Result<std::vector<Question>> parse_questions(std::string_view json, const std::string& where,
                                              const std::filesystem::path& folder);

/// The checkpoint's questions.json; where it has none the built-in ones, whose picture is drawn into `scratch` if the
/// model sees. Errors: io; those of parse_questions.
Result<std::vector<Question>> questions_for(const std::filesystem::path& checkpoint, bool sees,
                                            const std::filesystem::path& scratch);

/// Whether a reply holds the answer: letters in either case, as words (`red` is not in `hundred`).
bool answers(std::string_view reply, std::string_view answer);

}  // namespace assay
