#include "reference/visibility.h"

#include "support.h"

namespace assay::reference {
namespace {

/// The masks that transformers builds for one case, held against ours. transformers' sliding cache keeps the last
/// window - 1 keys, so that its mask has fewer columns than ours: the last ones.
void expect_masks(const std::string& name) {
  SCOPED_TRACE(name);
  const OpData data(name);
  const int window = int(data.number("window")), past = int(data.number("past"));
  const auto& shape = data["full"].shape;
  const int batch = int(shape[0]), queries = int(shape[1]);

  const std::vector<std::int64_t> ids(std::size_t(batch * (past + queries)), 0);
  std::vector<std::int64_t> mask;
  if (data.has("attention_mask")) mask = data.integers("attention_mask");
  std::vector<NamedTensor> more;
  if (data.has("types")) more.push_back({"mm_token_type_ids", data["types"]});
  if (data.has("position_ids")) more.push_back({"position_ids", data["position_ids"]});
  Sequence before;
  if (past > 0) {
    std::vector<std::int64_t> past_mask;
    for (int b = 0; b < batch && !mask.empty(); ++b)
      past_mask.insert(past_mask.end(), mask.begin() + b * (past + queries),
                       mask.begin() + b * (past + queries) + past);
    before = extend({}, {.ids = {ids.data(), batch, past},
                         .mask = {past_mask.data(), past_mask.empty() ? 0 : batch, past_mask.empty() ? 0 : past},
                         .more = {}})
                 .value();
  }
  const Sequence sequence =
      extend(before, {.ids = {ids.data(), batch, queries},
                      .mask = {mask.data(), mask.empty() ? 0 : batch, mask.empty() ? 0 : past + queries},
                      .more = more,
                      .cache = past > 0 ? Cache::extend : Cache::none})
          .value();

  const bool unified = name.find("unified") != std::string::npos;
  for (const std::string kind : {"full", "sliding"}) {
    LayerPlan plan;
    plan.window = kind == "full" ? 0 : window;
    plan.blocks = unified ? Blocks::beyond_window : kind == "full" ? Blocks::causal : Blocks::inside_window;
    const std::vector<std::int64_t> expected = data.integers(kind);
    const int columns = int(data[kind].shape[2]), dropped = sequence.keys() - columns;
    std::vector<char> seen(std::size_t(sequence.keys()));
    for (int b = 0; b < batch; ++b)
      for (int t = 0; t < queries; ++t) {
        visible(plan, sequence, b, past + t, seen);
        if (sequence.real[sequence.at(b, past + t)] == 0) continue;  // rows of padding mean nothing
        for (int key = 0; key < sequence.keys(); ++key) {
          const bool theirs = key >= dropped && expected[std::size_t((b * queries + t) * columns + key - dropped)] != 0;
          EXPECT_EQ(seen[std::size_t(key)] != 0, theirs) << kind << " row " << b << " query " << t << " key " << key;
        }
      }
  }
}

}  // namespace

TEST(Visibility, IsTransformersMasks) {
  const auto cases = OpData::cases("mask");
  ASSERT_GE(cases.size(), 12U);
  for (const std::string& name : cases) expect_masks(name);
}

}  // namespace assay::reference
