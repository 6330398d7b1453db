// Collects facts of a golden that differ from the plan's. Not here: which facts there are (check.cc, check_towers.cc).
#pragma once

#include <algorithm>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error_stats.h"
#include "golden/check.h"

namespace assay {

template <class T>
std::string fact_text(const T& value) {
  std::ostringstream out;
  out.precision(9);
  out << value;
  return out.str();
}

/// Collects fields that differ.
class Facts {
 public:
  Facts(std::vector<Finding>& findings, std::string at) : findings_(findings), at_(std::move(at)) {}

  template <class T>
  void same(std::string_view field, const T& golden, const T& plan) {
    if (!(golden == plan))
      findings_.push_back({at_ + "@" + std::string(field),
                           "transformers has " + fact_text(golden) + ", the plan has " + fact_text(plan)});
  }

 private:
  std::vector<Finding>& findings_;
  std::string at_;
};

/// Frequencies within one ULP of each other.
inline void same_inv_freq(Facts& facts, const std::vector<float>& golden, const std::vector<float>& plan) {
  facts.same("inv_freq length", golden.size(), plan.size());
  for (std::size_t i = 0; i < std::min(golden.size(), plan.size()); ++i) {
    if (ulp_distance(golden[i], plan[i]) <= 1) continue;
    facts.same("inv_freq[" + std::to_string(i) + "]", golden[i], plan[i]);
    return;  // the first tells the rest
  }
}

/// What transformers resolved of pictures and sound, against the plan. Defined in check_towers.cc.
void check_towers(const GoldenInfo& info, const Plan& plan, std::vector<Finding>& findings);

}  // namespace assay
