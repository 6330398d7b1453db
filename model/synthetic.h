// Checkpoints of full size without a download: a published configuration with weights computed from (seed, tensor name,
// index) by integer hashing, the same bits here and in golden/generate/synthetic.py. Engines cannot tell: the result is
// a Checkpoint. Not here: trained weights' behaviour; these are conditioned so that nothing explodes over 60 layers and
// the scores of attention have a standard deviation near 1.
//
// The numbers, exactly. mix(z) is splitmix64's finaliser: z ^= z >> 30; z *= 0xbf58476d1ce4e5b9; z ^= z >> 27;
// z *= 0x94d049bb133111eb; z ^= z >> 31. The key of a tensor is mix(seed + h), h the 64-bit FNV-1a hash of its name in
// Checkpoint::tensors. word(i) = mix(key + (i + 1) * 0x9e3779b97f4a7c15); byte(i) is byte i % 8, lowest first, of
// word(i / 8). A tensor has a draw and an exponent s:
//   F32, BF16   element i = number(byte(i)) * 2^s, where number(b) is max(b, -127), b signed, of the draw `even`;
//               96 + (b & 63) of `gain`; -(96 + (b & 63)) of `loss`.
// Packed tensors are `even`, and their blocks are drawn themselves, not quantised floats. Block n:
//   Q8_0        32 quants max(b, -127) from words 5n to 5n + 3; with w = word(5n + 4), d = (12 + (w & 7)) * 2^(s - 4).
//   Q4_0        16 bytes of quants from words 3n and 3n + 1; with w = word(3n + 2), d = (12 + (w & 7)) * 2^s,
//               negative where w & 8: the quants' mean is -1/2, and signs keep that from adding up.
//   Q6_K        `low` from words 27n to 27n + 15, `high` from the next 8; scale i from byte b of the next 2:
//               24 + (b & 15), negative where b & 128; with w = word(27n + 26), d = (12 + (w & 7)) * 2^(s - 7).
// All three have the root mean square of `even` floats, 74 * 2^s, within 4 %. Matrices have s = -(6 + (bits of n) / 2),
// n the numbers that a sum runs over: a variance of 1/n, within a factor of 3.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/checkpoint.h"

namespace assay {

/// How the text model's matrices are stored. Packed ones leave as llama-quantize does: norms and routers F32,
/// per_layer_model_projection BF16, and with q4_0 both embedding tables Q6_K. Towers are BF16 unless all is F32.
enum class SyntheticFormat { f32, bf16, q8_0, q4_0 };

/// `e2b`, `e2b:q4_0`, `31b:q8_0:text`: a published configuration, how it is stored (bf16), whether without towers.
struct SyntheticName {
  std::string variant;
  SyntheticFormat format = SyntheticFormat::bf16;
  bool towers = true;

  /// Errors: bad_input, naming what there is.
  static Result<SyntheticName> parse(std::string_view text);
  std::string text() const;
};

enum class Draw { even, gain, loss };

/// One tensor to be generated.
struct SyntheticTensor {
  std::string name;
  std::vector<std::int64_t> shape;
  Dtype dtype = Dtype::bf16;
  Draw draw = Draw::even;
  int exponent = 0;

  std::int64_t blocks() const;  ///< elements, where the dtype is not packed
  std::int64_t bytes() const;
};

/// All tensors of a plan, in the order of expected_tensors(). The plan's rows must be whole blocks.
/// Errors: unsupported (a row that is not).
Result<std::vector<SyntheticTensor>> synthetic_tensors(const Plan& plan, SyntheticFormat format);

/// Blocks [first, first + n) of a tensor. @param out  n blocks' bytes
void synthesise(const SyntheticTensor& tensor, std::uint64_t seed, std::int64_t first, std::span<std::byte> out);

/// What a name stands for, before a byte is drawn.
struct SyntheticModel {
  Config config;
  Plan plan;
  std::vector<SyntheticTensor> tensors;

  /// SHA-256 of the seed and, sorted, of each tensor's name, shape, dtype, draw and exponent: what decides the numbers.
  std::string digest(std::uint64_t seed) const;
};
/// Errors: as synthetic_checkpoint, without io.
Result<SyntheticModel> synthetic_model(const SyntheticName& name);

struct SyntheticOptions {
  std::uint64_t seed = 1;
  int threads = 0;  ///< 0: as many as there are cores
  /// A folder that keeps what was generated, so that the next start maps it: written as NAME.part by one process at a
  /// time, then renamed; who is killed at it leaves that one file, and the next writer takes it over. On opening, its
  /// size, its record of what it holds and samples of every tensor are checked; not a checksum of all of it, which
  /// would read from disk, at every start, tables of which a run needs a few rows. Empty: memory alone.
  std::filesystem::path cache = {};
};

/// Generated in memory by several threads, each tensor aligned to 64 bytes with 64 readable bytes behind it.
/// Errors: bad_input (no such configuration), unsupported, io (less memory than it takes, no room in the cache).
Result<Checkpoint> synthetic_checkpoint(const SyntheticName& name, const SyntheticOptions& options = {});
/// The same of any configuration; `label` names it in messages and in the cache.
Result<Checkpoint> synthetic_checkpoint(const Config& config, SyntheticFormat format, const std::string& label,
                                        const SyntheticOptions& options = {});

/// $XDG_CACHE_HOME/assay, or ~/.cache/assay.
std::filesystem::path default_cache();

}  // namespace assay
