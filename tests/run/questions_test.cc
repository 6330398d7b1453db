// Questions of a checkpoint, and when a reply holds an answer.
#include "harness/run/questions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "temporary.h"

namespace assay {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string one(const std::string& more, const std::string& content = R"("?")") {
  return R"([{"name": "n", "answer": "Paris", "messages": [{"role": "user", "content": )" + content + "}]" + more +
         "}]";
}

TEST(Questions, ReadsTextAndFiles) {
  const auto got = parse_questions(one(R"(, "images": ["media/a.png"], "audio": [], "videos": [])",
                                       R"([{"type": "image"}, {"type": "text", "text": "?"}])"),
                                   "q.json", "/tiny");
  ASSERT_TRUE(got) << got.error().message();
  ASSERT_EQ(got->size(), 1U);
  EXPECT_EQ((*got)[0].name, "n");
  EXPECT_EQ((*got)[0].answer, "Paris");
  EXPECT_THAT((*got)[0].conversation.media.images, ElementsAre("/tiny/media/a.png"));
}

TEST(Questions, NamesWhatIsWrong) {
  for (const auto& [text, word] :
       std::vector<std::pair<std::string, std::string>>{{"{}", "list"},
                                                        {"[]", "list"},
                                                        {"[3]", "name"},
                                                        {R"([{"name": "n"}])", "answer"},
                                                        {R"([{"name": "n", "answer": ""}])", "answer"},
                                                        {R"([{"name": "n", "answer": "x"}])", "messages"},
                                                        {one(R"(, "images": "a.png")"), "images"},
                                                        {one(R"(, "images": ["/etc/passwd"])"), "images"},
                                                        {one(R"(, "images": ["media/../../x"])"), "images"},
                                                        {one(R"(, "images": ["a.png"])"), "0 of 1"},
                                                        {"[", "JSON"}}) {
    const auto got = parse_questions(text, "q.json", "/tiny");
    ASSERT_FALSE(got) << text;
    EXPECT_THAT(got.error().message(), HasSubstr("q.json")) << text;
    EXPECT_THAT(got.error().message(), HasSubstr(word)) << text;
  }
}

TEST(Questions, ACheckpointsOwnComeBeforeTheBuiltInOnes) {
  Temporary folder;
  const auto built_in = questions_for(folder.path(), false, folder.path());
  ASSERT_TRUE(built_in) << built_in.error().message();
  EXPECT_GE(built_in->size(), 4U);
  const auto with_picture = questions_for(folder.path(), true, folder.path());
  ASSERT_EQ(with_picture->size(), built_in->size() + 1);
  const std::string picture = bytes_of(with_picture->back().conversation.media.images[0]);
  EXPECT_EQ(picture.size(), 15U + 192 * 192 * 3);
  EXPECT_EQ(picture.substr(0, 3), "P6\n");
  put(folder / "questions.json", one(""));
  EXPECT_EQ(questions_for(folder.path(), true, folder.path())->size(), 1U);
}

TEST(Questions, AnAnswerIsAWordOfTheReply) {
  EXPECT_TRUE(answers("It is Paris.", "paris"));
  EXPECT_TRUE(answers("PARIS", "Paris"));
  EXPECT_TRUE(answers("hundred red", "red"));
  EXPECT_TRUE(answers("A red circle.\n", "A red circle."));
  EXPECT_FALSE(answers("a hundred", "red"));
  EXPECT_FALSE(answers("142", "42"));
  EXPECT_FALSE(answers("colder", "cold"));
  EXPECT_FALSE(answers("", "Paris"));
}

}  // namespace
}  // namespace assay
