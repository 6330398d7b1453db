// A chart as SVG: horizontal bars of shares of a roof. Not here: which bars (the caller's), HTML.
#pragma once

#include <string>
#include <vector>

namespace assay {

struct Bar {
  std::string name;    ///< at the left
  std::string detail;  ///< behind the bar: `37.1 of 40.0 GB/s`
  double share = 0;    ///< 1 = at the roof; what is above 1.2 is cut
  std::string group;   ///< the colour: bars of one group have one, and the legend names it
};

/// Bars in their order, a line at 100 %. Text is escaped; nothing in it changes from run to run but the bars.
std::string bars_svg(const std::string& title, const std::vector<Bar>& bars);

}  // namespace assay
