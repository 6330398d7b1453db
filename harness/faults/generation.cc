// Faults of generation_config.json: where a text stops, what is never said, how it is drawn. Rows F3, G6. Not here: the
// logits that tokens are chosen from.
#include <utility>

#include "harness/faults/fault.h"
#include "model/processor/front_end.h"

namespace assay {
namespace {

Fault config(std::string_view stage, std::string_view name, std::string_view row, std::string_view what,
             std::string_view shipped_in, void (*edit)(GenerationConfig&)) {
  return {.name = name,
          .row = row,
          .what = what,
          .shipped_in = shipped_in,
          .stage = stage,
          .bend = [edit](FrontEnd& steps) {
            steps.generation_config = [edit](const FrontEnd::Path& checkpoint) -> Result<GenerationConfig> {
              ASSAY_TRY(made, read_generation_config(checkpoint));
              edit(made);
              return made;
            };
          }};
}

}  // namespace

std::vector<Fault> generation_faults() {
  constexpr std::string_view kStops = "generation.stop_ids";
  return {
      config(kStops, "stop-at-eos-alone", "G6", "Only the first of several stop tokens ends a text.",
             "dogkeeper886/ollama37#376",
             [](GenerationConfig& made) {
               if (made.stop_ids.size() > 1) made.stop_ids.resize(1);
             }),
      config(kStops, "stop-not-at-responses", "G6", "<|tool_response> does not end a text.",
             "lmstudio-ai/lmstudio-bug-tracker#1927",
             [](GenerationConfig& made) {
               if (!made.stop_ids.empty()) made.stop_ids.pop_back();
             }),
      config(kStops, "stop-never", "G6", "Nothing ends a text but its length.", "class of dogkeeper886/ollama37#376",
             [](GenerationConfig& made) { made.stop_ids.clear(); }),
      config("generation.suppress_ids", "suppressed-are-said", "F3", "The list of suppressed tokens is not read.",
             "sgl-project/sglang#27167", [](GenerationConfig& made) { made.suppress_ids.clear(); }),
      config("generation.sampling", "sampling-of-transformers", "x", "transformers' own defaults: top-k 50, top-p 1.",
             "",
             [](GenerationConfig& made) {
               made.top_k = 50;
               made.top_p = 1;
             }),
      config("generation.sampling", "sampling-unheard", "x", "Greedy, whatever the file says.", "",
             [](GenerationConfig& made) { made.do_sample = false; }),
  };
}

}  // namespace assay
