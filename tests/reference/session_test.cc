// The oracle as an engine: what the contract asks beyond what `verify` shows.
#include "reference/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "golden/store.h"
#include "reference/reference.h"
#include "support.h"

namespace assay::reference {
namespace {

using testing::HasSubstr;

const std::filesystem::path kData = kSource / "golden/data";

class Keep : public TapSink {
 public:
  explicit Keep(int layers) : TapSink(layers) {}
  void take(TapId id, Rows<const float> rows) override { kept[id.name()].assign(rows.all().begin(), rows.all().end()); }
  std::map<std::string, std::vector<float>> kept;
};

std::unique_ptr<Session> open(const std::string& golden) {
  const Checkpoint checkpoint = Checkpoint::open(kData / golden / "checkpoint").value();
  return reference_engine().open(checkpoint).value();
}

std::vector<float> logits(Session& session, const std::vector<std::int64_t>& ids, Cache cache) {
  Keep taps(int(session.plan().layers.size()));
  taps.want({Tap::logits, -1});
  const auto done = session.forward(
      {.ids = {ids.data(), 1, int(ids.size())}, .mask = {}, .more = {}, .cache = cache, .logit_rows = 1}, taps);
  EXPECT_TRUE(done) << done.error().message();
  return taps.kept["text.logits"];
}

}  // namespace

TEST(Session, TruncateForgets) {
  for (const char* golden : {"e2b-tails", "12b-tails", "26b-a4b-tails"}) {
    const auto session = open(golden);
    const std::vector<float> once = logits(*session, {5, 6, 7}, Cache::fresh);
    logits(*session, {8, 9}, Cache::extend);
    const std::vector<int> keep = {2};
    ASSERT_TRUE(session->truncate(keep));
    EXPECT_EQ(logits(*session, {7}, Cache::extend), once) << golden;
  }
}

TEST(Session, TruncateLeavesABatchOfLeftPaddedRows) {
  for (const char* golden : {"e2b-tails", "31b-tails"}) {
    const auto session = open(golden);
    // Eight tokens a row; six stay of the first, three of the second; two more come.
    const std::vector<std::int64_t> ids = {5, 6, 7, 8, 9, 10, 11, 12, 21, 22, 23, 24, 25, 26, 27, 28};
    const std::vector<std::int64_t> more_ids = {13, 14, 29, 30}, places = {6, 7, 3, 4};
    const std::vector<NamedTensor> more = {{"position_ids", Tensor::own({2, 2}, places)}};
    Keep taps(int(session->plan().layers.size()));
    taps.want({Tap::logits, -1});
    ASSERT_TRUE(session->forward({.ids = {ids.data(), 2, 8}, .mask = {}, .more = {}}, taps));
    const std::vector<int> keep = {6, 3};
    ASSERT_TRUE(session->truncate(keep));
    const std::vector<std::int64_t> mask = {1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 1, 1, 1, 1};
    ASSERT_TRUE(session->forward({.ids = {more_ids.data(), 2, 2},
                                  .mask = {mask.data(), 2, 8},
                                  .more = more,
                                  .cache = Cache::extend,
                                  .logit_rows = 1},
                                 taps));
    std::vector<float> alone;
    for (const std::vector<std::int64_t>& row :
         {std::vector<std::int64_t>{5, 6, 7, 8, 9, 10, 13, 14}, {21, 22, 23, 29, 30}}) {
      const std::vector<float> last = logits(*open(golden), row, Cache::fresh);
      alone.insert(alone.end(), last.begin(), last.end());
    }
    EXPECT_THAT(taps.kept["text.logits"], testing::Pointwise(testing::FloatNear(1e-5F), alone)) << golden;
  }
}

TEST(Session, TruncateRefusesMoreThanThereIs) {
  const auto session = open("e2b-tails");
  logits(*session, {5, 6}, Cache::fresh);
  for (const std::vector<int>& keep : {std::vector<int>{3}, {-1}, {1, 1}}) {
    const auto done = session->truncate(keep);
    ASSERT_FALSE(done);
    EXPECT_THAT(done.error().message(), HasSubstr("truncate: keep: expected"));
  }
}

TEST(Session, GivesTheLastRowsLogits) {
  const auto session = open("e2b-tails");
  const std::vector<std::int64_t> ids = {5, 6, 7, 8, 21, 22, 23, 24};
  const auto rows = [&](int count) {
    Keep taps(int(session->plan().layers.size()));
    taps.want({Tap::logits, -1});
    EXPECT_TRUE(session->forward({.ids = {ids.data(), 2, 4}, .mask = {}, .more = {}, .logit_rows = count}, taps));
    return taps.kept["text.logits"];
  };
  const std::vector<float> all = rows(0), two = rows(2);
  const auto vocab = std::ptrdiff_t(session->plan().vocab);
  std::vector<float> expected(all.begin() + 2 * vocab, all.begin() + 4 * vocab);
  expected.insert(expected.end(), all.begin() + 6 * vocab, all.end());
  EXPECT_EQ(two, expected);
}

TEST(Session, NoCacheLeavesTheCacheAlone) {
  const auto session = open("e4b-tails");
  logits(*session, {5, 6}, Cache::fresh);
  logits(*session, {9, 9, 9}, Cache::none);
  const std::vector<float> with = logits(*session, {7}, Cache::extend);
  const auto other = open("e4b-tails");
  logits(*other, {5, 6}, Cache::fresh);
  EXPECT_EQ(logits(*other, {7}, Cache::extend), with);
}

TEST(Session, RefusesIdsOutsideTheVocabulary) {
  const auto session = open("e2b-tails");
  NoTaps none(int(session->plan().layers.size()));
  for (const std::int64_t id : {std::int64_t{-1}, std::int64_t{session->plan().vocab}}) {
    if (std::ranges::find(session->plan().placeholder_ids, id) != session->plan().placeholder_ids.end()) continue;
    const auto done = session->forward({.ids = {&id, 1, 1}, .mask = {}, .more = {}}, none);
    ASSERT_FALSE(done);
    EXPECT_THAT(done.error().message(), HasSubstr("input_ids"));
  }
}

TEST(Session, RefusesTensorsThatItWouldIgnore) {
  const auto session = open("e2b-tails");
  NoTaps none(int(session->plan().layers.size()));
  const std::int64_t id = 1;
  const auto refused = [&](const char* name) {
    const std::vector<NamedTensor> more = {{name, Tensor::own({1, 1}, std::vector<float>{0})}};
    return session->forward({.ids = {&id, 1, 1}, .mask = {}, .more = more}, none).error();
  };
  EXPECT_EQ(refused("pixel_value").kind, Failure::unsupported);
  EXPECT_THAT(refused("pixel_value").message(), HasSubstr("pixel_value: "));
  EXPECT_EQ(refused("pixel_values").kind, Failure::bad_input) << "it has no vision tower";
}

// Every op by itself on the golden's own inputs: an error could not hide behind one before it.
TEST(Session, StepsEveryTapOfEveryGoldenFromTheGoldenItself) {
  const auto goldens = list_goldens(kData);
  ASSERT_TRUE(goldens) << goldens.error().message();
  ASSERT_FALSE(goldens->empty());
  int steps = 0;
  for (const GoldenEntry& entry : *goldens) {
    const Golden golden = Golden::open(entry.file).value();
    if (entry.synthetic) continue;                // minutes and gigabytes: `assay verify --synthetic`
    if (!golden.info().target.empty()) continue;  // a drafter's ops read its target's cache, which no step is given
    const auto session = reference_engine().open(open_checkpoint(entry).value()).value();
    for (const std::string& name : golden.info().cases) {
      const GoldenCase one = golden.load(name).value();
      std::vector<NamedTensor> inputs = one.inputs;
      for (const GoldenTap& tap : one.taps)
        if (tap.rows.empty()) inputs.push_back({tap.id.name(), Tensor::own(tap.shape, tap.values)});
      std::vector<std::int64_t> mask;
      if (const Tensor* given = find(one.inputs, "attention_mask")) mask = given->integers().value();
      for (const GoldenTap& tap : one.taps) {
        Keep taps(int(session->plan().layers.size()));
        taps.want(tap.id);
        const auto done = session->step(tap.id, inputs, taps);
        if (!done) {  // an input of which the golden keeps selected rows only
          EXPECT_THAT(done.error().message(), HasSubstr("found none"))
              << entry.name << " " << name << " " << tap.id.name();
          continue;
        }
        const std::vector<float>& made = taps.kept[tap.id.name()];
        const std::size_t cols = std::size_t(columns(session->plan(), tap.id));
        std::vector<float> expected, actual;
        for (std::size_t row = 0; row < tap.values.size() / cols; ++row) {
          const std::size_t flat = tap.rows.empty() ? row : std::size_t(tap.rows[row]);
          if (row_space(tap.id.tap) == RowSpace::tokens && !mask.empty() && mask[flat] == 0) continue;
          expected.insert(expected.end(), tap.values.begin() + std::ptrdiff_t(row * cols),
                          tap.values.begin() + std::ptrdiff_t((row + 1) * cols));
          actual.insert(actual.end(), made.begin() + std::ptrdiff_t(flat * cols),
                        made.begin() + std::ptrdiff_t((flat + 1) * cols));
        }
        const ErrorStats stats = compare(expected, actual, fp32_engine());
        EXPECT_TRUE(stats.passed()) << entry.name << " " << name << " " << tap.id.name() << ": " << stats.worst_ratio
                                    << " x tolerance";
        ++steps;
      }
    }
  }
  EXPECT_GT(steps, 1000);
}

}  // namespace assay::reference
