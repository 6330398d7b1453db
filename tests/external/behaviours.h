// The ways to go wrong that tests/external/misbehaver.cc knows, and what each must be called. Not here: doing them.
#pragma once

#include <algorithm>
#include <array>
#include <string_view>

#include "reports/run.h"

namespace assay {

struct Behaviour {
  std::string_view name;
  Verdict verdict;
  bool hangs = false;  ///< costs a test its timeout
};

inline constexpr std::array kBehaviours = {
    Behaviour{"exit", Verdict::crash},
    Behaviour{"exit-0", Verdict::crash},
    Behaviour{"segv", Verdict::crash},
    Behaviour{"abort", Verdict::crash},
    Behaviour{"kill", Verdict::crash},
    Behaviour{"hang", Verdict::timeout, true},
    Behaviour{"stop", Verdict::timeout, true},
    Behaviour{"half-line-and-hang", Verdict::timeout, true},
    Behaviour{"close-and-hang", Verdict::crash, true},
    Behaviour{"half-line-and-exit", Verdict::crash},
    Behaviour{"leave-a-child", Verdict::crash},
    Behaviour{"answer-and-exit", Verdict::crash},
    Behaviour{"junk", Verdict::crash},
    Behaviour{"junk-bytes", Verdict::crash},
    Behaviour{"empty-line", Verdict::crash},
    Behaviour{"no-object", Verdict::crash},
    Behaviour{"deep-json", Verdict::crash},
    Behaviour{"huge-line", Verdict::crash},
    Behaviour{"endless-line", Verdict::crash},
    Behaviour{"wrong-id", Verdict::crash},
    Behaviour{"no-id", Verdict::crash},
    Behaviour{"answer-twice", Verdict::crash},
    Behaviour{"error", Verdict::crash},
    Behaviour{"error-text", Verdict::crash},
    Behaviour{"unsupported", Verdict::unsupported},
    Behaviour{"memory", Verdict::crash},
    Behaviour{"flood", Verdict::crash},
    // From here on: of a forward's outputs.
    Behaviour{"file-flood", Verdict::crash},
    Behaviour{"change-checkpoint", Verdict::crash},
    Behaviour{"no-file", Verdict::fail_shape},
    Behaviour{"empty-file", Verdict::fail_shape},
    Behaviour{"half-file", Verdict::fail_shape},
    Behaviour{"junk-file", Verdict::fail_shape},
    Behaviour{"huge-header", Verdict::fail_shape},
    Behaviour{"link", Verdict::fail_shape},
    Behaviour{"pipe", Verdict::fail_shape},
    Behaviour{"folder", Verdict::fail_shape},
    Behaviour{"elsewhere", Verdict::fail_shape},
    Behaviour{"wrong-dtype", Verdict::fail_shape},
    Behaviour{"wrong-shape", Verdict::fail_shape},
    Behaviour{"transposed", Verdict::fail_shape},
    Behaviour{"too-few-rows", Verdict::fail_shape},
    Behaviour{"missing-tap", Verdict::fail_shape},
    Behaviour{"nan", Verdict::fail_nan},
    Behaviour{"infinite", Verdict::fail_nan},
    Behaviour{"wrong-numbers", Verdict::fail_numeric},
    Behaviour{"zeros", Verdict::fail_numeric},
};

inline constexpr std::string_view kFirstOfFiles = "file-flood";

/// Whether it can only be done with the outputs of a forward.
constexpr bool is_of_files(std::string_view name) {
  const auto at = [](std::string_view wanted) {
    return std::find_if(kBehaviours.begin(), kBehaviours.end(), [&](const Behaviour& b) { return b.name == wanted; });
  };
  return at(name) >= at(kFirstOfFiles);
}

}  // namespace assay
