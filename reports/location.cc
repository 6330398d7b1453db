#include "reports/location.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <string_view>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "reports/json.h"
#include "reports/summary.h"
#include "reports/text.h"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kSchema = 1;
constexpr std::string_view kRed = "31", kGreen = "32", kBold = "1";
constexpr double kLeast = 1e-8;  // relative errors below one ULP of most values: no bar
constexpr int kColumnsADecade = 4;
constexpr std::size_t kMostHypotheses = 8;

/// `text.layer.03` of `text.layer.03.attn.q`; a tap around the layers stays.
std::string row_name(const std::string& tap) {
  const std::size_t layer = tap.find(".layer.");
  return layer == std::string::npos ? tap : tap.substr(0, tap.find('.', layer + 7));
}

/// Largest difference over what is allowed; infinite where values are not finite or have another shape.
double ratio_of(const TapResult& tap) {
  if (tap.stats.not_finite > 0 || (failed(tap.verdict) && tap.stats.count == 0)) return INFINITY;
  return tap.stats.worst_ratio;
}
double error_of(const TapResult& tap) {
  if (tap.stats.not_finite > 0 || (failed(tap.verdict) && tap.stats.count == 0)) return INFINITY;
  return std::sqrt(tap.stats.nmse);
}

std::string times(double ratio) {
  if (!std::isfinite(ratio)) return "broken";
  return ratio < 1 ? fmt::format("{:.2g} %", 100 * ratio) : fmt::format("{:.3g}x", ratio);
}
/// The call that was to give it broke down: there are no values.
bool never_came(const TapResult& tap) { return tap.verdict == Verdict::crash || tap.verdict == Verdict::timeout; }

/// `11.6 %`, `3e-06`: shares below a thousandth are easier to compare as powers.
std::string share(double value) {
  if (!std::isfinite(value)) return "not finite";
  return value >= 1e-3 ? fmt::format("{:.3g} %", 100 * value) : fmt::format("{:.1g}", value);
}

Json number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return value;
}

class Text {
 public:
  Text(const Location& location, bool color) : location_(location), color_(color) {}

  std::string all() {
    const PathResult& path = location_.path;
    add("{} {} {}/{}/{}\n\n", paint(kRed, name_of(path.verdict)), printable(path.engine), printable(path.golden),
        printable(path.case_name), path.path);
    if (!path.note.empty()) add("  {}\n\n", printable(path.note));
    if (const TapResult* failing = first_failure(path); path.note.empty() && failing != nullptr && never_came(*failing))
      add("  {}\n\n", printable(failing->note));
    chart();
    first_wrong();
    birth();
    hypotheses();
    if (!location_.rerun_op.empty()) add("this op alone\n  {}\n", printable(location_.rerun_op));
    add("again\n  {}\n", printable(location_.rerun));
    return fmt::to_string(out_);
  }

