// `assay run` as a user types it, on a committed checkpoint: its ids are those that transformers generated.
#include <cmath>

#include <nlohmann/json.hpp>

#include "golden/store.h"
#include "program.h"
#include "run/tiny_model.h"

namespace assay {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using Ints = std::vector<std::int64_t>;

const std::string kGolden = ASSAY_SOURCE_DIR "/golden/data/e2b-tails/golden.h5";

/// A model this small is slower on several threads.
const std::string kOneThread = "OMP_NUM_THREADS=1";

class RunCli : public Cli {
 protected:
  /// [B, T] of a case: prompts or generated ids, row by row.
  static std::vector<Ints> rows(const std::string& name, const std::string& group, const std::string& dataset) {
    const auto tensors = read_foreign_group(kGolden, "/cases/" + name + "/" + group).value();
    const Tensor* found = find(tensors, dataset);
    if (found == nullptr) return {};
    const Ints all = found->integers().value();
    const auto width = std::ptrdiff_t(found->shape[1]);
    std::vector<Ints> out;
    for (auto at = all.begin(); at != all.end(); at += width) out.emplace_back(at, at + width);
    return out;
  }
  static std::string quoted(const std::string& text) {
    std::string out = "'";
    for (const char c : text) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
    return out + "'";
  }
  /// The prompts of a case, its padding left out.
  static std::string prompts(const std::string& name) {
    const auto ids = rows(name, "inputs", "input_ids"), masks = rows(name, "inputs", "attention_mask");
    std::string out;
    for (std::size_t b = 0; b < ids.size(); ++b) {
      Ints real;
      for (std::size_t t = 0; t < ids[b].size(); ++t)
        if (masks.empty() || masks[b][t] != 0) real.push_back(ids[b][t]);
      out += " --prompt " + quoted(TinyModel::text(real));
    }
    return out;
  }
  std::string model() const { return "run --model " + model_.path().string() + " "; }
  json said(const std::string& arguments) {
    const Ran ran = assay(model() + arguments + " --json", kOneThread);
    EXPECT_EQ(ran.code, 0) << ran.err;
    return json::parse(ran.out, nullptr, false);
  }

  TinyModel model_;
};

TEST_F(RunCli, AGgufFileNeedsNothingBesideIt) {
  const std::string data = ASSAY_SOURCE_DIR;
  const auto reply = [&](const std::string& model) {
    const Ran ran =
        assay("run --model " + data + model + " --prompt 'What is the capital of France?' --greedy --json", kOneThread);
    EXPECT_EQ(ran.code, 0) << ran.err;
    return json::parse(ran.out, nullptr, false)["results"];
  };
  const json ours = reply("/tests/data/gguf/tiny.gguf");
  EXPECT_EQ(ours, reply("/golden/data/tiny"));
  EXPECT_THAT(ours[0]["text"], HasSubstr("Paris"));
  EXPECT_EQ(ours[0]["finish_reason"], "stop");
  const Ran none = assay("run --model " + data + "/tests/data/gguf/e2b-q4_0.gguf --prompt 'Hello'");
  EXPECT_EQ(none.code, 2) << "a file whose tokens have no merges";
  EXPECT_THAT(none.err, HasSubstr("tokenizer.ggml.merges"));
}

TEST_F(RunCli, SaysWhatTransformersGenerates) {
  for (const std::string name : {"short", "softcap", "one-token", "beyond-window"}) {
    const std::vector<Ints> theirs = rows(name, "outputs", "generated_ids");
    const json out = said("--raw" + prompts(name) + " --max-tokens " + std::to_string(theirs[0].size()));
    EXPECT_EQ(out["results"][0]["ids"], theirs[0]) << name;
    EXPECT_EQ(out["results"][0]["finish_reason"], "length");
    EXPECT_EQ(out["results"][0]["prompt_tokens"], rows(name, "inputs", "input_ids")[0].size());
  }
}

TEST_F(RunCli, ABatchOfPromptsIsPaddedOnTheLeft) {
  const std::vector<Ints> theirs = rows("padded-batch", "outputs", "generated_ids");
  const json out = said("--raw" + prompts("padded-batch") + " --max-tokens " + std::to_string(theirs[0].size()));
  ASSERT_EQ(out["results"].size(), theirs.size());
  for (std::size_t b = 0; b < theirs.size(); ++b) EXPECT_EQ(out["results"][b]["ids"], theirs[b]) << b;
  EXPECT_EQ(out["results"][0]["prompt_tokens"], 2);
}

TEST_F(RunCli, EachStopTokenEndsATextAndIsNotInIt) {
  const Ints theirs = rows("short", "outputs", "generated_ids")[0];
  model_.generation(R"({"eos_token_id": [1, )" + std::to_string(theirs[2]) + "]}");
  const json out = said("--raw" + prompts("short"));
  EXPECT_EQ(out["results"][0]["ids"], Ints(theirs.begin(), theirs.begin() + 3));
  EXPECT_EQ(out["results"][0]["finish_reason"], "stop");
  EXPECT_EQ(out["results"][0]["text"], TinyModel::text(std::span(theirs).first(2)));
}

TEST_F(RunCli, ASuppressedTokenIsNotSaid) {
  const Ints theirs = rows("short", "outputs", "generated_ids")[0];
  model_.generation(R"({"eos_token_id": null, "suppress_tokens": [)" + std::to_string(theirs[0]) + "]}");
  const Ints ids = said("--raw" + prompts("short") + " --max-tokens 8")["results"][0]["ids"].get<Ints>();
  EXPECT_THAT(ids, Not(testing::Contains(theirs[0])));
}

TEST_F(RunCli, PrintsTheTextAndThenTheSpeed) {
  const Ints theirs = rows("short", "outputs", "generated_ids")[0];
  const Ran ran = assay(model() + "--raw" + prompts("short") + " --max-tokens 3", kOneThread);
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, TinyModel::text(std::span(theirs).first(3)) + "\n");
  EXPECT_THAT(ran.err, AllOf(HasSubstr("prompt: 6 tokens"), HasSubstr("first token after"),
                             HasSubstr("generated: 3 tokens"), HasSubstr("peak memory: ")));
}

