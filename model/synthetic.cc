#include "model/synthetic.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/files.h"
#include "base/memory.h"
#include "base/sha256.h"
#include "base/widen.h"
#include "model/mapped_file.h"
#include "model/published_config.h"
#include "model/quantised.h"

namespace assay {
namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t kStep = 0x9e3779b97f4a7c15;
constexpr std::int64_t kAlignment = 64;
constexpr std::int64_t kPiece = 1 << 20;  // bytes that a thread takes at once
constexpr std::string_view kVersion = "assay synthetic 1";

std::uint64_t mix(std::uint64_t z) {
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

std::uint64_t key_of(std::string_view name, std::uint64_t seed) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return mix(seed + hash);
}

struct Words {
  std::uint64_t key;
  std::uint64_t operator[](std::uint64_t i) const { return mix(key + (i + 1) * kStep); }
};

int number_of(Draw draw, std::uint8_t byte) {
  if (draw == Draw::even) return std::max(int(std::int8_t(byte)), -127);
  const int gain = 96 + (byte & 63);
  return draw == Draw::gain ? gain : -gain;
}

/// 2^exponent, for a normal float.
float power_of_2(int exponent) { return std::bit_cast<float>(std::uint32_t(exponent + 127) << 23); }

/// mantissa * 2^exponent as fp16, exactly: mantissa is 8 to 31, exponent at least -24.
std::uint16_t half_of(int mantissa, int exponent) {
  const int top = mantissa >= 16 ? 4 : 3;
  if (top + exponent < -14) return std::uint16_t(mantissa << (exponent + 24));  // subnormal
  return std::uint16_t((top + exponent + 15) << 10 | (mantissa << (10 - top) & 0x3ff));
}

/// fp16 of (12 + i) * 2^exponent; of its negative from place 8 on.
std::array<std::uint16_t, 16> scales_of(int exponent) {
  std::array<std::uint16_t, 16> scales{};
  for (int i = 0; i < 8; ++i) {
    scales[std::size_t(i)] = half_of(12 + i, exponent);
    scales[std::size_t(i) + 8] = std::uint16_t(half_of(12 + i, exponent) | 0x8000U);
  }
  return scales;
}

void draw_block(const Words& words, std::uint64_t n, const std::array<std::uint16_t, 16>& scales, BlockQ8_0& block) {
  for (std::uint64_t i = 0; i < 4; ++i) {
    const std::uint64_t word = words[5 * n + i];
    std::memcpy(block.q + 8 * i, &word, sizeof word);
  }
  for (std::int8_t& q : block.q) q = std::max<std::int8_t>(q, -127);
  block.d = scales[words[5 * n + 4] & 7];
}

void draw_block(const Words& words, std::uint64_t n, const std::array<std::uint16_t, 16>& scales, BlockQ4_0& block) {
  for (std::uint64_t i = 0; i < 2; ++i) {
    const std::uint64_t word = words[3 * n + i];
    std::memcpy(block.q + 8 * i, &word, sizeof word);
  }
  block.d = scales[words[3 * n + 2] & 15];
}

void draw_block(const Words& words, std::uint64_t n, const std::array<std::uint16_t, 16>& scales, BlockQ6K& block) {
  std::array<std::uint64_t, 26> drawn{};
  for (std::uint64_t i = 0; i < drawn.size(); ++i) drawn[i] = words[27 * n + i];
  std::memcpy(block.low, drawn.data(), sizeof block.low);
  std::memcpy(block.high, drawn.data() + 16, sizeof block.high);
  std::memcpy(block.scale, drawn.data() + 24, sizeof block.scale);
  for (std::int8_t& scale : block.scale) {
    const int size = 24 + (scale & 15);
    scale = std::int8_t(scale < 0 ? -size : size);
  }
  block.d = scales[words[27 * n + 26] & 7];
}

template <class Block>
void draw_blocks(const Words& words, std::int64_t first, int exponent, std::span<std::byte> out) {
  const std::array<std::uint16_t, 16> scales = scales_of(exponent);
  for (std::size_t i = 0; i < out.size() / sizeof(Block); ++i) {
    Block block;
    draw_block(words, std::uint64_t(first) + i, scales, block);
    std::memcpy(out.data() + i * sizeof(Block), &block, sizeof block);
  }
}

/// Elements of a dtype without blocks: `narrow` is handed exact floats.
template <class Out, class Narrow>
void draw_elements(const Words& words, const SyntheticTensor& tensor, std::int64_t first, std::span<std::byte> out,
                   Narrow narrow) {
  std::array<Out, 256> numbers;  // one for each byte
  const float unit = power_of_2(tensor.exponent);
  for (std::size_t byte = 0; byte < numbers.size(); ++byte)
    numbers[byte] = narrow(float(number_of(tensor.draw, std::uint8_t(byte))) * unit);
  const auto begin = std::uint64_t(first), end = begin + out.size() / sizeof(Out);
  for (std::uint64_t at = begin; at < end;) {
    std::uint64_t word = words[at / 8] >> (at % 8 * 8);
    const std::uint64_t stop = std::min(end, (at / 8 + 1) * 8);
    for (; at < stop; ++at, word >>= 8)
      std::memcpy(out.data() + (at - begin) * sizeof(Out), &numbers[word & 0xff], sizeof(Out));
  }
}

struct Rule {
  std::string_view suffix;
  Draw draw;
  int exponent;
};
/// Of tensors that are no matrices, the first that fits. RMS norms near 1; q_norm and k_norm near sqrt(1.1 / sqrt(d)),
/// 1/4 for d of 256 to 512; norms before a residual add near 1/4, so that 60 layers add up to a few; the last norm near
/// 4, so that the softcap bends.
constexpr std::array<Rule, 22> kRules = {{{"q_norm.weight", Draw::gain, -9},
                                          {"k_norm.weight", Draw::gain, -9},
                                          {"post_attention_layernorm.weight", Draw::gain, -9},
                                          {"post_feedforward_layernorm.weight", Draw::gain, -9},
                                          {"post_per_layer_input_norm.weight", Draw::gain, -9},
                                          {"norm_post_attn.weight", Draw::gain, -9},
                                          {"post_layer_norm.weight", Draw::gain, -9},
                                          {"norm.weight", Draw::gain, -7},
                                          {"norm_1.weight", Draw::gain, -7},
                                          {"norm_2.weight", Draw::gain, -7},
                                          {"norm_out.weight", Draw::gain, -7},
                                          {"norm_pre_attn.weight", Draw::gain, -7},
                                          {"patch_ln1.weight", Draw::gain, -7},
                                          {"patch_ln2.weight", Draw::gain, -7},
                                          {"per_dim_scale", Draw::even, -7},
                                          {"scale", Draw::gain, -7},
                                          {"layer_scalar", Draw::gain, -7},
                                          {"_min", Draw::loss, -5},
                                          {"_max", Draw::gain, -5},
                                          {"position_embedding_table", Draw::even, -10},
                                          {"pos_embedding", Draw::even, -10},
                                          {"bias", Draw::even, -10}}};
constexpr std::string_view kFinalNorm = "norm.weight", kTable = "embed_tokens.weight";
constexpr std::string_view kPleTable = "embed_tokens_per_layer.weight";
constexpr std::string_view kPleProjection = "per_layer_model_projection.weight", kRouter = "router.proj.weight";

const Rule* rule_of(std::string_view name) {
  static constexpr Rule kLast{kFinalNorm, Draw::gain, -5};
  if (name == kFinalNorm) return &kLast;
  for (const Rule& rule : kRules)
    if (name.ends_with(rule.suffix)) return &rule;
  return nullptr;
}

/// The numbers that one output sums over: a row's, or a filter's. A row of the per-layer table is cut into layers.
std::int64_t summed(const ExpectedTensor& tensor, const Plan& plan) {
  if (tensor.name == kPleTable) return plan.ple_width;
  if (tensor.name.find(".conv.weight") == std::string::npos && !tensor.name.ends_with("conv1d.weight"))
    return tensor.shape.back();
  std::int64_t product = 1;
  for (std::size_t i = 1; i < tensor.shape.size(); ++i) product *= tensor.shape[i];
  return product;
}

Dtype dtype_of(std::string_view name, bool matrix, SyntheticFormat format) {
  if (format == SyntheticFormat::f32) return Dtype::f32;
  if (format == SyntheticFormat::bf16 || name.starts_with("model.")) return Dtype::bf16;  // `model.`: towers
  if (!matrix || name.ends_with(kRouter)) return Dtype::f32;
  if (name == kPleProjection) return Dtype::bf16;
  if (format == SyntheticFormat::q8_0) return Dtype::q8_0;
  return name == kTable || name == kPleTable ? Dtype::q6_k : Dtype::q4_0;
}

constexpr std::array<std::string_view, 4> kFormats = {"f32", "bf16", "q8_0", "q4_0"};

/// Where each tensor lies in the one block of memory.
std::vector<std::int64_t> places_of(std::span<const SyntheticTensor> tensors) {
  std::vector<std::int64_t> places{0};
  for (const SyntheticTensor& tensor : tensors)
    places.push_back((places.back() + tensor.bytes() + 2 * kAlignment - 1) / kAlignment * kAlignment);
  return places;
}

/// Pieces of all tensors, shared out among threads. Not OpenMP: its threads would outlive the call, and a process that
/// forks after them (verify does) has children whose own threads never start.
void fill(std::span<const SyntheticTensor> tensors, std::span<const std::int64_t> places,
          const SyntheticOptions& options, std::byte* data) {
  struct Piece {
    std::size_t tensor;
    std::int64_t first, count;  // in blocks
  };
  std::vector<Piece> pieces;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const std::int64_t all = tensors[i].blocks(), most = kPiece / packing_of(tensors[i].dtype).bytes;
    for (std::int64_t first = 0; first < all; first += most) pieces.push_back({i, first, std::min(most, all - first)});
  }
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    for (std::size_t i = next++; i < pieces.size(); i = next++) {
      const auto& [tensor, first, count] = pieces[i];
      const auto size = std::int64_t(packing_of(tensors[tensor].dtype).bytes);
      synthesise(tensors[tensor], options.seed, first,
                 {data + places[tensor] + first * size, std::size_t(count * size)});
    }
  };
  const unsigned cores = std::max(1U, std::thread::hardware_concurrency());
  const unsigned threads = options.threads > 0 ? unsigned(options.threads) : cores;
  std::vector<std::jthread> others;
  for (unsigned i = 1; i < threads; ++i) others.emplace_back(work);
  work();
}

