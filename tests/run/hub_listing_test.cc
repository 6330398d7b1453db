// Listings are from outside: names and sizes are checked before anything is called so.
#include "listing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace assay {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Key;

const std::string kCommit(40, 'a');

std::string listing(const std::string& files) {
  return R"({"sha": ")" + kCommit + R"(", "siblings": [)" + files + "]}";
}

TEST(HubListing, ReadsSizesAndChecksumsOfBothKinds) {
  const auto got = parse_listing(
      listing(R"({"rfilename": "config.json", "size": 7, "blobId": ")" + std::string(40, '1') +
              R"("}, {"rfilename": "model.safetensors", "size": 130, "blobId": ")" + std::string(40, '2') +
              R"(", "lfs": {"size": 99, "sha256": ")" + std::string(64, '3') + R"("}}, {"rfilename": "plain.json"})"),
      "x");
  ASSERT_TRUE(got) << got.error().message();
  EXPECT_EQ(got->commit, kCommit);
  EXPECT_EQ(got->files.at("config.json").size, 7);
  EXPECT_EQ(got->files.at("config.json").checksum, std::string(40, '1'));
  EXPECT_EQ(got->files.at("model.safetensors").size, 99);
  EXPECT_EQ(got->files.at("model.safetensors").checksum, std::string(64, '3'));
  EXPECT_EQ(got->files.at("plain.json").size, -1);
  EXPECT_EQ(got->files.at("plain.json").checksum, "");
}

TEST(HubListing, NamesThatCouldLeaveTheFolderAreLeftOut) {
  const auto got =
      parse_listing(listing(R"({"rfilename": ".."}, {"rfilename": "../config.json"}, {"rfilename": "/etc/passwd"},
              {"rfilename": "a/config.json"}, {"rfilename": "a\\b"}, {"rfilename": "a\nb"}, {"rfilename": ""},
              {"rfilename": 3}, {"rfilename": "config.json"})"),
                    "x");
  ASSERT_TRUE(got) << got.error().message();
  EXPECT_THAT(got->files, ElementsAre(Key("config.json")));
}

TEST(HubListing, RefusesWhatIsNoListing) {
  const std::string deep = std::string(200000, '[');
  for (const auto& [text, word] : std::vector<std::pair<std::string, std::string>>{
           {"", "JSON"},
           {"[]", "object"},
           {deep, "levels"},
           {R"({"sha": "../../x", "siblings": []})", "sha"},
           {R"({"sha": ")" + kCommit + R"("})", "siblings"},
           {R"({"sha": ")" + kCommit + R"(", "siblings": [3]})", "siblings"},
           {listing(R"({"rfilename": "config.json", "size": -1})"), "size"},
           {listing(R"({"rfilename": "config.json", "size": 1e99})"), "size"},
           {listing(R"({"rfilename": "config.json", "blobId": "../../../x"})"), "checksum"},
           {listing(R"({"rfilename": "m", "lfs": {"size": 3, "sha256": "AB"}})"), "checksum"}}) {
    const auto got = parse_listing(text, "http://x");
    ASSERT_FALSE(got) << text.substr(0, 80);
    EXPECT_THAT(got.error().message(), HasSubstr(word));
    EXPECT_THAT(got.error().message(), HasSubstr("http://x"));
  }
}

TEST(HubListing, SmallFilesComeSmallestFirstAndNothingElse) {
  HubListing got{.commit = kCommit};
  got.files = {{"config.json", {.size = 30}},
               {"tokenizer.json", {.size = 900}},
               {"README.md", {.size = 1}},
               {"model.safetensors", {.size = 2}},
               {"chat_template.jinja", {.size = 4}}};
  EXPECT_THAT(small_files(got, HubNeed::checkpoint),
              ElementsAre("chat_template.jinja", "config.json", "tokenizer.json"));
  EXPECT_THAT(small_files(got, HubNeed::config), ElementsAre("config.json"));
}

}  // namespace
}  // namespace assay