 private:
  template <class... Args>
  void add(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(out_), format, std::forward<Args>(args)...);
  }
  std::string paint(std::string_view code, std::string_view text) const {
    return color_ ? fmt::format("\x1b[{}m{}\x1b[0m", code, text) : std::string(text);
  }

  void chart() {
    const std::vector<GrowthRow> rows = growth(location_);
    if (rows.empty()) return;
    std::size_t widest = 0;
    for (const GrowthRow& row : rows) widest = std::max(widest, row.name.size());
    constexpr int kColumns = 8 * kColumnsADecade;
    add("{}\n", paint(kBold, "free-running: the largest error of each layer, RMS over RMS of the values"));
    const bool alone = std::ranges::any_of(rows, [](const GrowthRow& row) { return row.alone >= 0; });
    add("{}\n", paint(kBold, fmt::format("{:{}}  {:<{}}  {:>8}  {:>10}{}", "", widest + 2, "1e-8, log scale, to 1",
                                         kColumns, "error", "of allowed", alone ? "       alone" : "")));
    for (const GrowthRow& row : rows) {
      int columns = 0;
      if (!std::isfinite(row.error))
        columns = kColumns;
      else if (row.error >= kLeast)
        columns = std::min(kColumns, int((std::log10(row.error) + 8) * kColumnsADecade) + 1);
      const std::string bar(std::size_t(columns), row.wrong ? '#' : '-');
      add("  {:{}}  {}{:{}}  {:>8}  {:>10}", printable(row.name), widest, paint(row.wrong ? kRed : kGreen, bar), "",
          kColumns - int(bar.size()), share(row.error), times(row.ratio));
      if (alone) add("  {:>10}", row.alone < 0 ? "" : times(row.alone));
      if (!location_.first.empty() && row_name(location_.first) == row.name) add("  <- first wrong");
      add("\n");
    }
    add("\n");
  }

  void first_wrong() {
    if (location_.first.empty()) {
      const TapResult* failing = first_failure(location_.path);
      const bool broke_down = failing != nullptr && never_came(*failing);
      add("{}: what failed is named above\n\n",
          broke_down ? "every tap that came is right" : "every tap by itself is right");
      return;
    }
    add("{} {}\n", paint(kBold, "first wrong tap"), paint(kRed, printable(location_.first)));
    if (!location_.before.empty())
      add("  {:11} {} (right) and {} (first wrong)\n", "between", printable(location_.before),
          printable(location_.first));
    PathResult bare = location_.path;
    bare.note.clear();
    bare.rerun.clear();
    for (const auto& [name, value] : explain(bare).facts) add("  {:11} {}\n", name, printable(value));
    const TapResult* first = first_failure(location_.path);
    if (first != nullptr && first->stats.count > 0)
      add("  {:11} {} of what is allowed\n", "ratio", times(ratio_of(*first)));
    add("\n");
  }

  void birth() {
    add("{}\n", paint(kBold, "teacher-forced: each op on transformers' own inputs"));
    if (location_.forced.empty()) {
      add("  not possible: {}\n\n",
          printable(location_.forced_note.empty() ? "no reason given" : location_.forced_note));
      return;
    }
    const auto wrong = [](const TapResult& tap) { return failed(tap.verdict); };
    const auto count = std::ranges::count_if(location_.forced, wrong);
    if (location_.born.empty()) {
      add("  all {} ops are right by themselves: what goes wrong lies between calls or beside the ops, in the cache, "
          "positions, masks or what is fed to the first op\n",
          location_.forced.size());
    } else {
      const auto born = std::ranges::find(location_.forced, location_.born, &TapResult::tap);
      add("  born at {}: {} of what is allowed, worst at {}: expected {:.9g}, got {:.9g}\n", printable(born->tap),
          times(ratio_of(*born)), index_text(born->worst), born->stats.expected, born->stats.actual);
      std::string names;
      constexpr int kMost = 8;
      int named = 0;
      for (const TapResult& tap : location_.forced)
        if (wrong(tap) && named++ < kMost) names += (names.empty() ? "" : ", ") + tap.tap;
      add("  {} of {} ops are wrong by themselves: {}{}\n", count, location_.forced.size(), printable(names),
          count > kMost ? ", ..." : "");
    }
    if (!location_.forced_note.empty()) add("  {}\n", printable(location_.forced_note));
    add("\n");
  }

  void hypotheses() {
    if (location_.tried == 0) return;
    add("{}\n", paint(kBold, fmt::format("hypotheses, of {} faults tried", location_.tried)));
    if (location_.hypotheses.empty()) add("  none of the catalogue's faults looks like this\n");
    std::size_t shown = 0;
    const auto ties = std::ranges::count_if(location_.hypotheses, &Hypothesis::tied);
    for (const Hypothesis& one : location_.hypotheses) {
      if (++shown > kMostHypotheses) break;
      add("  {}. {} {}: {} -> {}, {}\n", shown,
          one.explained == 0          ? "may be part of it:"
          : one.explained < one.wrong ? "begins as"
                                      : "matches",
          paint(shown == 1 ? kGreen : kBold,
                fmt::format("{}{}{}", one.fault, one.with.empty() ? "" : " with ", fmt::join(one.with, ", "))),
          share(one.before), share(one.after),
          fmt::format("{} of {} wrong taps{}", one.explained, one.wrong,
                      one.tied && ties > 1 ? "; this case cannot tell it from the first" : ""));
      add("     {}\n", one.what);
      for (const std::string& link : one.links) add("     {}\n", link);
      if (one.links.empty() && !one.shipped_in.empty()) add("     {}\n", one.shipped_in);
    }
    if (location_.hypotheses.size() > kMostHypotheses)
      add("  {} more; --json FILE has them all\n", location_.hypotheses.size() - kMostHypotheses);
    add("\n");
  }

  const Location& location_;
  bool color_;
  fmt::memory_buffer out_;
};

}  // namespace

