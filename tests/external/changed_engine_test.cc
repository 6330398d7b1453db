// Results of one run that belong together: not those of an engine and of what it has become since. Through the program.
// Not here: journals and shards themselves (cli/verify_cli_test.cc).
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "external/python.h"

namespace assay {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

namespace fs = std::filesystem;

void append(const fs::path& file, const std::string& text) { std::ofstream(file, std::ios::app) << text; }

class ChangedEngine : public Cli {
 protected:
  /// A run that leaves its journal, because one of its reports cannot be written; then the same with all of them.
  void begin(const std::string& engine) {
    const Ran ran = assay(kSome + engine + " --resume --json " + at("run.json") + " --markdown /no/such/folder/run.md");
    ASSERT_EQ(ran.code, 2) << ran.out << ran.err;
    ASSERT_TRUE(fs::exists(at("run.json.journal")));
  }
  Ran resume(const std::string& engine) { return assay(kSome + engine + " --resume --json " + at("run.json")); }
  Ran merge(const std::string& engine, const std::function<void()>& between) {
    EXPECT_EQ(assay(kSome + engine + " --shard 1/2 --json " + at("1.json")).code, 0);
    between();
    EXPECT_EQ(assay(kSome + engine + " --shard 2/2 --json " + at("2.json")).code, 0);
    return assay("merge " + at("1.json") + " " + at("2.json"));
  }

  const std::string kSome = "verify --golden e2b-blocks";
};

TEST_F(ChangedEngine, ALibraryIsKnownByItsBytes) {
  const fs::path library = at("engine.so");
  fs::copy_file(ASSAY_EMBED_ENGINE, library);
  const std::string engine = " --engine-lib " + library.string();
  begin(engine);
  EXPECT_THAT(resume(engine).err, HasSubstr("cases are done"));
  begin(engine);
  append(library, "changed");
  const Ran anew = resume(engine);
  EXPECT_EQ(anew.code, 0);
  EXPECT_THAT(anew.err, AllOf(HasSubstr("begun anew: engines: "), Not(HasSubstr("cases are done"))));

  EXPECT_EQ(merge(engine, [] {}).code, 0);
  const Ran mixed = merge(engine, [&] { append(library, "again"); });
  EXPECT_EQ(mixed.code, 2);
  EXPECT_THAT(mixed.err,
              HasSubstr("2.json: shard.about: expected a part of the same run as the first, found engines: "));
}

TEST_F(ChangedEngine, ACommandIsKnownByTheFilesThatItNames) {
  const std::string port = ASSAY_SOURCE_DIR "/examples/numpy_port.py";
  const fs::path script = at("port.py");
  fs::copy_file(port, script);
  const std::string engine = python_engine(script.string());
  NEEDS_PYTHON(engine);
  begin(engine);
  EXPECT_THAT(resume(engine).err, HasSubstr("cases are done"));
  begin(engine);
  append(script, "# changed\n");
  EXPECT_THAT(resume(engine).err, AllOf(HasSubstr("begun anew: engines: "), Not(HasSubstr("cases are done"))));
  begin(engine);
  const std::string other = engine.substr(0, engine.rfind('\'')) + " --option' ";
  EXPECT_THAT(resume(other).err, HasSubstr("begun anew: engines: ")) << "another command";
}

}  // namespace
}  // namespace assay
