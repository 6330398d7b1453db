// A front-end golden small enough to make here, its own front end's answers as the truth: a bent step must show at its
// stage, and nowhere before.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/sha256.h"
#include "golden/front_end.h"
#include "golden/hdf5.h"
#include "harness/frontend/verify.h"
#include "media/expected.h"
#include "model/media/resize.h"
#include "temporary.h"
#include "tokenizer/small.h"

namespace assay {
namespace {

constexpr const char* kRequest = R"({"checkpoint": "e", "text": "a<|image|>", "images": ["picture.png"]})";

class FrontEndStages : public ::testing::Test {
 protected:
  FrontEndStages() {
    nlohmann::json tokenizer = small_tokenizer();
    const char* names[] = {"<|image|>", "<|image>", "<image|>"};
    for (int i = 0; i < 3; ++i) tokenizer["added_tokens"].push_back(added_token(16 + i, names[i], true));
    put(folder() / "checkpoints" / "e" / "tokenizer.json", tokenizer.dump());
    put(folder() / "checkpoints" / "e" / "processor_config.json",
        R"({"image_processor": {"patch_size": 12, "pooling_kernel_size": 2, "max_soft_tokens": 70}})");
    put(folder() / "files" / "picture.png", bytes_of(media_file("picture.png")));
    write(kRequest);
  }

  std::filesystem::path folder() const { return data_ / "front-end"; }

  static Tensor of(std::vector<std::int64_t> shape, std::span<const std::uint8_t> bytes) {
    return Tensor::own(std::move(shape), std::vector<std::int64_t>(bytes.begin(), bytes.end()));
  }

  void write(const std::string& request) {
    const Image picture = decode_image(media_file("picture.png")).value();
    const Image resized = resize_bicubic(picture, 240, 144).value();
    const std::string cases = "/cases/picture";
    auto writer = hdf5::Writer::create(folder() / "front-end.h5");
    ASSERT_TRUE(writer) << message_of(writer);
    const auto must = [](const Result<void>& done) { ASSERT_TRUE(done) << message_of(done); };
    must(writer->attribute("/", "kind", std::string("frontend")));
    must(writer->attribute("/", "schema", std::int64_t{1}));
    must(writer->group(cases));
    must(writer->attribute(cases, "what", std::string("A picture.")));
    must(writer->dataset(
        cases + "/request",
        of({std::int64_t(request.size())}, {reinterpret_cast<const std::uint8_t*>(request.data()), request.size()})));
    must(writer->dataset(cases + "/stages/image.0.decoded", of({61, 97, 3}, picture.rgb)));
    must(writer->dataset(cases + "/stages/image.0.resized",
                         of({1, 240, 3}, std::span(resized.rgb).subspan(100 * 720, 720))));
    must(writer->attribute(cases + "/stages/image.0.resized", "rows", std::vector<std::int64_t>{100}));
    must(writer->attribute(cases + "/stages/image.0.resized", "shape", std::vector<std::int64_t>{144, 240, 3}));
    std::vector<std::int64_t> ids(63, 16);
    ids[0] = 7;
    ids[1] = 17;
    ids[62] = 18;
    must(writer->dataset(cases + "/stages/layout.ids", Tensor::own({63}, ids)));
    must(writer->close());
    nlohmann::json manifest{{"schema", 1}, {"files", nlohmann::json::object()}};
    for (const auto& entry : std::filesystem::recursive_directory_iterator(folder()))
      if (entry.is_regular_file())
        manifest["files"][entry.path().lexically_relative(data_.path()).generic_string()] =
            sha256_file(entry.path()).value();
    put(data_ / "MANIFEST.json", manifest.dump());
  }

  PathResult run(const FrontEnd& steps) const {
    const auto golden = FrontEndGolden::open(data_.path());
    EXPECT_TRUE(golden) << message_of(golden);
    return golden ? verify_front_end_case(*golden, "picture", steps) : PathResult{};
  }

  static std::string first(const PathResult& result) {
    const TapResult* tap = first_failure(result);
    return tap == nullptr ? "" : tap->tap + " " + tap->mode;
  }

  Temporary data_;
};

TEST_F(FrontEndStages, OfTheTrueFrontEndPass) {
  const PathResult result = run(front_end());
  EXPECT_EQ(result.verdict, Verdict::pass) << result.note << first(result);
  ASSERT_EQ(result.taps.size(), 3U);
  EXPECT_EQ(result.taps[0].tap, "image.0.decoded");
  EXPECT_EQ(result.taps[1].stats.count, 720U);
  EXPECT_EQ(result.taps[2].mode, "whole");
  EXPECT_TRUE(check_front_end(data_.path()).empty());
}

TEST_F(FrontEndStages, ShowABentStepAtItsPlace) {
  FrontEnd decode = front_end();
  decode.decode_image = [](const FrontEnd::Path& path) {
    auto image = decode_image(path);
    image->rgb[100] ^= 1U;
    return image;
  };
  EXPECT_EQ(first(run(decode)), "image.0.decoded stage");
  FrontEnd resize = front_end();
  resize.resize = [](const Image& image, int width, int height) {
    auto made = resize_bicubic(image, width, height);
    made->rgb[100 * 720 + 7] ^= 1U;
    return made;
  };
  EXPECT_EQ(first(run(resize)), "image.0.resized stage");
  FrontEnd size = front_end();
  size.target_size = [](Size, const PatchSettings&, const std::string&) -> Result<Size> { return Size{48, 48}; };
  const PathResult small = run(size);
  EXPECT_EQ(first(small), "image.0.resized stage");
  EXPECT_EQ(small.verdict, Verdict::fail_shape);
  FrontEnd layout = front_end();
  layout.image_text = [](const MediaTokens& tokens, int) { return tokens.image; };
  EXPECT_EQ(first(run(layout)), "layout.ids whole");
}

TEST_F(FrontEndStages, AStepThatRefusesIsAFailure) {
  FrontEnd steps = front_end();
  steps.decode_image = [](const FrontEnd::Path& path) -> Result<Image> {
    return fail({Failure::bad_input, path.string(), "", "something else", "this"});
  };
  const PathResult result = run(steps);
  EXPECT_EQ(result.verdict, Verdict::crash);
  EXPECT_THAT(result.taps[0].note, testing::HasSubstr("expected something else"));
}

TEST_F(FrontEndStages, RunsEveryCaseInAChild) {
  const auto golden = FrontEndGolden::open(data_.path());
  ASSERT_TRUE(golden);
  FrontEnd dies = front_end();
  dies.resize = [](const Image&, int, int) -> Result<Image> { std::abort(); };
  const auto results = verify_front_end(*golden, dies, {});
  ASSERT_TRUE(results) << message_of(results);
  ASSERT_EQ(results->size(), 1U);
  EXPECT_EQ(results->front().verdict, Verdict::crash);
  EXPECT_TRUE(verify_front_end(*golden, front_end(), {.selection = {.filter = "/nothing/"}})->empty());
}

TEST_F(FrontEndStages, AGoldenThatWasTouchedIsRefused) {
  put(folder() / "files" / "picture.png", "another");
  EXPECT_FALSE(FrontEndGolden::open(data_.path()));
}

}  // namespace
}  // namespace assay
