// Verbs beyond verify on an engine in a process of its own: locate and run through the program; what a drafter of ours
// reads of a target of theirs. Not here: judging (examples_test.cc), misbehaving.
#include <fstream>
#include <string>

#include <nlohmann/json.hpp>

#include "engine/external/external.h"
#include "external/python.h"
#include "harness/engines/engines.h"
#include "harness/verify/verify.h"

namespace assay {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const std::string kSource = ASSAY_SOURCE_DIR, kData = kSource + "/golden/data/";
const std::string kPort = kSource + "/examples/numpy_port.py", kWhole = kSource + "/tests/external/whole_port.py";

using WholePort = Cli;

TEST_F(WholePort, LocateFindsTheOpAndTheFault) {
  const std::string bent = python_engine(kWhole + " denominator");
  NEEDS_PYTHON(bent);
  const Ran ran = assay("locate --golden e2b-blocks --case short --json " + at("l.json") + bent);
  EXPECT_EQ(ran.code, 1) << ran.out << ran.err;
  EXPECT_THAT(ran.out, AllOf(HasSubstr("whole-port-denominator e2b-blocks/short/prefill"),
                             HasSubstr("first wrong tap text.layer.03.attn.q_rope"),
                             HasSubstr("born at text.layer.03.attn.q_rope"),
                             HasSubstr("3 of 82 ops are wrong by themselves: text.layer.03.attn.q_rope, "
                                       "text.layer.03.attn.k_rope, text.layer.05.attn.q_rope"),
                             HasSubstr("1. matches rope-global-denominator")));
  const auto json = nlohmann::json::parse(bytes_of(at("l.json")));
  EXPECT_EQ(json.at("born"), "text.layer.03.attn.q_rope");
  EXPECT_EQ(json.at("hypotheses").at(0).at("fault"), "rope-global-denominator");

  const std::string command = json.at("rerun_op");
  const Ran op = assay(command.substr(command.find(' ') + 1));
  EXPECT_EQ(op.code, 1) << command << op.out << op.err;
  EXPECT_THAT(op.out, AllOf(HasSubstr("text.layer.03.attn.q_rope"), Not(HasSubstr("attn.k_rope"))));
  const Ran right = assay("locate --golden e2b-blocks --case short --op text.layer.02.attn.q_rope" + bent);
  EXPECT_EQ(right.code, 0) << right.out << right.err;
}

TEST_F(WholePort, ARightEngineHasNothingToLocate) {
  const std::string port = python_engine(kWhole);
  NEEDS_PYTHON(port);
  const Ran ran = assay("locate --golden 26b-a4b-blocks --case short" + port);
  EXPECT_EQ(ran.code, 0) << ran.out << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("nothing is wrong"));
}

TEST_F(WholePort, StepsOfAWrongShapeAreNoBirthplace) {
  const std::string bent = python_engine(kWhole + " unstepped");
  NEEDS_PYTHON(bent);
  const Ran ran = assay("locate --golden e2b-blocks --case short --no-hypotheses" + bent);
  EXPECT_EQ(ran.code, 1) << ran.out << ran.err;
  EXPECT_THAT(ran.out,
              AllOf(HasSubstr("first wrong tap text.layer.03.attn.q_rope"), Not(HasSubstr("born at")),
                    HasSubstr("82 taps could not be stepped: step: text.embed: expected 1536 values, found 768"),
                    HasSubstr("--op text.layer.03.attn.q_rope")));
}

TEST_F(WholePort, WithoutStepAndWithFewTapsItIsAnInterval) {
  const std::string bent = python_engine(kWhole + " outs");
  NEEDS_PYTHON(bent);
  const Ran ran = assay("locate --golden e2b-blocks --case short" + bent);
  EXPECT_EQ(ran.code, 1) << ran.out << ran.err;
  EXPECT_THAT(ran.out, AllOf(HasSubstr("first wrong tap text.layer.03.out"),
                             HasSubstr("between     text.layer.02.out (right) and text.layer.03.out (first wrong)"),
                             HasSubstr("not possible: this engine offers no step"),
                             HasSubstr("1. matches rope-global-denominator"), Not(HasSubstr("--op"))));
  EXPECT_EQ(assay("locate --golden e2b-blocks --case short --op text.layer.03.out" + bent).code, 2) << "no step";
}

