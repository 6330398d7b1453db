// Speculative decoding with a target and a drafter that are no Gemma: what the target says next depends on every real
// token before and on its position, and the drafter knows that rule, so that a token, a position, a hidden state or a
// key in the wrong place makes it err or complain.
#include "harness/drive/speculative.h"

#include <algorithm>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "harness/drive/draft.h"
#include "model/assistant.h"

namespace assay {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Ints = std::vector<std::int64_t>;

constexpr int kVocab = 13, kBackbone = 2;

Plan target_plan() {
  Plan plan;
  plan.hidden = kBackbone;
  plan.vocab = kVocab;
  plan.layers = {
      LayerPlan{.q_heads = 1,
                .kv_heads = 1,
                .head_dim = 2,
                .kv = {KvSource::own, 0},
                .window = 4,
                .rope = {},
                .experts = std::nullopt},
      LayerPlan{
          .q_heads = 1, .kv_heads = 1, .head_dim = 2, .kv = {KvSource::own, 1}, .rope = {}, .experts = std::nullopt}};
  return plan;
}

Plan drafter_plan() {
  Plan plan = target_plan();
  plan.hidden = 1;
  for (LayerPlan& layer : plan.layers) layer.kv = {KvSource::target, -1};
  plan.assistant = AssistantPlan{.backbone = kBackbone, .centroids = std::nullopt};
  return plan;
}

/// What is known after one more token.
std::int64_t after(std::int64_t known, std::int64_t token, std::int64_t position) {
  return (known * 31 + token * 7 + position + 1) % 9973;
}
std::int64_t says(std::int64_t known) { return known % kVocab; }

std::vector<float> one_hot(std::int64_t id) {
  std::vector<float> row(kVocab, -1.0F);
  row[std::size_t(id)] = 2.0F;
  return row;
}

struct Told {
  std::vector<std::string> more;
  bool types = false;
  int rows = 0, tokens = 0;
  Cache cache = Cache::none;
};

class Target : public Session {
 public:
  Target() : Session(target_plan()) {}
  std::vector<Told> told;
  std::vector<Ints> truncated;
  bool breaks_down = false;  ///< after the prompt, logits are NaN

 protected:
  struct Token {
    std::int64_t id = 0, position = 0;
    bool real = false;
  };

  Result<void> do_forward(const Forward& call, TapSink& taps) override {
    if (call.cache != Cache::extend) rows_.assign(std::size_t(call.ids.rows), {});
    const Tensor* positions = find(call.more, "position_ids");
    Told heard{.more = {}, .rows = call.ids.rows, .tokens = call.ids.cols, .cache = call.cache};
    for (const NamedTensor& tensor : call.more) heard.more.push_back(tensor.name);
    heard.types = find(call.more, "mm_token_type_ids") != nullptr;
    told.push_back(heard);
    std::vector<float> norm, logits;
    const int first = call.logit_rows == 0 ? 0 : call.ids.cols - call.logit_rows;
    for (int b = 0; b < call.ids.rows; ++b) {
      std::vector<Token>& row = rows_[std::size_t(b)];
      const std::size_t cached = row.size();
      if (!call.mask.empty() && call.mask.cols != int(cached) + call.ids.cols)
        return fail({Failure::bad_input, "target", "attention_mask", "", "another width"});
      for (int t = 0; t < call.ids.cols; ++t)
        row.push_back({call.ids.row(b)[std::size_t(t)],
                       positions == nullptr ? std::int64_t(cached) + t
                                            : (*positions->integers())[std::size_t(b * call.ids.cols + t)],
                       true});
      if (!call.mask.empty())
        for (std::size_t i = 0; i < row.size(); ++i) row[i].real = call.mask.row(b)[i] != 0;
      for (int t = 0; t < call.ids.cols; ++t) {
        const std::int64_t known = known_at(row, cached + std::size_t(t) + 1);
        norm.insert(norm.end(), {float(known), 0.0F});
        std::vector<float> hot = one_hot(says(known));
        if (breaks_down && call.cache == Cache::extend) hot[0] = std::numeric_limits<float>::quiet_NaN();
        if (t >= first) logits.insert(logits.end(), hot.begin(), hot.end());
      }
    }
    const int tokens = call.ids.rows * call.ids.cols;
    taps.offer(Tap::norm, -1, [&] { return Rows<const float>{norm.data(), tokens, kBackbone}; });
    taps.offer(Tap::logits, -1, [&] { return Rows<const float>{logits.data(), int(logits.size()) / kVocab, kVocab}; });
    return {};
  }
  Result<void> do_truncate(std::span<const int> keep) override {
    truncated.emplace_back(keep.begin(), keep.end());
    const auto longest = std::size_t(*std::max_element(keep.begin(), keep.end()));
    for (std::size_t b = 0; b < rows_.size(); ++b) {
      rows_[b].resize(std::size_t(keep[b]));
      rows_[b].insert(rows_[b].begin(), longest - std::size_t(keep[b]), Token{});
    }
    return {};
  }
  Result<CachedKv> do_cached_kv(int) override {
    keys_.clear();
    for (const std::vector<Token>& row : rows_) {
      keys_.emplace_back();
      for (const Token& token : row) keys_.back().insert(keys_.back().end(), {float(token.id), float(token.position)});
    }
    CachedKv views;
    for (const std::vector<float>& row : keys_) views.keys.push_back({row.data(), int(row.size()) / 2, 2});
    views.values = views.keys;
    return views;
  }
  Result<std::vector<float>> do_embed(std::span<const std::int64_t> ids) override {
    std::vector<float> rows;
    for (const std::int64_t id : ids) rows.insert(rows.end(), {float(id), 0.0F});
    return rows;
  }

