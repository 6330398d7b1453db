#include "model/chat/chat_template.h"

#include <chrono>
#include <cstdlib>

#include <sys/stat.h>

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "temporary.h"

namespace assay {
namespace {

using nlohmann::ordered_json;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kTemplates = std::string(ASSAY_SOURCE_DIR) + "/golden/generate/templates/";
constexpr const char* kHi = R"([{"role":"user","content":"Hi"}])";

ChatTemplate of(const std::string& text) {
  auto made = ChatTemplate::of(text, "checkpoint/chat_template.jinja", {{"bos_token", "<bos>"}});
  EXPECT_TRUE(made) << made.error().message();
  return *std::move(made);
}
ChatTemplate ours(const std::string& file) { return of(bytes_of(kTemplates + file)); }

std::string rendered(const ChatTemplate& chat, const std::string& messages, const ChatOptions& options = {}) {
  const auto text = chat.render(messages, "", options);
  return text ? *text : "refused: " + text.error().message();
}

// What transformers' apply_chat_template rendered (golden/generate/chat_cases.py).
TEST(ChatTemplate, RendersWhatTransformersRenders) {
  const ordered_json cases =
      ordered_json::parse(bytes_of(std::string(ASSAY_SOURCE_DIR) + "/tests/model/chat_cases.json"));
  ASSERT_GT(cases.size(), 250U);
  const std::map<std::string, ChatTemplate> templates = {{"e.jinja", ours("e.jinja")},
                                                         {"large.jinja", ours("large.jinja")}};
  for (const ordered_json& one : cases) {
    SCOPED_TRACE(one["name"].get<std::string>());
    const ChatTemplate& chat = templates.at(one["template"]);
    ASSERT_TRUE(chat.built_in()) << "its hash is not in model/chat/gemma4.cc";
    const ordered_json& options = one["options"];
    const auto text = chat.render(one["messages"].get<std::string>(), one["tools"].get<std::string>(),
                                  {options.value("add_generation_prompt", true),
                                   options.value("enable_thinking", false), options.value("preserve_thinking", false)});
    ASSERT_TRUE(text) << text.error().message();
    EXPECT_EQ(*text, one["text"].get<std::string>());
  }
}

TEST(ChatTemplate, TheLargeModelsCloseAnEmptyChannelWhenTheyDoNotThink) {
  EXPECT_EQ(rendered(ours("e.jinja"), kHi), "<bos><|turn>user\nHi<turn|>\n<|turn>model\n");
  EXPECT_EQ(rendered(ours("large.jinja"), kHi),
            "<bos><|turn>user\nHi<turn|>\n<|turn>model\n<|channel>thought\n<channel|>");
  for (const char* file : {"e.jinja", "large.jinja"})
    EXPECT_EQ(rendered(ours(file), kHi, {.enable_thinking = true}),
              "<bos><|turn>system\n<|think|>\n<turn|>\n<|turn>user\nHi<turn|>\n<|turn>model\n");
}

TEST(ChatTemplate, IsKnownWhateverItsLineEndsAndWithoutItsLast) {
  std::string text = bytes_of(kTemplates + "e.jinja");
  ASSERT_EQ(text.back(), '\n');
  text.pop_back();
  EXPECT_TRUE(of(text).built_in());
  std::string windows;
  for (const char c : text) windows += c == '\n' ? "\r\n" : std::string(1, c);
  EXPECT_TRUE(of(windows).built_in());
  EXPECT_FALSE(of(text + " ").built_in());
}

struct Bad {
  const char *messages, *says;
};
class BadConversation : public testing::TestWithParam<Bad> {};
TEST_P(BadConversation, IsRefusedByName) {
  for (const char* file : {"e.jinja", "large.jinja"}) {
    const auto text = ours(file).render(GetParam().messages, "", {});
    ASSERT_FALSE(text) << *text;
    EXPECT_EQ(text.error().kind, Failure::bad_input);
    EXPECT_THAT(text.error().message(), HasSubstr(GetParam().says));
  }
}
INSTANTIATE_TEST_SUITE_P(
    All, BadConversation,
    testing::Values(
        Bad{"", "messages"}, Bad{"[]", "at least one message"}, Bad{"{}", "a list"},
        Bad{"[1]", "[0]: expected an object"}, Bad{"[{", "syntax error"},
        Bad{"[{}]", "[0].role: expected a string, found nothing"},
        Bad{R"([{"role":3}])", "[0].role: expected a string, found a number"},
        Bad{R"([{"role":"alien","content":"x"}])", "system, developer, user, assistant, model or tool, found alien"},
        Bad{R"([{"role":"user","content":5}])", "[0].content: expected a string or a list of parts, found a number"},
        Bad{R"([{"role":"user","content":{"type":"text"}}])", "[0].content"},
        Bad{R"([{"role":"user","content":["x"]}])", "[0].content[0]: expected an object, found a string"},
        Bad{R"([{"role":"user","content":[{"type":"text","text":null}]}])",
            "[0].content[0].text: expected a string, found null"},
        Bad{R"([{"role":"assistant","content":[{"type":"text"}]}])",
            "[0].content[0].text: expected a string, found nothing"},
        Bad{R"([{"role":"system","content":[7]}])", "[0].content[0]"},
        Bad{R"([{"role":"assistant","tool_calls":"f"}])", "[0].tool_calls: expected a list of calls, found a string"},
        Bad{R"([{"role":"assistant","tool_calls":[{"name":"f"}]}])", "[0].tool_calls[0].function: expected an object"},
        Bad{R"([{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":"{}"}}]}])",
            "[0].tool_calls[0].function.arguments: expected an object, not its text, found a string"},
        Bad{R"([{"role":"assistant","tool_calls":[{"function":{"arguments":{}}}]}])", "function.name"},
        Bad{R"([{"role":"assistant","reasoning":[1]}])", "[0].reasoning"},
        Bad{R"([{"role":"user","content":"a","content":"b"}])", "content"},
        Bad{R"([{"role":"user","content":1e999}])", "out of range"}, Bad{"[{\"role\":\"us\xff\"}]", "syntax error"}));

