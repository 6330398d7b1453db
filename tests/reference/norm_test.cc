#include "reference/ops/rms_norm.h"

#include "support.h"

namespace assay::reference {

TEST(RmsNorm, IsTransformers) {
  const auto cases = OpData::cases("rms_norm");
  ASSERT_GE(cases.size(), 4U);
  for (const std::string& name : cases) {
    SCOPED_TRACE(name);
    const OpData data(name);
    Grid x = data.grid("x");
    const std::vector<float> weight = data.has("weight") ? data.floats("weight") : std::vector<float>{};
    rms_norm(x.view(), weight, float(data.number("eps")));
    expect_near(data.floats("y"), x.values);
  }
}

TEST(RmsNorm, AddsEpsilonInsideTheRoot) {
  Grid x(1, 2);
  x.values = {3e-3F, 4e-3F};  // mean square 1.25e-5
  rms_norm(x.view(), {}, 1e-5F);
  EXPECT_NEAR(x.values[0], 3e-3 / std::sqrt(2.25e-5), 1e-6);
}

TEST(RmsNorm, LeavesZerosFinite) {
  Grid x(1, 3);
  rms_norm(x.view(), {}, 1e-6F);
  for (const float v : x.values) EXPECT_EQ(v, 0);
}

}  // namespace assay::reference