/// Of the definition, a line for each tensor; also what a cache file ends with. golden/generate/synthetic_full.py has
/// it too.
std::string digest_of(std::span<const SyntheticTensor> tensors, std::uint64_t seed) {
  std::vector<std::string> lines;
  for (const SyntheticTensor& tensor : tensors)
    lines.push_back(tensor.name + " " + shape_text(tensor.shape) + " " + std::string(name_of(tensor.dtype)) + " " +
                    std::to_string(int(tensor.draw)) + " " + std::to_string(tensor.exponent) + "\n");
  std::sort(lines.begin(), lines.end());
  std::string text = std::string(kVersion) + " seed " + std::to_string(seed) + "\n";
  for (const std::string& line : lines) text += line;
  return sha256_hex(std::as_bytes(std::span(text)));
}

/// Every tensor's first and last blocks and some between, against what they must be. A checksum of the whole would read
/// tables of which a run needs a few rows.
bool samples_agree(std::span<const SyntheticTensor> tensors, std::span<const std::int64_t> places, std::uint64_t seed,
                   std::span<const std::byte> bytes) {
  constexpr std::int64_t kSamples = 16, kBlocks = 32;
  std::vector<std::byte> drawn;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const auto size = std::int64_t(packing_of(tensors[i].dtype).bytes);
    const std::int64_t all = tensors[i].blocks(), count = std::min(all, kBlocks);
    for (std::int64_t sample = 0; sample <= kSamples; ++sample) {
      const std::int64_t first = std::int64_t(double(all - count) * double(sample) / double(kSamples));
      drawn.resize(std::size_t(count * size));
      synthesise(tensors[i], seed, first, drawn);
      if (std::memcmp(drawn.data(), bytes.data() + places[i] + first * size, drawn.size()) != 0) return false;
    }
  }
  return true;
}

