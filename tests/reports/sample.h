// A run with a result of every verdict, and text that tries to break out of each format.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <string>

#include <sys/wait.h>

#include <gtest/gtest.h>

#include "reports/run.h"
#include "temporary.h"

namespace assay::sample {

inline TapResult tap(std::string name, Verdict verdict = Verdict::pass) {
  TapResult out;
  out.tap = std::move(name);
  out.mode = "taps";
  out.verdict = verdict;
  out.shape = {1, 4, 2, 2};
  out.worst = {0, 3, 1, 0};
  out.stats = {.max_abs = 1.5e-5,
               .max_rel = 0.0625,
               .rms = 5e-6,
               .nmse = 1e-9,
               .cosine = 0.9999,
               .worst_ratio = 0.25,
               .max_ulp = 96,
               .count = 16,
               .worst = 14,
               .expected = 0.5F,
               .actual = 0.5000125F};
  out.tolerance = {.atol = 5e-5, .rtol = 1e-5};
  return out;
}

inline PathResult path(std::string engine, std::string golden, std::string name, Verdict verdict) {
  PathResult out;
  out.engine = std::move(engine);
  out.golden = std::move(golden);
  out.variant = "E2B";
  out.case_name = "short";
  out.path = std::move(name);
  out.verdict = verdict;
  out.seconds = 0.125;
  out.rerun =
      "./assay verify --engine " + out.engine + " --golden " + out.golden + " --filter '/short/' --path " + out.path;
  return out;
}

inline Run all_verdicts() {
  Run run{.version = "1.2.3",
          .machine = {.cpu = "Some CPU <2 GHz>", .cores = 8},
          .seconds = 31.25,
          .results = {},
          .unmet = {}};
  run.results.push_back(path("reference", "e2b", "prefill", Verdict::pass));
  run.results.back().taps = {tap("text.embed"), tap("text.logits")};
  run.results.back().taps[1].stats.worst_ratio = 0.5;
  run.results.back().taps[1].agreement = Agreement{.rows = 4, .same_top = 3, .kl_mean = 0.002, .kl_most = 0.004};

  PathResult numeric = path("reference", "e2b", "decode", Verdict::fail_numeric);
  numeric.taps = {tap("text.embed"), tap("text.layer.00.attn.q", Verdict::fail_numeric),
                  tap("text.logits", Verdict::fail_numeric)};
  numeric.taps[1].stats.worst_ratio = 45;
  numeric.taps[1].stats.mismatches = 3;
  run.results.push_back(numeric);

  PathResult nan = path("reference", "e4b", "prefill", Verdict::fail_nan);
  nan.taps = {tap("text.embed", Verdict::fail_nan)};
  nan.taps[0].stats.actual = std::numeric_limits<float>::quiet_NaN();
  nan.taps[0].stats.worst_ratio = std::numeric_limits<double>::infinity();
  nan.taps[0].stats.cosine = -std::numeric_limits<double>::infinity();
  nan.taps[0].stats.not_finite = 1;
  run.results.push_back(nan);

  run.results.push_back(path("other", "e2b", "chunked:7", Verdict::fail_shape));
  run.results.back().taps = {tap("text.norm", Verdict::fail_shape)};
  run.results.back().taps[0].note = "15 values instead of 16";
  run.results.back().taps[0].stats = {};
  run.results.back().taps[0].worst = {};
  run.results.push_back(path("other", "e2b", "decode", Verdict::unsupported));
  run.results.back().note = "the engine has no cache";
  run.results.push_back(path("other", "e2b", "nocache", Verdict::crash));
  run.results.back().note = "signal 11 ]]> </td></details> | `x` @all \x1b[31m \x01 \xff é";
  run.results.push_back(path("other", "e2b", "batched", Verdict::timeout));
  run.results.back().note = "no end after 60 s";
  run.results.push_back(path("other", "e2b", "prefill", Verdict::no_golden));
  run.unmet = {"reference must support 31B decode: nothing was judged"};
  return run;
}

/// One result of every standing, beside one that grew.
inline Run all_standings() {
  Run run = all_verdicts();
  run.results.clear();
  run.unmet.clear();
  const auto add = [&](const char* name, Verdict verdict, Standing standing, const char* because) {
    run.results.push_back(path("reference", "e2b", name, verdict));
    run.results.back().standing = standing;
    run.results.back().because = because;
  };
  add("prefill", Verdict::fail_nan, Standing::known, "known until 2999-12-31: <b>NaN</b>");
  add("nocache", Verdict::pass, Standing::unexpected_pass, "expected to fail until 2999-12-31: it did once");
  add("decode", Verdict::crash, Standing::expired, "known until 2020-01-01, which is over: a crash");
  add("chunked:7", Verdict::timeout, Standing::as_before, "timeout in the baseline");
  add("chunked:16", Verdict::unsupported, Standing::worse, "it passed there");
  add("batched", Verdict::pass, Standing::judged, "");
  run.results.back().taps = {tap("text.embed"), tap("text.logits")};
  run.results.back().taps[1].stats.worst_ratio = 0.5;
  run.results.back().budget_before = 0.25;
  run.expired = {"reference e2b/short/decode: known until 2020-01-01: a crash"};
  return run;
}

inline Run passing() {
  Run run = all_verdicts();
  run.results.resize(1);
  run.unmet.clear();
  return run;
}

/// Writes `text` to a file of the test's own and returns its path.
inline std::string written(const std::string& text, const std::string& name) {
  static const Temporary folder;
  put(folder / name, text);
  return (folder / name).string();
}

/// Runs a command; its exit status, with what it said in `output`.
inline int shell(const std::string& command, std::string& output) {
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return -1;
  char buffer[4096];
  output.clear();
  for (std::size_t got = 0; (got = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) output.append(buffer, got);
  const int status = ::pclose(pipe);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace assay::sample
