// HDF5 files of unknown origin, and files that assay writes: no golden among them.
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <system_error>

#include "base/files.h"
#include "golden/child.h"
#include "golden/hdf5.h"
#include "golden/store.h"
#include "model/safetensors.h"

namespace assay {
namespace fs = std::filesystem;
namespace {

constexpr std::int64_t kMaxBytes = std::int64_t{1}
                                   << 31U;  // of all inputs of one call; the child's limit is twice that

/// A folder of our own that goes with its contents; what is still mapped from it stays readable.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::error_code error;
    fs::path base = fs::temp_directory_path(error);
    std::string pattern = ((error ? fs::path("/tmp") : base) / "assay-XXXXXX").string();
    if (mkdtemp(pattern.data()) != nullptr) path_ = pattern;
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const fs::path& path() const { return path_; }  ///< empty when none could be made

 private:
  fs::path path_;
};

/// In the child: every dataset directly below the group.
Result<std::vector<NamedTensor>> read_group(const fs::path& file, std::string_view path) {
  ASSAY_TRY(group, hdf5::Group::open(file, kMaxBytes));
  while (path.starts_with('/')) path.remove_prefix(1);
  while (path.ends_with('/')) path.remove_suffix(1);
  if (!path.empty()) {
    ASSAY_TRY(below, group.group(path));
    group = std::move(below);
  }
  ASSAY_TRY(names, group.dataset_names());
  if (names.empty()) return group.wrong("", "datasets", "none");
  std::vector<NamedTensor> tensors;
  for (const std::string& name : names) {
    ASSAY_TRY(dataset, group.dataset(name));
    if (dataset.kind() == hdf5::Dataset::Kind::integer) {
      ASSAY_TRY(values, dataset.integers());
      tensors.push_back({name, Tensor::own(dataset.shape(), std::move(values))});
    } else {
      ASSAY_TRY(values, dataset.floats());
      tensors.push_back({name, Tensor::own(dataset.shape(), std::move(values))});
    }
  }
  return tensors;
}

}  // namespace

Result<std::string> use_golden(const fs::path& data, const std::string& name_or_file,
                               const std::function<Result<std::string>(const Golden&)>& use) {
  ASSAY_TRY(goldens, list_goldens(data));
  for (const GoldenEntry& entry : goldens) {
    if (entry.name != name_or_file) continue;
    ASSAY_CHECK(check_manifest(data, entry.name));
    ASSAY_TRY(golden, Golden::open(entry.file));
    return use(golden);
  }
  std::error_code error;
  if (!fs::is_regular_file(name_or_file, error)) {
    std::string names;
    for (const GoldenEntry& entry : goldens) names += (names.empty() ? "" : ", ") + entry.name;
    return fail({Failure::bad_input, name_or_file, "", "a file, or a golden: " + names, "neither"});
  }
  return in_child(name_or_file, {}, [&]() -> Result<std::string> {
    ASSAY_TRY(golden, Golden::open(name_or_file));
    return use(golden);
  });
}

Result<std::vector<NamedTensor>> read_foreign_group(const fs::path& file, std::string_view group) {
  std::error_code error;
  if (!fs::is_regular_file(file, error)) return fail({Failure::io, file.string(), "", "a file", "none"});
  const TemporaryFolder folder;
  if (folder.path().empty())
    return fail({Failure::io, file.string(), "", "a temporary folder to read it through", std::strerror(errno)});
  const fs::path through = folder.path() / "group.safetensors";
  const std::string path(group);
  const auto convert = [&]() -> Result<std::string> {
    ASSAY_TRY(tensors, read_group(file, path));
    ASSAY_CHECK(write_safetensors(through, tensors));
    return std::string();
  };
  ASSAY_CHECK(in_child(file.string(), {}, convert));
  auto opened = Safetensors::open(through);
  if (!opened)  // the file is the child's, and the child is not to be believed
    return fail({Failure::bad_input, file.string(), path, "a readable group", opened.error().message()});
  std::vector<NamedTensor> tensors;
  for (const auto& [name, tensor] : opened->tensors()) tensors.push_back({name, tensor});
  return tensors;
}

Result<void> write_hdf5(const fs::path& file, std::span<const NamedTensor> datasets) {
  const auto write = [&](const fs::path& temporary) -> Result<void> {
    ASSAY_TRY(writer, hdf5::Writer::create(temporary));
    for (const NamedTensor& dataset : datasets) ASSAY_CHECK(writer.dataset(dataset.name, dataset.tensor));
    return writer.close();
  };
  return write_beside(file, write).map_error([&](Failure failure) {
    failure.where = file.string();  // nobody asked for the temporary one
    return failure;
  });
}

}  // namespace assay