using Bytes = std::shared_ptr<const MappedFile>;

/// Null where there is no such file, or one that was cut short or changed: it is then written anew.
Bytes open_cached(const fs::path& file, std::span<const SyntheticTensor> tensors, std::span<const std::int64_t> places,
                  const std::string& record, std::uint64_t seed) {
  const std::size_t size = std::size_t(places.back()) + record.size();
  const auto mapped = MappedFile::open(file, size);
  if (!mapped || (*mapped)->bytes().size() != size) return nullptr;
  const std::span<const std::byte> tail = (*mapped)->bytes().last(record.size());
  if (std::memcmp(tail.data(), record.data(), record.size()) != 0) return nullptr;
  return samples_agree(tensors, places, seed, (*mapped)->bytes()) ? *mapped : nullptr;
}

/// Memory of no file; MappedFile gives it back.
Result<Bytes> generate_in_memory(std::span<const SyntheticTensor> tensors, std::span<const std::int64_t> places,
                                 const std::string& label, const SyntheticOptions& options) {
  const auto size = std::size_t(places.back());
  const auto refused = [&](std::string found) {
    return fail({Failure::io, label, "memory", std::to_string(size) + " bytes", std::move(found)});
  };
  // mmap would promise more than there is, and the system kill who takes it.
  if (const auto available = available_memory(); available && *available < size)
    return refused(std::to_string(*available) + " bytes");
  void* data = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) return refused(std::strerror(errno));
  auto bytes = std::make_shared<const MappedFile>(data, size);
  ::madvise(data, size, MADV_HUGEPAGE);  // a hint: fewer faults while it is filled
  fill(tensors, places, options, static_cast<std::byte*>(data));
  ::mprotect(data, size, PROT_READ);  // as a mapped checkpoint: who writes to weights is stopped
  return bytes;
}

