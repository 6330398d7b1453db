#include <algorithm>
#include <iterator>
#include <regex>

#include "harness/faults/fault.h"

namespace assay {

const std::vector<Fault>& faults() {
  static const std::vector<Fault> all = [] {
    std::vector<Fault> joined;
    for (auto* part : {attention_faults,
                       rope_faults,
                       embedding_faults,
                       layer_faults,
                       cache_faults,
                       mask_faults,
                       expert_faults,
                       numeric_faults,
                       vision_input_faults,
                       vision_layer_faults,
                       vision_attention_faults,
                       vision_pool_faults,
                       projector_faults,
                       unified_faults,
                       audio_input_faults,
                       audio_layer_faults,
                       audio_attention_faults,
                       merge_faults,
                       block_faults,
                       tower_numeric_faults,
                       picture_faults,
                       sound_faults,
                       token_faults,
                       chat_faults,
                       generation_faults,
                       drafter_faults,
                       packed_faults,
                       backend_faults})
      std::ranges::move(part(), std::back_inserter(joined));
    return joined;
  }();
  return all;
}

std::string catalogue_markdown() {
  std::string text =
      "# The fault catalogue\n\n"
      "Each fault reproduces a bug that a port of Gemma 4 shipped, or one that a port could ship: row `x`. `./assay "
      "faults run`\n"
      "injects each into the reference engine or the front end and demands that the goldens find it, first at the tap "
      "or "
      "stage\n"
      "where it is born.\n"
      "Controls are deviations that a correct engine may have: they must not be flagged. This page is written by\n"
      "`./assay faults list --markdown`.\n\n"
      "What a run of it gave: [DETECTION.md](DETECTION.md).\n\n"
      "| row | fault | what | shipped in |\n|---|---|---|---|\n";
  for (const Fault& fault : faults())
    text += "| " + std::string(fault.row) + " | `" + std::string(fault.name) + "`" +
            (fault.control ? " (control)" : "") + " | " + std::string(fault.what) + " | " +
            std::string(fault.shipped_in) + " |\n";
  return text;
}

std::vector<std::string> links(const Fault& fault) {
  static const std::regex issue(R"(([\w.-]+/[\w.-]+)#(\d+))");
  const std::string text(fault.shipped_in);
  std::vector<std::string> out;
  for (std::sregex_iterator found(text.begin(), text.end(), issue); found != std::sregex_iterator(); ++found)
    out.push_back("https://github.com/" + (*found)[1].str() + "/issues/" + (*found)[2].str());
  return out;
}

const Fault* find_fault(std::string_view name) {
  const auto found = std::ranges::find(faults(), name, &Fault::name);
  return found == faults().end() ? nullptr : &*found;
}

}  // namespace assay
