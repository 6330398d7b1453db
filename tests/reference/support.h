// Inputs and outputs of single ops, worked out by transformers' own modules (golden/generate/ops.py), for the oracle's
// ops.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "base/error_stats.h"
#include "base/rows.h"
#include "model/safetensors.h"
#include "reference/ops/grid.h"
#include "reference/ops/weight.h"

namespace assay::reference {

inline const std::filesystem::path kSource = ASSAY_SOURCE_DIR;

/// One op's case: `OpData("rms_norm/weight")["x"]`.
class OpData {
 public:
  explicit OpData(std::string name) : name_(std::move(name)) {}

  const Tensor& operator[](const std::string& tensor) const {
    const auto& tensors = file().tensors();
    const auto found = tensors.find(name_ + "/" + tensor);
    if (found == tensors.end()) throw std::runtime_error("tests/data/ops.safetensors has no " + name_ + "/" + tensor);
    return found->second;
  }
  bool has(const std::string& tensor) const { return file().tensors().contains(name_ + "/" + tensor); }
  std::vector<float> floats(const std::string& tensor) const { return (*this)[tensor].floats().value(); }
  std::vector<std::int64_t> integers(const std::string& tensor) const { return (*this)[tensor].integers().value(); }
  /// As a matrix whose rows have `cols` values.
  Grid grid(const std::string& tensor, int cols) const {
    const std::vector<float> values = floats(tensor);
    return Grid(Rows<const float>{values.data(), int(values.size()) / cols, cols});
  }
  /// As a matrix whose rows are the last dimension.
  Grid grid(const std::string& tensor) const { return grid(tensor, int((*this)[tensor].shape.back())); }
  Weight weight(const std::string& tensor) const {
    const Tensor& found = (*this)[tensor];
    return {.tensor = found, .rows = int(found.shape[found.shape.size() - 2]), .cols = int(found.shape.back())};
  }
  double number(const std::string& key) const {
    static const nlohmann::json all = nlohmann::json::parse(std::ifstream(kSource / "tests/data/ops.json"));
    return all.at(name_).at(key).get<double>();
  }

  /// Names of the cases of one op.
  static std::vector<std::string> cases(const std::string& op) {
    std::vector<std::string> names;
    for (const auto& [name, tensor] : file().tensors()) {
      const std::string one = name.substr(0, name.rfind('/'));
      if (one.starts_with(op + "/") && (names.empty() || names.back() != one)) names.push_back(one);
    }
    return names;
  }

 private:
  static const Safetensors& file() {
    static const Safetensors opened = Safetensors::open(kSource / "tests/data/ops.safetensors").value();
    return opened;
  }

  std::string name_;
};

/// One op may differ from transformers by the rounding of one fp32 sum: 2e-6 of values of size 1.
constexpr Tolerance one_op_fp32() { return {.atol = 2e-6, .rtol = 2e-6}; }

inline void expect_near(std::span<const float> expected, std::span<const float> actual,
                        Tolerance tolerance = one_op_fp32()) {
  ASSERT_EQ(expected.size(), actual.size());
  const ErrorStats stats = compare(expected, actual, tolerance);
  EXPECT_TRUE(stats.passed()) << stats.mismatches << " of " << stats.count << " differ, first at " << stats.worst
                              << ": expected " << stats.expected << ", got " << stats.actual << ", "
                              << stats.worst_ratio << " x tolerance";
  EXPECT_FALSE(compare(expected, std::vector<float>(expected.size(), 0), tolerance).passed()) << "zeros would pass";
}

}  // namespace assay::reference