TEST(ChatTemplate, RefusesToolsThatAreNone) {
  for (const auto& [tools, says] : std::vector<std::pair<std::string, std::string>>{
           {"{}", "a list of tools"},
           {"[3]", "[0]: expected a JSON schema"},
           {"[{}]", "tools: [0].function: expected an object"},
           {R"([{"function":{"name":"f","parameters":{"properties":[1]}}}])",
            "parameters.properties: expected an object"},
           {R"([{"function":{"name":"f","parameters":{"required":"a"}}}])", "required: expected a list of names"}}) {
    const auto text = ours("e.jinja").render(kHi, tools, {});
    ASSERT_FALSE(text) << tools;
    EXPECT_THAT(text.error().message(), HasSubstr(says));
  }
}

TEST(ChatTemplate, RefusesDepthsThatTakeNoSense) {
  std::string deep = R"([{"role":"user","content":)" + std::string(100000, '[');
  EXPECT_THAT(rendered(ours("e.jinja"), deep), HasSubstr("64 levels"));
}

TEST(ChatTemplate, ALongConversationTakesLinearTime) {
  std::string messages = "[";
  for (int i = 0; i < 20000; ++i)
    messages += R"({"role":"user","content":"q"},{"role":"assistant","content":"<|channel>x<channel|>a"},)";
  messages += R"({"role":"user","content":"end"}])";
  const auto start = std::chrono::steady_clock::now();
  const std::string text = rendered(ours("large.jinja"), messages);
  EXPECT_EQ(
      text.size(),
      std::string("<bos>").size() +
          20000 * (std::string("<|turn>user\nq<turn|>\n").size() + std::string("<|turn>model\na<turn|>\n").size()) +
          std::string("<|turn>user\nend<turn|>\n<|turn>model\n<|channel>thought\n<channel|>").size());
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(5));
}

