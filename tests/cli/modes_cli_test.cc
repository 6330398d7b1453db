// The CPU engine in every mode and over every kind of cache, on all goldens: what is timed is checked.
#include <string>

#include "program.h"

namespace assay {
namespace {

class Modes : public Cli, public testing::WithParamInterface<const char*> {};

TEST_P(Modes, MeetEveryGolden) {
  const Ran ran = assay("verify --engine cpu " + std::string(GetParam()));
  EXPECT_EQ(ran.code, 0) << ran.out;
  EXPECT_THAT(ran.out, testing::ContainsRegex("[1-9][0-9][0-9]+ passed, 0 failed"));
}

INSTANTIATE_TEST_SUITE_P(Cpu, Modes,
                         testing::Values("--acts bf16", "--acts bf16 --kv bf16", "--acts bf16 --kv q8_0", "--acts int8",
                                         "--acts int8 --kv bf16", "--acts int8 --kv q8_0", "--kv bf16", "--kv q8_0"));

}  // namespace
}  // namespace assay
