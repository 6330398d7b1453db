#include "reference/ops/attention.h"

#include "support.h"

namespace assay::reference {

TEST(Attention, IsTransformers) {
  const auto cases = OpData::cases("attention");
  ASSERT_GE(cases.size(), 4U);
  for (const std::string& name : cases) {
    SCOPED_TRACE(name);
    const OpData data(name);
    const auto &q_shape = data["q"].shape, &k_shape = data["k"].shape;
    const int batch = int(q_shape[0]), queries = int(q_shape[1]), keys = int(k_shape[1]), head_dim = int(q_shape[3]);
    const Grid q = data.grid("q", int(q_shape[2]) * head_dim);
    const Grid k = data.grid("k", int(k_shape[2]) * head_dim), v = data.grid("v", k.cols);
    const std::vector<std::int64_t> visible = data.integers("visible");
    Grid ctx(q.rows, q.cols);
    std::vector<float> expected = data.floats("ctx");
    for (int b = 0; b < batch; ++b)
      for (int t = 0; t < queries; ++t) {
        const int row = b * queries + t;
        const std::vector<char> seen(visible.begin() + row * keys, visible.begin() + (row + 1) * keys);
        attention(q.row(row), k.view().slice(b * keys, keys), v.view().slice(b * keys, keys), seen, head_dim,
                  ctx.row(row));
        if (std::ranges::count(seen, 1) == 0)  // padding: transformers spreads its attention, nobody reads it
          std::ranges::copy(ctx.row(row), expected.begin() + row * q.cols);
      }
    expect_near(expected, ctx.values);
  }
}

TEST(Attention, GivesZerosToAQueryThatSeesNothing) {
  const std::vector<float> q = {1, 2}, k = {3, 4}, v = {5, 6};
  std::vector<float> ctx = {9, 9};
  attention(q, {k.data(), 1, 2}, {v.data(), 1, 2}, std::vector<char>{0}, 2, ctx);
  EXPECT_EQ(ctx, (std::vector<float>{0, 0}));
}

}  // namespace assay::reference
