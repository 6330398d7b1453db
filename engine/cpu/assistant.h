// A drafter ("assistant"): decoder layers that read their target's K/V and keep nothing from call to call. A target of
// this engine is read where its cache lies; any other through the contract. Not here: the layers (layers.h), several
// tokens in a row (harness/drive/draft.h).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/cpu/layers.h"
#include "engine/cpu/weights.h"
#include "engine/engine.h"

namespace assay::cpu {

struct AssistantWeights {
  Matrix pre_projection, post_projection;
  Matrix centroids;                          ///< empty with the dense head
  std::vector<std::int64_t> token_ordering;  ///< [vocab]: cluster c holds entries c * size to (c + 1) * size
};

class AssistantSession : public Session {
 public:
  /// Errors: bad_input (a tensor that is not there, or not of integers); unsupported.
  static Result<std::unique_ptr<AssistantSession>> open(const Checkpoint& checkpoint, const Options& options);

 protected:
  /// Source: Gemma4AssistantForCausalLM.forward (transformers 5.22.2).
  Result<void> do_forward(const Forward& call, TapSink& taps) override;

 private:
  /// The keys of the target as one row of numbers, of which the last is the newest; sliding layers may have the last of
  /// them only.
  struct Keys {
    int total = 0;
    int from[2] = {0, 0};                          ///< the first that full and sliding layers have
    std::vector<int> shift;                        ///< of each batch row: what a cache's numbers lack
    const KvCache* cache[2] = {nullptr, nullptr};  ///< of full and of sliding layers
    std::vector<std::vector<std::uint8_t>> real;   ///< by a cache's numbers; empty: all
  };

  AssistantSession(Plan plan, TextWeights text, AssistantWeights weights, Layers layers)
      : Session(std::move(plan)), text_(std::move(text)), weights_(std::move(weights)), layers_(std::move(layers)) {}

  Result<std::vector<float>> inputs(const Forward& call) const;
  Result<std::vector<std::int64_t>> positions(const Forward& call) const;
  bool has_kind(bool sliding) const;
  Result<Keys> keys(const Forward& call);
  Result<void> keys_of_target(const Forward& call, bool sliding, Keys& keys);
  Result<void> keys_given(const Forward& call, bool sliding, Keys& keys);
  Result<void> mask_keys(const Forward& call, Keys& keys) const;
  KvCache& own_cache(bool sliding, int batch, int width, int length);
  void ordered_logits(const Team& team, int rows, std::vector<float>& scores, std::vector<std::int64_t>& tokens,
                      std::vector<float>& logits) const;

  TextWeights text_;
  AssistantWeights weights_;
  Layers layers_;
  std::vector<KvCache> own_;  ///< of full and of sliding layers, where K/V are not read in place
};

}  // namespace assay::cpu
