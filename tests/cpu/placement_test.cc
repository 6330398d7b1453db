// Where weights lie: copies are shared, keep what they are copies of, and give back its pages; what they are read for
// stays the same.
#include "engine/cpu/placement.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <numeric>
#include <vector>

#include "base/memory.h"
#include "engine/cpu/engine.h"
#include "engine/cpu/pages.h"
#include "logits.h"
#include "mapping_bytes.h"
#include "model/mapped_file.h"
#include "model_of_test.h"
#include "temporary.h"

namespace assay::cpu {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

bool system_gives_huge_pages() {
  Pages probe;
  probe.grow(4 * kMiB, true);
  std::memset(probe.data(), 1, probe.size());
  return huge_bytes(probe.data()) > 0;
}

/// Written as a download is: a little at a time, which leaves it in small pages.
void write_slowly(const std::filesystem::path& file, std::span<const std::byte> bytes) {
  constexpr std::size_t kAtOnce = 65536;
  std::ofstream out(file, std::ios::binary);
  for (; !bytes.empty(); bytes = bytes.subspan(std::min(kAtOnce, bytes.size()))) {
    out.write(reinterpret_cast<const char*>(bytes.data()), std::streamsize(std::min(kAtOnce, bytes.size())));
    out.flush();
  }
}

/// A file of numbers.
std::shared_ptr<const MappedFile> file_of(const std::filesystem::path& file, std::size_t bytes) {
  std::vector<std::uint32_t> numbers(bytes / 4);
  std::iota(numbers.begin(), numbers.end(), 0U);
  write_slowly(file, std::as_bytes(std::span(numbers)));
  return MappedFile::open(file, 1).value();
}

/// `rows` of a thousand floats, `first` bytes into a file.
Matrix matrix_of(const std::shared_ptr<const MappedFile>& file, std::size_t first, int rows) {
  const std::size_t bytes = std::size_t(rows) * 4000;
  return make_matrix({.dtype = Dtype::f32,
                      .shape = {rows, 1000},
                      .bytes = file->bytes().subspan(first, bytes),
                      .keep = file,
                      .scale = {}},
                     rows, 1000, kernels::Acts::fp32)
      .value();
}

bool same_bytes(const Matrix& matrix, std::span<const std::byte> bytes) {
  return std::memcmp(matrix.w.data, bytes.data(), bytes.size()) == 0;
}

TEST(Placement, CopiesAreSharedAndKeepTheirOriginal) {
  const Temporary place_of_file;
  auto file = file_of(place_of_file / "weights", 9 * kMiB);
  const std::weak_ptr<const MappedFile> mapped = file;
  const std::span<const std::byte> bytes = file->bytes();
  Matrix one = matrix_of(file, 64, 1100), tied = one, two = matrix_of(file, 4 * kMiB + 4, 1000), again = two;
  const std::vector<Matrix*> first{&one, &tied, &two};
  place(first, Placement::copied);
  EXPECT_NE(one.w.data, bytes.data() + 64);
  EXPECT_EQ(one.w.data, tied.w.data);
  EXPECT_TRUE(same_bytes(one, bytes.subspan(64, one.bytes)));
  EXPECT_TRUE(same_bytes(two, bytes.subspan(4 * kMiB + 4, two.bytes)));
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(two.w.data) % 64, 0U);

  const std::vector<Matrix*> second{&again};
  place(second, Placement::copied);
  EXPECT_EQ(again.w.data, two.w.data) << "another session's";
  file = nullptr;
  EXPECT_FALSE(mapped.expired());
  one = tied = two = {};
  EXPECT_FALSE(mapped.expired()) << "one session is still open";
  again = {};
  EXPECT_TRUE(mapped.expired());
}

TEST(Placement, GivesBackTheFilesPagesAndReadsFromHugeOnes) {
  const Temporary place_of_file;
  const auto file = file_of(place_of_file / "weights", 9 * kMiB);
  Matrix matrix = matrix_of(file, 0, int(file->bytes().size() / 4000));
  const std::vector<Matrix*> all{&matrix};
  std::size_t sum = 0;
  for (const std::byte byte : file->bytes()) sum += std::size_t(byte);
  EXPECT_GT(sum, 0U);
  ASSERT_GE(mapping_bytes(file->bytes().data(), "Rss"), 8 * kMiB);
  place(all, Placement::copied);
  EXPECT_LE(mapping_bytes(file->bytes().data(), "Rss"), kMiB);
  EXPECT_TRUE(same_bytes(matrix, file->bytes().first(matrix.bytes)));
  if (!system_gives_huge_pages()) GTEST_SKIP() << "this system has no huge pages";
  EXPECT_GE(huge_bytes(matrix.w.data), 8 * kMiB);
}

