// `assay kernel`, `assay bench` and `assay doctor` as a user types them. How fast anything is, is not asked.
#include <nlohmann/json.hpp>

#include "program.h"

namespace assay {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

using KernelCli = Cli;

TEST_F(KernelCli, ListsEveryKernelWithWhatIsTaken) {
  const Ran ran = assay("kernel list --json");
  ASSERT_EQ(ran.code, 0) << ran.err;
  const json rows = json::parse(ran.out);
  const auto gemv = std::find_if(rows.begin(), rows.end(), [](const json& row) {
    return row["op"] == "gemv" && row["format"] == "q4_0" && row["acts"] == "int8";
  });
  ASSERT_NE(gemv, rows.end());
  EXPECT_THAT((*gemv)["taken"].get<std::string>(), HasSubstr("gemv_q4_0_int8_"));
  EXPECT_FALSE((*gemv)["kernels"].empty());
  const json forced = json::parse(assay("kernel list --json --isa portable").out);
  for (const json& row : forced) EXPECT_THAT(row["taken"].get<std::string>(), HasSubstr("_portable")) << row["op"];
  EXPECT_THAT(assay("kernel list").out, HasSubstr("kernels of"));
}

TEST_F(KernelCli, ListsTheShapesOfModels) {
  const Ran ran = assay("kernel list gemv_q4_0_int8 --model e2b --json");
  ASSERT_EQ(ran.code, 0) << ran.err;
  const json rows = json::parse(ran.out);
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0]["dims"], json({"rows", "cols"}));
  const json& shapes = rows[0]["shapes"];
  const auto gate =
      std::find_if(shapes.begin(), shapes.end(), [](const json& use) { return use["shape"] == "6144x1536"; });
  ASSERT_NE(gate, shapes.end());
  EXPECT_EQ((*gate)["calls"], 30);
  EXPECT_EQ((*gate)["parts"], "mlp.gate, mlp.up");
  EXPECT_THAT(assay("kernel list gemv rope --shapes --model e2b").out,
              AllOf(HasSubstr("gemv: rows x cols\n"), HasSubstr("6144x1536"), HasSubstr("mlp.gate, mlp.up\n"),
                    HasSubstr("rope: tokens x heads"), Not(HasSubstr("gemm"))));
  EXPECT_THAT(assay("kernel list gemv").out, Not(HasSubstr("gemm")));
  EXPECT_EQ(assay("kernel list gemx").code, 2);
}

TEST_F(KernelCli, ChecksAKernel) {
  const Ran ran = assay("kernel check rms_norm_fp32_fp32_portable --model e2b --threads 2");
  ASSERT_EQ(ran.code, 0) << ran.out << ran.err;
  EXPECT_THAT(ran.out, AllOf(HasSubstr("ok    rms_norm_fp32_fp32_portable"), HasSubstr("1 right, 0 wrong")));
}

TEST_F(KernelCli, ChecksOneShapeAndSaysItInJson) {
  const Ran ran = assay("kernel check gemv_q4_0_int8_portable --shape 33x64 --seed 5 --json");
  ASSERT_EQ(ran.code, 0) << ran.out << ran.err;
  const json out = json::parse(ran.out);
  ASSERT_EQ(out["kernels"].size(), 1U);
  EXPECT_EQ(out["kernels"][0]["shapes"], 1);
  EXPECT_EQ(out["kernels"][0]["judged"], 33);
  EXPECT_EQ(out["wrong"], 0);
  EXPECT_EQ(out["machine"].get<std::string>().size(), 16U);
}

TEST_F(KernelCli, TimesAKernelBesideRoofsAndPortable) {
  const std::string svg = at("chart.svg");
  const Ran ran =
      assay("kernel bench gemv_q4_0_int8 --shape 64x64 --seconds 0.001 --reps 2 --threads 1 --json --svg " + svg);
  ASSERT_EQ(ran.code, 0) << ran.out << ran.err;
  const json out = json::parse(ran.out);
  bool cold = false, warm = false, portable = false;
  for (const json& result : out["results"]) {
    EXPECT_EQ(result["what"], "64x64");
    EXPECT_EQ(result["seconds"].size(), 2U);
    EXPECT_EQ(result["right"], true);
    EXPECT_GT(result["roof_share"], 0);
    cold |= result["how"] == "cold";
    warm |= result["how"] == "warm";
    portable |= result["subject"] == "gemv_q4_0_int8_portable";
    if (result["subject"] != "gemv_q4_0_int8_portable") {
      EXPECT_GT(result["times"]["portable"], 0);
    }
  }
  EXPECT_TRUE(cold && warm && portable);
  EXPECT_EQ(out["roofs"]["all"][0]["name"], "read");
  EXPECT_EQ(out["roofs"]["all"][1]["name"], "int8");
  EXPECT_EQ(out["roofs"]["threads"], 1);
  EXPECT_EQ(out["command"],
            "assay kernel bench gemv_q4_0_int8 --shape 64x64 --threads 1 --top 3 --reps 2 --seconds 0.001");
  EXPECT_THAT(bytes_of(svg), HasSubstr("<svg"));
}

