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
  /// Puts soft tokens, unscaled, over the embeddings at their kind's placeholders, in order. check() has passed.
  /// Source: Gemma4Model.forward (transformers 5.22.2).
  void merge(const Plan& plan, std::span<const std::int64_t> ids, Rows<float> embeds);

 private:
  struct Queue {
    std::vector<float> values;
    int hidden = 0;
    std::size_t used = 0;  ///< values
    bool open() const { return used < values.size(); }
  };
  static std::array<std::optional<std::int64_t>, 3> placeholders(const Plan& plan);

  std::array<Queue, 3> kinds_;
};

}  // namespace assay::cpu
