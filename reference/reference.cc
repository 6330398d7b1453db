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

}  // namespace assay
