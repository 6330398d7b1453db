// A text model as the harness sees it: a decoder, the towers before it, and what a prompt has left in memory. Not here:
// how any of it computes (text.h, vision.h, audio.h), drafters (assistant.h).
#pragma once

#include <memory>
#include <vector>

#include "base/result.h"
#include "engine/cpu/media.h"
#include "engine/cpu/options.h"
#include "engine/cpu/text.h"
#include "engine/engine.h"
#include "engine/op_times.h"

namespace assay::cpu {

class TextSession : public Session, public TimesOps {
 public:
  static Result<std::unique_ptr<TextSession>> open(const Checkpoint& checkpoint, const Options& options);

  /// What a drafter of this engine reads, without the copies of cached_kv().
  const Memory& memory() const { return memory_; }

  void time_ops(bool on) override;
  std::vector<OpTime> op_times() const override { return clock_ ? clock_->times() : std::vector<OpTime>{}; }

 protected:
  Result<void> do_forward(const Forward& call, TapSink& taps) override;
  Result<void> do_truncate(std::span<const int> keep) override;
  Result<CachedKv> do_cached_kv(int layer) override;
  Result<std::vector<float>> do_embed(std::span<const std::int64_t> ids) override;

 private:
  TextSession(TextDecoder decoder, Towers towers)
      : Session(decoder.plan()),
        decoder_(std::move(decoder)),
        towers_(std::move(towers)),
        memory_(decoder_.make_memory()) {}
  Result<void> check(const Forward& call) const;

  TextDecoder decoder_;
  Towers towers_;
  Memory memory_;
  std::unique_ptr<OpClock> clock_;                  ///< while ops are timed
  std::unique_ptr<Memory> loose_;                   ///< of calls without a cache
  std::vector<float> copied_keys_, copied_values_;  ///< that cached_kv() hands out
};

}  // namespace assay::cpu
