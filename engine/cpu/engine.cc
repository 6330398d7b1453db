#include "engine/cpu/engine.h"

#include <string>

#include "engine/cpu/assistant.h"
#include "engine/cpu/session.h"
#include "kernels/formats.h"
#include "kernels/registry.h"
#include "model/quantise.h"

namespace assay {
namespace {

/// A head's keys are whole blocks of the cache's format, or attention would read past their end.
Result<void> check_kv(const Plan& plan, kernels::Format kv) {
  const int block = kernels::block_values(kv);
  for (const LayerPlan& layer : plan.layers)
    if (layer.head_dim % block != 0)
      return fail({Failure::unsupported, "cpu", "kv", "heads of a multiple of " + std::to_string(block),
                   std::to_string(layer.head_dim)});
  return {};
}

Result<std::unique_ptr<Session>> open(const Checkpoint& checkpoint, const cpu::Options& options) {
  ASSAY_CHECK(check_kv(checkpoint.plan, options.kv));
  if (checkpoint.plan.assistant) {
    ASSAY_TRY(drafter, cpu::AssistantSession::open(checkpoint, options));
    return drafter;
  }
  ASSAY_TRY(session, cpu::TextSession::open(checkpoint, options));
  return session;
}

/// What a judge may expect: what activations are rounded to, and what the cache keeps of K and V.
std::string arithmetic_of(const cpu::Options& options) {
  const std::string acts(kernels::name(options.acts));
  return options.kv == kernels::Format::fp32 ? acts : acts + "+kv=" + std::string(kernels::name(options.kv));
}

Result<std::unique_ptr<Session>> open_packed(const Checkpoint& checkpoint, const cpu::Options& options) {
  if (!options.weights) return open(checkpoint, options);
  Checkpoint packed = checkpoint;
  ASSAY_CHECK(quantise(packed, *options.weights));
  return open(packed, options);
}

}  // namespace

Engine cpu_engine(const cpu::Options& options) {
  return {.can = {.name = "cpu",
                  .version = "1",
                  .arithmetic = arithmetic_of(options),
                  .taps = {"vision.*", "audio.*", "text.*", "assistant.*"},
                  .cache = true,
                  .batch = true,
                  .step = false},
          .open = [options](const Checkpoint& checkpoint) -> Result<std::unique_ptr<Session>> {
            if (options.isa && !kernels::limit_isa(options.isa))
              return fail({Failure::unsupported, "cpu", "isa", "one that this machine has",
                           std::string(kernels::name(*options.isa))});
            auto session = open_packed(checkpoint, options);
            if (options.isa) kernels::limit_isa(std::nullopt);  // the session keeps the kernels that it took
            return session;
          }};
}

}  // namespace assay
