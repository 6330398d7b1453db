#include "reports/chart.h"

#include <algorithm>
#include <array>
#include <sstream>

#include <fmt/format.h>
#include <pugixml.hpp>

#include "reports/text.h"

namespace assay {
namespace {

constexpr int kRow = 22, kBar = 14, kNames = 300, kFull = 420, kDetails = 230, kTop = 64;
constexpr double kMost = 1.2;
constexpr std::array kColours = {"#3b6ea5", "#c8782a", "#4c8c4a", "#8a5aa8", "#777777"};
constexpr const char* kMuted = "#666666";

pugi::xml_node text(pugi::xml_node svg, double x, double y, const std::string& what, const char* fill = "#222222") {
  pugi::xml_node node = svg.append_child("text");
  node.append_attribute("x") = fmt::format("{:.1f}", x).c_str();
  node.append_attribute("y") = fmt::format("{:.1f}", y).c_str();
  node.append_attribute("fill") = fill;
  node.text() = printable(what).c_str();
  return node;
}

void box(pugi::xml_node svg, double x, double y, double width, double height, const char* fill) {
  pugi::xml_node node = svg.append_child("rect");
  for (const auto& [name, value] :
       {std::pair{"x", x}, std::pair{"y", y}, std::pair{"width", width}, std::pair{"height", height}})
    node.append_attribute(name) = fmt::format("{:.1f}", value).c_str();
  node.append_attribute("fill") = fill;
}

}  // namespace

std::string bars_svg(const std::string& title, const std::vector<Bar>& bars) {
  std::vector<std::string> groups;
  for (const Bar& bar : bars)
    if (std::find(groups.begin(), groups.end(), bar.group) == groups.end()) groups.push_back(bar.group);
  const auto colour = [&](const std::string& group) {
    return kColours[std::size_t(std::find(groups.begin(), groups.end(), group) - groups.begin()) % kColours.size()];
  };
  const int width = kNames + int(kFull * kMost) + kDetails, bottom = kTop + kRow * int(bars.size());
  pugi::xml_document document;
  pugi::xml_node svg = document.append_child("svg");
  svg.append_attribute("xmlns") = "http://www.w3.org/2000/svg";
  svg.append_attribute("viewBox") = fmt::format("0 0 {} {}", width, bottom + 30).c_str();
  svg.append_attribute("font-family") = "sans-serif";
  svg.append_attribute("font-size") = "12";
  box(svg, 0, 0, width, bottom + 30, "#ffffff");
  text(svg, 12, 22, title).append_attribute("font-weight") = "bold";
  double at = 12;
  for (const std::string& group : groups) {
    if (group.empty()) continue;
    box(svg, at, 34, 10, 10, colour(group));
    text(svg, at + 14, 43, group);
    at += 34 + 7.0 * double(group.size());
  }
  for (int percent = 0; percent <= 100; percent += 20) {
    const double x = kNames + kFull * percent / 100.0;
    box(svg, x, kTop - 6, percent == 100 ? 2 : 1, bottom - kTop + 8, percent == 100 ? "#bb3333" : "#dddddd");
    text(svg, x, bottom + 18, fmt::format("{} %", percent), kMuted).append_attribute("text-anchor") = "middle";
  }
  for (std::size_t i = 0; i < bars.size(); ++i) {
    const Bar& bar = bars[i];
    const double y = kTop + kRow * double(i), length = kFull * std::clamp(bar.share, 0.0, kMost);
    text(svg, kNames - 8, y + 11, bar.name).append_attribute("text-anchor") = "end";
    box(svg, kNames, y, std::max(length, 1.0), kBar, colour(bar.group));
    text(svg, kNames + std::max(length, 1.0) + 6, y + 11, fmt::format("{:.0f} %  {}", 100 * bar.share, bar.detail),
         kMuted);
  }
  std::ostringstream out;
  document.save(out, " ", pugi::format_indent | pugi::format_no_declaration);
  return out.str();
}

}  // namespace assay
