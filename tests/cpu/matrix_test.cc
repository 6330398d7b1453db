// What goldens cannot show of matrices: whether their bytes stay where the file is mapped, and what is copied where
// they cannot.
#include "engine/cpu/matrix.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "base/tolerance.h"
#include "base/widen.h"
#include "engine/cpu/engine.h"
#include "engine/cpu/weights.h"
#include "kernels/guarded.h"
#include "logits.h"
#include "model_of_test.h"
#include "reference/reference.h"

namespace assay::cpu {
namespace {

using kernels::Acts;
using kernels::Format;

Tensor tensor_of(Dtype dtype, std::vector<std::int64_t> shape, std::span<const std::byte> bytes,
                 std::shared_ptr<const void> keep) {
  return {.dtype = dtype, .shape = std::move(shape), .bytes = bytes, .keep = std::move(keep), .scale = {}};
}

Tensor as_f16(const Tensor& tensor) {
  const std::vector<float> values = tensor.floats().value();
  auto halves = std::make_shared<std::vector<std::uint16_t>>();
  for (const float value : values) halves->push_back(narrow_f16(value));
  return tensor_of(Dtype::f16, tensor.shape, std::as_bytes(std::span(*halves)), halves);
}

/// With everything, norms too, in f16.
Checkpoint f16_checkpoint() {
  Checkpoint checkpoint = test_checkpoint();
  for (auto& [name, tensor] : checkpoint.tensors) tensor = as_f16(tensor);
  return checkpoint;
}

std::vector<float> row(const Matrix& matrix, int r) {
  std::vector<float> values(std::size_t(matrix.w.cols));
  kernels::dequantize(matrix.format, matrix.row(r), matrix.w.scale, values);
  return values;
}

std::vector<float> logits_of(const Engine& engine, const Checkpoint& checkpoint) {
  const auto session = engine.open(checkpoint).value();
  std::vector<std::int64_t> ids(90);
  for (std::size_t i = 0; i < ids.size(); ++i) ids[i] = std::int64_t(i * 37 % 500 + 3);
  Logits logits(session->plan());
  const auto done = session->forward(
      {.ids = {ids.data(), 1, int(ids.size())}, .mask = {}, .more = {}, .cache = Cache::none, .logit_rows = 90},
      logits);
  EXPECT_TRUE(done) << done.error().message();
  return logits.values;
}

TEST(CpuMatrix, EveryMatrixOfAnF16CheckpointStaysWhereItIsMapped) {
  const Checkpoint checkpoint = f16_checkpoint();
  const auto mapped = [&](const Matrix& matrix) {
    const std::byte* const end = matrix.row(matrix.w.rows);
    return std::ranges::any_of(checkpoint.tensors, [&](const auto& named) {
      const std::span<const std::byte> bytes = named.second.bytes;
      return matrix.w.data >= bytes.data() && end <= bytes.data() + bytes.size();
    });
  };
  for (const Acts acts : {Acts::fp32, Acts::bf16, Acts::int8}) {
    Loader loader(checkpoint, acts);
    const TextWeights text = load_text(loader, checkpoint.plan);
    const std::vector<LayerWeights> layers = load_layers(loader, checkpoint.plan);
    ASSERT_TRUE(loader.finish());
    std::vector<const Matrix*> all{&text.embed_tokens, &text.embed_tokens_per_layer, &text.per_layer_model_projection,
                                   &text.lm_head};
    for (const LayerWeights& w : layers)
      for (const Matrix* matrix :
           {&w.q_proj, &w.k_proj, &w.v_proj, &w.o_proj, &w.gate_proj, &w.up_proj, &w.down_proj, &w.per_layer_input_gate,
            &w.per_layer_projection, &w.router_proj, &w.experts_gate_up, &w.experts_down})
        if (!matrix->empty()) all.push_back(matrix);
    EXPECT_GT(all.size(), 60U);
    for (const Matrix* matrix : all) {
      EXPECT_TRUE(mapped(*matrix));
      EXPECT_EQ(matrix->format, Format::f16);
      EXPECT_EQ(matrix->acts, Acts::fp32) << "asked for " << kernels::name(acts);
    }
  }
}

TEST(CpuMatrix, AnF16CheckpointAnswersAsTheOracle) {
  const Checkpoint checkpoint = f16_checkpoint();
  const std::vector<float> expected = logits_of(reference_engine(), checkpoint);
  const Tolerance allowed = fp32_engine();
  for (const Acts acts : {Acts::fp32, Acts::int8}) {
    const std::vector<float> actual = logits_of(cpu_engine({.acts = acts}), checkpoint);
    ASSERT_EQ(actual.size(), expected.size());
    for (std::size_t i = 0; i < actual.size(); ++i)
      ASSERT_NEAR(actual[i], expected[i], allowed.atol + allowed.rtol * std::abs(expected[i])) << "logit " << i;
  }
}

TEST(CpuMatrix, BytesThatNoKernelTakesAreCopied) {
  const std::vector<float> values{1, -2, 0.5F, 0x1p-24F, 7, 3};
  const std::vector<double> wide(values.begin(), values.end());
  const Tensor doubles = tensor_of(Dtype::f64, {2, 3}, std::as_bytes(std::span(wide)), nullptr);
  std::vector<std::byte> shifted(1 + 2 * values.size());
  kernels::quantize(Format::f16, values, shifted.data() + 1);
  const Tensor halves = tensor_of(Dtype::f16, {2, 3}, std::span<const std::byte>(shifted).subspan(1), nullptr);
  for (const auto& [tensor, format] : {std::pair(doubles, Format::fp32), std::pair(halves, Format::f16)}) {
    const Matrix matrix = make_matrix(tensor, 2, 3, Acts::fp32).value();
    EXPECT_EQ(matrix.format, format);
    EXPECT_NE(matrix.w.data, tensor.bytes.data());
    EXPECT_EQ(row(matrix, 0), std::vector<float>(values.begin(), values.begin() + 3));
    EXPECT_EQ(row(matrix, 1), std::vector<float>(values.begin() + 3, values.end()));
  }
}

TEST(CpuMatrix, IntegersWhoseRowsEndInsideABlockAreReadNoFurtherThanTheyGo) {
  constexpr int kRows = 3, kCols = 40;
  constexpr float kScale = 0.5F;
  for (const kernels::Acts acts : {kernels::Acts::fp32, kernels::Acts::bf16, kernels::Acts::int8}) {
    kernels::Guarded bytes(std::size_t{kRows} * kCols);  // the next byte may not be read
    std::vector<std::int8_t> values(bytes.bytes().size());
    std::iota(values.begin(), values.end(), std::int8_t{-60});
    std::memcpy(bytes.data(), values.data(), values.size());
    Tensor tensor{.dtype = Dtype::i8, .shape = {kRows, kCols}, .bytes = bytes.bytes(), .keep = {}, .scale = kScale};
    const Matrix matrix = make_matrix(tensor, kRows, kCols, acts).value();
    EXPECT_EQ(matrix.acts, kernels::Acts::fp32) << "floats are multiplied by floats";
    const std::vector<float> x(std::size_t{kCols} + 64, 2);  // 64 readable bytes behind it, as the contract has it
    std::vector<float> y(kRows);
    matrix.gemv(matrix.w, {x.data(), nullptr, nullptr, 1, kCols}, y.data(), 0, kRows);
    for (int r = 0; r < kRows; ++r)
      EXPECT_EQ(y[std::size_t(r)],
                kScale * 2 * float(std::accumulate(values.begin() + r * kCols, values.begin() + (r + 1) * kCols, 0)));
  }
}

TEST(CpuMatrix, IntegersInWholeBlocksStayWhereTheyAre) {
  const std::vector<std::byte> bytes(2 * 64);
  Tensor tensor{.dtype = Dtype::i8, .shape = {2, 64}, .bytes = bytes, .keep = {}, .scale = 1.0F};
  EXPECT_EQ(make_matrix(tensor, 2, 64, kernels::Acts::fp32).value().w.data, bytes.data());
}

}  // namespace
}  // namespace assay::cpu
