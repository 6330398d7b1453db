// The soft tokens of a prompt's media, on their way to their placeholders. Not here: making them (vision.h, audio.h).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "base/rows.h"
#include "model/plan.h"

namespace assay::cpu {

class SoftTokens {
 public:
  enum Kind { image, video, audio };

  /// Media of the kind were passed. @param rows  [soft, hidden]
  void give(Kind kind, std::vector<float> rows, int hidden);
  /// Whether a call's placeholders find what they need. Errors: bad_input (more placeholders in a call than soft tokens
  /// are left; none left at all is no error: a placeholder that was generated keeps the pad token's embedding, as in
  /// transformers).
  Result<void> check(const Plan& plan, std::span<const std::int64_t> ids) const;
  /// A call's placeholders take the next soft tokens, in (row, position) order. check() has passed.
  /// @param ids  [batch, tokens], all of the call
  void begin(const Plan& plan, Rows<const std::int64_t> ids);
  /// Puts soft tokens, unscaled, over the embeddings at their kind's placeholders. A batch row's tokens come in order,
  /// in as many pieces as may be and whatever other rows have come to. Source: Gemma4Model.forward (transformers
  /// 5.22.2).
  /// @param ids  of batch row b, as many as there are embeds
  void merge(const Plan& plan, int b, std::span<const std::int64_t> ids, Rows<float> embeds);

 private:
  struct Queue {
    std::vector<float> values;
    int hidden = 0;
    std::size_t used = 0;           ///< soft tokens, those of the call included
    std::vector<std::size_t> next;  ///< of the call's batch rows: which soft token comes next; empty: none was left
    std::size_t count() const { return hidden == 0 ? 0 : values.size() / std::size_t(hidden); }
    bool open() const { return used < count(); }
  };
  static std::array<std::optional<std::int64_t>, 3> placeholders(const Plan& plan);

  std::array<Queue, 3> kinds_;
};

}  // namespace assay::cpu
