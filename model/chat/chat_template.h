// A checkpoint's chat template: a conversation to the text that the model was trained on. Not here: the ids of that
// text (model/tokenizer), media placeholders filled (model/processor).
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace assay {

struct ChatOptions {
  bool add_generation_prompt = true;
  bool enable_thinking = false;
  bool preserve_thinking = false;  ///< keep what was thought in earlier turns, where they called tools
};

/// Renders what transformers' apply_chat_template renders, byte for byte. Templates known by their hash (Gemma 4's
/// published ones and our own) are built in; any other runs under python3-jinja2 in a sandboxed child process.
class ChatTemplate {
 public:
  /// From chat_template.jinja, else chat_template.json's, processor_config.json's or tokenizer_config.json's
  /// chat_template (of several, the one named default); the special tokens from tokenizer_config.json. Of a GGUF file,
  /// from its metadata. Errors: io; bad_input (no template, not text, not JSON).
  static Result<ChatTemplate> open(const std::filesystem::path& checkpoint);

  /// A template's text. `where` names it in errors.
  static Result<ChatTemplate> of(std::string_view text, const std::string& where,
                                 std::map<std::string, std::string> special_tokens);

  /// @param messages_json  a list of {role, content, tool_calls, ...}: as apply_chat_template takes them
  /// @param tools_json     a list of JSON schemas; empty or null: none
  /// Errors: bad_input (the conversation; what the template raises); unsupported (no python3 or no jinja2 for a
  /// template that needs them; a limit of the child).
  Result<std::string> render(std::string_view messages_json, std::string_view tools_json,
                             const ChatOptions& options) const;

  /// Whether the template is one of those that need no Python.
  bool built_in() const;

 private:
  struct Parts;
  explicit ChatTemplate(std::shared_ptr<const Parts> parts);
  std::shared_ptr<const Parts> parts_;
};

}  // namespace assay