TEST_F(RunCli, SamplingFollowsItsSeed) {
  const std::string ask = "--raw" + prompts("short") + " --max-tokens 12 --temperature 20 --top-k 0 --top-p 1 --seed ";
  EXPECT_EQ(said(ask + "3")["results"], said(ask + "3")["results"]);
  EXPECT_NE(said(ask + "3")["results"], said(ask + "4")["results"]);
  EXPECT_EQ(said(ask + "3 --greedy")["results"], said("--raw" + prompts("short") + " --max-tokens 12")["results"]);
}

TEST_F(RunCli, AConversationGoesThroughTheTemplate) {
  model_.add_template();
  put(folder_ / "chat.json", R"({"messages": [{"role": "user", "content": "Hi!"}]})");
  const json prompt = said("--prompt 'Hi!' --max-tokens 2");
  EXPECT_EQ(said("--chat " + at("chat.json") + " --max-tokens 2")["results"], prompt["results"]);
  EXPECT_GT(prompt["results"][0]["prompt_tokens"], 3) << "the turns' own tokens";
  const json system = said("--prompt 'Hi!' --system 'Be brief.' --max-tokens 2");
  EXPECT_GT(system["results"][0]["prompt_tokens"], prompt["results"][0]["prompt_tokens"].get<int>() + 9);
}

TEST_F(RunCli, AnotherTokenizerCanBeNamed) {
  std::filesystem::rename(model_.path() / "tokenizer.json", folder_ / "other.json");
  const Ints theirs = rows("short", "outputs", "generated_ids")[0];
  const json out = said("--raw" + prompts("short") + " --max-tokens 8 --tokenizer " + at("other.json"));
  EXPECT_EQ(out["results"][0]["ids"], theirs);
}

