#include "harness/cli/models.h"

#include <algorithm>
#include <cstdio>

#include <unistd.h>

#include <fmt/format.h>

namespace assay {
namespace {

constexpr double kMebi = 1024.0 * 1024.0;

}  // namespace

Result<std::filesystem::path> find_model_shown(const std::string& model, HubNeed need) {
  HubOptions options = HubOptions::from_environment();
  std::size_t shown = 0;
  if (::isatty(STDERR_FILENO) == 1)
    options.progress = [&shown](const HubProgress& progress) {
      const std::string line =
          fmt::format("fetching {}: {:.1f} of {:.1f} MiB", progress.file, double(progress.done) / kMebi,
                      double(std::max<std::int64_t>(progress.all, 0)) / kMebi);
      fmt::print(stderr, "\r{:<{}}", line, shown);
      shown = std::max(shown, line.size());
      std::fflush(stderr);
    };
  auto found = find_model(model, options, need);
  if (shown > 0) fmt::print(stderr, "\r{:<{}}\r", "", shown);
  return found;
}

}  // namespace assay
