#include "harness/cli/progress.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include <unistd.h>

#include <fmt/format.h>

namespace assay {

Progress::Progress(std::string what) : what_(std::move(what)), on_terminal_(::isatty(STDERR_FILENO) == 1) {}

void Progress::show(std::size_t done, std::size_t all) const {
  if (!on_terminal_) return;
  constexpr std::size_t kWidth = 30;
  const std::size_t full = all == 0 ? kWidth : kWidth * std::min(done, all) / all;
  fmt::print(stderr, "\r[{}{}] {}/{} {}", std::string(full, '#'), std::string(kWidth - full, '.'), done, all, what_);
  std::fflush(stderr);
}

void Progress::clear() const {
  if (on_terminal_) fmt::print(stderr, "\r\x1b[K");
}

}  // namespace assay
