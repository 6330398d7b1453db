#include "harness/dump/dump.h"

#include <gmock/gmock.h>

#include "golden/store.h"
#include "golden/tiny_golden.h"
#include "model/safetensors.h"
#include "temporary.h"

namespace assay {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// Every value of a tap is its row's token id, and the largest logit is the id after the last.
class Echo : public Session {
 public:
  explicit Echo(Plan plan) : Session(std::move(plan)) {}

 protected:
  Result<void> do_forward(const Forward& call, TapSink& taps) override {
    for (const TapId id : all_taps(plan())) {
      const bool logits = id.tap == Tap::logits;
      const int per_row = logits && call.logit_rows > 0 ? call.logit_rows : call.ids.cols, cols = columns(plan(), id);
      std::vector<float> values(std::size_t(call.ids.rows) * std::size_t(per_row) * std::size_t(cols));
      for (int b = 0; b < call.ids.rows; ++b)
        for (int t = 0; t < per_row; ++t) {
          const std::int64_t token = call.ids.row(b).last(std::size_t(per_row))[std::size_t(t)];
          float* row = values.data() + (std::size_t(b) * std::size_t(per_row) + std::size_t(t)) * std::size_t(cols);
          if (logits)
            row[(token + 1) % cols] = 1;
          else
            std::fill_n(row, cols, float(token));
        }
      taps.offer(id.tap, id.layer, [&] { return Rows<const float>{values.data(), call.ids.rows * per_row, cols}; });
    }
    return {};
  }
};

Engine echo() {
  Engine engine;
  engine.can = {.name = "echo", .version = "1", .arithmetic = "fp32", .taps = {"text.*"}, .cache = true, .batch = true};
  engine.open = [](const Checkpoint& checkpoint) -> Result<std::unique_ptr<Session>> {
    return std::unique_ptr<Session>(std::make_unique<Echo>(checkpoint.plan));
  };
  return engine;
}

class Dump : public testing::Test {
 protected:
  Dump() {
    write_tiny_checkpoint(folder_ / "model");
    const std::vector<NamedTensor> inputs = {
        {"two/input_ids", Tensor::own({2, 3}, std::vector<std::int64_t>{0, 4, 5, 6, 7, 8})},
        {"two/attention_mask", Tensor::own({2, 3}, std::vector<std::int64_t>{0, 1, 1, 1, 1, 1})},
        {"one/input_ids", Tensor::own({1, 4}, std::vector<std::int64_t>{3, 2, 1, 22})}};
    EXPECT_TRUE(write_hdf5(folder_ / "in.h5", inputs));
    EXPECT_TRUE(write_safetensors(folder_ / "in.safetensors", inputs));
    options_.model = folder_ / "model";
    options_.inputs = (folder_ / "in.h5").string() + ":/two";
    options_.out = folder_ / "out.h5";
  }
  std::string error_of(const Engine& engine) {
    const auto dumped = dump(engine, options_);
    EXPECT_FALSE(std::filesystem::exists(options_.out));
    return dumped ? "no error" : dumped.error().message();
  }
  Temporary folder_;
  DumpOptions options_;
};

TEST_F(Dump, WritesTapsAndIds) {
  options_.taps = {"text.embed", "text.layer.*.attn.q"};
  options_.generate = 2;
  const Dumped dumped = dump(echo(), options_).value();
  EXPECT_EQ(dumped.batch, 2);
  EXPECT_EQ(dumped.tokens, 3);
  ASSERT_EQ(dumped.datasets.size(), 6);
  EXPECT_EQ(dumped.datasets[1].name, "taps/text.layer.00.attn.q");
  const auto taps = read_foreign_group(options_.out, "/taps").value();
  ASSERT_EQ(taps.size(), 5);
  EXPECT_THAT(find(taps, "text.embed")->shape, ElementsAre(2, 3, 12));
  EXPECT_EQ(find(taps, "text.embed")->floats().value()[2 * 12], 5);
  EXPECT_THAT(find(taps, "text.layer.01.attn.q")->shape, ElementsAre(2, 3, 2, 6));
  const auto outputs = read_foreign_group(options_.out, "/outputs").value();
  EXPECT_THAT(find(outputs, "generated_ids")->shape, ElementsAre(2, 2));
  EXPECT_THAT(find(outputs, "generated_ids")->integers().value(), ElementsAre(6, 7, 9, 10));
}

TEST_F(Dump, GivesLogitsUnlessAskedForOthers) {
  ASSERT_TRUE(dump(echo(), options_));
  const auto taps = read_foreign_group(options_.out, "/taps").value();
  ASSERT_EQ(taps.size(), 1);
  EXPECT_THAT(find(taps, "text.logits")->shape, ElementsAre(2, 3, 23));
}

TEST_F(Dump, GivesTheSameOnEveryPath) {
  options_.inputs = (folder_ / "in.h5").string() + ":/one";
  options_.taps = {"text.*"};
  options_.generate = 3;
  std::vector<std::string> files;
  for (const char* path : {"prefill", "nocache", "chunked:3", "decode", "batched"}) {
    options_.path = Path::parse(path).value();
    ASSERT_TRUE(dump(echo(), options_)) << path;
    files.push_back(bytes_of(options_.out));
  }
  for (const std::string& file : files) EXPECT_EQ(file, files.front());
}

TEST_F(Dump, ReadsAndWritesSafetensorsToo) {
  options_.inputs = (folder_ / "in.safetensors").string() + ":/two";
  options_.out = folder_ / "out.safetensors";
  ASSERT_TRUE(dump(echo(), options_));
  const Safetensors out = Safetensors::open(options_.out).value();
  EXPECT_THAT(out.tensors().find("taps/text.logits")->second.shape, ElementsAre(2, 3, 23));
}

TEST_F(Dump, NamesWhatItCannotDo) {
  Engine engine = echo();
  options_.taps = {"text.layer.9.*"};
  EXPECT_THAT(error_of(engine), HasSubstr("--taps: text.layer.9.*: expected the name or pattern of a tap"));
  options_.taps = {"text.norm"};
  engine.can.taps = {"text.logits"};
  EXPECT_THAT(error_of(engine), HasSubstr("engine echo: text.norm: expected a tap that it offers"));
  engine = echo();
  engine.can.cache = false;
  EXPECT_THAT(error_of(engine), HasSubstr("path: expected nocache"));
  engine = echo();
  engine.can.batch = false;
  EXPECT_THAT(error_of(engine), HasSubstr("input_ids: expected one row, found 2"));
}

TEST_F(Dump, NamesBadInput) {
  const std::string file = (folder_ / "in.h5").string();
  options_.inputs = file + ":/none";
  EXPECT_THAT(error_of(echo()), HasSubstr("in.h5: /none: expected a member of this name"));
  options_.inputs = (folder_ / "none.h5").string() + ":/two";
  EXPECT_THAT(error_of(echo()), HasSubstr("none.h5: expected a file"));
  options_.inputs = (folder_ / "in.safetensors").string() + ":/none";
  EXPECT_THAT(error_of(echo()), HasSubstr("/none: expected tensors, found none"));
  ASSERT_TRUE(
      write_hdf5(folder_ / "bad.h5",
                 std::vector<NamedTensor>{{"a/input_ids", Tensor::own({3}, std::vector<std::int64_t>{1, 2, 3})}}));
  options_.inputs = (folder_ / "bad.h5").string() + ":/a";
  EXPECT_THAT(error_of(echo()), HasSubstr("bad.h5:/a: input_ids: expected [B, T]"));
  ASSERT_TRUE(write_hdf5(folder_ / "bad.h5", std::vector<NamedTensor>{
                                                 {"a/input_ids", Tensor::own({1, 1}, std::vector<std::int64_t>{23})}}));
  EXPECT_THAT(error_of(echo()), HasSubstr("input_ids: expected ids from 0 to 22, found 23"));
  options_.inputs = file + ":/two";
  options_.model = folder_ / "no-model";
  EXPECT_THAT(error_of(echo()), HasSubstr("no-model/config.json"));
}

}  // namespace
}  // namespace assay
