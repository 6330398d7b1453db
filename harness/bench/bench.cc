#include "harness/bench/bench.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>

#include <fmt/format.h>
#include <omp.h>

#include "engine/media_rows.h"
#include "engine/op_times.h"
#include "harness/kernel/roofs.h"
#include "harness/machine/machine.h"
#include "kernels/registry.h"
#include "model/quantise.h"
#include "reports/samples.h"

namespace assay {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kFramesPerSecond = 100;         ///< mel frames of a tower: hops of 10 ms
constexpr double kRawFramesPerSecond = 25;       ///< encoder-free: 40 ms of samples a frame
constexpr int kFrames = 1000, kRawFrames = 250;  ///< ten seconds
constexpr int kCellsWide = 20, kCellsHigh = 14;  ///< 280 soft tokens, the processors' default

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

/// Takes the last row's greedy choice.
class Greedy : public TapSink {
 public:
  explicit Greedy(int layers) : TapSink(layers) { want({Tap::logits}); }
  void take(TapId, Rows<const float> rows) override {
    const auto last = rows.row(rows.rows - 1);
    id = std::max_element(last.begin(), last.end()) - last.begin();
  }
  std::int64_t id = 0;
};

/// Wants one tap, so that an engine may stop behind it.
class One : public TapSink {
 public:
  One(int layers, TapId tap) : TapSink(layers) { want(tap); }
  void take(TapId, Rows<const float>) override {}
};

kernels::Format format_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::bf16: return kernels::Format::bf16;
    case Dtype::f16: return kernels::Format::f16;
    case Dtype::q8_0: return kernels::Format::q8_0;
    case Dtype::q4_0: return kernels::Format::q4_0;
    case Dtype::q6_k: return kernels::Format::q6_k;
    case Dtype::i8: return kernels::Format::i8;
    default: return kernels::Format::fp32;  // what others are widened to
  }
}

using RoofSeconds = std::map<std::string, double>;  ///< by the roof's name

/// Something that is timed again and again.
struct Task {
  BenchResult result;
  int most = 1 << 20;                                  ///< samples
  bool opens = false;                                  ///< a session of its own, beside the one that others share
  std::function<Result<double>(BenchResult&)> sample;  ///< seconds
  std::map<std::string, std::vector<double>> beside;   ///< of each sample, seconds of each roof
};

class EngineBench {
 public:
  EngineBench(const Engine& engine, const Checkpoint& checkpoint, const EngineBenchOptions& options, BenchRun& run)
      : engine_(engine), checkpoint_(checkpoint), plan_(checkpoint.plan), options_(options), run_(run) {}

  Result<void> all() {
    ASSAY_CHECK(check_options());
    omp_set_num_threads(options_.threads);
    say("opening");
    const auto start = Clock::now();
    ASSAY_TRY(session, engine_.open(checkpoint_));
    session_ = std::move(session);
    run_.facts["load_seconds"] = seconds_since(start);
    make_tasks();
    ASSAY_CHECK(make_encoder_tasks());
    ASSAY_CHECK(warm_up());
    double weights = 0;
    for (const auto& [name, tensor] : checkpoint_.tensors) weights += double(tensor.bytes.size());
    run_.facts["weights_bytes"] = weights;
    ASSAY_CHECK(repeat());
    ASSAY_CHECK(time_ops());
    if (!meter_->right()) return fail({Failure::bad_output, "roofs", "", "what their specs say", "something else"});
    run_.roofs = meter_->roofs();
    for (Task& task : tasks_) run_.results.push_back(std::move(task.result));
    return {};
  }

 private:
  void say(const std::string& what) const {
    if (options_.progress) options_.progress(what);
  }

  Result<void> check_options() const {
    const auto wrong = [](const char* option, const std::string& found) {
      return fail({Failure::bad_input, option, "", "at least 1", found});
    };
    if (plan_.assistant)
      return fail({Failure::unsupported, checkpoint_.directory.string(), "", "a model of its own", "a drafter"});
    if (options_.lengths.empty() && options_.depths.empty()) return wrong("--lengths", "none");
    for (const int length : options_.lengths)
      if (length < 1) return wrong("--lengths", std::to_string(length));
    for (const int depth : options_.depths)
      if (depth < 0) return fail({Failure::bad_input, "--depths", "", "at least 0", std::to_string(depth)});
    if (options_.decode < 1) return wrong("--decode", std::to_string(options_.decode));
    if (options_.repetitions < 1) return wrong("--reps", std::to_string(options_.repetitions));
    if (options_.threads < 1) return wrong("--threads", std::to_string(options_.threads));
    if (!options_.depths.empty() && !engine_.can.cache)
      return fail({Failure::unsupported, engine_.can.name, "--depths", "an engine with a cache", "none"});
    return {};
  }

