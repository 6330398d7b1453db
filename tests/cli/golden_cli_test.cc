// `assay golden`: what it prints, what it refuses. What makes a golden fit is tested in tests/golden.
#include <nlohmann/json.hpp>

#include "program.h"

namespace assay {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

const std::string kData = ASSAY_SOURCE_DIR "/golden/data";

TEST_F(Cli, GoldensAreListedAndTold) {
  const Ran list = assay("golden list");
  EXPECT_EQ(list.code, 0) << list.err;
  EXPECT_THAT(list.out, AllOf(HasSubstr("e2b-tails"), HasSubstr("31b-blocks"), HasSubstr("front-end")));
  const auto rows = nlohmann::json::parse(assay("golden list --json").out);
  EXPECT_GE(rows.size(), 12U);
  const Ran info = assay("golden info seed");
  EXPECT_EQ(info.code, 0) << info.err;
  EXPECT_THAT(info.out, AllOf(HasSubstr("transformers         5.22.2"), HasSubstr("right-padded  [1,10]")));
  EXPECT_EQ(nlohmann::json::parse(assay("golden info seed --json").out)["transformers"], "5.22.2");
  EXPECT_THAT(assay("golden info front-end").out, HasSubstr("layout.ids [760]"));
  EXPECT_EQ(
      nlohmann::json::parse(assay("golden info front-end --json").out)["cases"]["audio-8k"]["request"]["audio"][0],
      "speech-8k.wav");
}

TEST_F(Cli, TheRepositorysGoldensAreFit) {
  const Ran check = assay("golden check");
  EXPECT_EQ(check.code, 0) << check.out << check.err;
  EXPECT_THAT(check.out, AllOf(HasSubstr("12b-tails        ok"), Not(HasSubstr("findings"))));
}

TEST_F(Cli, AGoldenThatWasTamperedWithIsNotFit) {
  std::filesystem::copy(kData + "/seed", folder_ / "seed", std::filesystem::copy_options::recursive);
  std::filesystem::copy(kData + "/MANIFEST.json", folder_ / "MANIFEST.json");
  put(folder_ / "seed/checkpoint/config.json", "{}");
  const Ran check = assay("golden check seed", "ASSAY_DATA=" + folder_.path().string());
  EXPECT_EQ(check.code, 1);
  EXPECT_THAT(check.out, HasSubstr("seed/checkpoint/config.json"));
}

TEST_F(Cli, AGoldenGoesIntoSafetensorsAndBackIntoNothingElse) {
  EXPECT_EQ(assay("golden export seed --out " + at("seed.safetensors")).code, 0);
  EXPECT_GT(std::filesystem::file_size(at("seed.safetensors")), 100000U);
  EXPECT_EQ(assay("golden export seed --to csv --out " + at("seed.csv")).code, 2);
  EXPECT_FALSE(std::filesystem::exists(at("seed.csv")));
}

TEST_F(Cli, TheTapTableIsPrinted) {
  const auto taps = nlohmann::json::parse(assay("golden taps --json").out);
  EXPECT_EQ(taps.front()["name"], "patch_embed");  // causal order: pixels come first
  EXPECT_EQ(taps.back()["name"], "logits");
  EXPECT_THAT(assay("golden taps").out, HasSubstr("attn.q_rope"));
}

TEST_F(Cli, AGoldenThatIsNoneIsNamed) {
  for (const std::string arguments : {"golden info nothing", "golden check nothing", "golden export nothing --out x"}) {
    const Ran ran = assay(arguments);
    EXPECT_EQ(ran.code, 2) << arguments;
    EXPECT_THAT(ran.err, AllOf(StartsWith("assay: "), HasSubstr("nothing"))) << arguments;
  }
}

TEST_F(Cli, AFileThatIsNoGoldenIsRefused) {
  put(folder_ / "junk.h5", std::string("\x89HDF\r\n\x1a\n", 8) + std::string(5000, '\x7f'));
  const Ran info = assay("golden info " + at("junk.h5"));
  EXPECT_EQ(info.code, 2);
  EXPECT_THAT(info.err, HasSubstr("junk.h5"));
}

}  // namespace
}  // namespace assay
