// How much memory there is to take. Not here: taking it.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>

namespace assay {

/// Bytes that the system can give to this process without swapping: what it has, and no more than the process's control
/// group (version 2) may still take. Cached files count as free. Nothing where the system does not say.
/// @param proc, groups  where proc(5) and control groups are mounted
std::optional<std::size_t> available_memory(const std::filesystem::path& proc = "/proc",
                                            const std::filesystem::path& groups = "/sys/fs/cgroup");

}  // namespace assay
