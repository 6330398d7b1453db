// Work in child processes, so that an engine's crash, hang or exit is an outcome and not the harness's end. A child is
// a fork without exec: it inherits what is open and must not be forked from a process that has run OpenMP or threads.
// Not here: engines, results.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace assay {

/// Sends one message to the parent. What was sent before a crash or a timeout arrives.
using Send = std::function<void(std::string_view)>;
using Work = std::function<void(const Send&)>;

struct Outcome {
  enum End { finished, crashed, timed_out };
  End end = finished;
  std::vector<std::string> messages;
  std::string what;  ///< of a crash: `signal 11 (Segmentation fault)`, the exception's text; of a timeout: the deadline
  double seconds = 0;
};

struct IsolateOptions {
  int children = 0;                            ///< at once; 0 = as many as cores
  std::chrono::duration<double> deadline{60};  ///< of each child
  /// Called in the parent after each child's end, with the number of those that have ended.
  std::function<void(std::size_t)> ended;
  /// Before that: what became of a work, by its index.
  std::function<void(std::size_t, const Outcome&)> came = {};
};

/// Runs every work in a child of its own; outcomes in the order of the works, whichever ended first.
std::vector<Outcome> isolate(const std::vector<Work>& works, const IsolateOptions& options);

/// Cores this process may use, at least 1.
int cores();

}  // namespace assay
