#include "reference/ops/rope.h"

#include "support.h"

namespace assay::reference {

TEST(Rope, IsTransformers) {
  const auto cases = OpData::cases("rope");
  ASSERT_GE(cases.size(), 4U);
  for (const std::string& name : cases) {
    SCOPED_TRACE(name);
    const OpData data(name);
    const int head_dim = int(data.number("head_dim"));
    const auto& shape = data["x"].shape;
    Grid x = data.grid("x", int(shape[1] * shape[2]));
    rope(x.view(), head_dim, data.integers("positions"), {.theta = 0, .inv_freq = data.floats("inv_freq")});
    expect_near(data.floats("y"), x.values);
  }
}

TEST(Rope, FrequenciesAreTransformers) {
  const auto cases = OpData::cases("inv_freq");
  ASSERT_GE(cases.size(), 6U);
  for (const std::string& name : cases) {
    SCOPED_TRACE(name);
    const OpData data(name);
    const int head_dim = int(data.number("head_dim"));
    const int pairs = int(data.number("partial_rotary_factor") * head_dim / 2);
    const std::vector<float> expected = data.floats("inv_freq");
    const std::vector<float> ours = inverse_frequencies(data.number("theta"), head_dim, pairs, 1);
    ASSERT_EQ(ours.size(), expected.size());
    for (std::size_t i = 0; i < ours.size(); ++i) EXPECT_LE(ulp_distance(ours[i], expected[i]), 1) << i;
  }
}

TEST(Rope, LeavesPositionZeroAndFrequencyZeroAlone) {
  Grid x(2, 4);
  x.values = {1, 2, 3, 4, 1, 2, 3, 4};
  const std::vector<std::int64_t> positions = {0, 7};
  rope(x.view(), 4, positions, {.theta = 0, .inv_freq = {1, 0}});
  EXPECT_EQ(std::vector<float>(x.values.begin(), x.values.begin() + 4), (std::vector<float>{1, 2, 3, 4}));
  EXPECT_NE(x.values[4], 1);
  EXPECT_EQ(x.values[5], 2);
  EXPECT_EQ(x.values[7], 4);
}

}  // namespace assay::reference