TEST_F(WholePort, WhereItEndsIsLocatedToo) {
  const std::string ends = python_engine(kWhole + " ends");
  NEEDS_PYTHON(ends);
  const Ran ran = assay("locate --golden e2b-blocks --case short" + ends);
  EXPECT_EQ(ran.code, 1) << ran.out << ran.err;
  EXPECT_THAT(ran.out, AllOf(HasSubstr("crash whole-port-ends"), HasSubstr("exit status 9"),
                             HasSubstr("every tap that came is right"), Not(HasSubstr("not finite"))));
}

TEST_F(WholePort, RunAnswersWithIt) {
  const std::string port = python_engine(kPort);
  NEEDS_PYTHON(port);
  const std::string model = "run --model " + kData + "tiny ";
  const Ran ran = assay(model + "--prompt 'Tell me about France.'" + port);
  EXPECT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(ran.out, "France is a country in Europe. Its capital is Paris.\n");
  EXPECT_THAT(ran.err, AllOf(HasSubstr("generated: 16 tokens"), Not(HasSubstr("peak memory"))))
      << "ours says nothing of the engine's";
  const Ran picture = assay(model + "--prompt x --image " + kData + "tiny/media/red-circle.png" + port);
  EXPECT_EQ(picture.code, 2);
  EXPECT_THAT(picture.err, HasSubstr("pictures, sound and drafters"));
}

// A drafter of ours beside a target that is another program: what it reads comes by cached_kv and embed, and what the
// target was given too much is taken back by truncate.
TEST_F(WholePort, ADrafterOfOursReadsIt) {
  const std::string command = python_command(kWhole), narrow = python_command(kWhole + " narrow");
  NEEDS_PYTHON(command);
  ExternalOptions options;
  options.keep = false;
  options.environment = {{"PYTHONPATH", kSource + "/engine/external/python"}};
  options.limits.show = false;
  const auto subjects = open_goldens(kData, {.goldens = {"e2b-draft"}});
  ASSERT_TRUE(subjects) << subjects.error().message();
  for (const char* ours : {"reference", "cpu"}) {
    const auto mixed = [&](const std::string& target) {
      auto theirs = external_engine(target, options).value();
      Engine engine = make_engine(ours).value();
      engine.open = [theirs, own = engine.open](const Checkpoint& checkpoint) {
        return checkpoint.plan.assistant ? own(checkpoint) : theirs.open(checkpoint);
      };
      const Engine* engines[] = {&engine};
      return verify(engines, *subjects, {.selection = {}, .children = 1}).value();
    };
    int passed = 0, refused = 0;
    for (const PathResult& result : mixed(command)) {
      const TapResult* first = first_failure(result);
      passed += result.verdict == Verdict::pass;
      refused += result.verdict == Verdict::unsupported;
      EXPECT_FALSE(failed(result.verdict)) << ours << " " << result.case_name << " " << result.path << ": "
                                           << (first == nullptr ? result.note : first->tap + " " + first->note);
    }
    EXPECT_EQ(passed, 10) << ours;
    EXPECT_EQ(refused, 0) << ours;
    for (const PathResult& result : mixed(narrow)) {
      const TapResult* first = first_failure(result);
      EXPECT_EQ(result.verdict, Verdict::fail_shape) << ours << " " << result.case_name << " " << result.path;
      EXPECT_THAT(first == nullptr ? result.note : first->note, HasSubstr("keys")) << result.path;
    }
  }
}

}  // namespace
}  // namespace assay
