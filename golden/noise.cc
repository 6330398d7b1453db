#include "golden/noise.h"

#include <cmath>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "base/sha256.h"
#include "golden/hdf5.h"
#include "golden/read.h"

namespace assay {
namespace {

constexpr std::int64_t kMaxBytes = std::int64_t{1} << 26U;
constexpr std::int64_t kSchema = 1;

std::vector<std::string> words(std::string_view list) {
  std::vector<std::string> out;
  while (!list.empty()) {
    const std::size_t space = std::min(list.find(' '), list.size());
    if (space > 0) out.emplace_back(list.substr(0, space));
    list.remove_prefix(std::min(space + 1, list.size()));
  }
  return out;
}

/// Magnitudes or NaN, of a given shape.
Result<std::vector<float>> magnitudes(const hdf5::Group& group, std::string_view name,
                                      const std::vector<std::int64_t>& shape) {
  ASSAY_TRY(dataset, group.dataset(name));
  if (dataset.shape() != shape) return dataset.wrong("", shape_text(shape), shape_text(dataset.shape()));
  ASSAY_TRY(values, dataset.floats());
  for (const float value : values)
    if (value < 0 || std::isinf(value))
      return dataset.wrong("", "finite numbers from 0, or NaN", std::to_string(value));
  return values;
}

}  // namespace

std::filesystem::path noise_beside(const std::filesystem::path& golden) {
  const std::filesystem::path beside = golden.parent_path() / "noise.h5";
  std::error_code error;
  return std::filesystem::is_regular_file(beside, error) ? beside : std::filesystem::path();
}

Result<void> check_noise(const std::filesystem::path& noise, const std::filesystem::path& golden) {
  ASSAY_TRY(root, hdf5::Group::open(noise, kMaxBytes));
  ASSAY_CHECK(root.integer("schema", kSchema, kSchema));
  ASSAY_TRY(of, root.text("golden_sha256"));
  ASSAY_TRY(found, sha256_file(golden));
  if (of != found) return root.wrong("@golden_sha256", found + ", which is " + golden.string(), of);
  return {};
}

Result<void> add_noise(const std::filesystem::path& noise, int layers, GoldenCase& to) {
  ASSAY_TRY(root, hdf5::Group::open(noise, kMaxBytes));
  ASSAY_TRY(arithmetics, root.text("arithmetics"));
  ASSAY_TRY(routed, root.text("router"));
  if (!root.has("cases/" + to.name)) return {};
  ASSAY_TRY(group, root.group("cases/" + to.name));

  const std::vector<std::string> names = words(arithmetics);
  const std::vector<std::int64_t> shape{std::ssize(to.taps), std::ssize(names), 2};
  ASSAY_TRY(taps, magnitudes(group, "taps", shape));
  for (std::size_t i = 0; i < to.taps.size(); ++i)
    for (std::size_t k = 0; k < names.size(); ++k) {
      const float* const at = taps.data() + (i * names.size() + k) * 2;
      if (!std::isnan(at[0]) && !std::isnan(at[1])) to.taps[i].losses.emplace_back(names[k], Noise{at[0], at[1]});
    }

  if (!group.has("router")) return {};
  const std::vector<std::string> columns = words(routed);
  ASSAY_TRY(router, magnitudes(group, "router", {layers, std::ssize(columns)}));
  for (std::size_t k = 0; k < columns.size(); ++k) {
    std::vector<double> of_layers;
    for (std::size_t layer = 0; layer < std::size_t(layers); ++layer)
      of_layers.push_back(router[layer * columns.size() + k]);
    to.router_noise.emplace_back(columns[k], std::move(of_layers));
  }
  return {};
}

}  // namespace assay
