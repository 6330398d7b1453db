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
      "What the catalogue of 545 faults and 13 controls measures:\n\n"
      "| command | result |\n|---|---|\n"
      "| `./assay faults run --name --pairs 300` | detected: 545 of 545 (100 %); placed: 541 (99.3 %) at the exact "
      "tap, "
      "the other 4 at the next one that a case holds; named: 545 (100 %) first on every golden that shows them or tied "
      "with the first, 529 (97.1 %) first on every one; of 2580 cases of a fault 2495 first, 85 tied; one of the two "
      "named in 300 of 300 random pairs (seed 1); no control flagged |\n"
      "| `./assay faults run --arithmetic bf16` | 366 of 384 detected, 18 below what bf16 may lose, none "
      "neither; no control flagged; 163 are exact in any arithmetic. Below (largest effect beside "
      "transformers' own noise there): `softcap-in-bf16` (0.141 beside 0.214), `cached-keys-in-bf16` (0.00366 "
      "beside 0.00866), `branch-in-bf16` (0.0602 beside 0.0323), `attention-weights-in-bf16` (0.0554 beside "
      "0.0323), `vision-branch-in-bf16` (0.00768 beside 0.0369), `pooled-in-fp16` (0.00209 beside 0.0525), "
      "`projector-epsilon` (0.00454 beside 0.0204), `projected-in-fp16` (0.000972 beside 0.0241), "
      "`audio-projected-in-fp16` (0.000894 beside 0.00912), `unified-dense-in-fp16` (0.0009 beside 0.0332), "
      "`audio-first-convolution-unmasked` (0.0125 beside 0.0084), `audio-timescales-over-half` (0.0048 beside "
      "0.0181), `soft-tokens-in-bf16` (0.0078 beside 0.0352), `vision-head-norm-epsilon` (0.0108 beside "
      "0.00985), `vision-v-norm-epsilon` (0.0133 beside 0.0152), `vision-context-in-bf16` (0.00423 beside "
      "0.0152), `pool-root-in-bf16` (0.033 beside 0.103), `draft-others-by-row` (3.73e-07 beside 0.00418) |\n"
      "| `./assay faults run --arithmetic fp16` | 379 of 384 detected, 5 below what fp16 may lose, none "
      "neither; no control flagged. Below: `vision-gelu-erf` (0.000523 beside 0.0021), `pooled-in-fp16` "
      "(0.00209 beside 0.00535), `projected-in-fp16` (0.000976 beside 0.00228), `audio-projected-in-fp16` "
      "(0.000894 beside 0.0011), `unified-dense-in-fp16` (0.000533 beside 0.0424) |\n"
      "\n"
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