/// An open file that no other process writes to: a lock that goes with its holder, however that ends.
class Locked {
 public:
  /// Waits for who holds it. Errors: io.
  static Result<Locked> open(const fs::path& file) {
    while (true) {
      Locked locked(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
      struct stat held {
      }, named{};
      if (locked.descriptor_ < 0 || ::flock(locked.descriptor_, LOCK_EX) != 0 ||
          ::fstat(locked.descriptor_, &held) != 0)
        return refused(file);
      // Who held it may have finished the file and given it its name: then this is no longer the one to write.
      if (::stat(file.c_str(), &named) == 0 && named.st_ino == held.st_ino && named.st_dev == held.st_dev)
        return locked;
    }
  }
  static tl::unexpected<Failure> refused(const fs::path& file) {
    return fail({Failure::io, file.string(), "", "a writable place with room", std::strerror(errno)});
  }
  ~Locked() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  Locked(Locked&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Locked(const Locked&) = delete;
  Locked& operator=(const Locked&) = delete;
  Locked& operator=(Locked&&) = delete;
  int descriptor() const { return descriptor_; }

 private:
  explicit Locked(int descriptor) : descriptor_(descriptor) {}
  int descriptor_;
};

Result<void> generate_in_file(const fs::path& file, const Locked& locked, std::span<const SyntheticTensor> tensors,
                              std::span<const std::int64_t> places, const std::string& record,
                              const SyntheticOptions& options) {
  const std::size_t size = std::size_t(places.back()) + record.size();
  if (::ftruncate(locked.descriptor(), off_t(size)) != 0) return Locked::refused(file);
  // Room for all of it first: a page that finds none later kills who writes to it.
  if (const int error = ::posix_fallocate(locked.descriptor(), 0, off_t(size)); error != 0) {
    errno = error;
    return Locked::refused(file);
  }
  void* data = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, locked.descriptor(), 0);
  if (data == MAP_FAILED) return Locked::refused(file);
  const MappedFile mapped(data, size);
  fill(tensors, places, options, static_cast<std::byte*>(data));
  std::memcpy(static_cast<std::byte*>(data) + places.back(), record.data(), record.size());
  if (::msync(data, size, MS_SYNC) != 0) return Locked::refused(file);
  return {};
}

Result<Bytes> generate_in_cache(std::span<const SyntheticTensor> tensors, std::span<const std::int64_t> places,
                                const std::string& label, const SyntheticOptions& options) {
  const std::string record = digest_of(tensors, options.seed);
  const fs::path file = options.cache / (label + "-" + record.substr(0, 16) + ".synthetic");
  if (Bytes cached = open_cached(file, tensors, places, record, options.seed)) return cached;
  std::error_code error;
  fs::create_directories(options.cache, error);
  const fs::path part = file.string() + ".part";
  ASSAY_TRY(locked, Locked::open(part));
  if (Bytes cached = open_cached(file, tensors, places, record, options.seed)) {  // another's, while this one waited
    fs::remove(part, error);
    return cached;
  }
  if (const auto written = generate_in_file(part, locked, tensors, places, record, options); !written) {
    fs::remove(part, error);
    return fail(written.error());
  }
  fs::rename(part, file, error);
  if (error) return fail({Failure::io, file.string(), "", "a writable place", error.message()});
  Bytes cached = open_cached(file, tensors, places, record, options.seed);
  if (cached == nullptr)
    return fail({Failure::io, file.string(), "", "what was written a moment ago", "something else"});
  return cached;
}

Result<SyntheticModel> model_of(const Config& config, SyntheticFormat format, const std::string& label) {
  ASSAY_TRY(plan, make_plan(config));
  if (plan.assistant)
    return fail({Failure::unsupported, "synthetic " + label, "model_type", "a model with embeddings", "a drafter"});
  ASSAY_TRY(tensors, synthetic_tensors(plan, format));
  return SyntheticModel{config, std::move(plan), std::move(tensors)};
}

/// A file's name too.
std::string label_of(const SyntheticName& name) {
  std::string label = name.text();
  std::replace(label.begin(), label.end(), ':', '-');
  return label;
}

Result<Config> config_of(const SyntheticName& name) {
  ASSAY_TRY(config, published_config(name.variant));
  if (!name.towers) {
    config.vision.reset();
    config.audio.reset();
  }
  return config;
}

}  // namespace

