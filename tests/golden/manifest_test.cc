#include <gmock/gmock.h>

#include "base/sha256.h"
#include "golden/store.h"
#include "golden/tiny_golden.h"
#include "temporary.h"

namespace assay {
namespace {

using testing::HasSubstr;

class Manifest : public testing::Test {
 protected:
  Manifest() {
    for (const char* name : {"a/golden.h5", "a/checkpoint/config.json", "b/golden.h5"})
      put(folder_ / name, std::string("contents of ") + name);
    write_manifest(folder_.path());
  }
  std::string error_of(std::string_view golden = {}) {
    const auto checked = check_manifest(folder_.path(), golden);
    return checked ? "no error" : checked.error().message();
  }
  Temporary folder_;
};

TEST_F(Manifest, TakesWhatAgrees) {
  EXPECT_EQ(error_of(), "no error");
  EXPECT_EQ(error_of("a"), "no error");
}

TEST_F(Manifest, ListsGoldensByName) {
  const std::vector<GoldenEntry> goldens = list_goldens(folder_.path()).value();
  ASSERT_EQ(goldens.size(), 2);
  EXPECT_EQ(goldens[0].name, "a");
  EXPECT_EQ(goldens[0].file, folder_ / "a/golden.h5");
  EXPECT_EQ(goldens[0].checkpoint, folder_ / "a/checkpoint");
  EXPECT_EQ(goldens[1].name, "b");
}

TEST_F(Manifest, PackedWeightsAreAnothersCheckpoint) {
  put(folder_ / "b/weights.json", R"({"of": "a", "weights": "q4_0"})");
  const std::vector<GoldenEntry> goldens = list_goldens(folder_.path()).value();
  EXPECT_EQ(goldens[1].checkpoint, folder_ / "a/checkpoint");
  EXPECT_EQ(goldens[1].weights, Dtype::q4_0);
  EXPECT_EQ(goldens[0].weights, std::nullopt);
  for (const char* wrong : {"{", "[]", "{}", R"({"of": "../a", "weights": "q4_0"})", R"({"of": 1, "weights": "q4_0"})",
                            R"({"of": "a", "weights": "q9"})", R"({"of": "a"})"}) {
    put(folder_ / "b/weights.json", wrong);
    const auto listed = list_goldens(folder_.path());
    ASSERT_FALSE(listed) << wrong;
    EXPECT_THAT(listed.error().message(), HasSubstr("b/weights.json")) << wrong;
  }
}

TEST_F(Manifest, OfFullSizeIsAName) {
  put(folder_ / "b/weights.json", R"({"synthetic": "e2b:q4_0:text"})");
  const std::vector<GoldenEntry> goldens = list_goldens(folder_.path()).value();
  ASSERT_TRUE(goldens[1].synthetic);
  EXPECT_EQ(goldens[1].synthetic->text(), "e2b:q4_0:text");
  EXPECT_FALSE(goldens[0].synthetic);
  const auto named = [&](std::string_view text) {
    const auto found = synthetic_goldens(goldens, text);
    return found ? *found : std::vector<std::string>{found.error().message()};
  };
  for (const char* text : {"e2b", "e2b:q4_0", "e2b:q4_0:text"}) EXPECT_THAT(named(text), testing::ElementsAre("b"));
  for (const char* text : {"e4b", "e2b:bf16"})
    EXPECT_THAT(named(text), testing::ElementsAre(HasSubstr("one that there is a golden of: e2b:q4_0:text")));
  EXPECT_THAT(named("e3b"), testing::ElementsAre(HasSubstr("expected one of e2b, e4b")));
  for (const char* wrong : {R"({"synthetic": "e9b"})", R"({"synthetic": 1})", R"({"synthetic": ""})"}) {
    put(folder_ / "b/weights.json", wrong);
    const auto listed = list_goldens(folder_.path());
    ASSERT_FALSE(listed) << wrong;
    EXPECT_THAT(listed.error().message(), HasSubstr("b/weights.json")) << wrong;
  }
}

TEST_F(Manifest, NamesTheFileThatDiffers) {
  put(folder_ / "a/golden.h5", "other contents");
  EXPECT_THAT(error_of(), HasSubstr("a/golden.h5: sha256: expected"));
  EXPECT_THAT(error_of("a"), HasSubstr("a/golden.h5: sha256: expected"));
  EXPECT_EQ(error_of("b"), "no error");
}

TEST_F(Manifest, NamesTheFileThatIsMissing) {
  std::filesystem::remove(folder_ / "a/checkpoint/config.json");
  EXPECT_THAT(error_of("a"), HasSubstr("a/checkpoint/config.json: expected a file, found none"));
  std::filesystem::remove_all(folder_ / "b");
  EXPECT_EQ(list_goldens(folder_.path()).value().size(), 2)
      << "what was promised is listed, so that its absence is seen";
}

TEST_F(Manifest, NamesTheFileThatNobodyVouchesFor) {
  put(folder_ / "c/golden.h5", "new");
  EXPECT_THAT(error_of(), HasSubstr("c/golden.h5: expected an entry in MANIFEST.json, found none"));
  EXPECT_THAT(error_of("c"), HasSubstr("files of c"));
  EXPECT_EQ(error_of("a"), "no error");
  EXPECT_EQ(list_goldens(folder_.path()).value().size(), 3);
}

TEST_F(Manifest, RefusesDamage) {
  const auto with = [&](const std::string& text) {
    put(folder_ / "MANIFEST.json", text);
    const auto listed = list_goldens(folder_.path());
    return listed ? "no error" : listed.error().message();
  };
  EXPECT_THAT(with("{"), HasSubstr("expected a JSON object"));
  EXPECT_THAT(with("[]"), HasSubstr("expected a JSON object"));
  EXPECT_THAT(with("{}"), HasSubstr("schema: expected 1, found none"));
  EXPECT_THAT(with(R"({"schema": 2, "files": {}})"), HasSubstr("schema: expected 1, found 2"));
  EXPECT_THAT(with(R"({"schema": 1})"), HasSubstr("files: expected an object"));
  EXPECT_THAT(with(R"({"schema": 1, "files": {"a": 1}})"), HasSubstr("files.a: expected a hash"));
  for (const char* path : {"../x", "/etc/passwd", "a/../../x", "a//b", "./a", ""})
    EXPECT_THAT(with(std::string(R"({"schema": 1, "files": {")") + path + R"(": "0"}})"),
                HasSubstr("paths below the folder"))
        << path;
  std::filesystem::remove(folder_ / "MANIFEST.json");
  EXPECT_THAT(list_goldens(folder_.path()).error().message(), HasSubstr("MANIFEST.json: expected a file, found none"));
}

}  // namespace
}  // namespace assay
