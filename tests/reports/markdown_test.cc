// Markdown, letter by letter, and what may not get out of it.
#include "reports/markdown.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "reports/sample.h"

namespace assay {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(Markdown, OfAPassingRun) {
  EXPECT_EQ(to_markdown(sample::passing()), R"(### assay ✅: 1 passed, 0 failed, 0 unsupported

| engine | golden | passed | failed | unsupported | worst tap | max abs | of tolerance | logits |
|---|---|--:|--:|--:|---|--:|--:|---|
| reference | e2b | 1 | 0 | 0 | short/prefill text.logits | 1.5e-05 | 50 % | KL 0.002, at most 0.004; top-1 3 of 4 |

<sub>1.2.3 on Some CPU &lt;2 GHz&gt; (8 cores), 31.2 s</sub>
)");
}

TEST(Markdown, OfAFailure) {
  assay::Run run = sample::all_verdicts();
  run.results = {run.results[1]};
  run.unmet.clear();
  EXPECT_EQ(to_markdown(run), R"(### assay ❌: 0 passed, 1 failed, 0 unsupported

| engine | golden | passed | failed | unsupported | worst tap | max abs | of tolerance | logits |
|---|---|--:|--:|--:|---|--:|--:|---|
| reference | e2b | 0 | 1 | 0 | short/decode text.layer.00.attn.q | 1.5e-05 | 45x |  |

<details><summary>reference e2b/short/decode: fail-numeric at text.layer.00.attn.q</summary>

<table>
<tr><td>mode</td><td><code>all taps wanted</code></td></tr>
<tr><td>shape</td><td><code>[1, 4, 2, 2]</code></td></tr>
<tr><td>worst at</td><td><code>[0, 3, 1, 0]: expected 0.5, got 0.500012517</code></td></tr>
<tr><td>error</td><td><code>max abs 1.5e-05, max rel 0.0625, 96 ULP, RMS 5e-06, NMSE 1e-09, cosine 0.9999</code></td></tr>
<tr><td>allowed</td><td><code>5e-05 + 1e-05 &#124;expected&#124;</code></td></tr>
<tr><td>mismatches</td><td><code>3 of 16</code></td></tr>
<tr><td>after it</td><td><code>1 more tap results failed</code></td></tr>
<tr><td>re-run</td><td><code>./assay verify --engine reference --golden e2b --filter '/short/' --path decode</code></td></tr>
</table>
</details>

<sub>1.2.3 on Some CPU &lt;2 GHz&gt; (8 cores), 31.2 s</sub>
)");
}

TEST(Markdown, OfSilence) {
  assay::Run run = sample::passing();
  run.results.clear();
  EXPECT_THAT(to_markdown(run), HasSubstr("⚠️"));
  EXPECT_THAT(to_markdown(run), HasSubstr("Nothing was judged."));
}

TEST(Markdown, HostileTextClosesNothingAndCallsNobody) {
  const std::string text = to_markdown(sample::all_verdicts());
  EXPECT_THAT(text, Not(HasSubstr("</td></details>")));
  EXPECT_THAT(text, Not(HasSubstr("@all")));
  EXPECT_THAT(text, Not(HasSubstr("`x`")));
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  EXPECT_THAT(text, HasSubstr("**unmet**: reference must support 31B decode"));
}

TEST(Markdown, FitsACommentHoweverMuchFails) {
  assay::Run run = sample::all_verdicts();
  PathResult failure = run.results[5];
  failure.note = std::string(5000, '<');
  run.results.assign(500, failure);
  const std::string text = to_markdown(run);
  EXPECT_THAT(text, HasSubstr("480 more failures"));
  EXPECT_LT(text.size(), 250000U);
  for (PathResult& result : run.results) result.note = std::string(5000, 'x');
  EXPECT_LT(to_markdown(run).size(), 65536U);
}

}  // namespace
}  // namespace assay