 private:
  static std::int64_t known_at(const std::vector<Token>& row, std::size_t count) {
    std::int64_t known = 1;
    for (std::size_t i = 0; i < count; ++i)
      if (row[i].real) known = after(known, row[i].id, row[i].position);
    return known;
  }

  std::vector<std::vector<Token>> rows_;
  std::vector<std::vector<float>> keys_;
};

/// Knows what the target will say, and says otherwise where `lies`.
class Drafter : public Session {
 public:
  explicit Drafter(std::function<bool(std::int64_t known)> lies) : Session(drafter_plan()), lies_(std::move(lies)) {}

 protected:
  Result<void> do_forward(const Forward& call, TapSink& taps) override {
    const auto positions = find(call.more, "position_ids")->integers().value();
    const auto hidden = find(call.more, "last_hidden_state")->floats().value();
    const CachedKv cached = call.target->cached_kv(1).value();
    std::vector<float> state, logits;
    for (int b = 0; b < call.ids.rows; ++b) {
      const auto known = std::int64_t(hidden[std::size_t(b) * 2]), step = std::int64_t(hidden[std::size_t(b) * 2 + 1]);
      if (step == 0) ASSAY_CHECK(check_cache(cached.keys[std::size_t(b)], call.mask, b, known));
      const std::int64_t next = after(known, call.ids.row(b)[0], positions[std::size_t(b)] + step);
      state.insert(state.end(), {float(next), float(step + 1)});
      const std::vector<float> hot = one_hot(lies_(next) ? (says(next) + 1) % kVocab : says(next));
      logits.insert(logits.end(), hot.begin(), hot.end());
    }
    taps.offer(Tap::assistant_state, -1, [&] { return Rows<const float>{state.data(), call.ids.rows, kBackbone}; });
    taps.offer(Tap::assistant_logits, -1, [&] { return Rows<const float>{logits.data(), call.ids.rows, kVocab}; });
    return {};
  }

 private:
  /// The hidden state must be that of the tokens whose keys are to be seen: no rejected one, no padding.
  static Result<void> check_cache(Rows<const float> keys, Rows<const std::int64_t> mask, int b, std::int64_t known) {
    std::int64_t seen = 1;
    for (int i = 0; i < keys.rows; ++i)
      if (mask.empty() || mask.row(b)[std::size_t(i)] != 0)
        seen = after(seen, std::int64_t(keys.row(i)[0]), std::int64_t(keys.row(i)[1]));
    if (seen == known) return {};
    return fail({Failure::bad_input, "drafter", "last_hidden_state", std::to_string(seen), std::to_string(known)});
  }

