// The oracle in bf16 and fp16: every tap holds numbers of that type. What they should be near to is for `verify`.
#include "reference/rounded.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "base/widen.h"
#include "golden/store.h"
#include "reference/reference.h"
#include "support.h"

namespace assay::reference {
namespace {

class Keep : public TapSink {
 public:
  explicit Keep(const Plan& plan) : TapSink(deepest(plan)) {
    for (const TapId id : all_taps(plan)) want(id);
  }
  void take(TapId id, Rows<const float> rows) override { kept[id.name()].assign(rows.all().begin(), rows.all().end()); }
  std::map<std::string, std::vector<float>> kept;
};

std::map<std::string, std::vector<float>> taps_of(const Engine& engine, const std::string& golden) {
  const Checkpoint checkpoint = Checkpoint::open(kSource / "golden/data" / golden / "checkpoint").value();
  const auto session = engine.open(checkpoint).value();
  Keep taps(session->plan());
  const std::vector<std::int64_t> ids{5, 9, 2, 14, 7, 3, 3, 21};
  EXPECT_TRUE(session->forward({.ids = {ids.data(), 1, int(ids.size())}, .mask = {}, .more = {}}, taps));
  return taps.kept;
}

TEST(Rounded, EveryTapHoldsNumbersOfTheType) {
  for (const char* golden : {"e2b-tails", "26b-a4b-tails", "12b-tails"}) {
    const auto exact = taps_of(reference_engine(), golden);
    for (const Rounding to : {Rounding::bf16, Rounding::fp16}) {
      const auto rounded = taps_of(rounded_reference_engine(to), golden);
      ASSERT_EQ(rounded.size(), exact.size());
      for (const auto& [name, values] : rounded) {
        EXPECT_NE(values, exact.at(name)) << name;
        if (name.find("router") != std::string::npos) continue;  // fp32 in transformers too
        for (const float value : values)
          ASSERT_EQ(value, to == Rounding::bf16 ? widen_bf16(narrow_bf16(value)) : widen_f16(narrow_f16(value)))
              << name;
      }
    }
  }
}

TEST(Rounded, SaysWhatItComputesIn) {
  EXPECT_EQ(rounded_reference_engine(Rounding::bf16).can.arithmetic, "bf16");
  EXPECT_EQ(rounded_reference_engine(Rounding::fp16).can.arithmetic, "fp16");
  EXPECT_FALSE(rounded_reference_engine(Rounding::bf16).can.step) << "a step would be the exact op";
}

}  // namespace
}  // namespace assay::reference