  /// One call that wants the last row's logits, and the id that they choose.
  Result<std::int64_t> call(Session& session, std::span<const std::int64_t> ids, Cache cache) const {
    Greedy greedy(deepest(plan_));
    Forward forward;
    forward.ids = {ids.data(), 1, int(ids.size())};
    forward.cache = cache;
    forward.logit_rows = 1;
    ASSAY_CHECK(session.forward(forward, greedy));
    return greedy.id;
  }

  /// Starts the clock of a sample, after a look at the roofs; what comes before (a prompt, up to a depth) may have
  /// taken long.
  Clock::time_point begin() {
    if (meter_) before_ = roofs_now();
    return Clock::now();
  }

  /// Brings the session to where `depth` filler tokens are cached: it forgets what a sample added if it can, else
  /// takes the prompt anew. Not timed.
  Result<void> go_to(int depth) {
    if (depth == 0) return {};
    if (held_ < depth || !session_->truncate({&depth, 1})) {
      const std::vector<std::int64_t> prompt = filler_ids(plan_, depth);
      ASSAY_TRY(id, call(*session_, prompt, Cache::fresh));
      (void)id;
    }
    held_ = depth;
    if (timer_ != nullptr) timer_->time_ops(true);  // not the prompt's
    return {};
  }

  Result<double> prefill(int length, int depth) {
    ASSAY_CHECK(go_to(depth));
    const std::vector<std::int64_t> all = filler_ids(plan_, depth + length);
    const Cache cache = depth > 0 ? Cache::extend : engine_.can.cache ? Cache::fresh : Cache::none;
    const auto start = begin();
    ASSAY_TRY(id, call(*session_, std::span(all).subspan(std::size_t(depth)), cache));
    (void)id;
    const double seconds = seconds_since(start);
    held_ = engine_.can.cache ? depth + length : 0;
    return seconds;
  }

  Result<double> decode(int depth, int tokens) {
    ASSAY_CHECK(go_to(depth));
    std::int64_t id = filler_ids(plan_, depth + 1).back();
    Cache cache = depth > 0 ? Cache::extend : Cache::fresh;
    const auto start = begin();
    for (int t = 0; t < tokens; ++t) {
      ASSAY_TRY(next, call(*session_, {&id, 1}, cache));
      id = next;
      cache = Cache::extend;
    }
    const double seconds = seconds_since(start);
    held_ = depth + 1;  // those that it chose itself are no filler
    return seconds;
  }

  Result<double> first_token(int length) {
    const std::vector<std::int64_t> ids = filler_ids(plan_, length);
    const auto start = begin();
    ASSAY_TRY(session, engine_.open(checkpoint_));
    ASSAY_TRY(id, call(*session, ids, engine_.can.cache ? Cache::fresh : Cache::none));
    (void)id;
    return seconds_since(start);
  }

  Result<double> encode(const MediaPrompt& prompt, Tap tap) {
    One one(deepest(plan_), {tap});
    Forward forward;
    forward.ids = {prompt.ids.data(), 1, int(prompt.ids.size())};
    forward.more = prompt.more;
    forward.cache = Cache::none;  // nothing needs what the text decoder would cache
    forward.logit_rows = 1;
    held_ = 0;
    const auto start = begin();
    ASSAY_CHECK(session_->forward(forward, one));
    return seconds_since(start);
  }

  Task& add(const std::string& what, const std::string& how, double units, const std::string& unit) {
    Task task;
    task.result.subject = engine_.can.name;
    task.result.what = what;
    task.result.how = how;
    task.result.units = units;
    task.result.unit = unit;
    tasks_.push_back(std::move(task));
    return tasks_.back();
  }

