// `assay verify --golden FILE --model DIR`: a golden that no manifest vouches for.
#include "program.h"

namespace assay {
namespace {

using testing::HasSubstr;

const std::string kSeed = ASSAY_SOURCE_DIR "/golden/data/seed";
const std::string kVerify = "verify --golden " + kSeed + "/golden.h5 --model ";

TEST_F(Cli, AGoldenOfOnesOwnIsJudgedWithItsCheckpoint) {
  const Ran ran = assay(kVerify + kSeed + "/checkpoint");
  EXPECT_EQ(ran.code, 0) << ran.out << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("reference: 13 passed, 0 failed"));
  const Ran list = assay(kVerify + kSeed + "/checkpoint --list --path nocache");
  EXPECT_EQ(list.code, 0);
  EXPECT_THAT(list.out, HasSubstr("golden.h5/right-padded/nocache\n"));
}

TEST_F(Cli, AGoldenOfAnotherCheckpointIsRefused) {
  const Ran ran = assay(kVerify + ASSAY_SOURCE_DIR "/golden/data/e2b-tails/checkpoint");
  EXPECT_EQ(ran.code, 2);
  EXPECT_THAT(ran.err, HasSubstr("as the golden has it"));
}

TEST_F(Cli, AModelNeedsOneGoldenFile) {
  EXPECT_EQ(assay("verify --model " + kSeed + "/checkpoint").code, 2);
  EXPECT_EQ(assay(kVerify + kSeed + "/checkpoint --golden e2b-tails").code, 2);
  EXPECT_THAT(assay("verify --golden " + at("none.h5") + " --model " + kSeed + "/checkpoint").err,
              HasSubstr("none.h5: expected a golden's file"));
}

TEST_F(Cli, AGoldenThatKillsItsReaderIsAnErrorAndNoCrash) {
  const std::string whole = bytes_of(kSeed + "/golden.h5");
  for (std::size_t at_byte = 600; at_byte < 60000; at_byte += 3301) {
    std::string bent = whole;
    for (std::size_t i = 0; i < 24; ++i) bent[at_byte + i] = char(0xF0 + i % 16);
    put(folder_ / "bent.h5", bent);
    const Ran ran = assay("verify --golden " + at("bent.h5") + " --path nocache --model " + kSeed + "/checkpoint");
    EXPECT_THAT(ran.code, testing::AnyOf(0, 1, 2)) << at_byte << ": " << ran.err;
  }
}

}  // namespace
}  // namespace assay
