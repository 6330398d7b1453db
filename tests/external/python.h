// Engines in Python as subprocesses: which interpreter can run them. Not here: what they do.
#pragma once

#include <cstdlib>
#include <string>

#include "cli/program.h"

namespace assay {

/// `/usr/bin/python3 SCRIPT`, by a Python that has numpy; empty: there is none.
inline std::string python_command(const std::string& script) {
  for (const char* interpreter : {"/usr/bin/python3", "python3"})
    if (std::system((std::string(interpreter) + " -c 'import numpy' 2>/dev/null").c_str()) == 0)
      return std::string(interpreter) + " " + script;
  return "";
}

/// ` --engine-cmd '...' `; empty: the test is to be skipped.
inline std::string python_engine(const std::string& script) {
  const std::string command = python_command(script);
  return command.empty() ? "" : " --engine-cmd '" + command + "' ";
}

}  // namespace assay

#define NEEDS_PYTHON(flag) \
  if (flag.empty()) GTEST_SKIP() << "no python3 with numpy (Debian: python3-numpy)"
