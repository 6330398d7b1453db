// What a user asks, as a conversation that a chat template takes and the media files that it speaks of. Not here:
// rendering it (model/chat), reading the files (model/processor).
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/processor/processor.h"

namespace assay {

struct Conversation {
  std::string messages;  ///< a JSON list of {role, content}: as apply_chat_template takes them
  std::string tools;     ///< a JSON list; empty: none
  MediaFiles media;      ///< in the order in which the messages speak of them
};

/// Errors: bad_input (not UTF-8), with the offset of the first bad byte.
Result<void> check_text(std::string_view text, const std::string& where);

/// One user turn after an optional system turn: the media first (images, audio, videos), then the text.
/// Bad UTF-8 becomes U+FFFD.
Conversation conversation_of(std::string_view prompt, std::string_view system, const MediaFiles& media);

/// A list of messages, or {"messages": [...], "tools": [...]}. Parts of type image, audio or video may name their file
/// (`path`, `url`, or by their type; relative to `folder`); those that do not take the files of `given`, in order.
/// A `system` is put before the messages. `where` names the text in errors.
/// Errors: bad_input (not JSON, no messages, a part of another type, a file of the net, files and parts that differ in
/// number).
Result<Conversation> parse_conversation(std::string_view json, const std::string& where,
                                        const std::filesystem::path& folder, std::string_view system,
                                        const MediaFiles& given);
/// The same of a file.
Result<Conversation> read_conversation(const std::filesystem::path& file, std::string_view system,
                                       const MediaFiles& given);

}  // namespace assay
