// How much memory is free: here, and as a control group's files have it.
#include "base/memory.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "temporary.h"

namespace assay {
namespace {

namespace fs = std::filesystem;

TEST(AvailableMemory, IsThereOnThisMachine) {
  const auto available = available_memory();
  ASSERT_TRUE(available);
  EXPECT_GT(*available, std::size_t{1} << 20);
}

TEST(AvailableMemory, IsNoMoreThanTheStrictestControlGroupLeaves) {
  const Temporary place;
  const fs::path proc = place / "proc", groups = place / "groups";
  EXPECT_FALSE(available_memory(proc, groups)) << "nobody says";
  put(proc / "meminfo", "MemTotal:       9000 kB\nMemFree:         100 kB\nMemAvailable:   8000 kB\n");
  EXPECT_EQ(available_memory(proc, groups), 8000U * 1024);

  put(proc / "self/cgroup", "4:memory:/old\n0::/pod/box\n");
  put(groups / "pod/box/memory.max", "max\n");
  put(groups / "pod/box/memory.current", "3000\n");
  EXPECT_EQ(available_memory(proc, groups), 8000U * 1024) << "no limit";
  put(groups / "pod/memory.max", "100000\n");
  put(groups / "pod/memory.current", "70000\n");
  put(groups / "pod/memory.stat", "anon 20000\nfile 50000\nkernel 0\n");
  EXPECT_EQ(available_memory(proc, groups), 80000U) << "the outer group's, whose cached files can go";
  put(groups / "pod/box/memory.max", "2000\n");
  EXPECT_EQ(available_memory(proc, groups), 0U) << "more than allowed is in use already";
}

}  // namespace
}  // namespace assay
