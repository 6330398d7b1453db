// HDF5's C API as values: files opened read-only, attributes and datasets read with every length checked before memory
// is taken, and a plain writer. hdf5.cc is the only file that includes <hdf5.h>. Not here: what a golden holds
// (store.h), keeping malformed files away from the library (child.h).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "model/tensor.h"

namespace assay::hdf5 {

/// The library need not be thread-safe: whoever has a file open holds this. A fork waits for it, so that no child
/// inherits the library at work, and leaves the child a free one.
std::unique_lock<std::recursive_mutex> lock();

/// Closes an identifier of the library when the last copy goes.
using Handle = std::shared_ptr<const std::int64_t>;

/// An open file: its name for messages, and how many bytes may still be read from it.
struct File {
  std::unique_lock<std::recursive_mutex> guard;
  std::string name;
  std::int64_t bytes_left = 0;
  Handle id;
};

/// A group or a dataset: something with attributes. Errors name the file and `<path>@<attribute>`.
class Object {
 public:
  const std::string& path() const { return path_; }
  bool has_attribute(std::string_view name) const;
  Result<std::string> text(std::string_view attribute) const;
  Result<double> number(std::string_view attribute) const;
  Result<std::int64_t> integer(std::string_view attribute) const;
  /// Errors: bad_input too when the value lies outside [low, high].
  Result<std::int64_t> integer(std::string_view attribute, std::int64_t low, std::int64_t high) const;
  Result<std::vector<std::int64_t>> integers(std::string_view attribute) const;

  /// A failure about this object, or about the attribute or member `part` of it (written with its leading `@` or `/`).
  tl::unexpected<Failure> wrong(std::string_view part, std::string expected, std::string found) const;

 protected:
  Object(std::shared_ptr<File> file, Handle id, std::string path)
      : file_(std::move(file)), id_(std::move(id)), path_(std::move(path)) {}
  Result<Handle> attribute(std::string_view name) const;

  std::shared_ptr<File> file_;
  Handle id_;
  std::string path_;
};

/// Numbers of one type in a box of known extents.
class Dataset : public Object {
 public:
  enum class Kind { integer, floating };
  using Object::integers;  // of an attribute
  Kind kind() const { return kind_; }
  const std::vector<std::int64_t>& shape() const { return shape_; }
  std::int64_t elements() const;
  /// Any integer or boolean type, widened. Errors: bad_input (another type, too large, damaged).
  Result<std::vector<std::int64_t>> integers() const;
  /// Any floating-point type, rounded to float where wider.
  Result<std::vector<float>> floats() const;

 private:
  friend class Group;
  using Object::Object;
  Result<void> spend(std::int64_t element_size) const;

  Kind kind_ = Kind::floating;
  std::vector<std::int64_t> shape_;
};

class Group : public Object {
 public:
  /// The root of a file opened for reading; at most `bytes` are read from it in all.
  static Result<Group> open(const std::filesystem::path& file, std::int64_t bytes);
  /// Members' names, sorted.
  Result<std::vector<std::string>> names() const;
  /// The same without groups.
  Result<std::vector<std::string>> dataset_names() const;
  bool has(std::string_view name) const;
  /// A member, or one below it (`cases/a/taps`). Links out of the file are refused.
  Result<Group> group(std::string_view name) const;
  Result<Dataset> dataset(std::string_view name) const;

 private:
  using Object::Object;
  Result<void> inside_file(std::string_view name) const;
};

using Value = std::variant<std::int64_t, double, std::string, std::vector<std::int64_t>>;

/// A new file. Groups on the way to a name are made; nothing records a time, so equal contents are equal bytes.
class Writer {
 public:
  static Result<Writer> create(const std::filesystem::path& file);
  Result<void> group(const std::string& path);
  /// float32, int64, or what widens to them.
  Result<void> dataset(const std::string& path, const Tensor& tensor);
  /// Of an object that exists.
  Result<void> attribute(const std::string& object, const std::string& name, const Value& value);
  /// Flushes and closes. Errors: io.
  Result<void> close();

 private:
  std::shared_ptr<File> file_;
};

}  // namespace assay::hdf5
