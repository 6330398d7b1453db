// The messages between harness and engine (docs/ENGINE_PROTOCOL.md), to and from their lines of JSON. Not here: the
// program that they go to (process.h), tensors (outputs.h).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/engine.h"

namespace assay::external {

inline constexpr int kProtocol = 1;

struct Declared {
  Capabilities can;
  std::vector<std::string> dtypes;  ///< of weights that it opens; empty: all that safetensors has
  bool gguf = false;                ///< opens GGUF files, too
};

std::string hello_line(std::int64_t id, const std::string& folder);
std::string open_line(std::int64_t id, const std::string& checkpoint);
std::string close_line(std::int64_t id, std::int64_t session);
std::string bye_line(std::int64_t id);

/// Where a call's tensors are and what it is to write.
struct Files {
  std::string inputs, outputs;
};
struct ForwardFields {
  std::int64_t session = 0, target = -1;  ///< -1: none
  Cache cache = Cache::fresh;
  int logit_rows = 0;
  std::vector<std::string> taps;
};
std::string forward_line(std::int64_t id, const ForwardFields& fields, const Files& files);
std::string generate_line(std::int64_t id, const ForwardFields& fields, int tokens, const Files& files);
std::string step_line(std::int64_t id, std::int64_t session, const std::string& tap, const Files& files);
std::string truncate_line(std::int64_t id, std::int64_t session, std::span<const int> keep);
std::string cached_kv_line(std::int64_t id, std::int64_t session, int layer, const Files& files);
std::string embed_line(std::int64_t id, std::int64_t session, const Files& files);

/// What every answer is checked for: an object with this id that holds no error. Errors, all from `where`: internal (no
/// such answer: the engine can no longer be understood, `broken` is set; or its error); unsupported (its error of that
/// kind).
Result<void> check_answer(std::string_view line, std::int64_t id, const std::string& where, std::string_view verb,
                          bool& broken);
/// Errors: internal, naming the field.
Result<Declared> read_hello(std::string_view line, const std::string& where);
Result<std::int64_t> read_session(std::string_view line, const std::string& where);
/// Seconds that the engine says the call took; 0 where it does not.
double read_seconds(std::string_view line);

}  // namespace assay::external