  void make_tasks() {
    const auto add_prefill = [this](int length, int depth) {
      const std::string how = fmt::format("{} tokens", length);
      Task& task = add("prefill", depth > 0 ? fmt::format("{} at depth {}", how, depth) : how, length, "token");
      task.result.must = prefill_must(checkpoint_, options_, length, depth);
      task.sample = [this, length, depth](BenchResult&) { return prefill(length, depth); };
    };
    for (const int length : options_.lengths) add_prefill(length, 0);
    for (const int depth : options_.depths) {
      if (depth == 0) continue;
      for (const int length : options_.lengths) add_prefill(length, depth);
    }
    for (const int depth : options_.depths) {
      Task& task = add("decode", fmt::format("depth {}", depth), options_.decode, "token");
      for (int t = 0; t < options_.decode; ++t) task.result.must += decode_must(checkpoint_, options_, depth + t);
      task.sample = [this, depth](BenchResult&) { return decode(depth, options_.decode); };
    }
    if (options_.lengths.empty()) return;
    const int shortest = *std::min_element(options_.lengths.begin(), options_.lengths.end());
    Task& task = add("first-token", fmt::format("{} tokens", shortest), 1, "first token");
    constexpr int kOpened = 3;
    task.most = kOpened;
    task.opens = true;
    task.result.note = "with opening the model, its files being in memory";
    task.sample = [this, shortest](BenchResult&) { return first_token(shortest); };
  }

  Result<void> make_encoder_tasks() {
    if (!options_.encoders) return {};
    const MustOptions must = [&] {
      MustOptions made = counting(checkpoint_, options_);
      made.kv_bytes = 0;  // towers cache nothing
      return made;
    }();
    if (plan_.vision) {
      const auto prompt = std::make_shared<MediaPrompt>(image_prompt(plan_));
      Task& task = add("vision", fmt::format("{} patches", prompt->units), 1, "image");
      task.result.must = must_of(vision_work(plan_, prompt->units), must);
      task.sample = [this, prompt](BenchResult&) { return encode(*prompt, Tap::vision_projected); };
    }
    if (plan_.audio) {
      ASSAY_TRY(made, sound_prompt(plan_));
      const auto prompt = std::make_shared<MediaPrompt>(std::move(made));
      Task& task =
          add("audio", fmt::format("{} s", prompt->seconds_of_sound), prompt->seconds_of_sound, "second of sound");
      task.result.must = must_of(audio_work(plan_, prompt->units), must);
      task.sample = [this, prompt](BenchResult&) { return encode(*prompt, Tap::audio_projected); };
    }
    return {};
  }

  /// Everything once, which also shows how much memory it takes; then the cheapest of them until it stops drifting.
  Result<void> warm_up() {
    say("warming up");
    const auto start = Clock::now();
    Task* cheapest = nullptr;
    double least = 0;
    for (const bool opens : {false, true}) {
      // What one session takes: K/V and buffers of two are nobody's use of an engine.
      if (opens && !engine_.outside) run_.facts["peak_memory_bytes"] = double(peak_memory());
      for (Task& task : tasks_) {
        if (task.opens != opens) continue;
        ASSAY_TRY(seconds, task.sample(task.result));
        if (cheapest == nullptr || seconds < least) cheapest = &task, least = seconds;
      }
    }
    std::vector<double> samples;
    while (seconds_since(start) + least < options_.warm_up && !settled(samples, 3, 0.05)) {
      ASSAY_TRY(seconds, cheapest->sample(cheapest->result));
      samples.push_back(seconds);
    }
    run_.facts["warm_up_samples"] = double(samples.size() + tasks_.size());
    run_.facts["warm_up_settled"] = settled(samples, 3, 0.05) ? 1 : 0;
    return {};
  }