// ---- where a checkpoint keeps it

TEST(ChatTemplate, IsFoundInACheckpoint) {
  const Temporary folder;
  auto chat = ChatTemplate::open(folder.path());
  ASSERT_FALSE(chat);
  EXPECT_THAT(chat.error().message(), HasSubstr("chat_template"));

  const std::string e = bytes_of(kTemplates + "e.jinja"), large = bytes_of(kTemplates + "large.jinja");
  put(folder / "tokenizer_config.json",
      nlohmann::json{{"bos_token", {{"content", "<B>"}}}, {"chat_template", e}}.dump());
  chat = ChatTemplate::open(folder.path());
  ASSERT_TRUE(chat) << chat.error().message();
  EXPECT_EQ(rendered(*chat, kHi), "<B><|turn>user\nHi<turn|>\n<|turn>model\n");

  const nlohmann::json named = {{{"name", "tool_use"}, {"template", "x"}}, {{"name", "default"}, {"template", e}}};
  put(folder / "tokenizer_config.json", nlohmann::json{{"bos_token", nullptr}, {"chat_template", named}}.dump());
  chat = ChatTemplate::open(folder.path());
  ASSERT_TRUE(chat) << chat.error().message();
  EXPECT_EQ(rendered(*chat, kHi), "<|turn>user\nHi<turn|>\n<|turn>model\n");

  put(folder / "processor_config.json", nlohmann::json{{"chat_template", large}}.dump());
  chat = ChatTemplate::open(folder.path());
  ASSERT_TRUE(chat);
  EXPECT_THAT(rendered(*chat, kHi), HasSubstr("thought"));

  put(folder / "chat_template.jinja", e);
  chat = ChatTemplate::open(folder.path());
  ASSERT_TRUE(chat);
  EXPECT_THAT(rendered(*chat, kHi), Not(HasSubstr("thought")));
}

TEST(ChatTemplate, RefusesFilesThatHoldNone) {
  const Temporary folder;
  put(folder / "tokenizer_config.json", R"({"chat_template": 7})");
  EXPECT_THAT(ChatTemplate::open(folder.path()).error().message(), HasSubstr("chat_template"));
  put(folder / "tokenizer_config.json", R"({"chat_template": [{"name": "other", "template": "x"}]})");
  EXPECT_THAT(ChatTemplate::open(folder.path()).error().message(), HasSubstr("named default"));
  put(folder / "tokenizer_config.json", "[");
  EXPECT_FALSE(ChatTemplate::open(folder.path()));
  put(folder / "chat_template.jinja", std::string(std::size_t{2} << 20, 'x'));
  put(folder / "tokenizer_config.json", "{}");
  EXPECT_FALSE(ChatTemplate::open(folder.path()));
}

// ---- other templates: python3-jinja2 in a child process

class OtherTemplate : public testing::Test {
 protected:
  void SetUp() override {
    const auto text = of("{{ 1 }}").render(kHi, "", {});
    if (!text && text.error().kind == Failure::unsupported) GTEST_SKIP() << text.error().message();
    ASSERT_TRUE(text) << text.error().message();
  }
  static std::string of_text(const std::string& text, const std::string& messages = kHi) {
    return rendered(of(text), messages);
  }
};

