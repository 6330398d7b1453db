#include "engine/cpu/engine.h"

#include <memory>
#include <optional>
#include <string>

#include "engine/cpu/assistant.h"
#include "engine/cpu/limits.h"
#include "engine/cpu/session.h"
#include "kernels/formats.h"
#include "kernels/registry.h"
#include "model/quantise.h"

namespace assay {
namespace {

Result<std::unique_ptr<Session>> open(const Checkpoint& checkpoint, const cpu::Options& options) {
  ASSAY_CHECK(cpu::check_limits(checkpoint.plan, options.kv));
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

/// Dispatch is limited while a session is opened, which keeps the kernels that it took, and no longer: not even where
/// opening throws.
class IsaLimit {
 public:
  explicit IsaLimit(std::optional<kernels::Isa> isa) : set_(isa && kernels::limit_isa(isa)) {}
  ~IsaLimit() {
    if (set_) kernels::limit_isa(std::nullopt);
  }
  IsaLimit(const IsaLimit&) = delete;
  IsaLimit& operator=(const IsaLimit&) = delete;
  bool set() const { return set_; }

 private:
  bool set_;
};

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
            const IsaLimit limit(options.isa);
            if (options.isa && !limit.set())
              return fail({Failure::unsupported, "cpu", "isa", "one that this machine has",
                           std::string(kernels::name(*options.isa))});
            return open_packed(checkpoint, options);
          }};
}

}  // namespace assay