Result<SyntheticName> SyntheticName::parse(std::string_view text) {
  SyntheticName name;
  const auto bad = [&](const std::string& expected) {
    return fail({Failure::bad_input, "synthetic model", std::string(text.substr(0, 80)), expected, "another name"});
  };
  std::vector<std::string_view> parts;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t colon = std::min(text.find(':', at), text.size());
    parts.push_back(text.substr(at, colon - at));
    at = colon + 1;
  }
  const std::vector<std::string_view> known = published_names();
  if (std::find(known.begin(), known.end(), parts[0]) == known.end()) {
    std::string all;
    for (const std::string_view one : known) all += (all.empty() ? "" : ", ") + std::string(one);
    return bad("one of " + all + ", then maybe :f32, :bf16, :q8_0 or :q4_0, then maybe :text");
  }
  name.variant = parts[0];
  for (std::size_t i = 1; i < parts.size(); ++i) {
    const auto format = std::find(kFormats.begin(), kFormats.end(), parts[i]);
    if (i == 1 && format != kFormats.end())
      name.format = SyntheticFormat(format - kFormats.begin());
    else if (i + 1 == parts.size() && parts[i] == "text")
      name.towers = false;
    else
      return bad(name.variant + ", then maybe :f32, :bf16, :q8_0 or :q4_0, then maybe :text");
  }
  return name;
}

std::string SyntheticName::text() const {
  return variant + ":" + std::string(kFormats[std::size_t(format)]) + (towers ? "" : ":text");
}

