// A bench run whose numbers are easy to follow by hand.
#pragma once

#include "reports/bench.h"

namespace assay {

/// Reads 10 bytes a second, makes 100 int8 and 20 fp32 FLOPs a second.
inline Roofs easy_roofs() {
  return {.threads = 2,
          .all = {{.name = "read", .kernel = "read_x", .amount = 10, .seconds = {1, 1, 5}},
                  {.name = "int8", .kernel = "peak_x", .amount = 50, .seconds = {0.5}},
                  {.name = "fp32", .kernel = "peak_y", .amount = 20, .seconds = {1, 0.9, 1.1}}}};
}

inline BenchRun easy_run() {
  BenchRun run{.version = "1.2.3",
               .command = "assay bench --model \"x\"",
               .model = "e2b:q4_0",
               .machine = {.cpu = "Some CPU <2 GHz>",
                           .cores = 2,
                           .isa = {"avx2", "avx512"},
                           .governor = "performance",
                           .caches = {{"L1d", 32768}, {"L3", 33554432}},
                           .memory = std::int64_t{24} << 30,
                           .fingerprint = "0123456789abcdef"},
               .roofs = easy_roofs(),
               .results = {},
               .facts = {{"peak_memory_bytes", 3.5e9}}};
  BenchResult kernel;  // field by field: g++ 12 takes a temporary's maps for uninitialised
  kernel.subject = "gemv_q4_0_int8_x";
  kernel.what = "4x32";
  kernel.how = "cold";
  kernel.units = 1;
  kernel.unit = "call";
  kernel.seconds = {2, 2.5, 2};
  kernel.must.bytes = 10;
  kernel.must.flops["int8"] = 50;
  kernel.right = true;
  kernel.rerun = "assay kernel bench gemv_q4_0_int8_x";
  kernel.times["portable"] = 8.5;
  kernel.beside["read"] = 20;
  kernel.beside_ops["read"] = 8;
  OpShare op;
  op.op = "gemv";
  op.seconds = 1.5;
  op.calls = 3;
  op.must.bytes = 5;
  kernel.ops.push_back(op);
  kernel.note = "a note";
  run.results.push_back(kernel);
  BenchResult decode;
  decode.subject = "cpu";
  decode.what = "decode";
  decode.how = "depth 0";
  decode.units = 16;
  decode.unit = "token";
  run.results.push_back(decode);
  return run;
}

}  // namespace assay
