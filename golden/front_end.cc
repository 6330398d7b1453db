#include "golden/front_end.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <system_error>

#include "golden/hdf5.h"
#include "golden/store.h"

namespace assay {
namespace fs = std::filesystem;
namespace {

constexpr std::int64_t kSchema = 1;
constexpr std::int64_t kMaxBytes = std::int64_t{1} << 30;
constexpr std::int64_t kMostElements = std::int64_t{1} << 28;  // of a whole stage
constexpr double kExactBelow = 1 << 24;

fs::path file_of(const fs::path& data) { return data / kFrontEnd / "front-end.h5"; }

Result<hdf5::Group> open_root(const fs::path& file) {
  ASSAY_TRY(root, hdf5::Group::open(file, kMaxBytes));
  const Result<std::string> kind = root.text("kind");
  if (!kind) return fail(kind.error());
  if (*kind != "frontend") return root.wrong("@kind", "frontend", *kind);
  ASSAY_CHECK(root.integer("schema", kSchema, kSchema));
  return root;
}

/// The shape and rows of a stage that is kept in part.
Result<void> read_rows(const hdf5::Dataset& dataset, FrontEndStage& stage) {
  ASSAY_TRY(rows, dataset.integers("rows"));
  ASSAY_TRY(shape, dataset.integers("shape"));
  const std::vector<std::int64_t>& stored = dataset.shape();
  std::int64_t elements = 1;
  for (const std::int64_t extent : shape)
    if (extent < 0 || __builtin_mul_overflow(elements, std::max<std::int64_t>(extent, 1), &elements) ||
        elements > kMostElements)
      return dataset.wrong("@shape", "a shape of at most 2^28 elements", shape_text(shape));
  const bool fits = !shape.empty() && stored.size() == shape.size() && stored[0] == std::ssize(rows) &&
                    std::equal(shape.begin() + 1, shape.end(), stored.begin() + 1) && !rows.empty();
  if (!fits) return dataset.wrong("@shape", "the stored shape but for its first extent", shape_text(shape));
  for (std::size_t i = 0; i < rows.size(); ++i)
    if (rows[i] < (i == 0 ? 0 : rows[i - 1] + 1) || rows[i] >= shape[0])
      return dataset.wrong("@rows", "ascending rows below " + std::to_string(shape[0]), std::to_string(rows[i]));
  stage.shape = std::move(shape);
  stage.rows = std::move(rows);
  return {};
}

Result<FrontEndStage> read_stage(const hdf5::Group& stages, const std::string& name) {
  ASSAY_TRY(dataset, stages.dataset(name));
  FrontEndStage stage{.name = name, .shape = dataset.shape()};
  if (stage.shape.empty()) return dataset.wrong("", "at least one axis", "none");
  if (dataset.has_attribute("rows")) ASSAY_CHECK(read_rows(dataset, stage));
  stage.integral = dataset.kind() == hdf5::Dataset::Kind::integer;
  if (!stage.integral) {
    ASSAY_TRY(values, dataset.floats());
    stage.values = std::move(values);
    return stage;
  }
  ASSAY_TRY(values, dataset.integers());
  stage.values.reserve(values.size());
  for (const std::int64_t value : values) {
    if (std::abs(double(value)) > kExactBelow) return dataset.wrong("", "integers below 2^24", std::to_string(value));
    stage.values.push_back(float(value));
  }
  return stage;
}

}  // namespace

const FrontEndStage* FrontEndCase::find(std::string_view stage) const {
  const auto found = std::find_if(stages.begin(), stages.end(), [&](const auto& one) { return one.name == stage; });
  return found == stages.end() ? nullptr : &*found;
}

bool FrontEndGolden::exists(const fs::path& data) {
  std::error_code error;
  return fs::exists(file_of(data), error);
}

Result<FrontEndGolden> FrontEndGolden::open(const fs::path& data) {
  ASSAY_CHECK(check_manifest(data, kFrontEnd));
  FrontEndGolden golden;
  golden.folder_ = data / kFrontEnd;
  ASSAY_TRY(root, open_root(file_of(data)));
  ASSAY_TRY(cases, root.group("cases"));
  ASSAY_TRY(names, cases.names());
  if (names.empty()) return cases.wrong("", "cases", "none");
  golden.cases_ = std::move(names);
  return golden;
}

Result<FrontEndCase> FrontEndGolden::load(std::string_view name) const {
  ASSAY_TRY(root, open_root(file()));
  ASSAY_TRY(group, root.group("cases/" + std::string(name)));
  FrontEndCase loaded{.name = std::string(name)};
  ASSAY_TRY(what, group.text("what"));
  loaded.what = std::move(what);
  ASSAY_TRY(request, group.dataset("request"));
  ASSAY_TRY(bytes, request.integers());
  for (const std::int64_t byte : bytes) loaded.request += char(byte);
  ASSAY_TRY(stages, group.group("stages"));
  ASSAY_TRY(names, stages.names());
  for (const std::string& stage : names) {
    ASSAY_TRY(read, read_stage(stages, stage));
    loaded.stages.push_back(std::move(read));
  }
  if (loaded.stages.empty()) return stages.wrong("", "stages", "none");
  return loaded;
}

std::vector<Finding> check_front_end(const fs::path& data) {
  std::vector<Finding> findings;
  const auto golden = FrontEndGolden::open(data);
  if (!golden) return {{golden.error().where, golden.error().message()}};
  std::map<std::string, bool> varies;  // by kind of stage: some case holds two different numbers
  for (const std::string& name : golden->cases()) {
    const auto loaded = golden->load(name);
    if (!loaded) {
      findings.push_back({loaded.error().where, loaded.error().message()});
      continue;
    }
    for (const FrontEndStage& stage : loaded->stages) {
      const std::string at = "/cases/" + name + "/stages/" + stage.name;
      if (!std::all_of(stage.values.begin(), stage.values.end(), [](float value) { return std::isfinite(value); }))
        findings.push_back({at, "holds values that are not finite"});
      const std::string kind = stage.name.substr(0, stage.name.find('.')) + stage.name.substr(stage.name.rfind('.'));
      const bool differs = std::any_of(stage.values.begin(), stage.values.end(),
                                       [&](float value) { return value != stage.values.front(); });
      varies[kind] = varies[kind] || differs;
    }
  }
  for (const auto& [kind, differs] : varies)
    if (!differs) findings.push_back({"/cases/*/stages/" + kind, "is one number everywhere: a constant would pass"});
  return findings;
}

}  // namespace assay
