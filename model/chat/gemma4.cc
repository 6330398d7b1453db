#include "gemma4.h"

#include <algorithm>
#include <array>
#include <vector>

namespace assay {
namespace {

struct Known {
  std::string_view sha256;
  Gemma4Dialect dialect;
};
// Of the models' repositories: the files of July 2026, which E2B and E4B share, and 12B, 26B-A4B and 31B.
constexpr std::array<Known, 4> kKnown = {
    {{"0a2c8073c878ab1da004bee933a998606537bbb62016310352c7285c3f01c5b5", {"gemma-4-e", false, false}},
     {"ae53464bf3be25802b3a5b37def7fd89667067d7577049b3b2d74c4d8de4c6d4", {"gemma-4-large", true, false}},
     {"dec36a6bc5f5005e320eded390e3ff56d47e35f55b9730619b9be0e297acb0f0", {"assay-e", false, true}},
     {"8d5a9e53214bdc03f85436935db55992e6e949ffce7d94f2e6915c1da7eb9234", {"assay-large", true, true}}}};

constexpr std::string_view kQuote = "<|\"|>", kOpenChannel = "<|channel>", kCloseChannel = "<channel|>";

std::string_view kind_name(Value::Kind kind) {
  switch (kind) {
    case Value::undefined: return "nothing";
    case Value::none: return "null";
    case Value::boolean: return "a boolean";
    case Value::integer:
    case Value::real: return "a number";
    case Value::string: return "a string";
    case Value::list: return "a list";
    case Value::object: return "an object";
  }
  return "";
}

/// Writes one conversation. The first thing that is wrong is kept; what is written after it is thrown away.
class Renderer {
 public:
  Renderer(const Gemma4Dialect& dialect, const ChatOptions& options) : dialect_(dialect), options_(options) {}

  std::optional<Failure> failure;
  bool exact = true;
  std::string text;

  void conversation(std::string_view bos, const Value& messages, const Value& tools);

 private:
  struct Turn {
    const Value* message = nullptr;
    std::string path, role;
    bool by_model = false;
  };
  enum class Last { other, call, response };

  // Parts of the text. Each writes what the template's macro of that purpose does.
  void quoted(std::string_view content) { ((text += kQuote) += content) += kQuote; }
  void quoted(const Value& value) { quoted(python_str(value, exact)); }
  void literal(const Value& value, bool bare_keys);
  void pairs(const Value& object);
  void names(const Value& list, const std::string& path);
  void element(const Value& schema, const std::string& path);
  void field(const Value& schema, const std::string& path);
  void fields(const Value& properties, const std::string& path, bool skip_standard = false);
  void declaration(const Value& function, const std::string& path);
  void response(std::string_view name, const Value& body);
  void said(std::string_view content);
  void medium(const Value& part);
  void body(const Turn& turn);
  void system_turn(const Value* message, const Value& tools);
  void calls(const Value& made, const std::string& path);
  bool responses(const std::vector<Turn>& turns, std::size_t at);
  void turn(const std::vector<Turn>& turns, std::size_t at, std::size_t last_user);

  void refuse(const std::string& field, std::string expected, std::string found) {
    if (!failure) failure = Failure{Failure::bad_input, where_, field, std::move(expected), std::move(found)};
  }
  void refuse(const std::string& field, std::string expected, const Value& found) {
    refuse(field, std::move(expected), std::string(kind_name(found.kind)));
  }
  /// The text of a string value; anything else is refused.
  std::string_view string_of(const Value& value, const std::string& field) {
    if (value.kind != Value::string) refuse(field, "a string", value);
    return value.text;
  }
  /// The items of a list; nothing where the value is false to Python (null, "", 0, {}), else refused.
  const std::vector<Value>& list_of(const Value& value, const std::string& field, const char* expected) {
    if (value.kind != Value::list && value.truthy()) refuse(field, expected, value);
    return value.items;
  }
  /// A function's name, of a call or a tool: tool_calls and tools hold {"function": {...}}.
  const Value& function_of(const Value& holder, const std::string& path) {
    const Value& function = holder["function"];
    if (function.kind != Value::object) refuse(path + ".function", "an object", function);
    return function;
  }

