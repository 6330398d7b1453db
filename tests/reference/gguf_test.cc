// The oracle on GGUF files against transformers on the same numbers, dequantised by PyPI's gguf
// (golden/generate/gguf_cases.py).
#include <cmath>

#include <gmock/gmock.h>

#include "reference/reference.h"
#include "support.h"

namespace assay::reference {
namespace {

class KeepLogits : public TapSink {
 public:
  explicit KeepLogits(int layers) : TapSink(layers) { want({Tap::logits, -1}); }
  void take(TapId, Rows<const float> rows) override { logits.assign(rows.all().begin(), rows.all().end()); }
  std::vector<float> logits;
};

TEST(GgufCheckpoint, GivesTransformersLogits) {
  for (const char* name : {"e2b-q4_0", "26b-a4b-q8_0", "12b-bf16", "e4b-f32"}) {
    const std::filesystem::path data = kSource / "tests/data/gguf";
    const Checkpoint checkpoint = Checkpoint::open(data / (std::string(name) + ".gguf")).value();
    const Safetensors expected = Safetensors::open(data / (std::string(name) + ".safetensors")).value();
    const std::vector<std::int64_t> ids = expected.tensors().at("inputs/input_ids").integers().value();
    const std::vector<float> logits = expected.tensors().at("logits").floats().value();
    const auto session = reference_engine().open(checkpoint).value();
    KeepLogits taps(int(checkpoint.plan.layers.size()));
    ASSERT_TRUE(session->forward({.ids = {ids.data(), 1, int(ids.size())}, .mask = {}, .more = {}}, taps));
    ASSERT_EQ(taps.logits.size(), logits.size()) << name;
    double largest = 0;
    for (std::size_t i = 0; i < logits.size(); ++i) {
      EXPECT_LE(std::abs(taps.logits[i] - logits[i]), 5e-5 + 1e-5 * std::abs(logits[i])) << name << " at " << i;
      largest = std::max(largest, double(std::abs(logits[i])));
    }
    EXPECT_GT(largest, 1) << name << ": zeros would do";
  }
}

}  // namespace
}  // namespace assay::reference
