// What a session is asked when text is generated, and when it ends.
#include "harness/run/generate.h"

#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/fake.h"

namespace assay {
namespace {

using fake::FakeSession;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Ints = std::vector<std::int64_t>;

/// What the fake model says greedily, by the harness's other loop.
Ints greedy(const CaseInputs& inputs, int count) {
  FakeSession session(fake::plan());
  return drive(session, inputs, {.generate = count, .taps = {}})->generated;
}

Generated generated(FakeSession& session, const CaseInputs& inputs, const GenerateOptions& options,
                    const OnToken& on_token = {}) {
  auto out = generate(session, inputs, options, on_token);
  EXPECT_TRUE(out) << out.error().message();
  return out.value_or(Generated{});
}

Generated generated(const CaseInputs& inputs, const GenerateOptions& options, const OnToken& on_token = {}) {
  FakeSession session(fake::plan());
  return generated(session, inputs, options, on_token);
}

/// Two rows, of 4 and of 2 tokens.
CaseInputs padded() {
  CaseInputs in = fake::inputs(2, 4);
  in.ids = {5, 6, 7, 8, 0, 0, 3, 9};
  in.mask = {1, 1, 1, 1, 0, 0, 1, 1};
  return in;
}

TEST(Generate, SaysWhatDriveSays) {
  const CaseInputs in = fake::inputs(1, 5);
  const Generated out = generated(in, {.most = 9});
  EXPECT_EQ(out.rows[0].ids, greedy(in, 9));
  EXPECT_EQ(out.rows[0].finish, Finish::length);
  EXPECT_EQ(out.tokens(), 9);
}

TEST(Generate, AsksForThePromptOnceAndThenForOneTokenAtATime) {
  CaseInputs in = fake::inputs(1, 3);
  in.types = {0, 1, 0};
  in.more.push_back({"something_else", Tensor::own({1}, std::vector<float>{1})});
  FakeSession session(fake::plan());
  const Ints ids = generated(session, in, {.most = 3}).rows[0].ids;
  ASSERT_EQ(session.calls.size(), 3U) << "nobody asks what follows the last token";
  EXPECT_EQ(session.calls[0].cache, Cache::fresh);
  EXPECT_THAT(session.calls[0].more, ElementsAre("something_else"));
  EXPECT_EQ(session.calls[0].logit_rows, 1);
  EXPECT_EQ(session.calls[1].cache, Cache::extend);
  EXPECT_EQ(session.calls[1].ids, Ints{ids[0]});
  EXPECT_EQ(session.calls[1].types, Ints{0});
  EXPECT_THAT(session.calls[1].more, IsEmpty());
  EXPECT_THAT(session.calls[1].mask, IsEmpty());
}

TEST(Generate, WithoutACacheTheWholeSequenceIsRunAgain) {
  CaseInputs in = fake::inputs(1, 3);
  in.more.push_back({"something_else", Tensor::own({1}, std::vector<float>{1})});
  FakeSession session(fake::plan());
  const Ints ids = generated(session, in, {.most = 4, .cache = false}).rows[0].ids;
  EXPECT_EQ(ids, greedy(in, 4));
  ASSERT_EQ(session.calls.size(), 4U);
  EXPECT_EQ(session.calls[3].cache, Cache::none);
  EXPECT_EQ(session.calls[3].ids.size(), 6U);
  EXPECT_THAT(session.calls[3].more, ElementsAre("something_else"));
}

TEST(Generate, EndsARowWithItsStopTokenWhicheverItIs) {
  const CaseInputs in = fake::inputs(1, 5);
  const Ints ids = greedy(in, 12);
  for (const std::size_t at : {std::size_t{0}, std::size_t{3}}) {
    const std::int64_t stop = ids[at];
    const auto first = std::find(ids.begin(), ids.end(), stop);
    GenerateOptions options{.most = 12};
    options.config.stop_ids = {99, stop};
    const Generated out = generated(in, options);
    EXPECT_EQ(out.rows[0].ids, Ints(ids.begin(), first + 1)) << "the stop token is among the ids";
    EXPECT_EQ(out.rows[0].finish, Finish::stop);
  }
}

TEST(Generate, AStopTokenAtTheLengthIsAStop) {
  const CaseInputs in = fake::inputs(1, 5);
  GenerateOptions options{.most = 1};
  options.config.stop_ids = {greedy(in, 1)[0]};
  EXPECT_EQ(generated(in, options).rows[0].finish, Finish::stop);
}

TEST(Generate, APaddedRowSaysWhatItSaysAlone) {
  const Generated both = generated(padded(), {.most = 6});
  CaseInputs first = fake::inputs(1, 4), second = fake::inputs(1, 2);
  first.ids = {5, 6, 7, 8};
  second.ids = {3, 9};
  EXPECT_EQ(both.rows[0].ids, greedy(first, 6));
  EXPECT_EQ(both.rows[1].ids, greedy(second, 6));
}

TEST(Generate, PositionsCountFromEachRowsFirstToken) {
  EXPECT_THAT(positions_of(padded()), ElementsAre(0, 1, 2, 3, 0, 0, 0, 1));
  FakeSession session(fake::plan());
  generated(session, padded(), {.most = 3});
  EXPECT_THAT(session.calls[1].positions, ElementsAre(4, 2));
  EXPECT_THAT(session.calls[1].mask, ElementsAre(1, 1, 1, 1, 1, 0, 0, 1, 1, 1));
  EXPECT_THAT(session.calls[2].positions, ElementsAre(5, 3));
}

TEST(Generate, ARowThatHasEndedIsFedPadsUntilTheOthersHave) {
  const Generated free = generated(padded(), {.most = 6});
  const Ints first = free.rows[0].ids, second = free.rows[1].ids;
  // A token with which the second row ends two steps or more before the first.
  const auto end = [](const Ints& ids, std::int64_t stop) {
    return std::find(ids.begin(), ids.end(), stop) - ids.begin();
  };
  const auto stop = std::find_if(second.begin(), second.end(),
                                 [&](std::int64_t id) { return end(first, id) >= end(second, id) + 2; });
  ASSERT_NE(stop, second.end());
  GenerateOptions options{.most = 6};
  options.config.stop_ids = {*stop};
  options.config.pad_id = 10;
  FakeSession session(fake::plan());
  const Generated out = generated(session, padded(), options);
  const std::size_t length = out.rows[1].ids.size();
  EXPECT_EQ(out.rows[1].ids, Ints(second.begin(), stop + 1));
  EXPECT_EQ(session.calls[length].ids[1], *stop);
  EXPECT_EQ(session.calls[length + 1].ids[1], 10);
  EXPECT_EQ(session.calls.size(), out.rows[0].ids.size());
}

TEST(Generate, HandsOnEachTokenAsItIsChosen) {
  std::vector<std::tuple<int, std::int64_t, std::string>> heard;
  const Generated out = generated(padded(), {.most = 2}, [&](int row, std::int64_t id, std::optional<Finish> finish) {
    heard.emplace_back(row, id, finish ? std::string(name_of(*finish)) : "");
  });
  EXPECT_THAT(heard,
              ElementsAre(std::tuple(0, out.rows[0].ids[0], ""), std::tuple(1, out.rows[1].ids[0], ""),
                          std::tuple(0, out.rows[0].ids[1], "length"), std::tuple(1, out.rows[1].ids[1], "length")));
}

TEST(Generate, SuppressedTokensAreNeverSaid) {
  const CaseInputs in = fake::inputs(1, 5);
  GenerateOptions options{.most = 8};
  options.config.suppress_ids = {greedy(in, 1)[0]};
  EXPECT_THAT(generated(in, options).rows[0].ids, testing::Not(testing::Contains(options.config.suppress_ids[0])));
}

TEST(Generate, ASeedGivesOneTextAndARowDrawsAsItWouldAlone) {
  GenerateOptions options{.seed = 7, .most = 20};
  options.config.do_sample = true;
  options.config.temperature = 5;
  options.config.top_k = 0;
  options.config.top_p = 1;
  const Generated once = generated(padded(), options);
  EXPECT_EQ(generated(padded(), options).rows[0].ids, once.rows[0].ids);
  CaseInputs second = fake::inputs(1, 2);
  second.ids = {3, 9};
  GenerateOptions next = options;
  next.seed = 8;
  EXPECT_EQ(generated(second, next).rows[0].ids, once.rows[1].ids);
  next.seed = 9;
  EXPECT_NE(generated(second, next).rows[0].ids, once.rows[1].ids);
}

TEST(Generate, LogitsThatAreNotFiniteAreAFailureOfTheEngine) {
  FakeSession session(fake::plan());
  session.bend = [](TapId id, std::vector<float>& values) {
    if (id.tap == Tap::logits) values[3] = std::numeric_limits<float>::quiet_NaN();
  };
  const auto out = generate(session, fake::inputs(1, 2), {.most = 2}, {});
  ASSERT_FALSE(out);
  EXPECT_EQ(out.error().kind, Failure::bad_output);
  EXPECT_THAT(out.error().message(), HasSubstr("finite"));
}

TEST(Generate, RefusesIdsThatTheModelLacksAndNoTokens) {
  FakeSession session(fake::plan());
  CaseInputs in = fake::inputs(1, 2);
  EXPECT_THAT(generate(session, in, {.most = 0}, {}).error().message(), HasSubstr("--max-tokens"));
  in.ids[1] = 11;
  EXPECT_THAT(generate(session, in, {.most = 1}, {}).error().message(), HasSubstr("vocabulary of 11"));
}

}  // namespace
}  // namespace assay