  Result<void> repeat() {
    std::set<std::string> roofs;
    for (const Task& task : tasks_)
      for (const auto& [roof, count] : task.result.must.flops) roofs.insert(roof);
    if (dynamic_cast<TimesOps*>(session_.get()) != nullptr)  // ops may multiply more exactly than the mode has it
      for (int mode = 0; mode <= int(options_.acts); ++mode) roofs.insert(roof_of(kernels::Acts(mode)));
    std::vector<std::string> names(roofs.begin(), roofs.end());
    names.insert(names.begin(), "read");
    ASSAY_TRY(meter, RoofMeter::make(options_.threads, names));
    meter_.emplace(std::move(meter));
    for (std::size_t i = 0; i < meter_->size(); ++i) meter_->run(i);
    for (int r = 0; r < options_.repetitions; ++r) {
      say(fmt::format("round {} of {}", r + 1, options_.repetitions));
      for (std::size_t i = 0; i < tasks_.size(); ++i) {
        // Each round starts elsewhere, so that none always comes first.
        Task& task = tasks_[(i + std::size_t(r)) % tasks_.size()];
        if (r >= task.most) continue;
        ASSAY_TRY(seconds, task.sample(task.result));
        task.result.seconds.push_back(seconds);
        for (const auto& [name, time] : roofs_around()) task.beside[name].push_back(time);
      }
    }
    for (Task& task : tasks_)
      for (const auto& [name, times] : task.beside) task.result.beside[name] = rate_of(name, median(times));
    return {};
  }

  /// Seconds of each roof's amount at this moment.
  RoofSeconds roofs_now() {
    constexpr int kSamples = 3;
    for (int s = 0; s < kSamples; ++s) meter_->sample();
    RoofSeconds now;
    for (const Roof& roof : meter_->roofs().all) now[roof.name] = median(std::span(roof.seconds).last(kSamples));
    return now;
  }

  /// The mean of right before and right after the sample that was begun last.
  RoofSeconds roofs_around() {
    RoofSeconds around = roofs_now();
    for (auto& [name, time] : around) time = (before_[name] + time) / 2;
    return around;
  }

  double rate_of(const std::string& roof, double seconds) const {
    return seconds > 0 ? meter_->roofs().find(roof)->amount / seconds : 0;
  }

  Result<void> time_ops() {
    timer_ = dynamic_cast<TimesOps*>(session_.get());
    if (timer_ == nullptr) return {};
    say("timing ops");
    for (Task& task : tasks_) {
      if (task.result.what == "first-token") continue;  // another session
      timer_->time_ops(true);
      ASSAY_TRY(seconds, task.sample(task.result));
      (void)seconds;
      for (const auto& [name, time] : roofs_around()) task.result.beside_ops[name] = rate_of(name, time);
      for (const OpTime& time : timer_->op_times()) {
        OpShare share;
        share.op = time.op;
        share.seconds = time.seconds;
        share.calls = time.calls;
        share.must.bytes = time.bytes;
        if (time.flops > 0) share.must.flops[time.roof] = time.flops;
        task.result.ops.push_back(std::move(share));
      }
      timer_->time_ops(false);
    }
    return {};
  }

  const Engine& engine_;
  const Checkpoint& checkpoint_;
  const Plan& plan_;
  const EngineBenchOptions& options_;
  BenchRun& run_;
  std::unique_ptr<Session> session_;
  std::optional<RoofMeter> meter_;  ///< once there are samples to be kept
  RoofSeconds before_;              ///< right before the sample that was begun last
  TimesOps* timer_ = nullptr;       ///< of session_, once ops are timed
  int held_ = 0;                    ///< tokens that session_ has cached and that are filler_ids(), from the first on
  std::vector<Task> tasks_;
};

std::vector<std::int64_t> with_placeholders(const Plan& plan, int count, std::int64_t placeholder) {
  std::vector<std::int64_t> ids = filler_ids(plan, count + 8);
  std::fill(ids.begin() + 4, ids.end() - 4, placeholder);
  return ids;
}

}  // namespace

MustOptions counting(const Checkpoint& checkpoint, const EngineBenchOptions& options) {
  const auto dtype_of = [&checkpoint, weights = options.weights](const std::string& name) -> std::optional<Dtype> {
    const auto found = checkpoint.tensors.find(name);
    if (found == checkpoint.tensors.end()) return {};
    const Tensor& tensor = found->second;
    if (weights && !is_packed(tensor.dtype))
      return quantised_dtype(name, tensor.shape.empty() ? 1 : tensor.shape.back(), *weights).value_or(tensor.dtype);
    return tensor.dtype;
  };
  MustOptions must;
  must.roof = roof_of(options.acts);
  must.kv_bytes = options.kv_bytes;
  must.bytes = [dtype_of](const std::string& name, double values) {
    const auto dtype = dtype_of(name);
    return dtype ? values * packing_of(*dtype).bytes / packing_of(*dtype).elements : 0;
  };
  must.roof_of = [dtype_of, acts = options.acts](const std::string& name) {
    const auto dtype = dtype_of(name);
    const kernels::Format format = dtype ? format_of(*dtype) : kernels::Format::fp32;
    for (int mode = int(acts); mode > 0; --mode)
      if (kernels::best_kernel(kernels::Op::gemm, format, kernels::Acts(mode)) != nullptr)
        return roof_of(kernels::Acts(mode));
    return roof_of(kernels::Acts::fp32);
  };
  return must;
}

