// Whatever the layers before leave in a router's scores, it names experts that there are, each once: others index by
// them. Numbers that are finite are the trial's (spec/router.cc).
#include "kernels/spec/router.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "kernels/guarded.h"
#include "kernels/registry.h"

namespace assay::kernels {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN(), kInfinity = std::numeric_limits<float>::infinity();

struct Choice {
  std::vector<std::int32_t> ids;
  std::vector<float> weights;
};

/// Of one token.
Choice choose(const Kernel& kernel, const std::vector<float>& scores, int used) {
  const int experts = int(scores.size());
  Guarded probs(scores.size() * sizeof(float), sizeof(float));
  std::copy(scores.begin(), scores.end(), probs.as<float>());
  const std::vector<float> scale(scores.size(), 1);
  Choice choice{std::vector<std::int32_t>(std::size_t(used), -1), std::vector<float>(std::size_t(used), 0)};
  function<spec::router>(kernel)({.scores = probs.as<float>(),
                                  .expert_scale = scale.data(),
                                  .probs = probs.as<float>(),
                                  .ids = choice.ids.data(),
                                  .weights = choice.weights.data(),
                                  .experts = experts,
                                  .used = used},
                                 0, 1);
  return choice;
}

TEST(Router, ChoosesTheFirstExpertsWhereScoresAreNoNumbers) {
  for (const Kernel& kernel : kernels())
    for (const float bad : {kNan, kInfinity, -kInfinity})
      for (const int experts : {1, 2, 7, 16, 33})
        for (const int used : {1, 2, experts}) {
          if (kernel.op != Op::router || !runnable(kernel) || used > experts) continue;
          for (int at = 0; at <= experts; ++at) {  // one of them, or all
            std::vector<float> scores(std::size_t(experts), 1);
            if (at < experts)
              scores[std::size_t(at)] = bad;
            else
              std::ranges::fill(scores, bad);
            const Choice choice = choose(kernel, scores, used);
            const bool finite = bad < 0 && at < experts && experts > 1;
            std::vector<std::int32_t> expected;
            for (int e = 0; e < experts; ++e)
              if (!finite || e != at) expected.push_back(e);
            if (finite) expected.push_back(at);  // a probability of 0
            expected.resize(std::size_t(used));
            EXPECT_EQ(choice.ids, expected) << kernel.name << ", " << bad << " at " << at << " of " << experts;
            EXPECT_EQ(std::ranges::all_of(choice.weights, [](float w) { return std::isnan(w); }), !finite);
          }
        }
}

}  // namespace
}  // namespace assay::kernels
