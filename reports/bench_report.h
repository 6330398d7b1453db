// A bench run as text for a terminal, and its bars for a chart. Not here: printing it, JSON (bench.h).
#pragma once

#include <string>
#include <vector>

#include "reports/bench.h"
#include "reports/chart.h"

namespace assay {

/// Machine and roofs, in two lines.
std::string machine_lines(const BenchRun& run);
/// `read 38.2 GB/s, fp32 431 GFLOP/s`: of the median sample, or of the fastest.
std::string roofs_text(const Roofs& roofs, bool fastest = false);
/// Machine, roofs, a line a result, and where an engine times itself its ops, slowest first.
std::string bench_report(const BenchRun& run);
/// A bar a result: kernels by name and shape (cold ones, where both were timed), engines by what they did; the roof
/// that bounds it is its group. Behind it a bar for each of its ops that takes a hundredth of its time, longest first.
/// What nothing bounds has none.
std::vector<Bar> bars_of(const BenchRun& run);

}  // namespace assay
