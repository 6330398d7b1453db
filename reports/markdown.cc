#include "reports/markdown.h"

#include <algorithm>
#include <cstddef>

#include <fmt/format.h>

#include "reports/summary.h"
#include "reports/text.h"

namespace assay {
namespace {

constexpr std::size_t kMostFailures = 20;  // GitHub refuses comments over 65536 characters
constexpr std::size_t kMostGrowths = 10;

/// For text between tags or in a table cell.
std::string escape(std::string_view text) {
  std::string out;
  for (const char c : printable(text)) switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '|': out += "&#124;"; break;
      case '`': out += "&#96;"; break;
      case '*': out += "&#42;"; break;
      case '_': out += "&#95;"; break;
      case '@': out += "&#64;"; break;  // would notify somebody
      case '\n': out += ' '; break;
      default: out += c;
    }
  return out;
}

std::string clipped(const std::string& text) {
  constexpr std::size_t kLongest = 1500;
  return text.size() <= kLongest ? text : text.substr(0, kLongest) + " …";
}

}  // namespace

std::string to_markdown(const Run& run) {
  const Counts counts = count(run);
  const int code = exit_code(run);
  const std::string excused = excused_text(counts);
  std::string out = fmt::format("### assay {}: {} passed, {} failed, {} unsupported{}{}\n\n",
                                code == 0   ? "✅"
                                : code == 3 ? "⚠️"
                                            : "❌",
                                counts.passed, counts.failed, counts.unsupported, excused.empty() ? "" : ", ", excused);
  if (code == 3) out += "Nothing was judged.\n\n";
  for (const std::string& line : run.unmet) out += fmt::format("- **unmet**: {}\n", escape(line));
  for (const std::string& line : unexpected_passes(run))
    out += fmt::format("- **unexpected pass**: {}\n", escape(clipped(line)));
  for (const std::string& line : run.expired) out += fmt::format("- **expired**: {}\n", escape(clipped(line)));
  const std::vector<Growth> all_growths = growths(run);
  for (std::size_t i = 0; i < std::min(all_growths.size(), kMostGrowths); ++i)
    out += fmt::format("- **grew**: {}\n", escape(text_of(all_growths[i])));
  if (all_growths.size() > kMostGrowths)
    out += fmt::format("- … and {} more grew\n", all_growths.size() - kMostGrowths);
  if (out.back() == '\n' && out[out.size() - 2] != '\n') out += "\n";
  const std::vector<Line> lines = lines_of(run);
  if (!lines.empty())
    out +=
        "| engine | golden | passed | failed | unsupported | worst tap | max abs | of tolerance | logits "
        "|\n|---|---|--:|--:|--:|---|--:|--:|---|\n";
  for (const Line& line : lines) {
    out += fmt::format("| {} | {} | {} | {} | {} |", escape(line.engine), escape(line.golden), line.counts.passed,
                       line.counts.failed, line.counts.unsupported);
    if (line.worst == nullptr)
      out += " | | |";
    else
      out +=
          fmt::format(" {} | {:.2g} | {} |",
                      escape(fmt::format("{}/{} {}", line.worst_in->case_name, line.worst_in->path, line.worst->tap)),
                      line.worst->stats.max_abs, share_text(*line.worst));
    const auto agreement = agreement_of(run, line.engine, line.golden);
    out += fmt::format(" {} |\n", agreement ? escape(agreement_text(*agreement)) : "");
  }
  std::size_t all = 0;
  for (const PathResult& result : run.results) {
    if (!fails(result) || all++ >= kMostFailures) continue;
    const Explanation why = explain(result);
    out += fmt::format("\n<details><summary>{}</summary>\n\n<table>\n", escape(why.title));
    for (const auto& [name, value] : why.facts)
      out += fmt::format("<tr><td>{}</td><td><code>{}</code></td></tr>\n", escape(name), escape(clipped(value)));
    out += "</table>\n</details>\n";
  }
  if (all > kMostFailures) out += fmt::format("\n… and {} more failures.\n", all - kMostFailures);
  out += fmt::format("\n<sub>{} on {} ({} cores), {:.1f} s</sub>\n", escape(run.version), escape(run.machine.cpu),
                     run.machine.cores, run.seconds);
  return out;
}

}  // namespace assay
