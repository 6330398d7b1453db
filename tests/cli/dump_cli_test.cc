// `assay dump`: the file it writes is what transformers computed, whatever the path. Held against a committed golden.
#include <cmath>

#include "golden/store.h"
#include "model/safetensors.h"
#include "program.h"

namespace assay {
namespace {

using testing::HasSubstr;

const std::string kGolden = ASSAY_SOURCE_DIR "/golden/data/e4b-tails";
const std::string kModel = "dump --model " + kGolden + "/checkpoint ";

class DumpCli : public Cli {
 protected:
  /// The tensor of that name in a group of a file.
  Tensor tensor(const std::string& file, const std::string& group, const std::string& name) {
    tensors_ = read_foreign_group(file, group).value();
    const Tensor* found = find(tensors_, name);
    EXPECT_NE(found, nullptr) << file << ":" << group << "/" << name;
    return found == nullptr ? Tensor{} : *found;
  }
  std::vector<NamedTensor> tensors_;
};

TEST_F(DumpCli, WritesTransformersTensorsOnEveryPath) {
  const std::string at_case = "/cases/beyond-window/", in = kGolden + "/golden.h5:" + at_case + "inputs";
  for (const std::string path : {"prefill", "nocache", "chunked:4", "decode"}) {
    const Ran ran = assay(kModel + "--inputs " + in + " --path " + path +
                          " --taps 'text.layer.*.out,text.logits' --generate 4 --out " + at("out.h5"));
    ASSERT_EQ(ran.code, 0) << ran.err;
    for (const std::string name : {"text.layer.00.out", "text.layer.09.out"}) {
      const Tensor ours = tensor(at("out.h5"), "/taps", name);
      const Tensor theirs = tensor(kGolden + "/golden.h5", at_case + "taps", name);
      ASSERT_EQ(ours.shape, theirs.shape);
      const auto a = ours.floats().value(), b = theirs.floats().value();
      for (std::size_t i = 0; i < a.size(); ++i)
        ASSERT_LE(std::abs(a[i] - b[i]), 5e-5F + 1e-5F * std::abs(b[i])) << path << " " << name << " at " << i;
    }
    EXPECT_EQ(tensor(at("out.h5"), "/outputs", "generated_ids").integers().value(),
              tensor(kGolden + "/golden.h5", at_case + "outputs", "generated_ids").integers().value());
  }
}

TEST_F(DumpCli, TakesAGgufFile) {
  const std::string data = ASSAY_SOURCE_DIR "/tests/data/gguf/e2b-q4_0";
  const Ran ran = assay("dump --model " + data + ".gguf --inputs " + data +
                        ".safetensors:/inputs --taps text.logits --path chunked:3 --out " + at("out.h5"));
  ASSERT_EQ(ran.code, 0) << ran.err;
  const auto ours = tensor(at("out.h5"), "/taps", "text.logits").floats().value();
  const auto theirs = Safetensors::open(data + ".safetensors")->tensors().at("logits").floats().value();
  ASSERT_EQ(ours.size(), theirs.size());
  for (std::size_t i = 0; i < ours.size(); ++i)
    ASSERT_LE(std::abs(ours[i] - theirs[i]), 5e-5F + 1e-5F * std::abs(theirs[i])) << i;
}

TEST_F(DumpCli, NamesWhatIsWrongAndWritesNothing) {
  const std::string in = "--inputs " + kGolden + "/golden.h5:/cases/short/inputs ";
  for (const auto& [arguments, word] : std::vector<std::pair<std::string, std::string>>{
           {kModel + in + "--path sideways ", "sideways"},
           {kModel + in + "--taps text.nothing ", "text.nothing"},
           {kModel + "--inputs " + at("none.h5") + ":/g ", "none.h5"},
           {kModel + "--inputs " + kGolden + "/golden.h5:/cases/none ", "/cases/none"},
           {"dump --model " + at("none") + " " + in, "none"},
           {"dump --synthetic e2b:q9 " + in, "then maybe :f32, :bf16, :q8_0 or :q4_0"},
           {kModel + "--synthetic e2b " + in, "excludes"}}) {
    const Ran ran = assay(arguments + "--out " + at("out.h5"));
    EXPECT_EQ(ran.code, 2) << arguments;
    EXPECT_THAT(ran.err, HasSubstr(word)) << arguments;
    EXPECT_FALSE(std::filesystem::exists(at("out.h5"))) << arguments;
  }
}

}  // namespace
}  // namespace assay
