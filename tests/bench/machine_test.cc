#include "harness/machine/machine.h"

#include <cstring>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace assay {
namespace {

TEST(Machine, ReadsTheProcessorsName) {
  EXPECT_EQ(cpu_of("processor\t: 0\ncpu family\t: 26\nmodel\t\t: 2\nmodel name\t: AMD EPYC\nstepping\t: 1\n"),
            "AMD EPYC (family 26, model 2, stepping 1)");
  EXPECT_EQ(cpu_of("CPU implementer\t: 0x41\nCPU part\t: 0xd0c\n"), "implementer 0x41, part 0xd0c");
  EXPECT_EQ(cpu_of(""), "unknown");
}

TEST(Machine, ReadsSizes) {
  EXPECT_EQ(parse_size("48K"), 48 * 1024);
  EXPECT_EQ(parse_size("2M"), 2 << 20);
  EXPECT_EQ(parse_size("100"), 100);
  for (const char* wrong : {"", "K", "-1K", "1X", "99999999999999999999K"}) EXPECT_EQ(parse_size(wrong), 0) << wrong;
}

TEST(Machine, TheFingerprintChangesWithWhatDecidesSpeed) {
  const MachineFacts one{.cpu = "a", .cores = 2, .isa = {"avx2"}, .governor = "", .caches = {{"L2", 5}}, .memory = 1};
  const std::string print = fingerprint_of(one);
  EXPECT_EQ(print.size(), 16U);
  EXPECT_EQ(fingerprint_of(one), print);
  const auto changed = [&](auto change) {
    MachineFacts other = one;
    change(other);
    return fingerprint_of(other) != print;
  };
  EXPECT_TRUE(changed([](MachineFacts& m) { m.cpu = "b"; }));
  EXPECT_TRUE(changed([](MachineFacts& m) { m.cores = 3; }));
  EXPECT_TRUE(changed([](MachineFacts& m) { m.isa.push_back("avx512"); }));
  EXPECT_TRUE(changed([](MachineFacts& m) { m.governor = "powersave"; }));
  EXPECT_TRUE(changed([](MachineFacts& m) { m.caches["L3"] = 1; }));
  EXPECT_TRUE(changed([](MachineFacts& m) { m.memory = std::int64_t{16} << 30; }));
  EXPECT_FALSE(changed([](MachineFacts& m) { m.memory = 4096; })) << "a kernel's own share";
  EXPECT_FALSE(changed([](MachineFacts& m) { m.fingerprint = "x"; }));
}

TEST(Machine, ThisOneIsKnown) {
  const MachineFacts& facts = machine_facts();
  EXPECT_GE(facts.cores, 1);
  EXPECT_GT(facts.memory, std::int64_t{1} << 28);
  EXPECT_EQ(facts.fingerprint, fingerprint_of(facts));
  EXPECT_GE(last_level_cache(facts), 1 << 15);
  EXPECT_EQ(last_level_cache({}), 32 << 20);
}

TEST(Machine, PeakMemoryGrowsWithWhatIsTouched) {
  const std::int64_t before = peak_memory();
  std::vector<char> bytes(std::size_t{64} << 20);
  std::memset(bytes.data(), 1, bytes.size());
  EXPECT_GE(peak_memory(), before);
  EXPECT_GE(peak_memory(), std::int64_t(bytes.size()));
}

}  // namespace
}  // namespace assay
