// `assay kv` as a user types it: from a config alone, from a directory and from the hub's cache.
#include <nlohmann/json.hpp>

#include "program.h"

namespace assay {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;

class KvCli : public Cli {
 protected:
  void SetUp() override { copy("e2b", folder_ / "e2b"); }
  static void copy(const std::string& config, const std::filesystem::path& folder) {
    put(folder / "config.json", bytes_of(ASSAY_SOURCE_DIR "/tests/model/configs/" + config + ".json"));
  }
};

TEST_F(KvCli, NeedsNoWeights) {
  const Ran ran = assay("kv --model " + at("e2b") + " --context 131072");
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.out, AllOf(HasSubstr("768.00 MiB"), HasSubstr("reads the K and V of layer 13"), HasSubstr("511")));
  EXPECT_EQ(ran.err, "");
}

TEST_F(KvCli, TakesAGgufFile) {
  const Ran ran = assay("kv --model " ASSAY_SOURCE_DIR "/tests/data/gguf/e2b-q4_0.gguf --context 100 --dtype fp32");
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.out, AllOf(HasSubstr("4 layers"), HasSubstr("reads the K and V of layer 1")));
}

TEST_F(KvCli, SaysItInJson) {
  const Ran ran = assay("kv --model " + at("e2b") + " --context 1000 --batch 2 --dtype bf16 --json");
  ASSERT_EQ(ran.code, 0) << ran.err;
  const json out = json::parse(ran.out);
  EXPECT_EQ(out["kinds"][0]["layers"], 12);
  EXPECT_EQ(out["kinds"][0]["shared_layers"], 16);
  EXPECT_EQ(out["kinds"][0]["tokens"]["transformers"], 511);
  EXPECT_EQ(out["kinds"][1]["bytes"]["transformers"]["bf16"], 3 * 2 * 512 * 1000 * 2 * 2);
  EXPECT_FALSE(out["kinds"][1]["bytes"]["transformers"].contains("fp32"));
  EXPECT_EQ(out["layers"].size(), 35U);
  EXPECT_EQ(out["layers"][34]["shares"], 14);
}

TEST_F(KvCli, FindsAModelInTheHubsCache) {
  const std::string commit(40, 'a');
  put(folder_ / "hub" / "models--org--name" / "refs" / "main", commit);
  copy("31b", folder_ / "hub" / "models--org--name" / "snapshots" / commit);
  const Ran ran = assay("kv --model org/name --context 10", "HF_HUB_OFFLINE=1 HF_HUB_CACHE=" + at("hub"));
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("K=V"));
}

TEST_F(KvCli, NamesWhatIsWrong) {
  put(folder_ / "bad" / "config.json", "{");
  for (const auto& [arguments, word] : std::vector<std::pair<std::string, std::string>>{
           {"--model " + at("none") + " --context 1", "none"},
           {"--model " + at("bad") + " --context 1", "config.json"},
           {"--model " + at("e2b") + " --context 0", "--context"},
           {"--model " + at("e2b") + " --context 9000000000000000000", "2^63"},
           {"--model " + at("e2b"), "--context"},
           {"--model org/name --context 1", "HF_HUB_OFFLINE"}}) {
    const Ran ran = assay("kv " + arguments, "HF_HUB_OFFLINE=1 HF_HUB_CACHE=" + at("hub"));
    EXPECT_EQ(ran.code, 2) << arguments;
    EXPECT_THAT(ran.err, HasSubstr(word)) << arguments;
    EXPECT_EQ(ran.out, "") << arguments;
  }
}

}  // namespace
}  // namespace assay
