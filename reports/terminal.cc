#include "reports/terminal.h"

#include <algorithm>
#include <iterator>

#include <fmt/format.h>

#include "reports/summary.h"
#include "reports/text.h"

namespace assay {
namespace {

constexpr std::size_t kMostFailures = 20;  // in full; a broken engine fails everything, and the first ones tell why
constexpr std::size_t kMostGrowths = 10;

class Terminal {
 public:
  Terminal(const Run& run, TerminalStyle style) : run_(run), style_(style) {}

  std::string text() {
    if (style_.verbose) every_path();
    table();
    failures();
    grown();
    for (const std::string& line : unexpected_passes(run_))
      add("{} {}\n", paint(kYellow, "UNEXPECTED PASS"), printable(line));
    for (const std::string& line : run_.expired) add("{} {}\n", paint(kYellow, "EXPIRED"), printable(line));
    for (const std::string& line : run_.unmet) add("{} {}\n", paint(kRed, "UNMET"), printable(line));
    last_lines();
    return fmt::to_string(out_);
  }

 private:
  static constexpr std::string_view kRed = "31", kGreen = "32", kYellow = "33", kBold = "1";

  template <class... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
  }

  std::string paint(std::string_view code, std::string_view text) const {
    return style_.color ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string(text);
  }

  void every_path() {
    for (const PathResult& result : run_.results) {
      const std::string_view color = fails(result) ? kRed : result.verdict != Verdict::pass ? kYellow : kGreen;
      const TapResult* worst = worst_tap(result);
      add("{} {} {}/{}/{}", paint(color, fmt::format("{:12}", name_of(result.verdict))), result.engine, result.golden,
          result.case_name, result.path);
      if (result.standing != Standing::judged) add("  {}", name_of(result.standing));
      if (worst != nullptr) add("  {} max abs {:.3g}, {}", worst->tap, worst->stats.max_abs, share_text(*worst));
      add("  {:.2f} s\n", result.seconds);
      if (const auto agreement = agreement_of(result)) add("             logits: {}\n", agreement_text(*agreement));
      for (const std::string& note : notes(result)) add("             {}\n", printable(note));
    }
    if (!run_.results.empty()) add("\n");
  }

  void table() {
    const std::vector<Line> lines = lines_of(run_);
    if (lines.empty()) return;
    std::size_t engine = 6, golden = 6;
    for (const Line& line : lines) {
      engine = std::max(engine, line.engine.size());
      golden = std::max(golden, line.golden.size());
    }
    add("{}\n", paint(kBold, fmt::format("{:{}}  {:{}}  {:>11}  {:>8}  {:>13}  {}", "engine", engine, "golden", golden,
                                         "paths", "max abs", "of tolerance", "worst tap")));
    for (const Line& line : lines) {
      const std::string paths = fmt::format("{} / {}", line.counts.passed, line.counts.all());
      add("{:{}}  {:{}}  {}", line.engine, engine, line.golden, golden,
          paint(line.counts.failed > 0                   ? kRed
                : line.counts.passed < line.counts.all() ? kYellow
                                                         : kGreen,
                fmt::format("{:>11}", paths)));
      if (line.worst != nullptr)
        add("  {:>8.2g}  {:>13}  {}/{} {}", line.worst->stats.max_abs, share_text(*line.worst),
            line.worst_in->case_name, line.worst_in->path, line.worst->tap);
      add("\n");
    }
    add("\n");
  }

  void failures() {
    std::size_t shown = 0, all = 0;
    for (const PathResult& result : run_.results) {
      if (!fails(result) || all++ >= kMostFailures) continue;
      ++shown;
      const Explanation why = explain(result);
      add("{} {}\n", paint(kRed, "FAIL"), printable(why.title));
      for (const auto& [name, value] : why.facts) add("  {:11} {}\n", name, printable(value));
      add("\n");
    }
    if (all > shown) add("{} more failures; --json FILE has them all\n\n", all - shown);
  }

  /// What passes, but by less than in the baseline.
  void grown() {
    const std::vector<Growth> all = growths(run_);
    for (std::size_t i = 0; i < std::min(all.size(), kMostGrowths); ++i)
      add("{} {}\n", paint(kYellow, "GREW"), printable(text_of(all[i])));
    if (all.size() > kMostGrowths) add("{} more grew; --json FILE has them all\n", all.size() - kMostGrowths);
    if (!all.empty()) add("\n");
  }

  void last_lines() {
    std::vector<std::string> engines;
    for (const PathResult& result : run_.results)
      if (std::find(engines.begin(), engines.end(), result.engine) == engines.end()) engines.push_back(result.engine);
    for (const std::string& engine : engines)
      if (const auto agreement = agreement_of(run_, engine)) add("{} logits: {}\n", engine, agreement_text(*agreement));
    for (const std::string& engine : engines) {
      const Counts counts = count(run_, engine);
      const std::string excused = excused_text(counts);
      add("{}: {} passed, {} failed, {} unsupported{}{}{} in {:.1f} s\n", engine, counts.passed,
          counts.failed > 0 ? paint(kRed, std::to_string(counts.failed)) : "0", counts.unsupported,
          excused.empty() ? "" : ", ", excused,
          counts.no_golden > 0 ? fmt::format(", {} without a golden", counts.no_golden) : "", run_.seconds);
    }
    if (engines.empty()) add("nothing was judged\n");
  }

  const Run& run_;
  TerminalStyle style_;
  fmt::memory_buffer out_;
};

}  // namespace

std::string terminal_report(const Run& run, TerminalStyle style) { return Terminal(run, style).text(); }

}  // namespace assay
