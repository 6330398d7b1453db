#include "reports/chart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace assay {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST(Chart, DrawsABarForEachShare) {
  const std::string svg = bars_svg("gemv < gemm", {{.name = "a", .detail = "20 GB/s", .share = 0.5, .group = "read"},
                                                   {.name = "b", .detail = "", .share = 9, .group = "int8"}});
  EXPECT_THAT(svg, AllOf(HasSubstr("<svg xmlns="), HasSubstr("gemv &lt; gemm"), HasSubstr("50 %  20 GB/s"),
                         HasSubstr("width=\"210.0\""), HasSubstr("900 %")));
  EXPECT_THAT(svg, HasSubstr("width=\"504.0\"")) << "cut at 120 %";
  EXPECT_EQ(svg, bars_svg("gemv < gemm", {{"a", "20 GB/s", 0.5, "read"}, {"b", "", 9, "int8"}}));
}

TEST(Chart, TextCannotBreakOut) {
  const std::string svg = bars_svg("t", {{.name = "\"/><script>\x1b[1m", .detail = "", .share = 0, .group = ""}});
  EXPECT_THAT(svg, AllOf(Not(HasSubstr("<script>")), Not(HasSubstr("\x1b"))));
}

}  // namespace
}  // namespace assay