TEST_F(KernelCli, TimesWhatDispatchTakesAtTheModelsOwnShapes) {
  const Ran ran =
      assay("kernel bench router --taken --alone --cold --top 2 --seconds 0.001 --reps 1 --threads 1 --json");
  ASSERT_EQ(ran.code, 0) << ran.out << ran.err;
  const json out = json::parse(ran.out);
  ASSERT_EQ(out["results"].size(), 2U);  // E2B has no experts: the shapes are those of the model that has
  for (const json& result : out["results"]) {
    EXPECT_THAT(result["what"].get<std::string>(), HasSubstr("x128x8"));
    EXPECT_EQ(result["how"], "cold");
    EXPECT_EQ(result["subject"], out["results"][0]["subject"]);
  }
  EXPECT_EQ(out["command"],
            "assay kernel bench router --taken --alone --cold --threads 1 --top 2 --reps 1 --seconds 0.001");
}

TEST_F(KernelCli, WatchBuildsChecksAndTimesWhatIsSaved) {
  const Ran ran = assay("kernel watch add_fp32_fp32_portable --once --shape 8x64x0 --seconds 0.001 --reps 2 --json");
  ASSERT_EQ(ran.code, 0) << ran.out << ran.err;
  const json out = json::parse(ran.out);
  EXPECT_EQ(out["right"], true);
  EXPECT_EQ(out["built"], true);
  EXPECT_GT(out["check"]["shapes"], 10);
  EXPECT_EQ(out["bench"]["results"][0]["subject"], "now");
}

TEST_F(KernelCli, NamesWhatIsWrong) {
  for (const auto& [arguments, word] : std::vector<std::pair<std::string, std::string>>{
           {"kernel check gemx", "gemx"},
           {"kernel check gemv_q4_0_int8_portable --shape 33", "--shape"},
           {"kernel check gemv_q4_0_int8_portable --shape 33x63", "multiple of 32"},
           {"kernel check gemv --model nobody", "nobody"},
           {"kernel bench gemv_q4_0_int8 --shape 33x63", "multiple of 32"},
           {"kernel bench gemv_q4_0_int8 --isa sse9", "sse9"},
           {"kernel watch gemv", "one op, format and mode"},
           {"kernel", "subcommand"},
           {"bench", "--model"},
           {"bench --synthetic e9b", "e9b"},
           {"bench --model " ASSAY_SOURCE_DIR "/golden/data/tiny --engine nobody", "nobody"}}) {
    const Ran ran = assay(arguments);
    EXPECT_EQ(ran.code, 2) << arguments << ran.out;
    EXPECT_THAT(ran.err, HasSubstr(word)) << arguments;
  }
}

TEST_F(KernelCli, DoctorSaysWhatThisMachineIs) {
  const Ran ran = assay("doctor --quick --json");
  ASSERT_EQ(ran.code, 0) << ran.err;
  const json out = json::parse(ran.out);
  EXPECT_EQ(out["machine"]["fingerprint"].get<std::string>().size(), 16U);
  EXPECT_GE(out["machine"]["cores"], 1);
  EXPECT_TRUE(out["roofs"].empty());
  bool ffmpeg = false, hdf5 = false;
  for (const json& has : out["has"]) {
    ffmpeg |= has["name"] == "FFmpeg" && has["there"] == true;
    hdf5 |= has["name"] == "HDF5" && has["there"] == true;
  }
  EXPECT_TRUE(ffmpeg && hdf5) << ran.out;
  EXPECT_THAT(assay("doctor --quick").out, AllOf(HasSubstr("processor"), HasSubstr("kernels use")));
}

TEST_F(KernelCli, BenchTimesAnEngineEndToEnd) {
  const Ran ran = assay("bench --model " ASSAY_SOURCE_DIR
                        "/golden/data/tiny --engine reference --lengths 8 --depths 0,4 --decode 2 --reps 2 --threads 1 "
                        "--warm-up 0 --no-encoders --json --out " +
                        at("run.json"));
  ASSERT_EQ(ran.code, 0) << ran.err;
  EXPECT_EQ(bytes_of(at("run.json")), ran.out);
  const json out = json::parse(ran.out);
  ASSERT_EQ(out["results"].size(), 5U);
  EXPECT_EQ(out["results"][1]["how"], "8 tokens at depth 4");
  EXPECT_EQ(out["results"][2]["what"], "decode");
  EXPECT_EQ(out["results"][2]["seconds"].size(), 2U);
  EXPECT_GT(out["results"][0]["roof_share"], 0);
  EXPECT_GT(out["facts"]["peak_memory_bytes"], 0);
  const auto command = out["command"].get<std::string>();
  EXPECT_EQ(command, "assay bench --model " ASSAY_SOURCE_DIR
                     "/golden/data/tiny --engine reference --threads 1 --lengths 8 --depths 0,4 --decode 2 --reps 2 "
                     "--warm-up 0 --no-encoders");
  for (const json& result : out["results"]) EXPECT_EQ(result["rerun"], command);
  EXPECT_EQ(json::parse(assay(command.substr(6) + " --json").out)["command"], command);
}

}  // namespace
}  // namespace assay
