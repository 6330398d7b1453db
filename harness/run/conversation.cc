#include "harness/run/conversation.h"

#include <array>
#include <optional>
#include <stdexcept>

#include <nlohmann/json.hpp>

#include "base/files.h"
#include "model/tokenizer/utf8.h"

namespace assay {
namespace fs = std::filesystem;
namespace {

using Json = nlohmann::ordered_json;  // a template may show arguments in their order

constexpr std::size_t kLargestFile = std::size_t{64} << 20;
constexpr int kDeepest = 64;

/// Throws on what is no JSON, or too deep.
Json parsed(std::string_view text) {
  return Json::parse(text, [](int depth, Json::parse_event_t, Json&) {
    if (depth > kDeepest) throw std::runtime_error("more than " + std::to_string(kDeepest) + " levels");
    return true;
  });
}

/// One kind of media: where its files go, and which of the given ones is next.
struct Kind {
  const char* type;
  std::vector<fs::path> MediaFiles::*files;
  std::size_t used = 0;
};

class Parts {
 public:
  Parts(const std::string& where, const fs::path& folder, const MediaFiles& given)
      : where_(where), folder_(folder), given_(given) {}

  Result<void> take(const Json& part) {
    const std::string type = part.is_object() ? part.value("type", std::string()) : std::string();
    for (Kind& kind : kinds_) {
      if (type != kind.type) continue;
      ASSAY_TRY(named, named_file(part, kind.type));
      if (named) {
        (found_.*kind.files).push_back(*named);
      } else if (kind.used < (given_.*kind.files).size()) {
        (found_.*kind.files).push_back((given_.*kind.files)[kind.used++]);
      } else {
        return fail({Failure::bad_input, where_, type, "a path in the part, or --" + type + " FILE for it", "neither"});
      }
    }
    return {};
  }

  Result<MediaFiles> finish() const {
    for (const Kind& kind : kinds_)
      if (kind.used < (given_.*kind.files).size())
        return fail({Failure::bad_input, where_, kind.type, "a part for each --" + std::string(kind.type) + " FILE",
                     std::to_string(kind.used) + " of " + std::to_string((given_.*kind.files).size())});
    return found_;
  }

 private:
  Result<std::optional<fs::path>> named_file(const Json& part, const char* type) const {
    for (const char* key : {"path", "url", type}) {
      const auto value = part.find(key);
      if (value == part.end() || value->is_null()) continue;
      if (!value->is_string())
        return fail({Failure::bad_input, where_, key, "the path of a file", std::string(value->type_name())});
      std::string path = value->get<std::string>();
      if (path.starts_with("file://")) path = path.substr(7);
      if (path.find("://") != path.npos || path.starts_with("data:"))
        return fail({Failure::unsupported, where_, key, "the path of a file on this machine", path.substr(0, 80)});
      return folder_ / path;
    }
    return std::nullopt;
  }

  const std::string& where_;
  const fs::path& folder_;
  const MediaFiles& given_;
  MediaFiles found_;
  std::array<Kind, 3> kinds_ = {
      {{"image", &MediaFiles::images}, {"audio", &MediaFiles::audio}, {"video", &MediaFiles::videos}}};
};

Json system_turn(std::string_view system) { return {{"role", "system"}, {"content", utf8_replaced(system)}}; }

Result<Conversation> taken_apart(Json root, const std::string& where, const fs::path& folder, std::string_view system,
                                 const MediaFiles& given) {
  Conversation out;
  Json messages = root.is_object() ? root.value("messages", Json()) : root;
  if (!messages.is_array() || messages.empty())
    return fail({Failure::bad_input, where, "messages", "a list of messages", std::string(messages.type_name())});
  Parts parts(where, folder, given);
  for (const Json& message : messages) {
    if (!message.is_object() || !message.contains("role"))
      return fail({Failure::bad_input, where, "messages", "objects with a role", std::string(message.type_name())});
    const auto content = message.find("content");
    if (content == message.end() || !content->is_array()) continue;
    for (const Json& part : *content) ASSAY_CHECK(parts.take(part));
  }
  ASSAY_TRY(media, parts.finish());
  out.media = std::move(media);
  if (!system.empty()) messages.insert(messages.begin(), system_turn(system));
  out.messages = messages.dump();
  if (root.is_object() && root.contains("tools") && !root["tools"].is_null()) out.tools = root["tools"].dump();
  return out;
}

}  // namespace

Result<void> check_text(std::string_view text, const std::string& where) {
  if (const auto at = utf8_invalid_at(text))
    return fail({Failure::bad_input, where, "", "UTF-8", "a bad byte at " + std::to_string(*at)});
  return {};
}

Conversation conversation_of(std::string_view prompt, std::string_view system, const MediaFiles& media) {
  Json content = Json::array();
  for (std::size_t i = 0; i < media.images.size(); ++i) content.push_back({{"type", "image"}});
  for (std::size_t i = 0; i < media.audio.size(); ++i) content.push_back({{"type", "audio"}});
  for (std::size_t i = 0; i < media.videos.size(); ++i) content.push_back({{"type", "video"}});
  content.push_back({{"type", "text"}, {"text", utf8_replaced(prompt)}});
  Json messages = Json::array();
  if (!system.empty()) messages.push_back(system_turn(system));
  // A template may treat a list of one text as it treats the text; not every one does.
  messages.push_back({{"role", "user"}, {"content", media.empty() ? Json(utf8_replaced(prompt)) : content}});
  return {.messages = messages.dump(), .tools = {}, .media = media};
}

Result<Conversation> parse_conversation(std::string_view json, const std::string& where, const fs::path& folder,
                                        std::string_view system, const MediaFiles& given) {
  try {
    return taken_apart(parsed(json), where, folder, system, given);
  } catch (const std::exception& error) {
    return fail({Failure::bad_input, where, "", "a conversation in JSON", error.what()});
  }
}

Result<Conversation> read_conversation(const fs::path& file, std::string_view system, const MediaFiles& given) {
  ASSAY_TRY(text, read_file(file, kLargestFile));
  return parse_conversation(text, file.string(), file.parent_path(), system, given);
}

}  // namespace assay
