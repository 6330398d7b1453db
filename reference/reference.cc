#include "reference/reference.h"

#include "reference/parts.h"
#include "reference/session.h"

namespace assay {

const Engine& reference_engine() {
  static const Engine engine{.can = {.name = "reference",
                                     .version = "1",
                                     .arithmetic = "fp32",
                                     .taps = {"vision.*", "audio.*", "text.*", "assistant.*"},
                                     .cache = true,
                                     .batch = true,
                                     .step = true},
                             .open = [](const Checkpoint& checkpoint) -> Result<std::unique_ptr<Session>> {
                               ASSAY_TRY(parts, reference::assemble(checkpoint));
                               return reference::make_session(std::move(parts));
                             }};
  return engine;
}

Engine rounded_reference_engine(reference::Rounding to) {
  Engine engine = reference_engine();
  engine.can.arithmetic = to == reference::Rounding::bf16 ? "bf16" : "fp16";
  engine.can.step = false;  // it would be the exact op
  engine.open = [to](const Checkpoint& checkpoint) -> Result<std::unique_ptr<Session>> {
    ASSAY_TRY(parts, reference::assemble(checkpoint));
    reference::round_results(parts, to);
    return reference::make_session(std::move(parts));
  };
  return engine;
}

}  // namespace assay
