// What a measurement of speed found, of kernels or of an engine end to end: machine, roofs, samples, and what of the
// machine's limit was reached. The one model that text, JSON and charts are views of. Not here: measuring
// (harness/kernel, harness/bench), comparing runs.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace assay {

/// The machine, as far as it decides speed. `fingerprint` is a hash of all that does not change by itself: runs with
/// different ones are not compared.
struct MachineFacts {
  std::string cpu;               ///< as it calls itself, with family, model and stepping
  int cores = 0;                 ///< that this process may use
  std::vector<std::string> isa;  ///< what kernels can use of it, the system's part included: avx2, avx512_vnni...
  std::string governor;          ///< of frequencies; empty where the system does not tell (virtual machines)
  std::map<std::string, std::int64_t> caches;  ///< bytes by level: L1d, L2, L3
  std::int64_t memory = 0;                     ///< bytes
  std::string fingerprint;                     ///< 16 hexadecimal digits

  bool operator==(const MachineFacts&) const = default;
};

/// A limit of the machine: `read` in bytes, others (`fp32`, `bf16`, `int8`) in FLOPs (2 a product).
struct Roof {
  std::string name, kernel;     ///< the kernel that reached it
  double amount = 0;            ///< bytes or FLOPs of one sample
  std::vector<double> seconds;  ///< in the order taken

  double per_second() const;       ///< of the median: what is held against it was disturbed as often
  double best_per_second() const;  ///< of the fastest: what the machine can do when nobody disturbs it
  bool operator==(const Roof&) const = default;
};

struct Roofs {
  int threads = 0;
  std::vector<Roof> all;

  const Roof* find(std::string_view name) const;
  /// Bytes or FLOPs a second by name, of the median samples.
  std::map<std::string, double> rates() const;
  bool operator==(const Roofs&) const = default;
};

/// What a piece of work cannot do without: bytes read or written once, FLOPs by the roof that bounds them.
struct Must {
  double bytes = 0;
  std::map<std::string, double> flops;  ///< by the name of their roof

  Must& operator+=(const Must& other);
  double all_flops() const;
  bool operator==(const Must&) const = default;
};

/// The least seconds that the roofs allow, and whose they are: bytes and each kind of product may overlap one another,
/// products of different kinds may not. Roofs that were not measured allow anything.
struct Bound {
  double seconds = 0;
  std::string roof;  ///< empty: nothing bounds it
};
Bound bound(const Must& must, const std::map<std::string, double>& rates);

/// One op inside an engine's call.
struct OpShare {
  std::string op;
  double seconds = 0;
  std::int64_t calls = 0;
  Must must;

  bool operator==(const OpShare&) const = default;
};

/// One thing that was timed.
struct BenchResult {
  std::string subject;                  ///< a kernel's full name, or an engine's
  std::string what;                     ///< a kernel's shape, or `decode`, `prefill`, `first-token`, `vision`, `audio`
  std::string how;                      ///< `cold`, `warm`; `depth 2048`, `512 tokens`, `512 tokens at depth 2048`
  double units = 0;                     ///< of one sample: tokens, images, seconds of sound; calls of a kernel
  std::string unit;                     ///< `token`, `image`, `second of sound`, `call`
  std::vector<double> seconds;          ///< raw samples in the order taken, each of one unit batch
  Must must;                            ///< of one sample
  std::optional<bool> right;            ///< whether the output was right after timing; empty: not judged here
  std::string rerun;                    ///< the command that measures this again
  std::map<std::string, double> times;  ///< times as fast as: `eigen`, `portable`
  /// Roofs as they were beside these samples, bytes or FLOPs a second; empty: as in the whole run. Machines that others
  /// use, too, are not as fast at the end of a run as at its start.
  std::map<std::string, double> beside;
  std::vector<OpShare> ops;                  ///< of one sample; empty where the engine does not time itself
  std::map<std::string, double> beside_ops;  ///< `beside` of the sample whose ops were timed
  std::string note;

  double median_seconds() const;
  double rate() const;  ///< units a second
  /// Share of the least time that the roofs allow, 1 = at the roof; 0 where nothing bounds it. Warm kernels read from
  /// caches: only their FLOPs count.
  double share(const Roofs& roofs) const;
  Bound bound_by(const Roofs& roofs) const;
  Bound bound_by(const OpShare& op, const Roofs& roofs) const;
  bool operator==(const BenchResult&) const = default;
};

struct BenchRun {
  std::string version, command, model;
  MachineFacts machine;
  Roofs roofs;
  std::vector<BenchResult> results;
  std::map<std::string, double> facts;  ///< peak_memory_bytes, load_seconds...

  bool operator==(const BenchRun&) const = default;
};

/// schema/bench.schema.json. Numbers that follow from others (medians, rates, shares) are written for readers; they are
/// not read back.
std::string to_json(const BenchRun& run);
/// Errors: bad_input, naming the key.
Result<BenchRun> bench_run_from_json(std::string_view json, std::string_view where);

/// Parts that commands share: `{"fingerprint", "cpu", ...}` and `{"threads", "read": {...}}`.
std::string to_json(const MachineFacts& machine);
std::string to_json(const Roofs& roofs);

/// 12288: `12.3 k`; three digits, with k, M, G, T.
std::string short_number(double value);

}  // namespace assay
