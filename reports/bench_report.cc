#include "reports/bench_report.h"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "reports/samples.h"
#include "reports/text.h"

namespace assay {
namespace {

std::string seconds_text(double seconds) {
  if (seconds >= 1) return fmt::format("{:.2f} s", seconds);
  if (seconds >= 1e-3) return fmt::format("{:.2f} ms", seconds * 1e3);
  return fmt::format("{:.1f} us", seconds * 1e6);
}

std::string share_of(double share, const std::string& roof) {
  return roof.empty() ? "-" : fmt::format("{:.0f} % {}", 100 * share, roof);
}

/// A table whose columns are as wide as what stands in them; the first `left` columns are flush left.
class Table {
 public:
  explicit Table(std::vector<std::string> head, std::size_t left) : left_(left) { add(std::move(head)); }
  void add(std::vector<std::string> row) {
    widths_.resize(std::max(widths_.size(), row.size()), 0);
    for (std::size_t c = 0; c < row.size(); ++c) widths_[c] = std::max(widths_[c], row[c].size());
    rows_.push_back(std::move(row));
  }
  std::string text() const {
    std::string out;
    for (const auto& row : rows_) {
      std::string line;
      for (std::size_t c = 0; c < row.size(); ++c)
        line += c < left_ ? fmt::format("{:<{}}  ", row[c], widths_[c]) : fmt::format("{:>{}}  ", row[c], widths_[c]);
      line.erase(line.find_last_not_of(' ') + 1);
      out += line + "\n";
    }
    return out;
  }