  std::function<bool(std::int64_t)> lies_;
};

CaseInputs one_row(int tokens) {
  CaseInputs in;
  in.batch = 1;
  in.tokens = tokens;
  for (int i = 0; i < tokens; ++i) in.ids.push_back((i * 5 + 2) % kVocab);
  return in;
}

/// Rows of 2, 7 and 5 tokens, left-padded.
CaseInputs padded_batch() {
  CaseInputs in;
  in.batch = 3;
  in.tokens = 7;
  int seed = 0;
  for (const int length : {2, 7, 5})
    for (int t = 0; t < 7; ++t) {
      const bool real = t >= 7 - length;
      in.ids.push_back(real ? (seed += 3) % kVocab : 0);
      in.mask.push_back(real ? 1 : 0);
      in.positions.push_back(real ? t - (7 - length) : 0);
    }
  return in;
}

std::vector<Ints> plain(const CaseInputs& inputs, int generate) {
  Target target;
  const auto driven = drive(target, inputs, {.path = {Path::prefill}, .generate = generate, .taps = {}});
  EXPECT_TRUE(driven) << driven.error().message();
  std::vector<Ints> rows;
  for (int b = 0; b < inputs.batch; ++b)
    rows.emplace_back(driven->generated.begin() + b * generate, driven->generated.begin() + (b + 1) * generate);
  return rows;
}

bool never(std::int64_t) { return false; }
bool always(std::int64_t) { return true; }
bool sometimes(std::int64_t known) { return known % 3 == 0; }

Speculated run(const CaseInputs& inputs, const std::function<bool(std::int64_t)>& lies, SpeculativeOptions options) {
  Target target;
  Drafter drafter(lies);
  auto out = speculate(target, drafter, inputs, std::move(options));
  EXPECT_TRUE(out) << out.error().message();
  return out.value_or(Speculated{});
}

TEST(Speculative, GivesTheGreedyTokensWhateverTheDrafterSays) {
  for (const auto& lies : {never, always, sometimes})
    for (const int tokens : {1, 2, 3, 20})
      for (const int generate : {1, 2, 7, 40}) {
        const SpeculativeOptions options{.generate = generate, .tokens = tokens};
        for (const CaseInputs& inputs : {one_row(1), one_row(6), padded_batch()})
          EXPECT_EQ(run(inputs, lies, options).generated, plain(inputs, generate))
              << tokens << " a round, " << generate << " in all, " << inputs.batch << " rows";
      }
}

TEST(Speculative, CountsWhatWasAccepted) {
  // The prompt's own token, then rounds of 4 drafted and 1 more: 1 + 5 + 5 + 1.
  const Acceptance all = run(one_row(3), never, {.generate = 12, .tokens = 4}).acceptance;
  EXPECT_EQ(all.rounds, 2);
  EXPECT_EQ(all.drafted, 8);
  EXPECT_EQ(all.accepted, 8);
  EXPECT_EQ(all.rate(), 1.0);
  const Acceptance none = run(one_row(3), always, {.generate = 12, .tokens = 4}).acceptance;
  EXPECT_EQ(none.rounds, 10) << "the last token needs no drafter";
  EXPECT_EQ(none.accepted, 0);
  EXPECT_EQ(none.drafted, 7 * 4 + 3 + 2 + 1) << "no more than could still be used";
  const Acceptance some = run(padded_batch(), sometimes, {.generate = 30, .tokens = 4}).acceptance;
  EXPECT_GT(some.accepted, 0);
  EXPECT_LT(some.accepted, some.drafted);
}

TEST(Speculative, RollsBackWhatEachRowRejected) {
  Target target;
  Drafter drafter(sometimes);
  auto run = Speculation::start(target, drafter, padded_batch(), {.generate = 9, .tokens = 3});
  ASSERT_TRUE(run);
  std::vector<int> kept(3, 7);
  ASSERT_TRUE(run->next());
  while (!run->done()) {
    const std::size_t before = target.truncated.size();
    const int width = *std::max_element(kept.begin(), kept.end());
    const auto tokens = run->next();
    ASSERT_TRUE(tokens) << tokens.error().message();
    for (std::size_t b = 0; b < 3; ++b) kept[b] = width + int((*tokens)[b].size());
    if (target.truncated.size() > before) {
      EXPECT_EQ(target.truncated.back(), Ints(kept.begin(), kept.end()));
    }
  }
  EXPECT_FALSE(target.truncated.empty());
}

TEST(Speculative, AStopTokenEndsItsRowAlone) {
  const CaseInputs inputs = padded_batch();
  const std::vector<Ints> all = plain(inputs, 30);
  const std::int64_t stop = all[1][4];
  std::vector<Ints> expected;
  for (const Ints& row : all) {
    const auto found = std::find(row.begin(), row.end(), stop);
    expected.emplace_back(row.begin(), found == row.end() ? found : found + 1);
  }
  ASSERT_TRUE(
      std::any_of(expected.begin(), expected.end(), [&](const Ints& row) { return row.size() != expected[0].size(); }));
  for (const auto& lies : {never, always, sometimes})
    EXPECT_EQ(run(inputs, lies, {.generate = 30, .tokens = 4, .stop_ids = {stop}}).generated, expected);
}

TEST(Speculative, ARowCanBeEndedFromOutside) {
  Target target;
  Drafter drafter(never);
  auto run = Speculation::start(target, drafter, padded_batch(), {.generate = 30, .tokens = 4});
  ASSERT_TRUE(run);
  ASSERT_TRUE(run->next());
  run->finish(1);
  const auto tokens = run->next();
  ASSERT_TRUE(tokens);
  EXPECT_EQ((*tokens)[0].size(), 5U);
  EXPECT_TRUE((*tokens)[1].empty());
  EXPECT_EQ((*tokens)[2].size(), 5U);
}

TEST(Speculative, AsksForEachTokenOnceAndInOrder) {
  // A choice that counts its calls: the second best on every third.
  const auto third = [](std::vector<int>& calls) {
    return [&calls](int row, std::span<const float> logits) {
      const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
      return ++calls[std::size_t(row)] % 3 == 0 ? (best + 1) % kVocab : std::int64_t(best);
    };
  };
  std::vector<int> with(1, 0), without(1, 0);
  const Ints drafted =
      run(one_row(4), sometimes, {.generate = 20, .tokens = 4, .choose = third(with)}).generated.front();
  const Ints slow = run(one_row(4), always, {.generate = 20, .tokens = 1, .choose = third(without)}).generated.front();
  EXPECT_EQ(drafted, slow);
  EXPECT_EQ(with, without);
  EXPECT_EQ(with.front(), 20);
}

TEST(Speculative, MediaAndTypesComeWithThePromptAlone) {
  CaseInputs inputs = one_row(4);
  inputs.types = {0, 1, 1, 0};
  inputs.more.push_back({"media", Tensor::own({1}, std::vector<float>{1})});
  Target target;
  Drafter drafter(never);
  ASSERT_TRUE(speculate(target, drafter, inputs, {.generate = 6, .tokens = 2}));
  ASSERT_EQ(target.told.size(), 3U);
  EXPECT_THAT(target.told[0].more, testing::UnorderedElementsAre("media", "mm_token_type_ids"));
  EXPECT_EQ(target.told[0].cache, Cache::fresh);
  for (std::size_t i = 1; i < target.told.size(); ++i) {
    EXPECT_THAT(target.told[i].more, ElementsAre("position_ids"));
    EXPECT_EQ(target.told[i].cache, Cache::extend);
  }
}

TEST(Speculative, RefusesADrafterThatDoesNotFit) {
  Target target, other;
  const auto run = Speculation::start(target, other, one_row(3), {.generate = 3});
  ASSERT_FALSE(run);
  EXPECT_THAT(run.error().message(), HasSubstr("gemma4_assistant"));
  Drafter drafter(never);
  EXPECT_THAT(Speculation::start(target, drafter, one_row(3), {.generate = 3, .tokens = 0}).error().message(),
              HasSubstr("at least 1"));
}

TEST(Speculative, LogitsThatAreNotNumbersEndIt) {
  Target target;
  target.breaks_down = true;
  Drafter drafter(never);
  const auto out = speculate(target, drafter, one_row(3), {.generate = 5, .tokens = 2});
  ASSERT_FALSE(out);
  EXPECT_EQ(out.error().kind, Failure::bad_output);
  EXPECT_EQ(out.error().expected, kFiniteLogits);
}

TEST(Draft, StartsFromTheTokenThatTheTargetChose) {
  Target target;
  Drafter drafter(never);
  const CaseInputs inputs = padded_batch();
  const auto start = draft_start(target, inputs);
  ASSERT_TRUE(start);
  EXPECT_THAT(start->positions, ElementsAre(2, 7, 5)) << "of real tokens, not of padding";
  const std::vector<Ints> expected = plain(inputs, 5);
  const auto drafted = draft(drafter, target, *start, 4);
  ASSERT_TRUE(drafted) << drafted.error().message();
  for (std::size_t b = 0; b < 3; ++b) {
    EXPECT_EQ(start->newest[b], expected[b][0]);
    EXPECT_EQ(Ints(drafted->ids.begin() + std::ptrdiff_t(b) * 4, drafted->ids.begin() + std::ptrdiff_t(b + 1) * 4),
              Ints(expected[b].begin() + 1, expected[b].end()));
  }
  EXPECT_EQ(drafted->logits.size(), std::size_t{3 * 4 * kVocab});
}

TEST(Draft, GathersTapsByRowThenStep) {
  Target target;
  Drafter drafter(never);
  const CaseInputs inputs = padded_batch();
  const TapId state{Tap::assistant_state, -1};
  const auto driven = drive_draft(target, drafter, inputs, {.path = {}, .generate = 3, .taps = {state}});
  ASSERT_TRUE(driven) << driven.error().message();
  ASSERT_NE(driven->find(state), nullptr);
  ASSERT_EQ(driven->find(state)->size(), std::size_t{3 * 3 * kBackbone});
  for (int b = 0; b < 3; ++b)
    for (int step = 0; step < 3; ++step) {
      const float* row = driven->find(state)->data() + std::ptrdiff_t((b * 3 + step) * kBackbone);
      EXPECT_EQ(row[1], float(step + 1));
      EXPECT_EQ(says(std::int64_t(row[0])), driven->generated[std::size_t(b * 3 + step)]);
    }
  EXPECT_THAT(
      drive_draft(target, drafter, inputs, {.path = {}, .generate = 3, .taps = {{Tap::norm, -1}}}).error().message(),
      HasSubstr("text.norm: expected a tap of this drafter"));
}

TEST(Draft, GivesItsStepsTheTokensOfAGivenRound) {
  Target target;
  Drafter drafter(never);
  const CaseInputs inputs = padded_batch();
  const RoundTokens round{.newest = {1, 2, 3}, .drafted = {4, 5, 6, 7, 8, 9, 3, 2, 1}};
  const TapId state{Tap::assistant_state, -1};
  DriveOptions options{.path = {}, .generate = 3, .taps = {state}, .round = &round};
  const auto start = draft_start(target, inputs);
  const auto driven = drive_draft(target, drafter, inputs, options);
  ASSERT_TRUE(start && driven) << driven.error().message();
  for (std::size_t b = 0; b < 3; ++b) {
    auto known = std::int64_t(start->hidden[b * kBackbone]);
    for (std::size_t step = 0; step < 3; ++step) {
      const std::int64_t given = step == 0 ? round.newest[b] : round.drafted[b * 3 + step - 1];
      known = after(known, given, start->positions[b] + std::int64_t(step));
      EXPECT_EQ((*driven->find(state))[(b * 3 + step) * kBackbone], float(known));
      EXPECT_EQ(driven->generated[b * 3 + step], says(known)) << "what it chooses itself";
    }
  }
  options.generate = 2;
  EXPECT_EQ(drive_draft(target, drafter, inputs, options).error().kind, Failure::bad_input) << "a round of three steps";
}

}  // namespace
}  // namespace assay
