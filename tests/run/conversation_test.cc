// Prompts and files to conversations; a conversation's file is from outside.
#include "harness/run/conversation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace assay {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Paths = std::vector<std::filesystem::path>;

TEST(Conversation, OfAPromptAlone) {
  const Conversation out = conversation_of("Hi \"there\"", "", {});
  EXPECT_EQ(json::parse(out.messages), json::parse(R"([{"role": "user", "content": "Hi \"there\""}])"));
  EXPECT_EQ(out.tools, "");
}

TEST(Conversation, MediaComeBeforeTheTextAndTheSystemBeforeAll) {
  const Conversation out = conversation_of("What?", "Be brief.", {{"a.png", "b.png"}, {"c.wav"}, {"d.mp4"}});
  EXPECT_EQ(json::parse(out.messages), json::parse(R"([{"role": "system", "content": "Be brief."},
    {"role": "user", "content": [{"type": "image"}, {"type": "image"}, {"type": "audio"}, {"type": "video"},
                                 {"type": "text", "text": "What?"}]}])"));
  EXPECT_THAT(out.media.images, ElementsAre("a.png", "b.png"));
}

TEST(Conversation, BadBytesBecomeReplacementCharacters) {
  const json out = json::parse(conversation_of("a\xff\xc3z", "\xfe", {}).messages);
  EXPECT_EQ(out[1]["content"], "a\uFFFD\uFFFDz");
  EXPECT_EQ(out[0]["content"], "\uFFFD");
  EXPECT_THAT(check_text("a\xff", "--prompt").error().message(), HasSubstr("--prompt"));
  EXPECT_TRUE(check_text("a\u00e9", "--prompt"));
}

TEST(Conversation, AFileHasMessagesAndTools) {
  const auto out = parse_conversation(R"({"messages": [{"role": "user", "content": "x"}],
    "tools": [{"type": "function", "function": {"name": "z", "b": 1, "a": 2}}]})",
                                      "f.json", "/dir", "sys", {});
  ASSERT_TRUE(out) << out.error().message();
  EXPECT_EQ(json::parse(out->messages).size(), 2U);
  EXPECT_EQ(json::parse(out->messages)[0]["role"], "system");
  EXPECT_EQ(out->tools, R"([{"type":"function","function":{"name":"z","b":1,"a":2}}])") << "in the order of the file";
  const auto list = parse_conversation(R"([{"role": "user", "content": "x"}])", "f.json", "/dir", "", {});
  ASSERT_TRUE(list) << list.error().message();
  EXPECT_EQ(json::parse(list->messages).size(), 1U);
}

TEST(Conversation, PartsNameTheirFilesOrTakeThoseOfTheCommandLine) {
  const auto out = parse_conversation(R"([{"role": "user", "content": [
      {"type": "image", "path": "one.png"}, {"type": "image"}, {"type": "image", "url": "file:///abs/two.png"},
      {"type": "audio", "audio": "a.wav"}, {"type": "video", "url": "v.mp4"}, {"type": "text", "text": "?"}]}])",
                                      "f.json", "/dir", "", {.images = {"given.png"}});
  ASSERT_TRUE(out) << out.error().message();
  EXPECT_THAT(out->media.images, ElementsAre("/dir/one.png", "given.png", "/abs/two.png"));
  EXPECT_EQ(out->media.audio, Paths{"/dir/a.wav"});
  EXPECT_EQ(out->media.videos, Paths{"/dir/v.mp4"});
}

TEST(Conversation, NamesWhatIsWrong) {
  const std::string image = R"([{"role": "user", "content": [{"type": "image")";
  for (const auto& [text, word] : std::vector<std::pair<std::string, std::string>>{
           {"", "JSON"},
           {"[", "JSON"},
           {"[]", "messages"},
           {"{}", "messages"},
           {"3", "messages"},
           {R"({"messages": {}})", "messages"},
           {R"([{"content": "x"}])", "role"},
           {"[3]", "role"},
           {image + "}]}]", "--image"},
           {image + R"(, "url": "https://x/y.png"}]}])", "this machine"},
           {image + R"(, "url": "data:image/png;base64,AAAA"}]}])", "this machine"},
           {image + R"(, "path": 3}]}])", "path"},
           {std::string(100000, '['), "levels"}}) {
    const auto out = parse_conversation(text, "f.json", "", "", {});
    ASSERT_FALSE(out) << text.substr(0, 60);
    EXPECT_THAT(out.error().message(), HasSubstr("f.json")) << text.substr(0, 60);
    EXPECT_THAT(out.error().message(), HasSubstr(word)) << text.substr(0, 60);
  }
  EXPECT_THAT(parse_conversation(R"([{"role": "user", "content": "x"}])", "f.json", "", "", {.audio = {"a.wav"}})
                  .error()
                  .message(),
              HasSubstr("0 of 1"));
}

}  // namespace
}  // namespace assay
