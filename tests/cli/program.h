// Runs the built program and keeps what it says. Not here: what it should say.
#pragma once

#include <cstdio>
#include <filesystem>
#include <string>

#include <sys/wait.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "temporary.h"

namespace assay {

struct Ran {
  int code = -1;  ///< -1: it died of a signal
  std::string out, err;
};

/// A test with a folder of its own.
class Cli : public testing::Test {
 protected:
  /// @param environment  `NAME=value`, for this run
  Ran assay(const std::string& arguments, const std::string& environment = "") {
    const std::filesystem::path err = folder_ / "stderr";
    FILE* pipe = ::popen((environment + " " ASSAY_PROGRAM " " + arguments + " 2>" + err.string()).c_str(), "r");
    Ran ran;
    char buffer[4096];
    for (std::size_t got = 0; (got = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) ran.out.append(buffer, got);
    const int status = ::pclose(pipe);
    ran.code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    ran.err = bytes_of(err);
    return ran;
  }
  std::string at(const std::string& name) const { return (folder_ / name).string(); }

  Temporary folder_;
};

}  // namespace assay
