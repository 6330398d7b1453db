// What a front-end golden's case asks for. Not here: doing it (stages.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "model/processor/processor.h"

namespace assay {

struct Request {
  std::string checkpoint;  ///< a folder of the golden
  std::string tokenizer;   ///< another tokenizer file in it; empty = its own
  /// One of these: a text, a batch of texts, a conversation, ids to decode.
  std::optional<std::string> text;
  std::vector<std::string> texts;
  std::string messages, tools;  ///< JSON lists
  std::vector<std::int64_t> ids;
  std::vector<MediaFiles> media;  ///< one a text; names below files/
  /// What a model would answer with, step by step: the logits of some ids; those of all others are -1.
  std::vector<std::vector<std::pair<std::int64_t, float>>> logits;

  bool batched = false, strict = false, skip_special = false;
  std::optional<bool> add_special;
  bool add_generation_prompt = true, enable_thinking = false, preserve_thinking = false;
  int image_tokens = 0;
  std::optional<int> num_frames;
  std::optional<double> fps;
};

/// @param files  the folder that `text_file` and the media lie in
/// Errors: bad_input (not JSON, a key of the wrong type, a name that leaves the folder); io (a text_file).
Result<Request> parse_request(std::string_view json, const std::filesystem::path& files, const std::string& where);

}  // namespace assay
