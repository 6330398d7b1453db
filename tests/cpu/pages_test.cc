// Memory by pages: what was there stays when it grows, in small pages, in huge ones and from one kind to the other.
#include "engine/cpu/pages.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>

#include "mapping_bytes.h"

namespace assay::cpu {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

/// A number in each 4 KiB, as far as `bytes`.
void fill(Pages& pages, std::size_t from, std::size_t bytes) {
  for (std::size_t at = from; at < bytes; at += 4096) std::memcpy(pages.data() + at, &at, sizeof at);
}
void expect_filled(const Pages& pages, std::size_t bytes, std::size_t size) {
  for (std::size_t at = 0; at < size; at += 4096) {
    std::size_t was = 1;
    std::memcpy(&was, pages.data() + at, sizeof was);
    ASSERT_EQ(was, at < bytes ? at : 0) << "at " << at;
  }
}

TEST(Pages, GrowWithoutForgettingInEitherKind) {
  for (const bool huge : {false, true}) {
    Pages pages;
    std::size_t before = 0;
    for (const std::size_t size : {std::size_t{4096}, kMiB, 5 * kMiB, 6 * kMiB + 12288, 17 * kMiB}) {
      pages.grow(size, huge);
      ASSERT_GE(pages.size(), size);
      expect_filled(pages, before, size);
      fill(pages, before, size);
      before = size;
    }
    const std::byte* const at = pages.data();
    pages.grow(3 * kMiB, huge);
    EXPECT_EQ(pages.data(), at) << "there was room";
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(at) % (2 * kMiB), 0U);
  }
}

TEST(Pages, CollapseIntoHugeOnesWithoutForgetting) {
  Pages pages;
  constexpr std::size_t kSize = 5 * kMiB + 4096;
  pages.grow(kSize);
  fill(pages, 0, kSize);
  if (huge_bytes(pages.data()) > 0) GTEST_SKIP() << "this system gives huge pages unasked";
  pages.collapse();
  expect_filled(pages, kSize, kSize);
  const std::size_t huge = huge_bytes(pages.data());
  pages.grow(2 * kSize);  // whatever they lie in
  expect_filled(pages, kSize, 2 * kSize);
  if (huge == 0) GTEST_SKIP() << "this system collapses no pages";
  EXPECT_GE(huge, 4 * kMiB);
}

}  // namespace
}  // namespace assay::cpu
