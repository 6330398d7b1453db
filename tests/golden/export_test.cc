#include "golden/export.h"

#include <gmock/gmock.h>
#include <nlohmann/json.hpp>

#include "golden/tiny_golden.h"
#include "model/safetensors.h"
#include "temporary.h"

namespace assay {
namespace {

using nlohmann::json;
using testing::ElementsAre;

TEST(Export, TapTableIsThatOfTheGenerator) {
  EXPECT_EQ(json::parse(taps_json()), json::parse(bytes_of(ASSAY_SOURCE_DIR "/golden/generate/taps.json")));
}

TEST(Export, SafetensorsHoldEveryTensor) {
  const Temporary folder;
  const TinyGolden golden = tiny_golden();
  write_golden(folder / "golden.h5", golden);
  ASSERT_TRUE(export_safetensors(Golden::open(folder / "golden.h5").value(), folder / "out.safetensors"));
  const Safetensors out = Safetensors::open(folder / "out.safetensors").value();
  std::size_t count = 0;
  for (const GoldenCase& one : golden.cases) {
    count += one.taps.size() + one.inputs.size() + 3;
    for (const GoldenTap& tap : one.taps) {
      const auto found = out.tensors().find(one.name + "/taps/" + tap.id.name());
      ASSERT_NE(found, out.tensors().end()) << tap.id.name();
      EXPECT_EQ(found->second.shape, tap.shape);
      EXPECT_EQ(found->second.floats().value(), tap.values);
    }
    EXPECT_EQ(out.tensors().find(one.name + "/inputs/input_ids")->second.integers().value(),
              one.inputs[1].tensor.integers().value());
    EXPECT_EQ(out.tensors().find(one.name + "/outputs/generated_ids")->second.integers().value(), one.generated_ids);
    EXPECT_EQ(out.tensors().find(one.name + "/outputs/generated_logits")->second.floats().value(),
              one.generated_logits);
    EXPECT_EQ(out.tensors().find(one.name + "/outputs/logits")->second.floats().value(), one.logits);
  }
  EXPECT_EQ(out.tensors().size(), count);
  EXPECT_EQ(out.metadata().find("variant")->second, "tiny");
  EXPECT_EQ(out.metadata().find("short/paths")->second, "prefill,nocache,decode");
  const json about = json::parse(out.metadata().find("short/taps/text.layer.00.attn.q")->second);
  EXPECT_THAT(about["rows"].get<std::vector<int>>(), ElementsAre(0, 2, 5));
  EXPECT_EQ(about["order"], 3);
}

TEST(Export, DescriptionHoldsEveryCase) {
  const Temporary folder;
  write_golden(folder / "golden.h5", tiny_golden());
  const json described = json::parse(describe_json(Golden::open(folder / "golden.h5").value()).value());
  EXPECT_EQ(described["transformers"], "5.22.2");
  EXPECT_EQ(described["plan"]["layers"].size(), 4);
  EXPECT_EQ(described["cases"]["batch"]["inputs"]["input_ids"], json({2, 4}));
  EXPECT_EQ(described["cases"]["short"]["taps"]["text.norm"]["shape"], json({1, 6, 12}));
}

}  // namespace
}  // namespace assay
