#include "harness/verify/about.h"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/sha256.h"

namespace assay {
namespace {

std::string digest(std::string_view text) { return sha256_hex(std::as_bytes(std::span(text))); }

/// One line: what an engine says of itself, how it is started and the files that this names. What those read in turn is
/// out of sight.
Result<std::string> text_of(const Engine& engine) {
  const Capabilities& can = engine.can;
  std::string taps;
  for (const std::string& tap : can.taps) taps += tap + "\n";
  std::string text = fmt::format("{} {} {}{}{}{} {:.8}{}{}", can.name, can.version, can.arithmetic,
                                 can.cache ? " cache" : "", can.batch ? " batch" : "", can.step ? " step" : "",
                                 digest(taps), engine.spelt.empty() ? "" : " ", engine.spelt);
  for (const std::string& file : engine.files) {
    ASSAY_TRY(bytes, sha256_file(file));
    text += fmt::format(" {} {:.16}", file, bytes);
  }
  return text;
}

}  // namespace

Result<Facts> facts_of(std::string_view version, std::span<const Engine* const> engines,
                       const std::filesystem::path& data, const Selection& selection,
                       std::chrono::duration<double> timeout) {
  ASSAY_TRY(program, sha256_file("/proc/self/exe"));
  ASSAY_TRY(goldens, sha256_file(selection.model.empty() ? data / "MANIFEST.json"
                                                         : std::filesystem::path(selection.goldens[0])));
  std::string names;
  for (const Engine* engine : engines) {
    ASSAY_TRY(text, text_of(*engine));
    names += (names.empty() ? "" : "; ") + text;
  }
  const nlohmann::ordered_json selected = {{"engines", selection.engines}, {"goldens", selection.goldens},
                                           {"paths", selection.paths},     {"filter", selection.filter},
                                           {"model", selection.model},     {"timeout", timeout.count()}};
  return Facts{{"program", fmt::format("{} {}", version, program)},
               {"engines", std::move(names)},
               {"goldens", std::move(goldens)},
               {"selection", selected.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace)}};
}

std::string difference(const Facts& wanted, const Facts& found) {
  for (const auto& [name, value] : wanted) {
    const auto other =
        std::find_if(found.begin(), found.end(), [&, &key = name](const auto& f) { return f.first == key; });
    if (other == found.end()) return name + ": not told";
    if (other->second != value) return fmt::format("{}: {} instead of {}", name, other->second, value);
  }
  return "";
}

}  // namespace assay