 private:
  std::size_t left_;
  std::vector<std::size_t> widths_;
  std::vector<std::vector<std::string>> rows_;
};

std::string per_second(double amount, double seconds) {
  return amount > 0 && seconds > 0 ? fmt::format("{:.1f}", amount / seconds * 1e-9) : "-";
}

std::string spread(const BenchResult& result) {
  const double middle = result.median_seconds();
  return middle > 0 ? fmt::format("{:.1f} %", 100 * mad(result.seconds) / middle) : "-";
}

std::string times_text(const BenchResult& result, const char* what) {
  const auto found = result.times.find(what);
  return found == result.times.end() ? "-" : fmt::format("{:.2f}", found->second);
}

std::string kernels_table(const BenchRun& run) {
  Table table(
      {"kernel", "shape", "caches", "median", "+-MAD", "GB/s", "GFLOP/s", "of roof", "x portable", "x eigen", ""}, 3);
  for (const BenchResult& r : run.results)
    if (r.unit == "call")
      table.add({r.subject, r.what, r.how, seconds_text(r.median_seconds()), spread(r),
                 per_second(r.must.bytes, r.median_seconds()), per_second(r.must.all_flops(), r.median_seconds()),
                 share_of(r.share(run.roofs), r.bound_by(run.roofs).roof), times_text(r, "portable"),
                 times_text(r, "eigen"), r.right.value_or(true) ? "" : "WRONG"});
  return table.text();
}

std::string engines_table(const BenchRun& run) {
  Table table({"engine", "what", "how", "a second", "of", "median", "+-MAD", "GB/s", "GFLOP/s", "of roof"}, 3);
  for (const BenchResult& r : run.results)
    if (r.unit != "call")
      table.add({printable(r.subject), r.what, r.how, fmt::format("{:.2f}", r.rate()), r.unit + "s",
                 seconds_text(r.median_seconds()), spread(r), per_second(r.must.bytes, r.median_seconds()),
                 per_second(r.must.all_flops(), r.median_seconds()),
                 share_of(r.share(run.roofs), r.bound_by(run.roofs).roof)});
  return table.text();
}

std::string ops_table(const BenchRun& run, const BenchResult& result) {
  Table table({"op", "time", "of all", "calls", "GB/s", "GFLOP/s", "of roof"}, 1);
  std::vector<OpShare> ops = result.ops;
  std::stable_sort(ops.begin(), ops.end(), [](const OpShare& a, const OpShare& b) { return a.seconds > b.seconds; });
  double all = 0;
  for (const OpShare& op : ops) all += op.seconds;
  for (const OpShare& op : ops) {
    const Bound least = result.bound_by(op, run.roofs);
    table.add({op.op, seconds_text(op.seconds), fmt::format("{:.1f} %", all > 0 ? 100 * op.seconds / all : 0),
               std::to_string(op.calls), per_second(op.must.bytes, op.seconds),
               per_second(op.must.all_flops(), op.seconds),
               share_of(op.seconds > 0 ? least.seconds / op.seconds : 0, least.roof)});
  }
  return table.text();
}

/// Those ops of a result that take a hundredth of its time and have a roof, longest first.
void add_ops(const BenchRun& run, const BenchResult& result, std::vector<Bar>& bars) {
  constexpr double kLeast = 0.01;
  double all = 0;
  for (const OpShare& op : result.ops) all += op.seconds;
  std::vector<OpShare> ops = result.ops;
  std::stable_sort(ops.begin(), ops.end(), [](const OpShare& a, const OpShare& b) { return a.seconds > b.seconds; });
  for (const OpShare& op : ops) {
    const Bound least = result.bound_by(op, run.roofs);
    if (least.roof.empty() || op.seconds < kLeast * all) continue;
    bars.push_back({.name = op.op,
                    .detail = fmt::format("{:.0f} % of the time", 100 * op.seconds / all),
                    .share = least.seconds / op.seconds,
                    .group = least.roof + " roof"});
  }
}

}  // namespace

std::string roofs_text(const Roofs& roofs, bool fastest) {
  std::string out;
  for (const Roof& roof : roofs.all)
    out += fmt::format("{}{} {}{}/s", out.empty() ? "" : ", ", roof.name,
                       short_number(fastest ? roof.best_per_second() : roof.per_second()),
                       roof.name == "read"   ? "B"
                       : roof.name == "int8" ? "OP"
                                             : "FLOP");
  return out;
}

std::string machine_lines(const BenchRun& run) {
  return fmt::format("machine {}: {}, {} cores\nroofs on {} thread{}: {}\n", run.machine.fingerprint,
                     printable(run.machine.cpu), run.machine.cores, run.roofs.threads,
                     run.roofs.threads == 1 ? "" : "s", roofs_text(run.roofs));
}

std::string bench_report(const BenchRun& run) {
  std::string out = machine_lines(run);
  const auto is_kernel = [](const BenchResult& result) { return result.unit == "call"; };
  if (std::any_of(run.results.begin(), run.results.end(), is_kernel)) out += "\n" + kernels_table(run);
  if (!std::all_of(run.results.begin(), run.results.end(), is_kernel)) out += "\n" + engines_table(run);
  for (const BenchResult& result : run.results)
    if (!result.ops.empty())
      out += fmt::format("\n{} {}, op by op\n{}", result.what, result.how, ops_table(run, result));
  for (const BenchResult& result : run.results)
    if (!result.note.empty()) out += fmt::format("{} {}: {}\n", result.what, result.how, printable(result.note));
  return out;
}

std::vector<Bar> bars_of(const BenchRun& run) {
  std::vector<Bar> bars;
  for (const BenchResult& result : run.results) {
    const Bound least = result.bound_by(run.roofs);
    if (least.roof.empty() || result.how == "warm") continue;
    const double seconds = result.median_seconds();
    const bool reads = least.roof == "read";
    const double amount = reads ? result.must.bytes : result.must.all_flops();
    const bool kernel = result.unit == "call";
    bars.push_back({.name = kernel ? result.subject + " " + result.what : result.what + " " + result.how,
                    .detail = fmt::format("{}{}/s", short_number(seconds > 0 ? amount / seconds : 0),
                                          reads                  ? "B"
                                          : least.roof == "int8" ? "OP"
                                                                 : "FLOP"),
                    .share = result.share(run.roofs),
                    .group = least.roof + " roof"});
    add_ops(run, result, bars);
  }
  return bars;
}

}  // namespace assay
