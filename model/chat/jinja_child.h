// A template that is not built in, rendered by python3 and jinja2 in a child process that has little memory, little
// time, no files and no network. Private to the room. Not here: which template (chat_template.h).
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "model/chat/chat_template.h"

namespace assay {

struct JinjaLimits {
  std::chrono::milliseconds deadline = std::chrono::seconds(20);  ///< on the clock
  int cpu_seconds = 5;
  std::int64_t memory = std::int64_t{512} << 20;  ///< address space, the interpreter's own included
  std::size_t answer = std::size_t{16} << 20;     ///< bytes of the text
};

struct JinjaRequest {
  std::string_view text;                       ///< the template
  std::string where;                           ///< names it in errors
  std::string_view messages_json, tools_json;  ///< valid JSON
  const std::map<std::string, std::string>& tokens;
  ChatOptions options;
};

/// Errors: bad_input (what the template raises, a limit); unsupported (no python3, no jinja2); io.
Result<std::string> render_with_jinja(const JinjaRequest& request, const JinjaLimits& limits = {});

}  // namespace assay
