// Gemma 4's conversation format, natively: the templates that the models are published with, and our own of the same
// text. Private to the room. Not here: finding the template of a checkpoint (chat_template.h), other templates
// (jinja_child.h).
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/chat/chat_template.h"
#include "value.h"

namespace assay {

/// What the known templates do differently.
struct Gemma4Dialect {
  std::string_view name;
  bool closes_channel;  ///< with thinking off, the model's turn opens with an empty, closed thought channel
  bool known_roles;     ///< refuses other roles than system, developer, user, assistant, model, tool
};

/// The dialect of a template file, by the SHA-256 of its bytes.
std::optional<Gemma4Dialect> gemma4_dialect(std::string_view sha256);

/// What the template renders. Empty: right only with tables of Unicode that are not here (value.h).
/// Errors: bad_input, where the template raises one, and where a message has not the shape that it takes.
Result<std::optional<std::string>> render_gemma4(const Gemma4Dialect& dialect, std::string_view bos,
                                                 const Value& messages, const Value& tools, const ChatOptions& options);

}  // namespace assay
