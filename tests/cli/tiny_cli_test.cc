// `assay run` on the trained tiny checkpoint: it answers its questions, and a drafter changes none of its words.
#include <nlohmann/json.hpp>

#include "golden/store.h"
#include "program.h"

namespace assay {
namespace {

using nlohmann::json;
using testing::HasSubstr;

const std::string kTiny = ASSAY_SOURCE_DIR "/golden/data/tiny";
const std::string kOneThread = "OMP_NUM_THREADS=1";  // a model this small is slower on several

class TinyCli : public Cli {
 protected:
  json said(const std::string& arguments) {
    const Ran ran = assay("run --model " + kTiny + " --json " + arguments, kOneThread);
    EXPECT_EQ(ran.code, 0) << ran.err;
    return json::parse(ran.out, nullptr, false);
  }
};

TEST_F(TinyCli, AnswersItsQuestions) {
  const Ran ran = assay("run --model " + kTiny + " --smoke", kOneThread);
  EXPECT_EQ(ran.code, 0) << ran.out << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("pass  red-circle"));
}

TEST_F(TinyCli, FromItsFilesToTheIdsThatTransformersGenerates) {
  const json questions = json::parse(bytes_of(kTiny + "/questions.json"));
  int asked = 0;
  for (const json& question : questions) {
    std::string files;
    for (const auto& [kind, option] : {std::pair("images", "--image"), {"audio", "--audio"}, {"videos", "--video"}})
      for (const json& file : question[kind])
        files += std::string(" ") + option + " " + kTiny + "/" + file.get<std::string>();
    if (files.empty()) continue;
    const std::string name = question["name"], group = "/cases/" + name;
    const auto inputs = read_foreign_group(kTiny + "/golden.h5", group + "/inputs").value();
    const auto outputs = read_foreign_group(kTiny + "/golden.h5", group + "/outputs").value();
    const json result = said("--prompt '" + question["messages"][0]["content"][1]["text"].get<std::string>() + "'" +
                             files)["results"][0];
    EXPECT_EQ(result["ids"], json(find(outputs, "generated_ids")->integers().value())) << name;
    EXPECT_EQ(result["prompt_tokens"], find(inputs, "input_ids")->shape[1]) << name;
    EXPECT_EQ(result["text"], question["answer"]) << name;
    ++asked;
  }
  EXPECT_EQ(asked, 8);
}

TEST_F(TinyCli, ADrafterChangesNoWord) {
  const std::string asked = "--prompt 'Tell me about France.' --prompt 'What is the capital of Spain?'";
  const json plain = said(asked), drafted = said(asked + " --draft " + kTiny + "/assistant");
  EXPECT_EQ(drafted["results"], plain["results"]);
  EXPECT_GT(drafted["draft"]["accepted"], 0);
  // Its generation_config.json asks for 3 a round; the default, 20, would draft more.
  EXPECT_LE(drafted["draft"]["drafted"], 2 * 3 * drafted["draft"]["rounds"].get<int>());
}

TEST_F(TinyCli, TwoQuestionsAboutOnePicture) {
  const std::string picture = " --image " + kTiny + "/media/red-circle.png ";
  const json both = said(picture + "--prompt 'What is in the picture?' --prompt 'Look: what is in the picture?'");
  EXPECT_EQ(both["results"][0]["ids"], said(picture + "--prompt 'What is in the picture?'")["results"][0]["ids"]);
  EXPECT_EQ(both["results"][1]["ids"], said(picture + "--prompt 'Look: what is in the picture?'")["results"][0]["ids"]);
}

TEST_F(TinyCli, AConversationNamesItsFiles) {
  put(folder_ / "chat.json",
      R"([{"role": "user", "content": [{"type": "image", "path": ")" + kTiny +
          R"(/media/blue-triangle.png"}, {"type": "text", "text": "What is in the picture?"}]}])");
  EXPECT_EQ(said("--chat " + at("chat.json"))["results"][0]["text"], "a blue triangle");
}

}  // namespace
}  // namespace assay
