// A run as text for a terminal: a line per engine and golden, failures in full, the count last. Not here: printing it.
#pragma once

#include <string>

#include "reports/run.h"

namespace assay {

struct TerminalStyle {
  bool color = false;
  bool verbose = false;  ///< a line for every path of every case
};

std::string terminal_report(const Run& run, TerminalStyle style);

}  // namespace assay
