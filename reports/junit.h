// A run as JUnit XML in the dialect of Maven Surefire (schema/junit.xsd), which CI systems read. A suite is an engine
// on a golden, a test case one path of one case. Not here: a library of XML.
#pragma once

#include <string>

#include "reports/run.h"

namespace assay {

std::string to_junit(const Run& run);

}  // namespace assay
