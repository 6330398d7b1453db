// Decoding allocates nothing: every operator new is counted while tokens run. What the contract's wrapper allocates to
// check an engine is not the engine's and not counted. And where one fails, nothing is left half done.
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <utility>
#include <vector>

#include "engine/cpu/text.h"
#include "logits.h"
#include "model_of_test.h"

namespace {
std::atomic<long> allocations{0};
thread_local long until_one_fails = -1;  ///< -1: none does
}  // namespace

// NOLINTBEGIN(misc-new-delete-overloads): the others call these
// Not inline, or GCC 12 takes a new that it looks into and a delete that it does not for a mismatch.
[[gnu::noinline]] void* operator new(std::size_t size) {
  ++allocations;
  if (until_one_fails >= 0 && until_one_fails-- == 0) throw std::bad_alloc();
  if (void* memory = std::malloc(size == 0 ? 1 : size)) return memory;
  throw std::bad_alloc();
}
// The library's would call the one above; AddressSanitizer's does not, and finds its memory freed otherwise.
[[gnu::noinline]] void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  ++allocations;
  if (until_one_fails >= 0 && until_one_fails-- == 0) return nullptr;
  return std::malloc(size == 0 ? 1 : size);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
// NOLINTEND(misc-new-delete-overloads)

namespace assay::cpu {
namespace {

class OnlyLogits : public TapSink {
 public:
  explicit OnlyLogits(int layers) : TapSink(layers) { want({Tap::logits, -1}); }
  void take(TapId, Rows<const float> rows) override { first = rows.data[0]; }
  float first = 0;
};

long allocations_of_tokens(const Options& options, int tokens) {
  const Checkpoint checkpoint = test_checkpoint();
  TextDecoder decoder = TextDecoder::open(checkpoint, options).value();
  Memory memory = decoder.make_memory();
  decoder.reset(memory, 1);
  OnlyLogits logits(deepest(checkpoint.plan));
  const auto run = [&](const std::vector<std::int64_t>& ids) {
    const Forward call{.ids = {ids.data(), 1, int(ids.size())}, .cache = Cache::extend};
    if (memory.sequence.extend(call)) decoder.run(call.ids, memory, 1, logits);
  };
  const std::vector<std::int64_t> one{7};
  run(std::vector<std::int64_t>(40, 5));
  for (int i = 0; i < 20; ++i) run(one);  // by then it has been asked where weights are to lie, which allocates once
  const long before = allocations;
  for (int i = 0; i < tokens; ++i) run(one);
  return allocations - before;
}

TEST(Allocation, IsCountedAtAll) {
  const long before = allocations;
  const std::vector<int> some(1000, 1);
  EXPECT_EQ(some.size(), 1000U);
  EXPECT_GT(allocations, before);
}

TEST(Allocation, ATokenTakesNone) {
  for (const auto acts : {kernels::Acts::fp32, kernels::Acts::bf16, kernels::Acts::int8})
    for (const auto kv : {kernels::Format::fp32, kernels::Format::bf16, kernels::Format::q8_0})
      EXPECT_EQ(allocations_of_tokens({.acts = acts, .kv = kv, .threads = 1}, 600), 0)
          << kernels::name(acts) << ", K/V in " << kernels::name(kv);
}

/// A decoder of its own: nothing has grown yet.
struct Decoding {
  TextDecoder decoder = TextDecoder::open(test_checkpoint(), {.threads = 1}).value();
  Memory memory = decoder.make_memory();

  std::vector<float> behind(const std::vector<std::int64_t>& ids) {
    Logits logits(decoder.plan());
    const Forward call{.ids = {ids.data(), 1, int(ids.size())}, .cache = Cache::extend};
    if (memory.sequence.batch() == 0) decoder.reset(memory, 1);
    if (memory.sequence.extend(call)) decoder.run(call.ids, memory, call.ids.cols, logits);
    return std::move(logits.values);  // a copy would be one more
  }
};

TEST(Allocation, ACallThatFindsNoMemoryCanBeRepeatedOrHasForgottenAll) {
  const std::vector<std::int64_t> prompt(40, 5), more(70, 6);
  const std::vector<float> alone = Decoding().behind(more);
  Decoding whole;
  whole.behind(prompt);
  const std::vector<float> expected = whole.behind(more);
  ASSERT_NE(expected, alone);
  int repeated = 0, forgotten = 0;
  for (bool thrown = true; thrown;) {
    Decoding decoding;
    decoding.behind(prompt);
    until_one_fails = repeated + forgotten;
    try {
      decoding.behind(more);
      thrown = false;
    } catch (const std::bad_alloc&) {
      until_one_fails = -1;
      const std::vector<float> again = decoding.behind(more);
      ASSERT_TRUE(again == expected || again == alone) << "allocation " << repeated + forgotten;
      ++(again == expected ? repeated : forgotten);
    }
    until_one_fails = -1;
  }
  EXPECT_GT(repeated, 0);
  EXPECT_EQ(forgotten, 1) << "the sink's own";
}

}  // namespace
}  // namespace assay::cpu
