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

/// Rows of text.logits that an engine can show: of any tokens, of a call's last one alone, or none.
enum class LogitRows { all, last, none };

/// What an engine declares about models of one variant, where they are not all alike to it.
struct VariantSupport {
  std::string variant;              ///< as goldens name it, `E2B`; may be a glob
  std::vector<std::string> dtypes;  ///< of weights, as safetensors spells them; empty: any
  LogitRows logits = LogitRows::all;
};

struct Capabilities {                     // data, so that a process can send it
  std::string name, version, arithmetic;  ///< fp32, bf16...: what the judge allows for
  std::vector<std::string> taps;          ///< patterns as for wants: `text.layer.*.out`; text.logits by `logits`
  bool cache = false, batch = false, step = false;
  LogitRows logits = LogitRows::all;
  bool generate = false;                 ///< chooses ids by itself: Session::generate
  std::vector<VariantSupport> variants;  ///< the first that matches counts, and none is no support; empty: all alike
};

/// What a Failure expected where an engine did not answer before its deadline.
inline constexpr std::string_view kInTime = "an answer in time";

enum class Cache {
  none,    ///< no cache object: KV sharing still holds inside the call
  fresh,   ///< starts an empty cache
  extend,  ///< goes on with the one of the calls before
};

struct Forward {
  Rows<const std::int64_t> ids;   ///< [B, T]
  Rows<const std::int64_t> mask;  ///< [B, cached + T], 0 = padding; empty = all 1
  /// position_ids, mm_token_type_ids, pixel_values...: transformers' names and shapes. Media come with the first call
  /// of a prompt, which may hold a part of it where B = 1: their soft tokens go to placeholders in (row, position)
  /// order, what is left of them to the calls that extend. A kind without media keeps the pad token's embedding.
  std::span<const NamedTensor> more;
  Cache cache = Cache::fresh;
  int logit_rows = 0;  ///< logits of the last n tokens; 0 = of all
  /// Drafters: whose K/V to read, of which `mask` tells padding. `ids` are [B, 1], the newest token of each row, which
  /// the target has not yet seen; `more` holds its position_ids and last_hidden_state [B, 1, backbone]: text.norm of
  /// the token before it, or the drafter's own assistant.state. As transformers takes them, `more` may hold
  /// inputs_embeds [B, 1, 2 * backbone] instead (ids then mean nothing), and without a target shared_kv_states/KIND/key
  /// and .../value [B, heads, keys, d] for both kinds.
  class Session* target = nullptr;
};

/// Keys (after RoPE) and values of one layer, [cached, kv_heads * head_dim] for each batch row. Views, good until the
/// session's next call.
struct CachedKv {
  std::vector<Rows<const float>> keys, values;
};

/// An open checkpoint and one batch's state. Two sessions share nothing that changes.
class Session {
 public:
  virtual ~Session() = default;
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  /// Offers each tap that `taps` wants, once; those of towers in the call that brings media. Rows of padding hold
  /// anything finite or not: nobody may read them. Errors: bad_input (argument, shape), unsupported (capability),
  /// bad_output (a tap with a wrong shape, twice or never).
  Result<void> forward(const Forward& call, TapSink& taps);
  /// Runs only the op that makes `tap`, on given inputs: teacher forcing. `inputs` holds the taps of the table's inputs
  /// column by their full names (float32, [B, T, ...] or the rows of media) and attention_mask, position_ids... by
  /// transformers' names.
  Result<void> step(TapId tap, std::span<const NamedTensor> inputs, TapSink& taps);
  /// Forgets row b's cached tokens past the first keep[b], padding counted. Rows that keep fewer than the longest are
  /// then padded on the left, as a batch of such prompts is; masks of later calls say so.
  Result<void> truncate(std::span<const int> keep);

  // What a drafter reads of its target. Its hidden states come by the tap text.norm. A drafter of the same engine may
  // know a shorter way to them than these, which serve any two engines.
  /// What is cached in a layer that has K/V of its own. Errors: bad_input (no such layer); unsupported.
  Result<CachedKv> cached_kv(int layer);
  /// Rows of the embedding table as text enters layer 0, [ids, hidden]; placeholders are ids like any other.
  /// Errors: bad_input (an id beyond the vocabulary); unsupported.
  Result<std::vector<float>> embed(std::span<const std::int64_t> ids);

  /// The greedy ids after a prompt, [B, tokens], chosen by the engine itself; for engines that show no logits.
  /// Errors: those of forward.
  Result<std::vector<std::int64_t>> generate(const Forward& call, int tokens);

  const Plan& plan() const { return plan_; }

 protected:
  explicit Session(Plan plan) : plan_(std::move(plan)) {}
  virtual Result<void> do_forward(const Forward& call, TapSink& taps) = 0;
  virtual Result<void> do_step(TapId tap, std::span<const NamedTensor> inputs, TapSink& taps);
  virtual Result<void> do_truncate(std::span<const int> keep);
  virtual Result<CachedKv> do_cached_kv(int layer);
  virtual Result<std::vector<float>> do_embed(std::span<const std::int64_t> ids);
  virtual Result<std::vector<std::int64_t>> do_generate(const Forward& call, int tokens);

 private:
  Plan plan_;  ///< what the contract checks shapes against; an engine may compute from another
};

struct Engine {
  Capabilities can;
  std::function<Result<std::unique_ptr<Session>>(const Checkpoint&)> open;
  /// Its sessions run in a process of its own, whose crash or hang is the failure of a call: many cases may be run from
  /// one process of ours, so that it starts once.
  bool outside = false;
  std::string spelt = {};               ///< on a command line, `--engine-cmd 'python port.py'`; empty: `--engine NAME`
  std::vector<std::string> files = {};  ///< what it is made of, as far as the command line tells: `port.py`
};

}  // namespace assay
