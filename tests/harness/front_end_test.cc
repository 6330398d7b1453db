#include "harness/frontend/verify.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/frontend/request.h"
#include "temporary.h"

namespace assay {
namespace {

using ::testing::ElementsAre;

Result<Request> parsed(const std::string& json) { return parse_request(json, "files", "test"); }

TEST(FrontEndRequest, ReadsTextsMediaAndOptions) {
  const auto request = parsed(R"({"checkpoint": "e", "texts": ["a", "b"], "images": [["x.png"], []],
    "options": {"strict": true, "num_frames": 4, "image_tokens": 70, "add_special": false}})");
  ASSERT_TRUE(request) << request.error().message();
  EXPECT_TRUE(request->batched && request->strict);
  EXPECT_THAT(request->texts, ElementsAre("a", "b"));
  ASSERT_EQ(request->media.size(), 2U);
  EXPECT_THAT(request->media[0].images, ElementsAre("files/x.png"));
  EXPECT_TRUE(request->media[1].empty());
  EXPECT_EQ(request->num_frames, 4);
  EXPECT_EQ(request->image_tokens, 70);
  EXPECT_EQ(request->add_special, false);
}

TEST(FrontEndRequest, DecodesBytesThatAreNoText) {
  const auto request = parsed(R"({"bytes": "Yf/+YmM="})");
  ASSERT_TRUE(request);
  EXPECT_EQ(request->text,
            "a\xff\xfe"
            "bc");
  EXPECT_FALSE(parsed(R"({"bytes": "a b"})"));
}

TEST(FrontEndRequest, RefusesWhatItCannotMean) {
  for (const char* json : {"[]", "no", R"({"text": 3})", R"({"images": ["../x"]})", R"({"images": ["/x"]})",
                           R"({"images": 1})", R"({"texts": ["a"], "images": []})", R"({"ids": [1.5]})",
                           R"({"options": {"strict": 1}})", R"({"options": {"num_frames": 0}})"})
    EXPECT_FALSE(parsed(json)) << json;
}

Split split(Selection selection) { return split_front_end(selection); }

TEST(FrontEndSelection, TakesTheFrontEndAlongUnlessOthersAreNamed) {
  EXPECT_TRUE(split({}).front_end && split({}).engines);
  EXPECT_FALSE(split({.engines = {"reference"}}).front_end);
  EXPECT_FALSE(split({.engines = {"front-end"}}).engines);
  EXPECT_TRUE(split({.engines = {"front-end", "reference"}}).engines);
  EXPECT_THAT(split({.engines = {"front-end", "reference"}}).rest.engines, ElementsAre("reference"));
  EXPECT_FALSE(split({.goldens = {"e2b-tails"}}).front_end);
  EXPECT_FALSE(split({.paths = {"decode"}}).front_end);
  EXPECT_FALSE(split({.paths = {"process"}}).engines);
  EXPECT_FALSE(split({.goldens = {"x.h5"}, .model = "dir"}).front_end);
}

}  // namespace
}  // namespace assay
