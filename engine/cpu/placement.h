// Where weights lie. A token reads all of them from front to back, which small pages slow down: those in which a file
// lies that was downloaded or written lately, and all files where the file system has no others. Decoding E2B in Q4_0
// from copies in pages of 2 MiB takes 4-14 % less time (Zen 4). Not here: arenas and caches (pages.h).
#pragma once

#include <span>

#include "engine/cpu/matrix.h"
#include "engine/cpu/options.h"

namespace assay::cpu {

/// Makes matrices that a file is mapped for read from copies in huge pages, which sessions share while one of them is
/// open; the file's pages are given back meanwhile, so that a process holds weights once. Matrices of no file stay
/// where they are, and what memory they have is gathered into huge pages.
/// automatic: only where there are enough of them, memory for both copy and cached file is free, and most of what the
/// file has in memory lies in small pages.
/// Throws std::bad_alloc where they are to be copied and there is no room.
void place(std::span<Matrix* const> matrices, Placement placement);

}  // namespace assay::cpu
