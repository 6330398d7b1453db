#include "golden/store.h"

#include <cmath>

#include <gmock/gmock.h>

#include "golden/tiny_golden.h"
#include "temporary.h"

namespace assay {
namespace {

using testing::HasSubstr;

class Store : public testing::Test {
 protected:
  /// The first error of opening the file and loading its cases.
  std::string error_with(const Bends& bends) {
    write_golden(folder_ / "golden.h5", golden_, bends);
    const auto opened = Golden::open(folder_ / "golden.h5");
    if (!opened) return opened.error().message();
    for (const std::string& name : opened->info().cases)
      if (const auto loaded = opened->load(name); !loaded) return loaded.error().message();
    return "no error";
  }

  Temporary folder_;
  TinyGolden golden_ = tiny_golden();
};

TEST_F(Store, ReadsBackWhatWasWritten) {
  ASSERT_EQ(error_with({}), "no error");
  const Golden opened = Golden::open(folder_ / "golden.h5").value();
  const GoldenInfo& info = opened.info();
  EXPECT_EQ(info.variant, "tiny");
  EXPECT_EQ(info.seed, 3);
  EXPECT_EQ(info.softcap, 30);
  EXPECT_EQ(info.cases, golden_.info.cases);
  ASSERT_EQ(info.layers.size(), golden_.info.layers.size());
  EXPECT_EQ(info.layers[3].donor, 1);
  EXPECT_EQ(info.layers[3].inv_freq, golden_.info.layers[3].inv_freq);
  for (const GoldenCase& expected : golden_.cases) {
    const GoldenCase found = opened.load(expected.name).value();
    EXPECT_EQ(found.what, expected.what);
    EXPECT_EQ(found.paths, expected.paths);
    EXPECT_EQ(found.generated, 4);
    EXPECT_EQ(found.generated_ids, expected.generated_ids);
    EXPECT_EQ(found.generated_margin, expected.generated_margin);
    EXPECT_EQ(found.logits, expected.logits);
    ASSERT_EQ(found.inputs.size(), expected.inputs.size());
    for (std::size_t i = 0; i < found.inputs.size(); ++i) {
      EXPECT_EQ(found.inputs[i].name, expected.inputs[i].name);
      EXPECT_EQ(found.inputs[i].tensor.shape, expected.inputs[i].tensor.shape);
      EXPECT_EQ(found.inputs[i].tensor.integers().value(), expected.inputs[i].tensor.integers().value());
    }
    ASSERT_EQ(found.taps.size(), expected.taps.size());
    for (std::size_t i = 0; i < found.taps.size(); ++i) {
      EXPECT_EQ(found.taps[i].id, expected.taps[i].id) << "taps come in causal order";
      EXPECT_EQ(found.taps[i].shape, expected.taps[i].shape);
      EXPECT_EQ(found.taps[i].rows, expected.taps[i].rows);
      EXPECT_EQ(found.taps[i].values, expected.taps[i].values);
      EXPECT_EQ(found.taps[i].margin, expected.taps[i].margin);
      EXPECT_EQ(found.taps[i].noise_bf16_rms, expected.taps[i].noise_bf16_rms);
    }
  }
}

TEST_F(Store, MissesWhateverIsLeftOut) {
  for (const std::string& part : write_golden(folder_ / "golden.h5", golden_)) {
    const bool attribute = part.find('@') != std::string::npos;
    if (part.starts_with("/cases/batch/") || part.find("layer.02") != std::string::npos)
      continue;  // as their neighbours
    if (part.ends_with("@noise_bf16") || part.find("attention_mask") != std::string::npos) continue;  // may be left out
    if (!attribute && part.find("/taps/") != std::string::npos) continue;  // a missing tap is for check() to find
    if (part == "/cases/batch" || part == "/cases/short") continue;        // one case less is a golden still
    const std::string error = error_with({.without = {part}});
    if (part.ends_with("@rows")) {
      EXPECT_THAT(error, HasSubstr(part.substr(0, part.find('@')) + ": expected [1, 6, ...]")) << part;
    } else if (part.starts_with("/plan/layer") && !attribute && !part.ends_with("inv_freq")) {
      EXPECT_THAT(error, HasSubstr("/plan: expected 4 layers, found 3")) << part;
    } else {
      EXPECT_THAT(error, HasSubstr(part + ": expected")) << part;
    }
  }
}

TEST_F(Store, MayLackBf16NoiseAndOutputs) {
  golden_.cases[1].generated = 0;
  ASSERT_EQ(error_with({.without = {"/cases/short/taps/text.norm@noise_bf16"}}), "no error");
  const GoldenCase loaded = Golden::open(folder_ / "golden.h5").value().load("short").value();
  EXPECT_EQ(loaded.generated, 0);
  EXPECT_TRUE(loaded.generated_ids.empty());
  const GoldenTap& norm = loaded.taps[loaded.taps.size() - 2];
  EXPECT_TRUE(std::isnan(norm.noise_bf16));
}

TEST_F(Store, RefusesAttributesOutOfRange) {
  const auto with = [&](const std::string& attribute, const hdf5::Value& value) {
    return error_with({.attributes = {{attribute, value}}});
  };
  EXPECT_THAT(with("/@schema", std::int64_t{2}), HasSubstr("/@schema: expected 1 to 1, found 2"));
  EXPECT_THAT(with("/@variant", std::int64_t{2}), HasSubstr("/@variant: expected a string, found integers"));
  EXPECT_THAT(with("/plan@hidden", std::int64_t{-1}), HasSubstr("/plan@hidden: expected 1 to"));
  EXPECT_THAT(with("/plan@layers", std::int64_t{1} << 40), HasSubstr("/plan@layers: expected 1 to"));
  EXPECT_THAT(with("/plan@layers", std::int64_t{3}), HasSubstr("/plan: expected 3 layers, found 4"));
  EXPECT_THAT(with("/plan/layer.00@attention", std::string("both")), HasSubstr("expected sliding or full, found both"));
  EXPECT_THAT(with("/plan/layer.01@donor", std::int64_t{2}), HasSubstr("@donor: expected 0 to 1, found 2"));
  EXPECT_THAT(with("/plan/layer.01@head_dim", std::int64_t{8}),
              HasSubstr("/plan/layer.01/inv_freq: expected [4], found [3]"));
  const std::string tap = "/cases/short/taps/text.layer.00.attn.q";
  EXPECT_THAT(with(tap + "@order", std::int64_t{1}), HasSubstr(tap + "@order: expected 3 to 3, found 1"));
  EXPECT_THAT(with(tap + "@noise_fp32", -1.0), HasSubstr("expected a finite number from 0"));
  EXPECT_THAT(with(tap + "@noise_fp32", HUGE_VAL), HasSubstr("expected a finite number from 0"));
  EXPECT_THAT(with(tap + "@noise_fp32", NAN), HasSubstr("expected a finite number from 0"));
  const auto rows = [&](std::vector<std::int64_t> value) { return with(tap + "@rows", std::move(value)); };
  EXPECT_THAT(rows({0, 2, 6}), HasSubstr("@rows: expected ascending rows below 6, found 6"));
  EXPECT_THAT(rows({0, 0, 5}), HasSubstr("@rows: expected ascending rows"));
  EXPECT_THAT(rows({-1, 2, 5}), HasSubstr("@rows: expected ascending rows"));
  EXPECT_THAT(rows({0, 5}), HasSubstr("expected [2, ...], found [3, 2, 4]"));
  EXPECT_THAT(rows({}), HasSubstr("@rows: expected at least one row, found none"));
}

TEST_F(Store, RefusesDatasetsOfAnotherShape) {
  const auto with = [&](const std::string& dataset, const std::vector<std::int64_t>& shape, bool floats) {
    std::size_t count = 1;
    for (const std::int64_t extent : shape) count *= std::size_t(extent);
    const Tensor tensor =
        floats ? Tensor::own(shape, std::vector<float>(count)) : Tensor::own(shape, std::vector<std::int64_t>(count));
    return error_with({.datasets = {{dataset, tensor}}});
  };
  EXPECT_THAT(with("/cases/short/taps/text.norm", {1, 5, 12}, true),
              HasSubstr("text.norm: expected [1, 6, ...], found [1, 5, 12]"));
  EXPECT_THAT(with("/cases/short/taps/text.norm", {6}, true), HasSubstr("expected [1, 6, ...]"));
  EXPECT_THAT(with("/cases/short/taps/text.norm", {1, 6, 12}, false), HasSubstr("expected floating-point numbers"));
  EXPECT_THAT(with("/cases/short/inputs/input_ids", {6}, false), HasSubstr("input_ids: expected integers [B, T]"));
  EXPECT_THAT(with("/cases/short/inputs/input_ids", {1, 6}, true), HasSubstr("input_ids: expected integers [B, T]"));
  EXPECT_THAT(with("/cases/short/inputs/input_ids", {1, 0}, false), HasSubstr("input_ids: expected integers [B, T]"));
  EXPECT_THAT(with("/cases/short/outputs/generated_ids", {2, 4}, false),
              HasSubstr("expected [1, at least 1], found [2, 4]"));
  EXPECT_THAT(with("/cases/short/outputs/logits", {1, 22}, true), HasSubstr("expected [1, 23], found [1, 22]"));
  EXPECT_THAT(with("/plan/layer.00/inv_freq", {3}, true), HasSubstr("inv_freq: expected [2], found [3]"));
}

TEST_F(Store, RefusesIdsOutsideTheVocabulary) {
  golden_.cases[1].generated_ids[2] = 23;
  EXPECT_THAT(error_with({}), HasSubstr("generated_ids: expected ids from 0 to 22, found 23"));
}

TEST_F(Store, RefusesTapsOfNoTable) {
  golden_.info.layers.pop_back();  // layer.03's taps are now of no layer
  EXPECT_THAT(error_with({}), HasSubstr("text.layer.03.attn.ctx: expected a name of the tap table"));
}

TEST_F(Store, HasNoCaseOfAnotherName) {
  write_golden(folder_ / "golden.h5", golden_);
  const Golden golden = Golden::open(folder_ / "golden.h5").value();
  EXPECT_THAT(golden.load("none").error().message(), HasSubstr("/cases: expected a case called none"));
}

TEST_F(Store, UsesANamedGoldenOnlyWhenItsHashAgrees) {
  const GoldenEntry entry = write_data(folder_ / "data", golden_);
  const auto variant = [](const Golden& golden) -> Result<std::string> { return golden.info().variant; };
  EXPECT_EQ(use_golden(folder_ / "data", "tiny", variant).value(), "tiny");
  EXPECT_EQ(use_golden(folder_ / "data", entry.file.string(), variant).value(), "tiny") << "any file, in a child";
  put(entry.file, "damaged");
  EXPECT_THAT(use_golden(folder_ / "data", "tiny", variant).error().message(),
              HasSubstr("golden.h5: sha256: expected"));
  EXPECT_THAT(use_golden(folder_ / "data", entry.file.string(), variant).error().message(),
              HasSubstr("expected an HDF5 file"));
  EXPECT_THAT(use_golden(folder_ / "data", "none", variant).error().message(),
              HasSubstr("none: expected a file, or a golden: tiny"));
}

}  // namespace
}  // namespace assay