Must decode_must(const Checkpoint& checkpoint, const EngineBenchOptions& options, int depth) {
  return must_of(text_work(checkpoint.plan, {.tokens = 1, .cached = depth, .wanted = 1}),
                 counting(checkpoint, options));
}

Must prefill_must(const Checkpoint& checkpoint, const EngineBenchOptions& options, int length, int depth) {
  return must_of(text_work(checkpoint.plan, {.tokens = length, .cached = depth, .wanted = 1}),
                 counting(checkpoint, options));
}

std::vector<std::int64_t> filler_ids(const Plan& plan, int count) {
  const auto taken = [&](std::int64_t id) {
    return id == plan.pad_id ||
           std::find(plan.placeholder_ids.begin(), plan.placeholder_ids.end(), id) != plan.placeholder_ids.end();
  };
  std::vector<std::int64_t> ids;
  std::uint64_t state = 1;
  while (int(ids.size()) < count) {
    state = state * 6364136223846793005U + 1442695040888963407U;  // Knuth's MMIX
    const auto id = std::int64_t((state >> 33) % std::uint64_t(plan.vocab));
    if (!taken(id)) ids.push_back(id);
  }
  return ids;
}

MediaPrompt image_prompt(const Plan& plan) {
  const VisionPlan& vision = *plan.vision;
  const int side = vision.encoder_free ? 1 : vision.pool, wide = kCellsWide * side, high = kCellsHigh * side;
  const int patches = wide * high;
  MediaPrompt prompt;
  prompt.units = patches;
  prompt.ids = with_placeholders(plan, kCellsWide * kCellsHigh, plan.placeholders.image.value_or(plan.pad_id));
  std::vector<float> pixels(std::size_t(patches) * std::size_t(vision.patch_values), 0.0F);
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = float(i * 37 % 256) / 255.0F;
  std::vector<std::int64_t> positions;
  for (int y = 0; y < high; ++y)
    for (int x = 0; x < wide; ++x) positions.insert(positions.end(), {x, y});
  prompt.more.push_back({"pixel_values", Tensor::own({1, patches, vision.patch_values}, std::move(pixels))});
  prompt.more.push_back({"image_position_ids", Tensor::own({1, patches, 2}, std::move(positions))});
  return prompt;
}

Result<MediaPrompt> sound_prompt(const Plan& plan) {
  const AudioPlan& audio = *plan.audio;
  const int frames = audio.encoder_free ? kRawFrames : kFrames;
  MediaPrompt prompt;
  prompt.units = frames;
  prompt.seconds_of_sound = frames / (audio.encoder_free ? kRawFramesPerSecond : kFramesPerSecond);
  std::vector<float> values(std::size_t(frames) * std::size_t(audio.features), 0.0F);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = float(i * 53 % 200) / 100.0F - 1.0F;
  prompt.more.push_back({"input_features", Tensor::own({1, frames, audio.features}, std::move(values))});
  prompt.more.push_back(
      {"input_features_mask", Tensor::own({1, frames}, std::vector<std::int64_t>(std::size_t(frames), 1))});
  ASSAY_TRY(rows, media_rows(plan, prompt.more));
  prompt.ids = with_placeholders(plan, rows.audio.soft, plan.placeholders.audio.value_or(plan.pad_id));
  return prompt;
}

Result<void> bench_engine(const Engine& engine, const Checkpoint& checkpoint, const EngineBenchOptions& options,
                          BenchRun& run) {
  return EngineBench(engine, checkpoint, options, run).all();
}

}  // namespace assay
