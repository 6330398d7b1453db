#include "harness/run/questions.h"

#include <algorithm>
#include <cctype>
#include <stdexcept>

#include <nlohmann/json.hpp>

#include "base/files.h"

namespace assay {
namespace fs = std::filesystem;
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kLargestFile = std::size_t{16} << 20;
constexpr int kDeepest = 64;

Json parsed(std::string_view text) {
  return Json::parse(text, [](int depth, Json::parse_event_t, Json&) {
    if (depth > kDeepest) throw std::runtime_error("more than " + std::to_string(kDeepest) + " levels");
    return true;
  });
}

/// A file beside the questions: nothing that leaves their folder.
Result<std::vector<fs::path>> files_of(const Json& row, const char* key, const std::string& where,
                                       const fs::path& folder) {
  std::vector<fs::path> files;
  const Json names = row.value(key, Json::array());
  if (!names.is_array()) return fail({Failure::bad_input, where, key, "a list of files", names.dump()});
  for (const Json& name : names) {
    const fs::path path = name.is_string() ? fs::path(name.get<std::string>()) : fs::path();
    if (path.empty() || path.is_absolute() || path.lexically_normal().string().starts_with(".."))
      return fail({Failure::bad_input, where, key, "files in the folder of the questions", name.dump()});
    files.push_back(folder / path);
  }
  return files;
}

Result<Question> question_of(const Json& row, const std::string& where, const fs::path& folder) {
  for (const char* key : {"name", "answer"})
    if (!row.is_object() || !row.contains(key) || !row[key].is_string() || row[key].get<std::string>().empty())
      return fail({Failure::bad_input, where, key, "a text in each question", "none"});
  Question question;
  question.name = row["name"].get<std::string>();
  question.answer = row["answer"].get<std::string>();
  const std::string at = where + ": " + question.name;
  MediaFiles media;
  ASSAY_TRY(images, files_of(row, "images", at, folder));
  ASSAY_TRY(audio, files_of(row, "audio", at, folder));
  ASSAY_TRY(videos, files_of(row, "videos", at, folder));
  media.images = std::move(images);
  media.audio = std::move(audio);
  media.videos = std::move(videos);
  Json conversation = {{"messages", row.value("messages", Json())}};
  if (row.contains("tools")) conversation["tools"] = row["tools"];
  ASSAY_TRY(made, parse_conversation(conversation.dump(), at, folder, {}, media));
  question.conversation = std::move(made);
  return question;
}

/// A red disc on white, as a binary portable pixmap.
Result<void> draw_disc(const fs::path& file) {
  constexpr int kSide = 192, kRadius = 60;
  std::string bytes = "P6\n" + std::to_string(kSide) + " " + std::to_string(kSide) + "\n255\n";
  for (int y = 0; y < kSide; ++y)
    for (int x = 0; x < kSide; ++x) {
      const int dx = x - kSide / 2, dy = y - kSide / 2;
      const bool inside = dx * dx + dy * dy < kRadius * kRadius;
      bytes += inside ? std::string("\xDC\x14\x14") : std::string("\xFF\xFF\xFF");
    }
  return write_file(file, bytes);
}

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || static_cast<unsigned char>(c) > 0x7f;
}

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return char(std::tolower(c)); });
  return out;
}

}  // namespace

Result<std::vector<Question>> parse_questions(std::string_view json, const std::string& where, const fs::path& folder) {
  std::vector<Question> questions;
  try {
    const Json root = parsed(json);
    if (!root.is_array() || root.empty())
      return fail({Failure::bad_input, where, "", "a list of questions", root.type_name()});
    for (const Json& row : root) {
      ASSAY_TRY(question, question_of(row, where, folder));
      questions.push_back(std::move(question));
    }
  } catch (const std::exception& error) {
    return fail({Failure::bad_input, where, "", "questions in JSON", error.what()});
  }
  return questions;
}

Result<std::vector<Question>> questions_for(const fs::path& checkpoint, bool sees, const fs::path& scratch) {
  const fs::path own = checkpoint / "questions.json";
  std::error_code error;
  if (fs::exists(own, error)) {
    ASSAY_TRY(text, read_file(own, kLargestFile));
    return parse_questions(text, own.string(), checkpoint);
  }
  const auto ask = [](std::string name, std::string_view text, std::string answer, const MediaFiles& media = {}) {
    return Question{std::move(name), conversation_of(text, {}, media), std::move(answer)};
  };
  std::vector<Question> questions{
      ask("capital-of-france", "What is the capital of France? Answer with one word.", "Paris"),
      ask("capital-of-japan", "What is the capital of Japan? Answer with one word.", "Tokyo"),
      ask("sum", "What is 17 + 25? Answer with the number only.", "42"),
      ask("opposite", "What is the opposite of \"hot\"? Answer with one word.", "cold"),
  };
  if (sees) {
    const fs::path picture = scratch / "disc.ppm";
    ASSAY_CHECK(draw_disc(picture));
    questions.push_back(ask("red-disc", "What colour is the disc in this picture? Answer with one word.", "red",
                            MediaFiles{.images = {picture}}));
  }
  return questions;
}

bool answers(std::string_view reply, std::string_view answer) {
  const std::string said = lower(reply), wanted = lower(answer);
  for (std::size_t at = said.find(wanted); at != said.npos; at = said.find(wanted, at + 1)) {
    const std::size_t end = at + wanted.size();
    const bool begins = at == 0 || !is_word(said[at - 1]) || !is_word(wanted.front());
    const bool ends = end == said.size() || !is_word(said[end]) || !is_word(wanted.back());
    if (begins && ends) return true;
  }
  return false;
}

}  // namespace assay