std::int64_t SyntheticTensor::blocks() const {
  std::int64_t product = 1;
  for (const std::int64_t extent : shape) product *= extent;
  return product / packing_of(dtype).elements;
}
std::int64_t SyntheticTensor::bytes() const { return blocks() * packing_of(dtype).bytes; }

Result<std::vector<SyntheticTensor>> synthetic_tensors(const Plan& plan, SyntheticFormat format) {
  std::vector<SyntheticTensor> tensors;
  for (const ExpectedTensor& expected : expected_tensors(plan)) {
    const Rule* rule = rule_of(expected.name);
    SyntheticTensor tensor{.name = expected.name, .shape = expected.shape};
    tensor.dtype = dtype_of(expected.name, rule == nullptr, format);
    if (rule != nullptr) {
      tensor.draw = rule->draw;
      tensor.exponent = rule->exponent;
    } else {
      tensor.exponent = -(6 + int(std::bit_width(std::uint64_t(summed(expected, plan)))) / 2);
    }
    const int block = packing_of(tensor.dtype).elements;
    if (block > 1 && expected.shape.back() % block != 0)
      return fail({Failure::unsupported, "synthetic model", expected.name,
                   std::string(name_of(tensor.dtype)) + " rows of a multiple of " + std::to_string(block),
                   shape_text(expected.shape)});
    tensors.push_back(std::move(tensor));
  }
  return tensors;
}

void synthesise(const SyntheticTensor& tensor, std::uint64_t seed, std::int64_t first, std::span<std::byte> out) {
  const Words words{key_of(tensor.name, seed)};
  switch (tensor.dtype) {
    case Dtype::q8_0: draw_blocks<BlockQ8_0>(words, first, tensor.exponent - 4, out); break;
    case Dtype::q4_0: draw_blocks<BlockQ4_0>(words, first, tensor.exponent, out); break;
    case Dtype::q6_k: draw_blocks<BlockQ6K>(words, first, tensor.exponent - 7, out); break;
    case Dtype::f32: draw_elements<float>(words, tensor, first, out, [](float v) { return v; }); break;
    default: draw_elements<std::uint16_t>(words, tensor, first, out, narrow_bf16); break;  // 8 bits: bf16 holds them
  }
}

std::string SyntheticModel::digest(std::uint64_t seed) const { return digest_of(tensors, seed); }

Result<SyntheticModel> synthetic_model(const SyntheticName& name) {
  ASSAY_TRY(config, config_of(name));
  return model_of(config, name.format, label_of(name));
}

Result<Checkpoint> synthetic_checkpoint(const Config& config, SyntheticFormat format, const std::string& label,
                                        const SyntheticOptions& options) {
  ASSAY_TRY(model, model_of(config, format, label));
  const std::vector<std::int64_t> places = places_of(model.tensors);
  ASSAY_TRY(bytes, options.cache.empty() ? generate_in_memory(model.tensors, places, label, options)
                                         : generate_in_cache(model.tensors, places, label, options));
  Checkpoint checkpoint;
  checkpoint.directory = "synthetic " + label;
  checkpoint.config = std::move(model.config);
  checkpoint.plan = std::move(model.plan);
  for (std::size_t i = 0; i < model.tensors.size(); ++i) {
    const SyntheticTensor& tensor = model.tensors[i];
    checkpoint.tensors.emplace(
        tensor.name, Tensor{.dtype = tensor.dtype,
                            .shape = tensor.shape,
                            .bytes = bytes->bytes().subspan(std::size_t(places[i]), std::size_t(tensor.bytes())),
                            .keep = bytes});
  }
  return checkpoint;
}

Result<Checkpoint> synthetic_checkpoint(const SyntheticName& name, const SyntheticOptions& options) {
  ASSAY_TRY(config, config_of(name));
  return synthetic_checkpoint(config, name.format, label_of(name), options);
}

fs::path default_cache() {
  if (const char* folder = std::getenv("XDG_CACHE_HOME"); folder != nullptr && *folder != '\0')
    return fs::path(folder) / "assay";
  const char* home = std::getenv("HOME");
  return fs::path(home == nullptr ? "." : home) / ".cache" / "assay";
}

}  // namespace assay
