// This machine, as far as it decides speed: its processor, what kernels can use of it, caches, memory, and a
// fingerprint. Not here: how fast it is (harness/kernel/roofs.h), what is installed (harness/doctor).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "reports/bench.h"

namespace assay {

/// Asked once: /proc, /sys and CPUID; cores are those that this process may run on.
const MachineFacts& machine_facts();

/// Of all facts but the fingerprint itself; memory counts in GiB, since what a system keeps for itself changes with its
/// version. 16 hexadecimal digits of a SHA-256.
std::string fingerprint_of(const MachineFacts& machine);

/// Bytes of the largest cache, 32 MiB where the system does not tell.
std::int64_t last_level_cache(const MachineFacts& machine);

/// The processor's line of /proc/cpuinfo: `AMD EPYC (family 26, model 2, stepping 1)`; `unknown` if it has none.
std::string cpu_of(std::string_view cpuinfo);

/// `32K`, `2048K`, `1M` of sysfs in bytes; 0 for anything else.
std::int64_t parse_size(std::string_view text);

/// A line `VmHWM:  1234 kB` of /proc/self/status in bytes: the most memory this process ever had; 0 if it is not told.
std::int64_t peak_memory();
/// Starts that count anew where the system lets it (/proc/self/clear_refs). Returns whether it did.
bool reset_peak_memory();

}  // namespace assay