TEST_F(RunCli, EmbedWritesTheFinalNorm) {
  const auto golden = read_foreign_group(kGolden, "/cases/short/taps").value();
  const Tensor* theirs = find(golden, "text.norm");
  ASSERT_NE(theirs, nullptr);
  for (const std::string name : {"e.h5", "e.safetensors"}) {
    const Ran ran = assay(model() + "--raw" + prompts("short") + " --embed " + at(name), kOneThread);
    ASSERT_EQ(ran.code, 0) << ran.err;
    EXPECT_THAT(ran.out, HasSubstr("text.norm [1, 6, "));
  }
  const auto ours = read_foreign_group(at("e.h5"), "/").value();
  const auto a = find(ours, "text.norm")->floats().value(), b = theirs->floats().value();
  const std::size_t hidden = std::size_t(theirs->shape.back()), kept = b.size() / hidden;
  ASSERT_EQ(kept, 6U);
  for (std::size_t i = 0; i < b.size(); ++i) ASSERT_NEAR(a[i], b[i], 5e-5 + 1e-5 * std::abs(b[i])) << i;
  EXPECT_EQ(find(ours, "input_ids")->integers().value(), rows("short", "inputs", "input_ids")[0]);
}

TEST_F(RunCli, SmokeAsksTheCheckpointsQuestions) {
  model_.add_template();
  const auto question = [](const std::string& name, const std::string& answer) {
    return R"({"name": ")" + name + R"(", "answer": )" + json(answer).dump() +
           R"(, "messages": [{"role": "user", "content": "?"}]})";
  };
  const std::string reply = said("--prompt '?' --max-tokens 6")["results"][0]["text"];
  put(model_.path() / "questions.json", "[" + question("one", reply) + "]");
  const Ran right = assay(model() + "--smoke --max-tokens 6", kOneThread);
  EXPECT_EQ(right.code, 0) << right.out << right.err;
  EXPECT_THAT(right.out, AllOf(HasSubstr("pass  one"), HasSubstr("smoke: 1 of 1 answered")));
  put(model_.path() / "questions.json", "[" + question("one", reply) + "," + question("two", "nothing like it") + "]");
  const Ran wrong = assay(model() + "--smoke --max-tokens 6", kOneThread);
  EXPECT_EQ(wrong.code, 1) << wrong.out << wrong.err;
  EXPECT_THAT(wrong.out, AllOf(HasSubstr("FAIL  two: expected \"nothing like it\""), HasSubstr("1 of 2 answered")));
  EXPECT_EQ(json::parse(assay(model() + "--smoke --max-tokens 6 --json", kOneThread).out)["right"], 1);
}

TEST_F(RunCli, NamesWhatIsWrong) {
  put(folder_ / "bad.json", "{");
  put(folder_ / "text.png", "no picture");
  const std::string hi = "--prompt hi ";
  for (const auto& [arguments, word] : std::vector<std::pair<std::string, std::string>>{
           {model(), "--prompt"},
           {model() + hi, "--raw"},  // the checkpoint has no template
           {model() + "--raw " + hi + "--engine none", "none"},
           {model() + "--raw " + hi + "--image-tokens 71", "--image-tokens"},
           {model() + "--raw " + hi + "--max-tokens 0", "--max-tokens"},
           {model() + "--raw " + hi + "--tokenizer " + at("none.json"), "none.json"},
           {model() + "--raw " + hi + "--draft " + at("none"), "none"},
           {model() + "--raw --prompt ''", "prompt"},
           {model() + "--raw --strict --prompt $(printf 'a\\377')", "--prompt"},
           {model() + "--raw " + hi + "--chat x.json", "--raw"},
           {model() + "--chat " + at("bad.json"), "bad.json"},
           {model() + "--smoke " + hi, "--smoke"},
           {model() + "--raw --prompt '<|image|>' --image " + at("text.png"), "image"},
           {"run --model " + at("none") + " " + hi, "none"}}) {
    const Ran ran = assay(arguments, kOneThread + " HF_HUB_OFFLINE=1 HF_HUB_CACHE=" + at("hub"));
    EXPECT_EQ(ran.code, 2) << arguments << ran.out;
    EXPECT_THAT(ran.err, HasSubstr(word)) << arguments;
    EXPECT_EQ(ran.out, "") << arguments;
  }
}

TEST_F(RunCli, HelpHasAnExample) {
  const Ran ran = assay("run --help");
  EXPECT_EQ(ran.code, 0);
  EXPECT_THAT(ran.out, AllOf(HasSubstr("Example: assay run"), HasSubstr("Exit codes"), HasSubstr("--image-tokens")));
}

}  // namespace
}  // namespace assay
