// What assay asks of an engine: open a checkpoint, run rows of tokens forward, show taps. Paths are ways the harness
// calls forward(); no engine hears of them. Not here: generating, judging, timing, processes; those are built on it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/rows.h"
#include "engine/taps.h"
#include "model/checkpoint.h"
#include "model/tensor.h"

namespace assay {

struct Capabilities {                     // data, so that a process can send it
  std::string name, version, arithmetic;  ///< fp32, bf16...: what the judge allows for
  std::vector<std::string> taps;          ///< patterns as for wants: `text.layer.*.out`; text.logits always
  bool cache = false, batch = false, step = false;
};

enum class Cache {
  none,    ///< no cache object: KV sharing still holds inside the call
  fresh,   ///< starts an empty cache
  extend,  ///< goes on with the one of the calls before
};

struct Forward {
  Rows<const std::int64_t> ids;   ///< [B, T]
  Rows<const std::int64_t> mask;  ///< [B, cached + T], 0 = padding; empty = all 1
  std::span<const NamedTensor>
      more;  ///< position_ids, mm_token_type_ids, pixel_values...: transformers' names and shapes
  Cache cache = Cache::fresh;
  int logit_rows = 0;               ///< logits of the last n tokens; 0 = of all
  class Session* target = nullptr;  ///< drafters: whose K/V to read
};

/// An open checkpoint and one batch's state. Two sessions share nothing that changes.
class Session {
 public:
  virtual ~Session() = default;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Offers each tap that `taps` wants, once. Rows of padding hold anything finite or not: nobody may read them.
  /// Errors: bad_input (argument, shape), unsupported (capability), bad_output (a tap with a wrong shape, twice or
  /// never).
  Result<void> forward(const Forward& call, TapSink& taps);
  /// Runs only the op that makes `tap`, on given inputs: teacher forcing. `inputs` holds the taps of the table's inputs
  /// column by their full names (float32, [B, T, ...]) and attention_mask, position_ids... by transformers' names.
  Result<void> step(TapId tap, std::span<const NamedTensor> inputs, TapSink& taps);
  /// Forgets row b's cached tokens past the first keep[b], padding counted. Rows that keep fewer than the longest are
  /// then padded on the left, as a batch of such prompts is; masks of later calls say so.
  Result<void> truncate(std::span<const int> keep);

  const Plan& plan() const { return plan_; }

 protected:
  explicit Session(Plan plan) : plan_(std::move(plan)) {}
  virtual Result<void> do_forward(const Forward& call, TapSink& taps) = 0;
  virtual Result<void> do_step(TapId tap, std::span<const NamedTensor> inputs, TapSink& taps);
  virtual Result<void> do_truncate(std::span<const int> keep);

 private:
  Plan plan_;  ///< what the contract checks shapes against; an engine may compute from another
};

struct Engine {
  Capabilities can;
  std::function<Result<std::unique_ptr<Session>>(const Checkpoint&)> open;
};

}  // namespace assay
