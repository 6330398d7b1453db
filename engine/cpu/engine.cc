#include "engine/cpu/engine.h"

#include <string>

#include "engine/cpu/assistant.h"
#include "engine/cpu/session.h"
#include "model/quantise.h"

namespace assay {
namespace {

Result<std::unique_ptr<Session>> open(const Checkpoint& checkpoint, const cpu::Options& options) {
  if (checkpoint.plan.assistant) {
    ASSAY_TRY(drafter, cpu::AssistantSession::open(checkpoint, options));
    return drafter;
  }
  ASSAY_TRY(session, cpu::TextSession::open(checkpoint, options));
  return session;
}

}  // namespace

Engine cpu_engine(const cpu::Options& options) {
  return {.can = {.name = "cpu",
                  .version = "1",
                  .arithmetic = std::string(kernels::name(options.acts)),
                  .taps = {"vision.*", "audio.*", "text.*", "assistant.*"},
                  .cache = true,
                  .batch = true,
                  .step = false},
          .open = [options](const Checkpoint& checkpoint) -> Result<std::unique_ptr<Session>> {
            if (!options.weights) return open(checkpoint, options);
            Checkpoint packed = checkpoint;
            ASSAY_CHECK(quantise(packed, *options.weights));
            return open(packed, options);
          }};
}

}  // namespace assay
