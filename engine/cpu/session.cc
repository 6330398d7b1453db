#include "engine/cpu/session.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <utility>

namespace assay::cpu {
namespace {

constexpr std::array<std::string_view, 9> kInputs = {
    "position_ids",       "mm_token_type_ids",    "pixel_values",   "image_position_ids", "pixel_values_videos",
    "video_position_ids", "num_frames_per_video", "input_features", "input_features_mask"};

}  // namespace

Result<std::unique_ptr<TextSession>> TextSession::open(const Checkpoint& checkpoint, const Options& options) {
  ASSAY_TRY(decoder, TextDecoder::open(checkpoint, options));
  ASSAY_TRY(towers, Towers::open(checkpoint, options));
  return std::unique_ptr<TextSession>(new TextSession(std::move(decoder), std::move(towers)));
}

void TextSession::time_ops(bool on) { clock_ = on ? std::make_unique<OpClock>() : nullptr; }

Result<void> TextSession::check(const Forward& call) const {
  const Plan& plan = decoder_.plan();
  if (plan.ple_width > 0)
    for (const std::int64_t id : call.ids.all())
      if (id >= plan.ple_vocab && std::ranges::find(plan.placeholder_ids, id) == plan.placeholder_ids.end())
        return fail({Failure::bad_input, "forward", "input_ids",
                     "ids below vocab_size_per_layer_input, " + std::to_string(plan.ple_vocab), std::to_string(id)});
  for (const NamedTensor& tensor : call.more)
    if (std::ranges::find(kInputs, tensor.name) == kInputs.end())
      return fail({Failure::unsupported, "cpu", tensor.name, "an argument of transformers' forward", ""});
  return {};
}

Result<void> TextSession::do_forward(const Forward& call, TapSink& taps) {
  ASSAY_CHECK(check(call));
  const int logit_rows = call.logit_rows == 0 ? call.ids.cols : call.logit_rows;
  const auto go_on = [&](Memory& memory) -> Result<void> {
    ASSAY_CHECK(memory.soft.check(decoder_.plan(), call.ids.all()));
    ASSAY_CHECK(memory.sequence.extend(call));
    decoder_.run(call.ids, memory, logit_rows, taps, clock_.get());
    return {};
  };
  if (call.cache == Cache::extend) {
    if (memory_.sequence.keys() == 0 && memory_.sequence.batch() != call.ids.rows)
      decoder_.reset(memory_, call.ids.rows);
    return go_on(memory_);
  }
  ASSAY_TRY(soft, towers_.encode(decoder_.plan(), call.more, taps, clock_.get()));
  ASSAY_CHECK(soft.check(decoder_.plan(), call.ids.all()));
  Sequence tried;  // what is cached stays if the call is refused
  ASSAY_CHECK(tried.extend(call));
  if (call.cache == Cache::none && !decoder_.is_asked(taps)) return {};  // taps of towers alone
  if (call.cache == Cache::none && loose_ == nullptr) loose_ = std::make_unique<Memory>(decoder_.make_memory());
  Memory& memory = call.cache == Cache::none ? *loose_ : memory_;
  decoder_.reset(memory, call.ids.rows);
  memory.sequence = std::move(tried);
  memory.soft = std::move(soft);
  decoder_.run(call.ids, memory, logit_rows, taps, clock_.get());
  return {};
}

/// Rows of a batch stay side by side: they shrink to the longest kept length, and what a row forgot before that is
/// padding from then on.
Result<void> TextSession::do_truncate(std::span<const int> keep) {
  Sequence& sequence = memory_.sequence;
  if (int(keep.size()) != sequence.batch() || keep.empty())
    return fail({Failure::bad_input, "truncate", "keep", std::to_string(sequence.batch()) + " lengths",
                 std::to_string(keep.size())});
  for (int b = 0; b < sequence.batch(); ++b) {
    const int length = keep[std::size_t(b)];
    if (length < 0 || length > sequence.keys())
      return fail(
          {Failure::bad_input, "truncate", "keep", "0 to " + std::to_string(sequence.keys()), std::to_string(length)});
    const int kept = std::max(0, length - sequence.row(b).shift);
    for (const KvCache& cache : memory_.caches)
      if (kept < sequence.row(b).length && kept > 0 && !cache.can_truncate(b, kept))
        return fail({Failure::unsupported, "cpu", "truncate",
                     "a length no more than " + std::to_string(KvCache::kSpare) + " below the longest",
                     std::to_string(length) + " of " + std::to_string(sequence.keys())});
  }
  sequence.truncate(keep);
  for (KvCache& cache : memory_.caches)
    for (int b = 0; b < sequence.batch(); ++b) cache.truncate(b, sequence.row(b).length);
  return {};
}

Result<CachedKv> TextSession::do_cached_kv(int layer) {
  const KvCache& cache = memory_.caches[std::size_t(layer)];
  const Sequence& sequence = memory_.sequence;
  const int keys = sequence.keys(), batch = sequence.batch();
  const auto width = std::size_t(cache.width());
  CachedKv views;
  for (int side = 0; side < 2; ++side) {
    std::vector<float>& all = side == 0 ? copied_keys_ : copied_values_;
    all.assign(std::size_t(batch) * std::size_t(keys) * width, 0);  // zeros where the ring has forgotten
    for (int b = 0; b < batch; ++b) {
      const Sequence::Row& row = sequence.row(b);
      float* const first = all.data() + std::size_t(b) * std::size_t(keys) * width;
      for (int key = cache.held_from(b); key < row.length; ++key)
        cache.read(side, b, key, {first + std::size_t(row.shift + key) * width, width});
      (side == 0 ? views.keys : views.values).push_back({first, keys, int(width)});
    }
  }
  return views;
}

/// Source: Gemma4TextScaledWordEmbedding, as get_input_embeddings() hands it out: placeholders are looked up too.
Result<std::vector<float>> TextSession::do_embed(std::span<const std::int64_t> ids) {
  std::vector<float> out(ids.size() * std::size_t(decoder_.plan().hidden));
  decoder_.embed(ids, out.data());
  return out;
}

}  // namespace assay::cpu
