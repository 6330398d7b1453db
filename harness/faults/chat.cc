// Faults of chat templates: rows G7 to G10 and their kind. Not here: the ids of the text (tokens.cc).
#include <nlohmann/json.hpp>

#include <utility>

#include "harness/faults/fault.h"
#include "harness/faults/replaced.h"
#include "model/processor/front_end.h"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kEmptyThought = "<|channel>thought\n<channel|>";
constexpr std::string_view kModelTurn = "<|turn>model\n", kQuote = "<|\"|>";
constexpr std::string_view kFirst = "\xEE\x80\x80", kSecond = "\xEE\x80\x81";  // U+E000, U+E001: stand-ins

Fault chat(std::string_view name, std::string_view row, std::string_view what, std::string_view shipped_in,
           std::function<void(FrontEnd&)> bend) {
  return {.name = name,
          .row = row,
          .what = what,
          .shipped_in = shipped_in,
          .stage = "text.rendered",
          .bend = std::move(bend)};
}

/// The text that comes out is another.
std::function<void(FrontEnd&)> text(std::function<std::string(std::string, const ChatOptions&)> edit) {
  return [edit](FrontEnd& steps) {
    steps.render = [edit](const ChatTemplate& chat, std::string_view messages, std::string_view tools,
                          const ChatOptions& options) -> Result<std::string> {
      ASSAY_TRY(made, chat.render(messages, tools, options));
      return edit(std::move(made), options);
    };
  };
}
std::function<void(FrontEnd&)> spelt(std::string_view part, std::string_view by) {
  return text([part, by](const std::string& made, const ChatOptions&) { return replaced(made, part, by); });
}

std::function<void(FrontEnd&)> options(void (*edit)(ChatOptions&)) {
  return [edit](FrontEnd& steps) {
    steps.render = [edit](const ChatTemplate& chat, std::string_view messages, std::string_view tools,
                          ChatOptions options) {
      edit(options);
      return chat.render(messages, tools, options);
    };
  };
}

/// The conversation is another; what `edit` put into it as stand-ins is replaced in the text that comes out.
std::function<void(FrontEnd&)> messages(void (*edit)(Json& messages), std::string_view first, std::string_view second) {
  return [edit, first, second](FrontEnd& steps) {
    steps.render = [edit, first, second](const ChatTemplate& chat, std::string_view given, std::string_view tools,
                                         const ChatOptions& options) -> Result<std::string> {
      Json messages = Json::parse(given, nullptr, false);
      if (!messages.is_array()) return chat.render(given, tools, options);
      edit(messages);
      ASSAY_TRY(made, chat.render(messages.dump(), tools, options));
      return replaced(replaced(made, kFirst, first), kSecond, second);
    };
  };
}

void each_text(Json& messages, const std::function<std::string(const std::string&, bool first)>& edit) {
  for (Json& message : messages) {
    if (!message.contains("content")) continue;
    Json& content = message["content"];
    if (content.is_string()) content = edit(content.get<std::string>(), true);
    if (!content.is_array()) continue;
    bool first = true;
    for (Json& part : content)
      if (part.contains("text") && part["text"].is_string()) {
        part["text"] = edit(part["text"].get<std::string>(), first);
        first = false;
      }
  }
}

std::string without_last_thought(std::string made, const ChatOptions&) {
  if (made.ends_with(kEmptyThought)) made.resize(made.size() - kEmptyThought.size());
  return made;
}

std::string with_last_thought(std::string made, const ChatOptions& options) {
  if (made.ends_with(kModelTurn) && !options.enable_thinking) made += kEmptyThought;
  return made;
}

std::string closed_before_response(std::string made, const ChatOptions&) {
  if (constexpr std::string_view kWaits = "<|tool_response>"; made.ends_with(kWaits)) {
    made.resize(made.size() - kWaits.size());
    made += "<turn|>\n";
  }
  return made;
}

/// What stands between quotes in a call ends at its first closing brace.
std::string cut_at_braces(std::string made, const ChatOptions&) {
  for (std::size_t call = made.find("<|tool_call>"); call != std::string::npos;
       call = made.find("<|tool_call>", call + 1))
    for (std::size_t open = made.find(kQuote, call); open < made.find("<tool_call|>", call);) {
      const std::size_t close = made.find(kQuote, open + kQuote.size());
      if (close == std::string::npos) break;
      const std::size_t brace = made.find('}', open);
      if (brace < close) made.erase(brace, close - brace);
      open = made.find(kQuote, std::min(brace, close) + kQuote.size());
    }
  return made;
}

/// The system turn's text at the front of the first user's turn, as Gemma 3 has it.
std::string system_in_user(std::string made, const ChatOptions&) {
  constexpr std::string_view kSystem = "<|turn>system\n", kEnd = "<turn|>\n", kUser = "<|turn>user\n";
  const std::size_t first = made.find(kSystem), end = made.find(kEnd, first), user = made.find(kUser);
  if (first == std::string::npos || user == std::string::npos || user < end) return made;
  const std::string said = made.substr(first + kSystem.size(), end - first - kSystem.size());
  made.insert(user + kUser.size(), said + "\n\n");
  return made.erase(first, end + kEnd.size() - first);
}

