#include "harness/verify/select.h"

#include <algorithm>
#include <limits>

#include <fnmatch.h>

namespace assay {
namespace {

constexpr int kChunks[] = {7, 16};
constexpr int kPastWindow = 3;  // a piece that begins inside the window and ends outside it

bool has(const std::vector<std::string>& names, std::string_view name) {
  return names.empty() || std::find(names.begin(), names.end(), name) != names.end();
}

/// `chunked:5` is asked for by name; `chunked` is not a size.
std::vector<int> sizes_asked_for(const Selection& selection) {
  std::vector<int> sizes;
  for (const std::string& name : selection.paths)
    if (const auto path = Path::parse(name); path && path->kind == Path::chunked && path->chunk > 0)
      sizes.push_back(path->chunk);
  return sizes;
}

bool has_path(const Selection& selection, Path path) {
  return has(selection.paths, path.name()) ||
         (path.kind == Path::chunked && has(selection.paths, Path{Path::chunked, 0}.name()));
}

void add_once(std::vector<Path>& paths, Path path) {
  if (std::find(paths.begin(), paths.end(), path) == paths.end()) paths.push_back(path);
}

}  // namespace

bool filter_matches(std::string_view filter, std::string_view subject) {
  if (filter.find_first_of("*?[") == std::string_view::npos) return subject.find(filter) != std::string_view::npos;
  return ::fnmatch(std::string(filter).c_str(), std::string(subject).c_str(), 0) == 0;
}

bool Selection::has_engine(std::string_view name) const { return has(engines, name); }
bool Selection::has_golden(std::string_view name) const { return has(goldens, name); }

Result<void> Selection::check_paths() const {
  for (const std::string& name : paths)
    if (const auto path = Path::parse(name); !path) return fail(path.error());
  return {};
}

std::string subject_of(std::string_view golden, std::string_view case_name, std::string_view path,
                       std::string_view tap) {
  std::string out(golden);
  for (const std::string_view part : {case_name, path, tap}) out.append("/").append(part);
  return out;
}

std::vector<int> chunk_sizes(const Plan& plan, int tokens) {
  std::vector<int> sizes(std::begin(kChunks), std::end(kChunks));
  int window = std::numeric_limits<int>::max();
  for (const LayerPlan& layer : plan.layers)
    if (layer.window > 0) window = std::min(window, layer.window);
  if (window < tokens) sizes.push_back(window + kPastWindow);
  std::sort(sizes.begin(), sizes.end());
  sizes.erase(std::unique(sizes.begin(), sizes.end()), sizes.end());
  std::erase_if(sizes, [&](int size) { return size >= tokens; });
  if (sizes.empty() && tokens > 1) sizes.push_back((tokens + 1) / 2);
  return sizes;
}

std::vector<Path> paths_of(const Plan& plan, const GoldenCase& golden, const CaseInputs& inputs,
                           const Selection& selection) {
  std::vector<Path> paths;
  const auto add = [&](Path path) {
    if (has_path(selection, path)) add_once(paths, path);
  };
  for (const Path::Kind kind :
       {Path::prefill, Path::nocache, Path::chunked, Path::decode, Path::batched, Path::draft, Path::speculative}) {
    const std::string name = Path{kind, 0}.name();
    if (std::find(golden.paths.begin(), golden.paths.end(), name) == golden.paths.end()) continue;
    const bool drafted = kind == Path::draft || kind == Path::speculative;  // of any number of rows
    if (!drafted && (kind == Path::batched) != (inputs.batch > 1)) continue;
    if (kind != Path::chunked) {
      add({kind, 0});
    } else {
      for (const int size : chunk_sizes(plan, inputs.tokens)) add({kind, size});
      for (const int size : sizes_asked_for(selection)) add({kind, size});
    }
  }
  return paths;
}

}  // namespace assay
