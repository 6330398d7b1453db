#include "golden/generator.h"

#include <gmock/gmock.h>

#include "temporary.h"

namespace assay {
namespace {

using testing::HasSubstr;

/// A Python that only writes down where it was called and with what.
class GeneratorRun : public testing::Test {
 protected:
  GeneratorRun() {
    put(folder_ / "golden/generate/requirements.txt", "torch==1\n");
    python(folder_ / "venv/bin/python", 0);
  }
  void python(const std::filesystem::path& file, int status) {
    put(file, "#!/bin/sh\necho \"$PWD $*\" >> '" + log().string() + "'\nexit " + std::to_string(status) + "\n");
    std::filesystem::permissions(file, std::filesystem::perms::owner_all);
  }
  std::filesystem::path log() const { return folder_ / "log"; }
  std::string line(const std::string& arguments) const {
    return (folder_ / "golden").string() + " " + arguments + "\n";
  }

  Temporary folder_;
  Generator generator_{.folder = folder_ / "golden", .venv = folder_ / "venv", .python = {}};
};

TEST_F(GeneratorRun, InstallsOnceForEachListOfRequirements) {
  const std::string install = line("-m pip install -r generate/requirements.txt"),
                    make = line("-m generate make --only a b");
  EXPECT_EQ(run_generator(generator_, {"make", "--only", "a b"}).value(), 0);
  EXPECT_EQ(bytes_of(log()), install + make);
  EXPECT_EQ(run_generator(generator_, {"make", "--only", "a b"}).value(), 0);
  EXPECT_EQ(bytes_of(log()), install + make + make);
  put(folder_ / "golden/generate/requirements.txt", "torch==2\n");
  EXPECT_EQ(run_generator(generator_, {"make", "--only", "a b"}).value(), 0);
  EXPECT_EQ(bytes_of(log()), install + make + make + install + make);
}

TEST_F(GeneratorRun, DoesNotRunWithoutWhatItNeeds) {
  python(folder_ / "venv/bin/python", 7);  // pip fails
  EXPECT_THAT(run_generator(generator_, {"make"}).error().message(),
              HasSubstr("-m pip: expected exit status 0, found 7"));
  EXPECT_EQ(bytes_of(log()), line("-m pip install -r generate/requirements.txt"));
}

TEST_F(GeneratorRun, TakesAnotherPythonAsItIs) {
  python(folder_ / "other", 5);
  generator_.python = (folder_ / "other").string();
  EXPECT_EQ(run_generator(generator_, {"taps"}).value(), 5);
  EXPECT_EQ(bytes_of(log()), line("-m generate taps"));
  generator_.python = (folder_ / "none").string();
  const auto none = run_generator(generator_, {"taps"});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().kind, Failure::io);
  EXPECT_THAT(none.error().message(), HasSubstr("none: expected a program that starts"));
}

}  // namespace
}  // namespace assay