void untrimmed(Json& messages) {
  each_text(messages, [](const std::string& said, bool) {
    return said.empty() ? said : std::string(kFirst) + said + std::string(kFirst);
  });
}
void lines_between_parts(Json& messages) {
  each_text(messages, [](const std::string& said, bool first) { return first ? said : std::string(kFirst) + said; });
}
void thoughts_kept(Json& messages) {
  for (Json& message : messages)
    if (message.contains("content") && message["content"].is_string())
      message["content"] =
          replaced(replaced(message["content"].get<std::string>(), "<|channel>", kFirst), "<channel|>", kSecond);
}
void media_first(Json& messages) {
  for (Json& message : messages)
    if (message.contains("content") && message["content"].is_array()) {
      Json sorted = Json::array();
      for (const bool words : {false, true})
        for (const Json& part : message["content"])
          if ((part.value("type", "") == "text") == words) sorted.push_back(part);
      message["content"] = std::move(sorted);
    }
}
void media_dropped(Json& messages) {
  for (Json& message : messages)
    if (message.contains("content") && message["content"].is_array()) {
      Json kept = Json::array();
      for (const Json& part : message["content"])
        if (part.value("type", "") == "text") kept.push_back(part);
      message["content"] = std::move(kept);
    }
}
void reasoning_dropped(Json& messages) {
  for (Json& message : messages)
    for (const char* key : {"reasoning", "reasoning_content", "thinking"}) message.erase(key);
}
void call_names_dropped(Json& messages) {
  for (Json& message : messages)
    if (message.contains("tool_call_id")) {
      message.erase("tool_call_id");
      message.erase("name");
    }
}

}  // namespace

std::vector<Fault> chat_faults() {
  return {
      chat("chat-thought-missing", "G7", "No empty, closed thought channel before the answer of a large model.",
           "lablup/mlxcel#687", text(without_last_thought)),
      chat("chat-thought-everywhere", "G7", "The large models' template for the E-models: an empty thought channel.",
           "class of lablup/mlxcel#687", text(with_last_thought)),
      chat("chat-call-closes-turn", "G8", "A turn that calls a tool is closed before the response.",
           "osaurus-ai/osaurus#2015", text(closed_before_response)),
      chat("chat-braces-cut", "G9", "A brace inside a quoted argument ends it.", "ml-explore/mlx-lm#1150",
           text(cut_at_braces)),
      chat("chat-response-outside-turn", "G10", "A tool's response stands in a turn of its own.", "lablup/mlxcel#438",
           spelt("<|tool_response>response:", "<turn|>\n<|turn>tool\n<|tool_response>response:")),
      chat("chat-image-outside-turn", "G10", "A picture stands before the user's turn.", "lablup/mlxcel#438",
           spelt("<|turn>user\n<|image|>", "<|image|><|turn>user\n")),
      chat("chat-role-assistant", "x", "The model's role is called assistant.", "",
           spelt(kModelTurn, "<|turn>assistant\n")),
      chat("chat-tokens-of-gemma-3", "x", "<start_of_turn> and <end_of_turn>.", "",
           text([](const std::string& made, const ChatOptions&) {
             return replaced(replaced(made, "<|turn>", "<start_of_turn>"), "<turn|>", "<end_of_turn>");
           })),
      chat("chat-turns-on-one-line", "x", "No newline behind a turn.", "", spelt("<turn|>\n", "<turn|>")),
      chat("chat-role-on-the-line", "x", "A space instead of a newline behind the role.", "",
           text([](const std::string& made, const ChatOptions&) {
             return replaced(replaced(made, "<|turn>user\n", "<|turn>user "), kModelTurn, "<|turn>model ");
           })),
      chat("chat-bos-missing", "G4", "No <bos> before the conversation.", "ggml-org/llama.cpp#21500",
           spelt("<bos>", "")),
      chat("chat-bos-twice", "G5", "<bos> twice.", "class of ggml-org/llama.cpp#21500", spelt("<bos>", "<bos><bos>")),
      chat("chat-not-trimmed", "x", "White space around contents stays.", "", messages(untrimmed, "", "")),
      chat("chat-parts-in-lines", "x", "A newline between the text parts of a message.", "",
           messages(lines_between_parts, "\n", "")),
      chat("chat-history-thinks", "x", "What the model thought in earlier turns stays.", "",
           messages(thoughts_kept, "<|channel>", "<channel|>")),
      chat("chat-reasoning-dropped", "x", "Reasoning since the last question is left out.", "",
           messages(reasoning_dropped, "", "")),
      chat("chat-reasoning-always", "x", "Reasoning of earlier turns that called tools stays unasked.", "",
           options([](ChatOptions& options) { options.preserve_thinking = true; })),
      chat("chat-media-first", "x", "Media come before the texts of a message.", "", messages(media_first, "", "")),
      chat("chat-media-dropped", "D14", "Media parts are left out.", "class of Blaizzy/mlx-vlm#1321",
           messages(media_dropped, "", "")),
      chat("chat-call-ids-ignored", "x", "Responses do not know which call they answer.", "",
           messages(call_names_dropped, "", "")),
      chat("chat-system-in-user", "x", "The system turn is the start of the user's, as in Gemma 3.", "",
           text(system_in_user)),
      chat("chat-thinking-unheard", "x", "enable_thinking does nothing.", "",
           options([](ChatOptions& options) { options.enable_thinking = false; })),
      chat("chat-always-opens", "x", "The model's turn is opened though nobody asked.", "",
           options([](ChatOptions& options) { options.add_generation_prompt = true; })),
      chat("chat-tools-dropped", "x", "Tools are not declared.", "",
           [](FrontEnd& steps) {
             steps.render = [](const ChatTemplate& chat, std::string_view messages, std::string_view,
                               const ChatOptions& options) { return chat.render(messages, "", options); };
           }),
      chat("chat-types-as-written", "x", "Types of parameters are not in capitals.", "",
           text([](const std::string& made, const ChatOptions&) {
             return replaced(replaced(made, "<|\"|>STRING<|\"|>", "<|\"|>string<|\"|>"), "<|\"|>OBJECT<|\"|>",
                             "<|\"|>object<|\"|>");
           })),
      chat("chat-plain-quotes", "x", "Quotation marks instead of the quote token.", "", spelt(kQuote, "\"")),
  };
}

}  // namespace assay
