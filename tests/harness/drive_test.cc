// The exact calls that each path makes, and what is gathered from them.
#include "harness/drive/drive.h"

#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/drive/tap_pattern.h"
#include "harness/fake.h"

namespace assay {
namespace {

using fake::Call;
using fake::FakeSession;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using Ints = std::vector<std::int64_t>;
using Pieces = std::vector<std::pair<int, int>>;

constexpr TapId kLogits{Tap::logits, -1};

/// Drives a fake session and returns what it heard.
std::vector<Call> calls(const CaseInputs& inputs, const DriveOptions& options, Blocks blocks = Blocks::causal) {
  FakeSession session(fake::plan(blocks));
  const Result<Driven> driven = drive(session, inputs, options);
  EXPECT_TRUE(driven) << driven.error().message();
  return session.calls;
}

CaseInputs full_inputs() {
  CaseInputs in = fake::inputs(1, 5);
  in.ids = {1, 2, 3, 4, 5};
  in.mask = {1, 1, 1, 1, 1};
  in.positions = {10, 11, 12, 13, 14};
  in.types = {0, 3, 3, 0, 0};
  in.more.push_back({"another_input", Tensor::own({1}, std::vector<float>{1})});
  return in;
}

TEST(Drive, PrefillIsOneForwardWithAFreshCache) {
  EXPECT_THAT(calls(full_inputs(), {.path = {Path::prefill}, .taps = {}}),
              ElementsAre(Call{.ids = {1, 2, 3, 4, 5},
                               .mask = {1, 1, 1, 1, 1},
                               .positions = {10, 11, 12, 13, 14},
                               .types = {0, 3, 3, 0, 0},
                               .mask_shape = {1, 5},
                               .more = {"another_input"},
                               .cache = Cache::fresh,
                               .logit_rows = 1,
                               .wants_logits = false}));
}

TEST(Drive, PassesNothingThatWasNotGiven) {
  CaseInputs in = fake::inputs(1, 2);
  const std::vector<Call> heard = calls(in, {.path = {Path::prefill}, .generate = 2, .taps = {}});
  ASSERT_EQ(heard.size(), 2U);
  for (const Call& call : heard) {
    EXPECT_THAT(call.mask, IsEmpty());
    EXPECT_THAT(call.positions, IsEmpty());
    EXPECT_THAT(call.types, IsEmpty());
    EXPECT_THAT(call.more, IsEmpty());
  }
}

TEST(Drive, ChunkedIsFreshThenExtends) {
  const std::vector<Call> heard = calls(full_inputs(), {.path = {Path::chunked, 2}, .taps = {}});
  EXPECT_THAT(heard, ElementsAre(Call{.ids = {1, 2},
                                      .mask = {1, 1},
                                      .positions = {10, 11},
                                      .types = {0, 3},
                                      .mask_shape = {1, 2},
                                      .more = {"another_input"},
                                      .cache = Cache::fresh,
                                      .logit_rows = 1},
                                 Call{.ids = {3, 4},
                                      .mask = {1, 1, 1, 1},
                                      .positions = {12, 13},
                                      .types = {3, 0},
                                      .mask_shape = {1, 4},
                                      .more = {},
                                      .cache = Cache::extend,
                                      .logit_rows = 1},
                                 Call{.ids = {5},
                                      .mask = {1, 1, 1, 1, 1},
                                      .positions = {14},
                                      .types = {0},
                                      .mask_shape = {1, 5},
                                      .more = {},
                                      .cache = Cache::extend,
                                      .logit_rows = 1}));
}

TEST(Drive, DecodeFeedsTokenByTokenFromTheFirst) {
  const std::vector<Call> heard = calls(full_inputs(), {.path = {Path::decode}, .taps = {}});
  ASSERT_EQ(heard.size(), 5U);
  for (std::size_t i = 0; i < heard.size(); ++i) {
    EXPECT_EQ(heard[i].ids, Ints{std::int64_t(i) + 1});
    EXPECT_EQ(heard[i].cache, i == 0 ? Cache::fresh : Cache::extend);
    EXPECT_EQ(heard[i].mask_shape, (Ints{1, std::int64_t(i) + 1}));
  }
}

TEST(Drive, NocacheRecomputesTheWholeSequenceForEachToken) {
  const std::vector<Call> heard = calls(full_inputs(), {.path = {Path::nocache}, .generate = 3, .taps = {}});
  ASSERT_EQ(heard.size(), 3U);
  for (std::size_t i = 0; i < heard.size(); ++i) {
    EXPECT_EQ(heard[i].ids.size(), 5 + i);
    EXPECT_EQ(heard[i].cache, Cache::none);
    EXPECT_EQ(heard[i].mask, Ints(5 + i, 1));
    EXPECT_EQ(heard[i].positions.back(), 14 + std::int64_t(i));
    EXPECT_EQ(heard[i].types.size(), 5 + i);
    EXPECT_EQ(heard[i].types[1], 3) << "the prompt's types, whole, at each recomputation";
    EXPECT_THAT(heard[i].more, ElementsAre("another_input"));
    EXPECT_EQ(heard[i].logit_rows, 1);
    EXPECT_TRUE(heard[i].wants_logits);
  }
  EXPECT_EQ(heard[2].types.back(), 0);
}

TEST(Drive, GeneratedTokensExtendMaskPositionsAndTypes) {
  const std::vector<Call> heard = calls(full_inputs(), {.path = {Path::prefill}, .generate = 3, .taps = {}});
  ASSERT_EQ(heard.size(), 3U) << "nobody asks what follows the last token";
  EXPECT_TRUE(heard[0].wants_logits);
  EXPECT_EQ(heard[1].cache, Cache::extend);
  EXPECT_EQ(heard[1].mask, Ints(6, 1));
  EXPECT_EQ(heard[1].positions, Ints{15});
  EXPECT_EQ(heard[2].positions, Ints{16});
  EXPECT_EQ(heard[2].types, Ints{0});
  EXPECT_THAT(heard[2].more, IsEmpty());
}

TEST(Drive, BatchedKeepsEachRowsPaddingAndPositions) {
  CaseInputs in = fake::inputs(2, 3);
  in.ids = {0, 1, 2, 3, 4, 5};
  in.mask = {0, 1, 1, 1, 1, 1};
  in.positions = {0, 0, 1, 0, 1, 2};
  const std::vector<Call> heard = calls(in, {.path = {Path::batched}, .generate = 2, .taps = {}});
  ASSERT_EQ(heard.size(), 2U);
  EXPECT_EQ(heard[0].ids, (Ints{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(heard[1].ids.size(), 2U);
  EXPECT_EQ(heard[1].mask, (Ints{0, 1, 1, 1, 1, 1, 1, 1}));
  EXPECT_EQ(heard[1].mask_shape, (Ints{2, 4}));
  EXPECT_EQ(heard[1].positions, (Ints{2, 3}));
}

TEST(Drive, ChunksOfABatchAreCutFromEveryRow) {
  CaseInputs in = fake::inputs(2, 3);
  in.ids = {0, 1, 2, 3, 4, 5};
  const std::vector<Call> heard = calls(in, {.path = {Path::chunked, 2}, .taps = {}});
  ASSERT_EQ(heard.size(), 2U);
  EXPECT_EQ(heard[0].ids, (Ints{0, 1, 3, 4}));
  EXPECT_EQ(heard[1].ids, (Ints{2, 5}));
}

TEST(Drive, AsksForAllRowsOfLogitsOnlyWhenTheyAreWanted) {
  const CaseInputs in = fake::inputs(1, 4);
  for (const Call& call : calls(in, {.path = {Path::chunked, 3}, .taps = {kLogits}})) {
    EXPECT_EQ(call.logit_rows, 0);
    EXPECT_TRUE(call.wants_logits);
  }
  const std::vector<Call> generating = calls(in, {.path = {Path::chunked, 3}, .generate = 1, .taps = {}});
  ASSERT_EQ(generating.size(), 2U);
  EXPECT_FALSE(generating[0].wants_logits) << "only the last piece decides a token";
  EXPECT_TRUE(generating[1].wants_logits);
  EXPECT_EQ(generating[1].logit_rows, 1);
}

TEST(Drive, TapsComeOutTheSameHoweverThePromptIsCut) {
  for (const int batch : {1, 3}) {
    const CaseInputs in = fake::inputs(batch, 7);
    const Plan plan = fake::plan();
    FakeSession whole(plan);
    const Driven expected = *drive(whole, in, {.path = {Path::prefill}, .generate = 4, .taps = all_taps(plan)});
    ASSERT_EQ(expected.taps.size(), all_taps(plan).size());
    ASSERT_NE(expected.find(kLogits), nullptr);
    EXPECT_EQ((*expected.find(kLogits))[std::size_t(plan.vocab * (7 * batch - 1) + 3)],
              fake::value(kLogits, in.ids.back(), 6, 3));
    for (const Path path : {Path{Path::nocache}, Path{Path::chunked, 2}, Path{Path::chunked, 100}, Path{Path::decode},
                            Path{Path::batched}}) {
      FakeSession session(plan);
      const Driven driven = *drive(session, in, {.path = path, .generate = 4, .taps = all_taps(plan)});
      EXPECT_EQ(driven.taps, expected.taps) << path.name();
      EXPECT_EQ(driven.generated, expected.generated) << path.name();
      EXPECT_EQ(driven.generated.size(), std::size_t(4 * batch));
    }
  }
}

TEST(Drive, WatchedTapsAreHeardOfInEveryCall) {
  const Plan plan = fake::plan();
  fake::FakeSession session(plan);
  const TapId id{Tap::router_topk, 1};
  std::vector<int> rows;
  const auto driven = drive(session, fake::inputs(1, 5),
                            {.path = {Path::chunked, 2},
                             .generate = 3,
                             .taps = {},
                             .watched = {id},
                             .watch = [&](TapId heard, Rows<const float> values) {
                               EXPECT_EQ(heard, id);
                               rows.push_back(values.rows);
                             }});
  ASSERT_TRUE(driven);
  EXPECT_THAT(rows, testing::ElementsAre(2, 2, 1, 1, 1)) << "three pieces and two of the three tokens";
  EXPECT_EQ(driven->find(id), nullptr);
}

TEST(Drive, TheLowestIndexWinsATie) {
  FakeSession session(fake::plan());
  session.bend = [](TapId id, std::vector<float>& values) {
    if (!(id == kLogits)) return;
    std::fill(values.begin(), values.end(), 1.0F);
    values[4] = values[9] = 2.0F;
  };
  EXPECT_THAT(drive(session, fake::inputs(1, 1), {.generate = 2, .taps = {}})->generated, ElementsAre(4, 4));
}

TEST(Drive, LogitsThatAreNotFiniteCannotChooseAToken) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    FakeSession session(fake::plan());
    session.bend = [&](TapId id, std::vector<float>& values) {
      if (id == kLogits) values[7] = bad;
    };
    const Result<Driven> driven = drive(session, fake::inputs(1, 2), {.generate = 1, .taps = {}});
    ASSERT_FALSE(driven);
    EXPECT_EQ(driven.error().kind, Failure::bad_output);
    EXPECT_EQ(driven.error().expected, kFiniteLogits);
  }
}

TEST(Drive, AnEnginesFailureIsHandedUp) {
  FakeSession session(fake::plan());
  session.before = [](const Forward& call) -> Result<void> {
    if (call.cache == Cache::extend) return fail({Failure::unsupported, "fake", "extend", "", ""});
    return {};
  };
  const Result<Driven> driven = drive(session, fake::inputs(1, 3), {.path = {Path::decode}, .taps = {}});
  ASSERT_FALSE(driven);
  EXPECT_EQ(driven.error().kind, Failure::unsupported);
  EXPECT_EQ(session.calls.size(), 2U);
}

TEST(Drive, RefusesWhatCannotBeDriven) {
  FakeSession session(fake::plan());
  CaseInputs right_padded = fake::inputs(1, 3);
  right_padded.mask = {1, 1, 0};
  EXPECT_FALSE(drive(session, right_padded, {.generate = 1, .taps = {}}));
  EXPECT_TRUE(drive(session, right_padded, {.generate = 0, .taps = {}}));
  EXPECT_FALSE(drive(session, fake::inputs(1, 3), {.path = {Path::chunked, 0}, .taps = {}}));
  const Result<Driven> no_such_tap = drive(session, fake::inputs(1, 3), {.taps = {{Tap::attn_k, 1}}});
  ASSERT_FALSE(no_such_tap) << "layer 1 reads a donor's K/V";
  EXPECT_THAT(no_such_tap.error().message(), HasSubstr("text.layer.01.attn.k"));
}

TEST(Pieces, AreAsLongAsAskedForAndTheLastIsWhatRemains) {
  const CaseInputs in = fake::inputs(1, 7);
  EXPECT_EQ(pieces(fake::plan(), in, {Path::prefill}), (Pieces{{0, 7}}));
  EXPECT_EQ(pieces(fake::plan(), in, {Path::chunked, 3}), (Pieces{{0, 3}, {3, 3}, {6, 1}}));
  EXPECT_EQ(pieces(fake::plan(), in, {Path::chunked, 7}), (Pieces{{0, 7}}));
  EXPECT_EQ(pieces(fake::plan(), in, {Path::chunked, std::numeric_limits<int>::max()}), (Pieces{{0, 7}}));
  EXPECT_EQ(pieces(fake::plan(), in, {Path::decode}).size(), 7U);
}

TEST(Pieces, ABlockStaysWholeWhereItsRowsSeeEachOther) {
  CaseInputs in = fake::inputs(1, 8);
  in.types = {0, 1, 1, 1, 0, 2, 2, 0};
  for (const Blocks blocks : {Blocks::inside_window, Blocks::beyond_window}) {
    EXPECT_EQ(pieces(fake::plan(blocks), in, {Path::decode}), (Pieces{{0, 1}, {1, 3}, {4, 1}, {5, 2}, {7, 1}}));
    EXPECT_EQ(pieces(fake::plan(blocks), in, {Path::chunked, 2}), (Pieces{{0, 4}, {4, 3}, {7, 1}}));
  }
  EXPECT_EQ(pieces(fake::plan(Blocks::causal), in, {Path::decode}).size(), 8U) << "causal images may be cut";
  in.types = {0, 3, 3, 3, 0, 0, 0, 0};
  EXPECT_EQ(pieces(fake::plan(Blocks::inside_window), in, {Path::decode}).size(), 8U) << "audio may be cut";
  in.types.clear();
  EXPECT_EQ(pieces(fake::plan(Blocks::inside_window), in, {Path::decode}).size(), 8U) << "no types, no blocks";
}

TEST(Pieces, NeighbouringImageAndVideoAreOneBlock) {
  CaseInputs in = fake::inputs(1, 4);
  in.types = {1, 2, 1, 0};
  EXPECT_EQ(pieces(fake::plan(Blocks::inside_window), in, {Path::decode}), (Pieces{{0, 3}, {3, 1}}));
}

TEST(Pieces, ABlockInAnyRowOfABatchIsKeptWhole) {
  CaseInputs in = fake::inputs(2, 5);
  in.types = {1, 1, 0, 0, 0, 0, 0, 0, 1, 1};
  EXPECT_EQ(pieces(fake::plan(Blocks::inside_window), in, {Path::decode}), (Pieces{{0, 2}, {2, 1}, {3, 2}}));
}

TEST(CaseInputs, AreReadFromTransformersNames) {
  CaseInputs in = full_inputs();
  std::vector<NamedTensor> tensors = fake::named(in);
  tensors.push_back(in.more.front());
  const Result<CaseInputs> read = CaseInputs::from(tensors, "file");
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(read->batch, 1);
  EXPECT_EQ(read->tokens, 5);
  EXPECT_EQ(read->ids, in.ids);
  EXPECT_EQ(read->mask, in.mask);
  EXPECT_EQ(read->positions, in.positions);
  EXPECT_EQ(read->types, in.types);
  ASSERT_EQ(read->more.size(), 1U);
  EXPECT_EQ(read->more[0].name, "another_input");
}

TEST(CaseInputs, OneRowOfPositionsIsEveryRows) {
  const Result<CaseInputs> read = CaseInputs::from({{"input_ids", Tensor::own({2, 3}, Ints{1, 2, 3, 4, 5, 6})},
                                                    {"position_ids", Tensor::own({1, 3}, Ints{7, 8, 9})}},
                                                   "file");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->positions, (Ints{7, 8, 9, 7, 8, 9}));
}

TEST(CaseInputs, NameWhatIsWrong) {
  const auto ints = [](Ints shape, Ints values) { return Tensor::own(std::move(shape), std::move(values)); };
  const NamedTensor ids{"input_ids", ints({1, 2}, {1, 2})};
  const std::vector<std::pair<std::vector<NamedTensor>, std::string>> bad{
      {{}, "input_ids"},
      {{{"input_ids", ints({2}, {1, 2})}}, "input_ids"},
      {{{"input_ids", ints({1, 0}, {})}}, "input_ids"},
      {{{"input_ids", ints({1, 2}, {1, -2})}}, "input_ids"},
      {{{"input_ids", Tensor::own({1, 2}, std::vector<float>{1, 2})}}, "input_ids"},
      {{ids, ids}, "input_ids"},
      {{ids, {"attention_mask", ints({1, 3}, {1, 1, 1})}}, "attention_mask"},
      {{ids, {"attention_mask", ints({2}, {1, 1})}}, "attention_mask"},
      {{ids, {"attention_mask", ints({1, 2}, {1, 2})}}, "attention_mask"},
      {{ids, {"position_ids", ints({1, 2}, {0, -1})}}, "position_ids"},
      {{ids, {"mm_token_type_ids", ints({1, 2}, {0, 4})}}, "mm_token_type_ids"},
  };
  for (const auto& [tensors, field] : bad) {
    const Result<CaseInputs> read = CaseInputs::from(tensors, "file");
    ASSERT_FALSE(read) << field;
    EXPECT_EQ(read.error().kind, Failure::bad_input);
    EXPECT_EQ(read.error().field, field);
    EXPECT_EQ(read.error().where, "file");
  }
}

TEST(Path, NamesReadBack) {
  for (const Path path : {Path{Path::prefill}, Path{Path::nocache}, Path{Path::chunked, 7}, Path{Path::chunked},
                          Path{Path::decode}, Path{Path::batched}})
    EXPECT_EQ(*Path::parse(path.name()), path);
  for (const char* name :
       {"", "prefil", "prefill:3", "chunked:", "chunked:0", "chunked:-1", "chunked:7x", "chunked:99999999999"})
    EXPECT_FALSE(Path::parse(name)) << name;
}

TEST(TapPattern, AStarStopsAtADotUnlessItIsTheLastCharacter) {
  EXPECT_TRUE(tap_matches("text.norm", "text.norm"));
  EXPECT_FALSE(tap_matches("text.norm", "text.norm2"));
  EXPECT_TRUE(tap_matches("text.layer.*.out", "text.layer.07.out"));
  EXPECT_FALSE(tap_matches("text.layer.*.out", "text.layer.07.attn.out"));
  EXPECT_TRUE(tap_matches("text.layer.*.attn.*_rope", "text.layer.07.attn.k_rope"));
  EXPECT_FALSE(tap_matches("text.layer.*.attn.*_rope", "text.layer.07.attn.k"));
  EXPECT_TRUE(tap_matches("text.*", "text.layer.07.attn.k"));
  EXPECT_TRUE(tap_matches("*", "text.logits"));
  EXPECT_FALSE(tap_matches("", "text.logits"));
  EXPECT_FALSE(tap_matches("vision.*", "text.logits"));
}

}  // namespace
}  // namespace assay