  const Gemma4Dialect& dialect_;
  const ChatOptions& options_;
  const char* where_ = "messages";
  Last last_ = Last::other;
  std::string before_;  ///< the role of the last message but tools'
};

std::string at(const std::string& path, std::size_t i) { return path + "[" + std::to_string(i) + "]"; }

void Renderer::literal(const Value& value, bool bare_keys) {
  switch (value.kind) {
    case Value::none: text += "null"; return;
    case Value::boolean: text += value.flag ? "true" : "false"; return;
    case Value::string: quoted(value.text); return;
    case Value::integer:
    case Value::real: text += python_str(value, exact); return;
    case Value::undefined:  // to Jinja an empty sequence
    case Value::list: {
      text += '[';
      for (std::size_t i = 0; i < value.items.size(); ++i) {
        if (i > 0) text += ',';
        literal(value.items[i], bare_keys);
      }
      text += ']';
      return;
    }
    case Value::object: {
      text += '{';
      bool first = true;
      for (const auto* member : dictsort(value, exact)) {
        if (!std::exchange(first, false)) text += ',';
        if (bare_keys)
          text += member->first;
        else
          quoted(member->first);
        text += ':';
        literal(member->second, bare_keys);
      }
      text += '}';
    }
  }
}

void Renderer::pairs(const Value& object) {
  bool first = true;
  for (const auto* member : dictsort(object, exact)) {
    if (!std::exchange(first, false)) text += ',';
    (text += member->first) += ':';
    literal(member->second, true);
  }
}

void Renderer::names(const Value& list, const std::string& path) {
  text += "required:[";
  if (list.kind != Value::list) refuse(path + ".required", "a list of names", list);
  for (std::size_t i = 0; i < list.items.size(); ++i) {
    if (i > 0) text += ',';
    quoted(list.items[i]);
  }
  text += ']';
}

void Renderer::element(const Value& schema, const std::string& path) {
  bool first = true;
  for (const auto* member : dictsort(schema, exact)) {
    const auto& [name, value] = *member;
    if (value.kind == Value::none) continue;
    if (!std::exchange(first, false)) text += ',';
    if (name == "properties") {
      text += "properties:{";
      if (value.kind == Value::object) fields(value, path + ".properties");
      text += '}';
    } else if (name == "required") {
      names(value, path);
    } else if (name == "type" && value.kind == Value::string) {
      text += "type:";
      quoted(python_upper(value.text, exact));
    } else if (name == "type") {
      if (value.kind != Value::list) refuse(path + ".type", "a string or a list of strings", value);
      text += "type:[";
      for (std::size_t i = 0; i < value.items.size(); ++i) {
        if (i > 0) text += ',';
        quoted(python_upper(python_str(value.items[i], exact), exact));
      }
      text += ']';
    } else {
      (text += name) += ':';
      literal(value, false);
    }
  }
}

void Renderer::field(const Value& schema, const std::string& path) {
  const std::string kind = python_upper(python_str(schema["type"], exact), exact);
  if (schema["description"].truthy()) {
    text += "description:";
    quoted(schema["description"]);
    text += ',';
  }
  if (kind == "STRING" && schema["enum"].truthy()) {
    text += "enum:";
    literal(schema["enum"], false);
    text += ',';
  }
  if (const Value& items = schema["items"]; kind == "ARRAY" && items.kind == Value::object && items.truthy()) {
    text += "items:{";
    element(items, path + ".items");
    text += "},";
  }
  if (schema["nullable"].truthy()) text += "nullable:true,";
  if (kind == "OBJECT") {
    const Value& properties = schema["properties"];
    text += "properties:{";
    if (properties.kind == Value::object)
      fields(properties, path + ".properties");
    else  // an object that lists its properties without saying so
      fields(schema, path, true);
    text += "},";
    if (schema["required"].truthy()) {
      names(schema["required"], path);
      text += ',';
    }
  }
  text += "type:";
  quoted(kind);
}

void Renderer::fields(const Value& properties, const std::string& path, bool skip_standard) {
  static constexpr std::array<std::string_view, 5> kStandard = {"description", "type", "properties", "required",
                                                                "nullable"};
  bool first = true;
  for (const auto* member : dictsort(properties, exact)) {
    if (skip_standard && std::find(kStandard.begin(), kStandard.end(), member->first) != kStandard.end()) continue;
    if (!std::exchange(first, false)) text += ',';
    (text += member->first) += ":{";
    field(member->second, path + "." + member->first);
    text += '}';
  }
}

void Renderer::declaration(const Value& function, const std::string& path) {
  text += "declaration:";
  text += python_str(function["name"], exact);
  text += "{description:";
  quoted(function["description"]);
  if (const Value& wants = function["parameters"]; wants.truthy()) {
    const std::string below = path + ".parameters";
    if (wants.kind != Value::object) refuse(below, "an object", wants);
    text += ",parameters:{";
    if (const Value& properties = wants["properties"]; properties.truthy()) {
      if (properties.kind != Value::object) refuse(below + ".properties", "an object", properties);
      text += "properties:{";
      fields(properties, below + ".properties");
      text += "},";
    }
    if (wants["required"].truthy()) {
      names(wants["required"], below);
      text += ',';
    }
    if (wants["type"].truthy()) {  // the brace, too, comes with the type alone
      text += "type:";
      quoted(python_upper(python_str(wants["type"], exact), exact));
      text += '}';
    }
  }
  if (const Value& gives = function["response"]; gives.kind != Value::undefined) {
    text += ",response:{";
    if (gives["description"].truthy()) {
      text += "description:";
      quoted(gives["description"]);
      text += ',';
    }
    if (python_upper(python_str(gives["type"], exact), exact) == "OBJECT") {
      text += "type:";
      quoted("OBJECT");
      text += '}';
    }
  }
  text += '}';
}

void Renderer::response(std::string_view name, const Value& body) {
  ((text += "<|tool_response>response:") += name) += '{';
  if (body.kind == Value::object) {
    pairs(body);
  } else {
    text += "value:";
    literal(body, true);
  }
  text += "}<tool_response|>";
}

/// A model's text less what it thought: all from an opening channel token to the closing one after it.
void Renderer::said(std::string_view content) {
  std::string kept;
  while (true) {
    const std::size_t end = content.find(kCloseChannel);
    const std::string_view piece = content.substr(0, end);
    kept += piece.substr(0, piece.find(kOpenChannel));
    if (end == std::string_view::npos) break;
    content.remove_prefix(end + kCloseChannel.size());
  }
  text += python_strip(kept);
}

void Renderer::medium(const Value& part) {
  const std::string& type = part["type"].text;  // of what is no string: empty
  if (type == "image" || type == "image_url")
    text += "<|image|>";
  else if (type == "audio" || type == "input_audio")
    text += "<|audio|>";
  else if (type == "video")
    text += "<|video|>";
}

void Renderer::body(const Turn& turn) {
  const Value& content = (*turn.message)["content"];
  const std::string path = turn.path + ".content";
  const auto write = [&](std::string_view words) {
    if (turn.by_model)
      said(words);
    else
      text += python_strip(words);
  };
  if (content.kind == Value::string) return write(content.text);
  if (content.kind != Value::list) {
    if (!content.missing()) refuse(path, "a string or a list of parts", content);
    return;
  }
  for (std::size_t i = 0; i < content.items.size(); ++i) {
    const Value& part = content.items[i];
    if (part.kind != Value::object) refuse(at(path, i), "an object", part);
    if (part["type"].text != "text")
      medium(part);
    else if (turn.by_model || part["text"].kind != Value::undefined)
      write(string_of(part["text"], at(path, i) + ".text"));
  }
}

void Renderer::system_turn(const Value* message, const Value& tools) {
  text += "<|turn>system\n";
  if (options_.enable_thinking) text += "<|think|>\n";
  if (message != nullptr) {
    const Value& content = (*message)["content"];
    if (content.kind == Value::string)
      text += python_strip(content.text);
    else if (content.kind != Value::list && !content.missing())
      refuse("[0].content", "a string or a list of parts", content);
    for (std::size_t i = 0; i < content.items.size(); ++i) {
      const Value& part = content.items[i];
      if (part.kind != Value::object) refuse(at("[0].content", i), "an object", part);
      if (part["text"].kind != Value::undefined)
        text += python_strip(string_of(part["text"], at("[0].content", i) + ".text"));
      text += ' ';
    }
  }
  for (std::size_t i = 0; i < tools.items.size(); ++i) {
    const std::string path = at("", i);
    text += "<|tool>";
    where_ = "tools";
    declaration(function_of(tools.items[i], path), path + ".function");  // begins and ends with no white space
    where_ = "messages";
    text += "<tool|>";
  }
  text += "<turn|>\n";
}

void Renderer::calls(const Value& made, const std::string& path) {
  for (std::size_t i = 0; i < made.items.size(); ++i) {
    const std::string here = at(path, i);
    const Value& function = function_of(made.items[i], here);
    const Value& arguments = function["arguments"];
    if (arguments.kind != Value::object && arguments.kind != Value::none)
      refuse(here + ".function.arguments", "an object, not its text", arguments);
    ((text += "<|tool_call>call:") += string_of(function["name"], here + ".function.name")) += '{';
    pairs(arguments);
    text += "}<tool_call|>";
    last_ = Last::call;
  }
}

/// What the tools answered: beside the calls, or in the tool messages right after. Whether there was an answer.
bool Renderer::responses(const std::vector<Turn>& turns, std::size_t here) {
  const Value& message = *turns[here].message;
  if (const Value& given = message["tool_responses"]; given.truthy()) {
    const std::string path = turns[here].path + ".tool_responses";
    const std::vector<Value>& all = list_of(given, path, "a list of responses");
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (all[i].kind != Value::object) refuse(at(path, i), "an object", all[i]);
      const Value& name = all[i]["name"];
      response(name.truthy() ? string_of(name, at(path, i) + ".name") : "unknown", all[i]["response"]);
    }
    return true;
  }
  const Value& made = message["tool_calls"];
  if (!made.truthy()) return false;
  std::size_t next = here + 1;
  for (; next < turns.size() && turns[next].role == "tool"; ++next) {
    const Value& given = *turns[next].message;
    std::string_view name = "unknown";
    if (given["name"].truthy()) name = string_of(given["name"], turns[next].path + ".name");
    for (const Value& call : made.items) {
      const Value null{Value::none};  // what Python's get() gives for a key that is not there
      const Value &id = call["id"], &wanted = given["tool_call_id"];
      if (equal(id.missing() ? null : id, wanted.missing() ? null : wanted)) name = call["function"]["name"].text;
    }
    const Value& content = given["content"];
    const std::string path = turns[next].path + ".content";
    if (content.kind == Value::list) {
      Value all{Value::string};
      for (std::size_t i = 0; i < content.items.size(); ++i) {
        const Value& part = content.items[i];
        if (part.kind != Value::object) refuse(at(path, i), "an object", part);
        if (part["type"].text == "text") all.text += string_of(part["text"], at(path, i) + ".text");
      }
      response(name, all);
      for (const Value& part : content.items) medium(part);
    } else if (content.kind == Value::object && content.truthy()) {
      refuse(path, "a string or a list of parts", content);
    } else if (content.kind == Value::object) {
      response(name, Value{Value::string});
    } else {
      response(name, content.missing() ? Value{Value::none} : content);
    }
  }
  return next > here + 1;
}

void Renderer::turn(const std::vector<Turn>& turns, std::size_t here, std::size_t last_user) {
  const Turn& turn = turns[here];
  const Value& message = *turn.message;
  last_ = Last::other;
  if (!turn.by_model || before_ != "assistant") ((text += "<|turn>") += turn.by_model ? "model" : turn.role) += '\n';

  // transformers gives reasoning two names before a template sees it; this one asks for a third first.
  const Value* thought = &message["reasoning"];
  for (const char* name : {"reasoning_content", "thinking"})
    if (!thought->truthy() && !message[name].missing()) {
      thought = &message[name];
      break;
    }
  const Value& made = message["tool_calls"];
  const std::string path = turn.path + ".tool_calls";
  list_of(made, path, "a list of calls");
  if (thought->truthy() && (here + 1 > last_user || (options_.preserve_thinking && made.truthy())))
    ((text += "<|channel>thought\n") += string_of(*thought, turn.path + ".reasoning")) += "\n<channel|>";

  calls(made, path);
  const bool answered = responses(turns, here);
  if (answered) last_ = Last::response;

  const std::size_t start = text.size();
  body(turn);
  const bool said_something = !python_strip(std::string_view(text).substr(start)).empty();

  std::size_t next = here + 1;
  while (next < turns.size() && turns[next].role == "tool") ++next;
  const bool later = next < turns.size();
  if (last_ == Last::call)
    text += "<|tool_response>";
  else if (turn.by_model && later && turns[next].role == "assistant")
    ;  // the model goes on in its next message
  else if (said_something || later || !answered)
    text += "<turn|>\n";
  before_ = turn.role;
}

void Renderer::conversation(std::string_view bos, const Value& messages, const Value& tools) {
  static constexpr std::array<std::string_view, 6> kRoles = {"system",    "developer", "user",
                                                             "assistant", "model",     "tool"};
  std::vector<Turn> turns;
  turns.reserve(messages.items.size());
  for (std::size_t i = 0; i < messages.items.size(); ++i) {
    const Value& message = messages.items[i];
    Turn made{&message, at("", i), "", false};
    if (message.kind != Value::object) refuse(made.path, "an object", message);
    made.role = string_of(message["role"], made.path + ".role");
    made.by_model = made.role == "assistant" || made.role == "model";
    if (dialect_.known_roles && std::find(kRoles.begin(), kRoles.end(), made.role) == kRoles.end())
      refuse(made.path + ".role", "system, developer, user, assistant, model or tool", made.role);
    turns.push_back(std::move(made));
  }
  if (failure) return;

  text = bos;
  const bool has_system = turns.front().role == "system" || turns.front().role == "developer";
  if (options_.enable_thinking || !tools.items.empty() || has_system)
    system_turn(has_system ? turns.front().message : nullptr, tools);
  if (has_system) turns.erase(turns.begin());

  std::size_t last_user = 0;  // one past the last user's message; 0: there is none
  for (std::size_t i = 0; i < turns.size(); ++i)
    if (turns[i].role == "user") last_user = i + 1;
  for (std::size_t i = 0; i < turns.size() && !failure; ++i)
    if (turns[i].role != "tool") turn(turns, i, last_user);

  if (!options_.add_generation_prompt) return;
  if (last_ == Last::other) {
    text += "<|turn>model\n";
    if (dialect_.closes_channel && !options_.enable_thinking) text += "<|channel>thought\n<channel|>";
  } else if (last_ == Last::response && options_.enable_thinking) {
    text += "<|channel>thought\n";
  }
}

}  // namespace

std::optional<Gemma4Dialect> gemma4_dialect(std::string_view sha256) {
  for (const Known& known : kKnown)
    if (known.sha256 == sha256) return known.dialect;
  return std::nullopt;
}

Result<std::optional<std::string>> render_gemma4(const Gemma4Dialect& dialect, std::string_view bos,
                                                 const Value& messages, const Value& tools,
                                                 const ChatOptions& options) {
  Renderer renderer(dialect, options);
  renderer.conversation(bos, messages, tools);
  if (renderer.failure) return fail(std::move(*renderer.failure));
  if (!renderer.exact) return std::optional<std::string>();
  return std::optional<std::string>(std::move(renderer.text));
}

}  // namespace assay
