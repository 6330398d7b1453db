#include "harness/frontend/request.h"

#include <array>
#include <filesystem>

#include <nlohmann/json.hpp>

#include "base/files.h"

namespace assay {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr std::size_t kLargestText = std::size_t{64} << 20;

/// The bytes of a base64 text; nullopt where it is none.
std::optional<std::string> from_base64(std::string_view text) {
  constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  std::uint32_t bits = 0;
  int count = 0;
  for (const char letter : text) {
    if (letter == '=') break;
    const std::size_t value = kLetters.find(letter);
    if (value == std::string_view::npos) return std::nullopt;
    bits = (bits << 6U) | std::uint32_t(value);
    count += 6;
    if (count >= 8) out += char(static_cast<unsigned char>(bits >> unsigned(count -= 8)));
  }
  return out;
}

class Reader {
 public:
  Reader(const json& object, const fs::path& files, const std::string& where)
      : object_(object), files_(files), where_(where) {}

  Result<void> read(Request& request) {
    ASSAY_CHECK(texts(request));
    ASSAY_CHECK(text(object_, "checkpoint", request.checkpoint));
    if (object_.contains("messages")) request.messages = dumped(object_["messages"]);
    if (object_.contains("tools")) request.tools = dumped(object_["tools"]);
    if (object_.contains("ids")) {
      if (!object_["ids"].is_array()) return wrong("ids", "a list of integers");
      for (const json& id : object_["ids"]) {
        if (!id.is_number_integer()) return wrong("ids", "a list of integers");
        request.ids.push_back(id.get<std::int64_t>());
      }
    }
    ASSAY_CHECK(logits(request));
    request.media.resize(request.batched ? request.texts.size() : 1);
    ASSAY_CHECK(media("images", &MediaFiles::images, request));
    ASSAY_CHECK(media("audio", &MediaFiles::audio, request));
    ASSAY_CHECK(media("videos", &MediaFiles::videos, request));
    return options(request);
  }

 private:
  static std::string dumped(const json& value) { return value.dump(-1, ' ', false, json::error_handler_t::replace); }

  tl::unexpected<Failure> wrong(const std::string& key, std::string expected) const {
    return fail({Failure::bad_input, where_, "request." + key, std::move(expected), "something else"});
  }

  Result<void> text(const json& object, const char* key, std::string& out) const {
    if (!object.contains(key)) return {};
    if (!object[key].is_string()) return wrong(key, "a string");
    out = object[key].get<std::string>();
    return {};
  }

  Result<fs::path> below(const json& name, const char* key) const {
    if (!name.is_string()) return wrong(key, "names of files");
    const fs::path path(name.get<std::string>());
    if (path.empty() || path.is_absolute() || path.lexically_normal() != path || *path.begin() == "..")
      return wrong(key, "names below files/");
    return files_ / path;
  }

  Result<void> texts(Request& request) {
    if (object_.contains("text")) {
      request.text.emplace();
      ASSAY_CHECK(text(object_, "text", *request.text));
    }
    if (object_.contains("bytes")) {
      std::string encoded;
      ASSAY_CHECK(text(object_, "bytes", encoded));
      request.text = from_base64(encoded);
      if (!request.text) return wrong("bytes", "base64");
    }
    if (object_.contains("text_file")) {
      ASSAY_TRY(path, below(object_["text_file"], "text_file"));
      ASSAY_TRY(content, read_file(path, kLargestText));
      request.text = std::move(content);
    }
    if (!object_.contains("texts")) return {};
    request.batched = true;
    if (!object_["texts"].is_array()) return wrong("texts", "a list of strings");
    for (const json& one : object_["texts"]) {
      if (!one.is_string()) return wrong("texts", "a list of strings");
      request.texts.push_back(one.get<std::string>());
    }
    return {};
  }

  Result<void> media(const char* key, std::vector<fs::path> MediaFiles::*member, Request& request) const {
    if (!object_.contains(key)) return {};
    const json& list = object_[key];
    if (!list.is_array() || (request.batched && list.size() != request.media.size()))
      return wrong(key, "a list, of lists where there are texts");
    for (std::size_t i = 0; i < list.size(); ++i) {
      if (!request.batched) {
        ASSAY_TRY(path, below(list[i], key));
        (request.media.front().*member).push_back(std::move(path));
        continue;
      }
      if (!list[i].is_array()) return wrong(key, "a list of lists");
      for (const json& name : list[i]) {
        ASSAY_TRY(path, below(name, key));
        (request.media[i].*member).push_back(std::move(path));
      }
    }
    return {};
  }

  Result<void> logits(Request& request) const {
    if (!object_.contains("logits")) return {};
    if (!object_["logits"].is_array()) return wrong("logits", "a list of {id: number}");
    for (const json& step : object_["logits"]) {
      if (!step.is_object()) return wrong("logits", "a list of {id: number}");
      auto& row = request.logits.emplace_back();
      for (const auto& [id, value] : step.items()) {
        constexpr std::string_view kDigits = "0123456789";
        if (id.empty() || id.size() > 6 || id.find_first_not_of(kDigits) != std::string::npos || !value.is_number())
          return wrong("logits", "ids of up to 6 digits, and numbers");
        row.emplace_back(std::stoll(id), value.get<float>());
      }
    }
    return {};
  }

  Result<void> options(Request& request) const {
    if (!object_.contains("options")) return {};
    const json& given = object_["options"];
    if (!given.is_object()) return wrong("options", "an object");
    const std::array<std::pair<const char*, bool*>, 5> flags = {
        {{"strict", &request.strict},
         {"skip_special", &request.skip_special},
         {"add_generation_prompt", &request.add_generation_prompt},
         {"enable_thinking", &request.enable_thinking},
         {"preserve_thinking", &request.preserve_thinking}}};
    for (const auto& [key, flag] : flags) {
      if (!given.contains(key)) continue;
      if (!given[key].is_boolean()) return wrong(key, "true or false");
      *flag = given[key].get<bool>();
    }
    if (given.contains("add_special")) {
      if (!given["add_special"].is_boolean()) return wrong("add_special", "true or false");
      request.add_special = given["add_special"].get<bool>();
    }
    for (const char* key : {"image_tokens", "num_frames"}) {
      if (!given.contains(key)) continue;
      if (!given[key].is_number_integer() || given[key] < 1 || given[key] > (1 << 20)) return wrong(key, "1 to 2^20");
      (std::string_view(key) == "num_frames" ? request.num_frames.emplace() : request.image_tokens) =
          given[key].get<int>();
    }
    if (given.contains("fps")) {
      if (!given["fps"].is_number()) return wrong("fps", "a number");
      request.fps = given["fps"].get<double>();
    }
    return text(given, "tokenizer", request.tokenizer);
  }

  const json& object_;
  const fs::path& files_;
  const std::string& where_;
};

}  // namespace

Result<Request> parse_request(std::string_view text, const fs::path& files, const std::string& where) {
  const json object = json::parse(text, nullptr, false);
  if (!object.is_object()) return fail({Failure::bad_input, where, "request", "a JSON object", "something else"});
  Request request;
  ASSAY_CHECK(Reader(object, files, where).read(request));
  return request;
}

}  // namespace assay