TEST(Placement, LeavesAloneWhatItIsToldToAndWhatIsSmall) {
  const Temporary place_of_file;
  const auto file = file_of(place_of_file / "weights", 9 * kMiB);
  Matrix matrix = matrix_of(file, 0, 2000);
  const std::vector<Matrix*> all{&matrix};
  for (const Placement placement : {Placement::mapped, Placement::automatic}) {
    place(all, placement);
    EXPECT_EQ(matrix.w.data, file->bytes().data());
  }
}

TEST(Placement, LeavesMemoryOfNoFileWhereItIs) {
  std::vector<float> values(std::size_t{20} << 20, 1);  // 80 MiB
  Matrix matrix = make_matrix({.dtype = Dtype::f32,
                               .shape = {20 << 10, 1024},
                               .bytes = std::as_bytes(std::span(values)),
                               .keep = {},
                               .scale = {}},
                              20 << 10, 1024, kernels::Acts::fp32)
                      .value();
  const std::vector<Matrix*> all{&matrix};
  for (const Placement placement : {Placement::automatic, Placement::copied}) {
    place(all, placement);
    EXPECT_EQ(matrix.w.data, std::as_bytes(std::span(values)).data());
    EXPECT_EQ(std::accumulate(values.begin(), values.end(), 0.0), double(values.size())) << "nothing is given back";
  }
}

std::vector<float> run(Session& session, std::int64_t id, Cache cache) {
  Logits logits(session.plan());
  const auto done =
      session.forward({.ids = {&id, 1, 1}, .mask = {}, .more = {}, .cache = cache, .logit_rows = 1}, logits);
  EXPECT_TRUE(done) << done.error().message();
  return logits.values;
}

/// 70 MiB in two layers and a head of its own.
Checkpoint wide_checkpoint(const std::filesystem::path& cache) {
  const Config config = parse_config(R"({"model_type": "gemma4_text", "hidden_size": 1024, "intermediate_size": 5120,
      "vocab_size": 512, "vocab_size_per_layer_input": 512, "hidden_size_per_layer_input": 0, "num_hidden_layers": 2,
      "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 64, "global_head_dim": 64, "sliding_window": 12,
      "num_kv_shared_layers": 0, "tie_word_embeddings": false,
      "layer_types": ["sliding_attention", "full_attention"]})",
                                     "wide")
                            .value();
  return synthetic_checkpoint(config, SyntheticFormat::bf16, "wide", {.cache = cache}).value();
}

TEST(Placement, ASessionThatDecodesMovesItsWeightsOnceAndAnswersTheSame) {
  const Temporary cache;
  const Checkpoint checkpoint = wide_checkpoint(cache.path());
  const void* const gate = checkpoint.tensor("layers.0.mlp.gate_proj.weight").value().bytes.data();
  const auto mapped = cpu_engine({.placement = Placement::mapped}).open(checkpoint).value();
  std::vector<std::vector<float>> expected(20);
  for (int t = 0; t < 20; ++t) expected[t] = run(*mapped, t + 3, t == 0 ? Cache::fresh : Cache::extend);

  const auto copied = cpu_engine({.placement = Placement::copied}).open(checkpoint).value();
  EXPECT_LE(mapping_bytes(gate, "Rss"), 8 * kMiB) << "opened from copies";
  for (int t = 0; t < 20; ++t) EXPECT_EQ(run(*copied, t + 3, t == 0 ? Cache::fresh : Cache::extend), expected[t]);

  const Temporary other;
  for (const auto& file : std::filesystem::directory_iterator(cache.path()))
    write_slowly(other.path() / file.path().filename(), MappedFile::open(file.path(), 1).value()->bytes());
  const Checkpoint same = wide_checkpoint(other.path());
  const void* const same_gate = same.tensor("layers.0.mlp.gate_proj.weight").value().bytes.data();
  const auto moved = cpu_engine({}).open(same).value();
  for (int t = 0; t < 20; ++t) {
    if (t == 15) {
      EXPECT_GE(mapping_bytes(same_gate, "Rss"), 60 * kMiB) << "still mapped";
    }
    EXPECT_EQ(run(*moved, t + 3, t == 0 ? Cache::fresh : Cache::extend), expected[t]) << "token " << t;
  }
  const std::size_t huge = mapping_bytes(same_gate, "FilePmdMapped") + mapping_bytes(same_gate, "ShmemPmdMapped");
  if (huge > 0) GTEST_SKIP() << "the file lies in huge pages";
  if (available_memory().value_or(0) < 256 * kMiB) GTEST_SKIP() << "no memory for both";
  if (!system_gives_huge_pages()) GTEST_SKIP() << "this system has no huge pages";
  EXPECT_LE(mapping_bytes(same_gate, "Rss"), 8 * kMiB) << "moved";
}

}  // namespace
}  // namespace assay::cpu