TEST_F(OtherTemplate, RendersAsTransformersHasJinjaSetUp) {
  EXPECT_EQ(
      of_text("{{ bos_token }}{% for m in messages %}\n  {% if true %}\n{{ m.role }}: {{ m.content }}\n  {% endif %}\n"
              "{% endfor %}\n"),
      "<bos>user: Hi\n");  // trim_blocks, lstrip_blocks, no last line end
  EXPECT_EQ(of_text("{% for i in range(9) %}{% if i == 3 %}{% break %}{% endif %}{{ i }}{% endfor %}"), "012");
  EXPECT_EQ(of_text("{{ messages | tojson }}", R"([{"role":"user","content":"<é> 'x'"}])"),
            R"([{"role": "user", "content": "<é> 'x'"}])");
  EXPECT_EQ(of_text("{% generation %}a{% endgeneration %}{{ tools }}{{ enable_thinking }}{{ add_generation_prompt }}"),
            "aNoneFalseTrue");
  EXPECT_EQ(of_text("{% set ns = namespace(a=1) %}{% for i in [1] %}{% set ns.a = 2 %}{% endfor %}{{ ns.a }}"), "2");
  EXPECT_EQ(of_text("{{ strftime_now('%Y')|length }}"), "4");
  EXPECT_EQ(of_text("{{ messages[0].reasoning_content }}", R"([{"role":"user","reasoning":"r"}])"), "r");
}

TEST_F(OtherTemplate, GivesTheSameAsTheBuiltInRenderer) {
  const std::string source = bytes_of(kTemplates + "large.jinja") + "{#- another hash #}";
  const ChatTemplate other = of(source);
  ASSERT_FALSE(other.built_in());
  const ordered_json cases =
      ordered_json::parse(bytes_of(std::string(ASSAY_SOURCE_DIR) + "/tests/model/chat_cases.json"));
  int compared = 0;
  for (const ordered_json& one : cases) {
    if (one["template"] != "large.jinja" || compared == 12) continue;
    const ordered_json& options = one["options"];
    const auto text =
        other.render(one["messages"].get<std::string>(), one["tools"].get<std::string>(),
                     {options.value("add_generation_prompt", true), options.value("enable_thinking", false),
                      options.value("preserve_thinking", false)});
    ASSERT_TRUE(text) << text.error().message();
    EXPECT_EQ(*text, one["text"].get<std::string>()) << one["name"];
    ++compared;
  }
  EXPECT_EQ(compared, 12);
}

// Letters whose case is in no table here: Greek, with its two small sigmas.
TEST_F(OtherTemplate, TakesOverWhereTheBuiltInRendererWouldNeedUnicodeTables) {
  const std::string text = rendered(
      ours("e.jinja"),
      R"([{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":{"Ω":1,"ΑΣ":2,"ας":3,"ω":4,"ασ":5}}}]}])");
  EXPECT_THAT(text, HasSubstr("call:f{ΑΣ:2,ας:3,ασ:5,Ω:1,ω:4}"));
}

TEST_F(OtherTemplate, SaysWhatTheTemplateRaises) {
  EXPECT_THAT(of_text("{{ raise_exception('roles must alternate') }}"),
              AllOf(HasSubstr("checkpoint/chat_template.jinja"), HasSubstr("roles must alternate")));
  EXPECT_THAT(of_text("a\nb\n{% if %}"), HasSubstr("line 3"));
  EXPECT_THAT(of_text("{{ messages[0].missing.deeper }}"), HasSubstr("UndefinedError"));
  EXPECT_THAT(of_text("{% include 'x' %}"), HasSubstr("refused"));
}

TEST_F(OtherTemplate, CannotReachWhatIsOutsideTheSandbox) {
  for (const char* hostile :
       {"{{ ''.__class__.__mro__[1].__subclasses__() }}", "{{ messages.__class__.__base__.__subclasses__() }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}", "{{ namespace.__init__.__globals__ }}",
        "{{ self.__init__.__globals__.__builtins__ }}", "{{ raise_exception.__globals__['os'].environ }}",
        "{{ strftime_now.__globals__ }}", "{{ dict.__call__.__globals__ }}", "{{ '%s'.format_map.__self__.__class__ }}",
        "{{ '{0.__class__.__mro__}'.format(messages) }}", "{% set x = namespace(__class__=1) %}",
        "{{ messages.append(1) }}", "{{ lipsum.__globals__['os'].system('id') }}",
        "{{ (messages|attr('__class__')).__name__ }}"}) {
    const std::string text = of_text(hostile);
    if (text.empty()) continue;  // an attribute that is not to be had may also print as nothing
    EXPECT_THAT(text, AllOf(HasSubstr("refused"), HasSubstr("chat_template.jinja"))) << hostile;
  }
}