std::vector<GrowthRow> growth(const Location& location) {
  std::vector<GrowthRow> rows;
  for (const TapResult& tap : location.path.taps) {
    if (never_came(tap)) continue;
    const std::string name = row_name(tap.tap);
    auto row = std::ranges::find(rows, name, &GrowthRow::name);
    if (row == rows.end()) {
      rows.push_back({.name = name, .worst = tap.tap, .error = error_of(tap), .ratio = ratio_of(tap)});
      row = rows.end() - 1;
    } else if (ratio_of(tap) > row->ratio) {
      row->worst = tap.tap;
      row->error = error_of(tap);
      row->ratio = ratio_of(tap);
    }
    row->wrong = row->wrong || failed(tap.verdict);
  }
  for (GrowthRow& row : rows) {
    for (const TapResult& tap : location.layers)
      if (row_name(tap.tap) == row.name) row.alone = ratio_of(tap);
    for (const TapResult& tap : location.forced)
      if (tap.tap == row.name) row.alone = ratio_of(tap);
  }
  return rows;
}

std::string location_text(const Location& location, bool color) { return Text(location, color).all(); }

std::string to_json(const Location& location) {
  const auto taps = [](const std::vector<TapResult>& results) {
    PathResult path;
    path.taps = results;
    return Json::parse(to_json(path)).at("taps");
  };
  Json rows = Json::array();
  for (const GrowthRow& row : growth(location))
    rows.push_back({{"name", printable(row.name)},
                    {"worst", printable(row.worst)},
                    {"relative_error", number(row.error)},
                    {"ratio", number(row.ratio)},
                    {"alone", row.alone < 0 ? Json(nullptr) : number(row.alone)},
                    {"wrong", row.wrong}});
  Json hypotheses = Json::array();
  for (const Hypothesis& one : location.hypotheses)
    hypotheses.push_back({{"fault", one.fault},
                          {"row", one.row},
                          {"what", one.what},
                          {"shipped_in", one.shipped_in},
                          {"links", one.links},
                          {"before", number(one.before)},
                          {"after", number(one.after)},
                          {"explained", one.explained},
                          {"wrong", one.wrong},
                          {"left", number(one.left)},
                          {"tied", one.tied},
                          {"until", printable(one.until)},
                          {"with", one.with}});
  const PathResult& path = location.path;
  const Json json = {{"schema", kSchema},
                     {"engine", printable(path.engine)},
                     {"golden", printable(path.golden)},
                     {"variant", printable(path.variant)},
                     {"case", printable(path.case_name)},
                     {"path", path.path},
                     {"verdict", name_of(path.verdict)},
                     {"note", printable(path.note)},
                     {"before", printable(location.before)},
                     {"first", printable(location.first)},
                     {"born", printable(location.born)},
                     {"growth", std::move(rows)},
                     {"free_running", taps(path.taps)},
                     {"teacher_forced", taps(location.forced)},
                     {"layers_alone", taps(location.layers)},
                     {"teacher_forced_note", printable(location.forced_note)},
                     {"tried", location.tried},
                     {"hypotheses", std::move(hypotheses)},
                     {"rerun", printable(location.rerun)},
                     {"rerun_op", printable(location.rerun_op)},
                     {"seconds", location.seconds}};
  return json.dump(1) + "\n";
}

}  // namespace assay