TEST_F(OtherTemplate, IsStoppedWhenItDoesNotEnd) {
  const auto start = std::chrono::steady_clock::now();
  EXPECT_THAT(
      of_text("{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}{% endfor %}{% endfor "
              "%}{% endfor %}"),
      HasSubstr("a template that ends within"));
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(25));
}

TEST_F(OtherTemplate, IsStoppedWhenItTakesTooMuchMemory) {
  EXPECT_THAT(
      of_text("{% set ns = namespace(x='aaaaaaaaaaaaaaaa') %}{% for i in range(40) %}{% set ns.x = ns.x ~ ns.x %}"
              "{% endfor %}{{ ns.x|length }}"),
      HasSubstr("more memory than it may have"));
  EXPECT_THAT(of_text("{{ 'a' * 20000000 }}"), HasSubstr("at most 16 MiB"));
  EXPECT_THAT(of_text("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"), HasSubstr("calls itself without end"));
}

class Path {
 public:
  explicit Path(const std::string& value) : before_(std::getenv("PATH")) { setenv("PATH", value.c_str(), 1); }
  ~Path() { setenv("PATH", before_.c_str(), 1); }
  Path(const Path&) = delete;
  Path& operator=(const Path&) = delete;

 private:
  std::string before_;
};

void put_program(const std::filesystem::path& file, const std::string& text) {
  put(file, text);
  chmod(file.c_str(), 0755);
}

TEST(OtherTemplateWithoutPython, IsRefusedByTheNameOfThePackage) {
  const Temporary folder;
  const Path path(folder.path().string());
  const ChatTemplate other = of("{{ 1 }}");
  auto text = other.render(kHi, "", {});
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().kind, Failure::unsupported);
  EXPECT_THAT(text.error().message(), AllOf(HasSubstr("python3-jinja2"), HasSubstr("no python3")));
  EXPECT_EQ(rendered(ours("e.jinja"), kHi), "<bos><|turn>user\nHi<turn|>\n<|turn>model\n");  // needs none
}

TEST(OtherTemplateWithoutPython, SaysThatJinja2IsMissing) {
  const char* before = std::getenv("PATH");
  const Temporary folder;
  // A python3 whose -S keeps site-packages away: the interpreter is there, the package is not.
  put_program(folder / "python3", "#!/bin/sh\nPATH='" + std::string(before) + "'\nexec python3 -S \"$@\"\n");
  const Path path(folder.path().string());
  const auto text = of("{{ 1 }}").render(kHi, "", {});
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().kind, Failure::unsupported);
  EXPECT_THAT(text.error().message(), HasSubstr("python3-jinja2"));
}

TEST(OtherTemplateWithoutPython, SurvivesAnInterpreterThatDies) {
  const Temporary folder;
  const Path path(folder.path().string());
  put_program(folder / "python3", "#!/bin/sh\nexit 9\n");
  EXPECT_THAT(rendered(of("{{ 1 }}"), kHi), HasSubstr("status 9"));
  put_program(folder / "python3", "#!/bin/sh\nkill -SEGV $$\n");
  EXPECT_THAT(rendered(of(std::string(900000, 'x')), kHi), HasSubstr("signal 11"));  // more than a socket buffers
  put_program(folder / "python3", "#!/bin/sh\nexit 0\n");
  EXPECT_THAT(rendered(of("{{ 1 }}"), kHi), HasSubstr("status 0"));
}

}  // namespace
}  // namespace assay
