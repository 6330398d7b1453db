#include "golden/hdf5.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <system_error>

#include <hdf5.h>
#include <pthread.h>

namespace assay::hdf5 {
namespace {

static_assert(std::is_same_v<hid_t, std::int64_t>);

constexpr int kMaxRank = 8;                     // transformers' largest input has 5
constexpr std::size_t kMaxMembers = 1U << 16U;  // of one group
constexpr std::size_t kMaxText = 1U << 16U;     // bytes of a string attribute
constexpr hssize_t kMaxAttribute = 1 << 20;     // elements of an array attribute

/// Takes an identifier; null when the library refused to give one.
template <class Close>
Handle handle(hid_t id, Close close) {
  if (id < 0) return nullptr;
  return {new std::int64_t(id), [close](const std::int64_t* held) {
            close(*held);
            delete held;
          }};
}

void be_quiet() { H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr); }  // of this thread, where the library has threads

/// What the library said last, its innermost message: usually the precise one.
std::string last_error() {
  std::string text;
  H5Ewalk2(
      H5E_DEFAULT, H5E_WALK_DOWNWARD,
      [](unsigned, const H5E_error2_t* error, void* out) -> herr_t {
        if (error->desc != nullptr) *static_cast<std::string*>(out) = error->desc;
        return 0;
      },
      &text);
  H5Eclear2(H5E_DEFAULT);
  for (char& c : text)
    if (std::iscntrl(static_cast<unsigned char>(c)) != 0) c = ' ';
  return text.empty() ? "damage" : "damage (" + text + ")";
}

std::string_view class_name(H5T_class_t type) {
  switch (type) {
    case H5T_INTEGER: return "integers";
    case H5T_FLOAT: return "floating-point numbers";
    case H5T_STRING: return "strings";
    case H5T_ENUM: return "an enumeration";
    case H5T_COMPOUND: return "compounds";
    default: return "another type";
  }
}

bool is_integer(H5T_class_t type) {
  return type == H5T_INTEGER || type == H5T_ENUM;
}  // h5py stores booleans as an enum

Handle type_of_attribute(const Handle& attribute) { return handle(H5Aget_type(*attribute), H5Tclose); }

/// Elements of an attribute; -1 when it has no extent.
hssize_t count_of_attribute(const Handle& attribute) {
  const Handle space = handle(H5Aget_space(*attribute), H5Sclose);
  if (space == nullptr || H5Sget_simple_extent_type(*space) == H5S_NULL) return -1;
  return H5Sget_simple_extent_npoints(*space);
}

std::string joined(const std::string& path, std::string_view name) {
  return path + (path.ends_with('/') ? "" : "/") + std::string(name);
}

}  // namespace

std::unique_lock<std::recursive_mutex> lock() {
  // The child takes a new one: a mutex belongs to a thread by its number, which the child's thread has not.
  static std::recursive_mutex* mutex = nullptr;
  static const bool registered = [] {
    mutex = new std::recursive_mutex;
    return pthread_atfork([] { mutex->lock(); }, [] { mutex->unlock(); }, [] { mutex = new std::recursive_mutex; }) ==
           0;
  }();
  static_cast<void>(registered);
  return std::unique_lock(*mutex);
}

tl::unexpected<Failure> Object::wrong(std::string_view part, std::string expected, std::string found) const {
  const std::string path = part.starts_with('/') && path_ == "/" ? "" : path_;
  return fail({Failure::bad_input, file_->name, path + std::string(part), std::move(expected), std::move(found)});
}

bool Object::has_attribute(std::string_view name) const { return H5Aexists(*id_, std::string(name).c_str()) > 0; }

Result<Handle> Object::attribute(std::string_view name) const {
  if (!has_attribute(name)) return wrong("@" + std::string(name), "an attribute", "none");
  Handle found = handle(H5Aopen(*id_, std::string(name).c_str(), H5P_DEFAULT), H5Aclose);
  if (found == nullptr) return wrong("@" + std::string(name), "a readable attribute", last_error());
  return found;
}

Result<std::string> Object::text(std::string_view name) const {
  ASSAY_TRY(found, attribute(name));
  const std::string part = "@" + std::string(name);
  const Handle type = type_of_attribute(found);
  if (type == nullptr) return wrong(part, "a string", last_error());
  if (H5Tget_class(*type) != H5T_STRING) return wrong(part, "a string", std::string(class_name(H5Tget_class(*type))));
  if (count_of_attribute(found) != 1) return wrong(part, "one string", "another number");
  if (H5Tis_variable_str(*type) > 0) {
    char* bytes = nullptr;
    if (H5Aread(*found, *type, static_cast<void*>(&bytes)) < 0) return wrong(part, "a string", last_error());
    if (bytes == nullptr) return std::string();
    const std::size_t length = strnlen(bytes, kMaxText + 1);
    std::string text(bytes, std::min(length, kMaxText));
    H5free_memory(bytes);
    if (length > kMaxText) return wrong(part, "at most " + std::to_string(kMaxText) + " bytes", "more");
    return text;
  }
  const std::size_t size = H5Tget_size(*type);
  if (size == 0 || size > kMaxText)
    return wrong(part, "1 to " + std::to_string(kMaxText) + " bytes", std::to_string(size));
  std::string text(size, '\0');
  if (H5Aread(*found, *type, text.data()) < 0) return wrong(part, "a string", last_error());
  text.resize(strnlen(text.data(), size));
  return text;
}

Result<double> Object::number(std::string_view name) const {
  ASSAY_TRY(found, attribute(name));
  const std::string part = "@" + std::string(name);
  const Handle type = type_of_attribute(found);
  const H5T_class_t kind = type == nullptr ? H5T_NO_CLASS : H5Tget_class(*type);
  if (kind != H5T_FLOAT && !is_integer(kind)) return wrong(part, "a number", std::string(class_name(kind)));
  if (count_of_attribute(found) != 1) return wrong(part, "one number", "another number of them");
  if (is_integer(kind)) {
    ASSAY_TRY(value, integer(name));
    return double(value);
  }
  double value = 0;
  if (H5Aread(*found, H5T_NATIVE_DOUBLE, &value) < 0) return wrong(part, "a number", last_error());
  return value;
}

Result<std::int64_t> Object::integer(std::string_view name) const {
  ASSAY_TRY(values, integers(name));
  if (values.size() != 1) return wrong("@" + std::string(name), "one integer", std::to_string(values.size()));
  return values.front();
}

Result<std::int64_t> Object::integer(std::string_view name, std::int64_t low, std::int64_t high) const {
  ASSAY_TRY(value, integer(name));
  if (value < low || value > high)
    return wrong("@" + std::string(name), std::to_string(low) + " to " + std::to_string(high), std::to_string(value));
  return value;
}

Result<std::vector<std::int64_t>> Object::integers(std::string_view name) const {
  ASSAY_TRY(found, attribute(name));
  const std::string part = "@" + std::string(name);
  const Handle type = type_of_attribute(found);
  const H5T_class_t kind = type == nullptr ? H5T_NO_CLASS : H5Tget_class(*type);
  if (!is_integer(kind)) return wrong(part, "integers", std::string(class_name(kind)));
  const hssize_t count = count_of_attribute(found);
  if (count < 0 || count > kMaxAttribute)
    return wrong(part, "at most " + std::to_string(kMaxAttribute) + " integers", std::to_string(count));
  std::vector<std::int64_t> values(std::size_t(count), 0);
  if (count > 0 && H5Aread(*found, H5T_NATIVE_INT64, values.data()) < 0) return wrong(part, "integers", last_error());
  return values;
}

std::int64_t Dataset::elements() const {
  std::int64_t product = 1;
  for (const std::int64_t extent : shape_) product *= extent;
  return product;
}

Result<void> Dataset::spend(std::int64_t element_size) const {
  const std::int64_t bytes = elements() * element_size;
  if (bytes > file_->bytes_left)
    return wrong("", "at most " + std::to_string(file_->bytes_left) + " bytes more from this file",
                 std::to_string(bytes));
  file_->bytes_left -= bytes;
  return {};
}

Result<std::vector<std::int64_t>> Dataset::integers() const {
  if (kind_ != Kind::integer) return wrong("", "integers", "floating-point numbers");
  ASSAY_CHECK(spend(sizeof(std::int64_t)));
  std::vector<std::int64_t> values(std::size_t(elements()), 0);
  if (!values.empty() && H5Dread(*id_, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0)
    return wrong("", "readable values", last_error());
  return values;
}

Result<std::vector<float>> Dataset::floats() const {
  if (kind_ != Kind::floating) return wrong("", "floating-point numbers", "integers");
  ASSAY_CHECK(spend(sizeof(float)));
  std::vector<float> values(std::size_t(elements()), 0.0F);
  if (!values.empty() && H5Dread(*id_, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) < 0)
    return wrong("", "readable values", last_error());
  return values;
}

Result<Group> Group::open(const std::filesystem::path& path, std::int64_t bytes) {
  auto file = std::make_shared<File>();
  file->guard = lock();
  file->name = path.string();
  file->bytes_left = bytes;
  be_quiet();
  std::error_code error;
  if (!std::filesystem::is_regular_file(path, error)) return fail({Failure::io, file->name, "", "a file", "none"});
  if (H5Fis_hdf5(path.c_str()) <= 0)
    return fail({Failure::bad_input, file->name, "", "an HDF5 file", "another format"});
  file->id = handle(H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT), H5Fclose);
  if (file->id == nullptr) return fail({Failure::bad_input, file->name, "", "a readable HDF5 file", last_error()});
  Handle root = handle(H5Gopen2(*file->id, "/", H5P_DEFAULT), H5Gclose);
  if (root == nullptr) return fail({Failure::bad_input, file->name, "/", "a readable group", last_error()});
  return Group(std::move(file), std::move(root), "/");
}

Result<std::vector<std::string>> Group::names() const {
  std::vector<std::string> found;
  const herr_t walked = H5Literate(
      *id_, H5_INDEX_NAME, H5_ITER_NATIVE, nullptr,
      [](hid_t, const char* name, const H5L_info_t*, void* out) -> herr_t {
        auto& names = *static_cast<std::vector<std::string>*>(out);
        names.emplace_back(name);
        return names.size() > kMaxMembers ? 1 : 0;
      },
      &found);
  if (walked < 0) return wrong("", "a readable group", last_error());
  if (walked > 0) return wrong("", "at most " + std::to_string(kMaxMembers) + " members", "more");
  std::sort(found.begin(), found.end());
  return found;
}

Result<std::vector<std::string>> Group::dataset_names() const {
  ASSAY_TRY(all, names());
  std::vector<std::string> datasets;
  for (const std::string& name : all) {
    ASSAY_CHECK(inside_file(name));
    H5O_info_t about;
    if (H5Oget_info_by_name2(*id_, name.c_str(), &about, H5O_INFO_BASIC, H5P_DEFAULT) < 0)
      return wrong("/" + name, "a readable object", last_error());
    if (about.type == H5O_TYPE_DATASET) datasets.push_back(name);
  }
  return datasets;
}

bool Group::has(std::string_view name) const {
  // H5Lexists wants every link on the way to be there.
  for (std::size_t end = name.find('/');; end = name.find('/', end + 1)) {
    if (H5Lexists(*id_, std::string(name.substr(0, end)).c_str(), H5P_DEFAULT) <= 0) return false;
    if (end == std::string_view::npos) return true;
  }
}

/// Each step of the way is a hard link: a soft link may lead in circles, an external one to any file of the machine.
Result<void> Group::inside_file(std::string_view name) const {
  for (std::size_t end = name.find('/');; end = name.find('/', end + 1)) {
    const std::string step(name.substr(0, end));
    H5L_info_t link;
    if (H5Lexists(*id_, step.c_str(), H5P_DEFAULT) <= 0) return wrong("/" + step, "a member of this name", "none");
    if (H5Lget_info(*id_, step.c_str(), &link, H5P_DEFAULT) < 0)
      return wrong("/" + step, "a readable link", last_error());
    if (link.type != H5L_TYPE_HARD) return wrong("/" + step, "an object of this file", "a soft or external link");
    if (end == std::string_view::npos) return {};
  }
}

Result<Group> Group::group(std::string_view name) const {
  ASSAY_CHECK(inside_file(name));
  Handle id = handle(H5Gopen2(*id_, std::string(name).c_str(), H5P_DEFAULT), H5Gclose);
  if (id == nullptr) return wrong("/" + std::string(name), "a group", last_error());
  return Group(file_, std::move(id), joined(path_, name));
}

Result<Dataset> Group::dataset(std::string_view name) const {
  ASSAY_CHECK(inside_file(name));
  Handle id = handle(H5Dopen2(*id_, std::string(name).c_str(), H5P_DEFAULT), H5Dclose);
  if (id == nullptr) return wrong("/" + std::string(name), "a dataset", last_error());
  Dataset found(file_, std::move(id), joined(path_, name));

  const Handle made = handle(H5Dget_create_plist(*found.id_), H5Pclose);
  if (made == nullptr) return found.wrong("", "a readable dataset", last_error());
  if (H5Pget_layout(*made) == H5D_VIRTUAL || H5Pget_external_count(*made) > 0)
    return found.wrong("", "values in this file", "values in another file");

  const Handle type = handle(H5Dget_type(*found.id_), H5Tclose);
  const H5T_class_t kind = type == nullptr ? H5T_NO_CLASS : H5Tget_class(*type);
  if (kind != H5T_FLOAT && !is_integer(kind)) return found.wrong("", "numbers", std::string(class_name(kind)));
  found.kind_ = kind == H5T_FLOAT ? Dataset::Kind::floating : Dataset::Kind::integer;

  const Handle space = handle(H5Dget_space(*found.id_), H5Sclose);
  const int rank = space == nullptr ? -1 : H5Sget_simple_extent_ndims(*space);
  if (rank < 0 || rank > kMaxRank || H5Sget_simple_extent_type(*space) == H5S_NULL)
    return found.wrong("", "0 to " + std::to_string(kMaxRank) + " dimensions",
                       rank < 0 ? "none" : std::to_string(rank));
  hsize_t extents[kMaxRank] = {};
  if (H5Sget_simple_extent_dims(*space, static_cast<hsize_t*>(extents), nullptr) < 0)
    return found.wrong("", "readable extents", last_error());
  constexpr hsize_t kMost = std::numeric_limits<std::int64_t>::max() / 16;  // elements() * 8 stays in range
  hsize_t product = 1;
  for (int i = 0; i < rank; ++i) {
    if (extents[i] > kMost || (extents[i] > 0 && product > kMost / extents[i]))
      return found.wrong("", "a size that fits memory", "a larger one");
    product *= std::max<hsize_t>(extents[i], 1);
    found.shape_.push_back(std::int64_t(extents[i]));
  }
  return found;
}

Result<Writer> Writer::create(const std::filesystem::path& path) {
  Writer writer;
  writer.file_ = std::make_shared<File>();
  writer.file_->guard = lock();
  writer.file_->name = path.string();
  be_quiet();
  const Handle made = handle(H5Pcreate(H5P_FILE_CREATE), H5Pclose);
  H5Pset_obj_track_times(*made, 0);
  errno = 0;
  writer.file_->id = handle(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, *made, H5P_DEFAULT), H5Fclose);
  if (writer.file_->id == nullptr)
    return fail({Failure::io, path.string(), "", "a writable place", errno != 0 ? std::strerror(errno) : last_error()});
  return writer;
}

Result<void> Writer::group(const std::string& path) {
  const Handle links = handle(H5Pcreate(H5P_LINK_CREATE), H5Pclose);
  H5Pset_create_intermediate_group(*links, 1);
  const Handle made = handle(H5Pcreate(H5P_GROUP_CREATE), H5Pclose);
  H5Pset_obj_track_times(*made, 0);
  const Handle id = handle(H5Gcreate2(*file_->id, path.c_str(), *links, *made, H5P_DEFAULT), H5Gclose);
  if (id == nullptr) return fail({Failure::io, file_->name, path, "a new group", last_error()});
  return {};
}

Result<void> Writer::dataset(const std::string& path, const Tensor& tensor) {
  // What is neither f32 nor i64 is widened first; the copy lives until it is written.
  Tensor widened = tensor;
  const bool floating = tensor.dtype == Dtype::f32 || tensor.dtype == Dtype::f16 || tensor.dtype == Dtype::bf16;
  if (floating && tensor.dtype != Dtype::f32) {
    ASSAY_TRY(values, tensor.floats());
    widened = Tensor::own(tensor.shape, std::move(values));
  } else if (!floating && tensor.dtype != Dtype::i64) {
    ASSAY_TRY(values, tensor.integers());
    widened = Tensor::own(tensor.shape, std::move(values));
  }
  std::vector<hsize_t> extents(tensor.shape.begin(), tensor.shape.end());
  const Handle space =
      handle(extents.empty() ? H5Screate(H5S_SCALAR) : H5Screate_simple(int(extents.size()), extents.data(), nullptr),
             H5Sclose);
  const Handle links = handle(H5Pcreate(H5P_LINK_CREATE), H5Pclose);
  H5Pset_create_intermediate_group(*links, 1);
  const Handle made = handle(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
  H5Pset_obj_track_times(*made, 0);
  if (space == nullptr) return fail({Failure::internal, file_->name, path, "a shape", last_error()});
  const hid_t stored = floating ? H5T_IEEE_F32LE : H5T_STD_I64LE,
              native = floating ? H5T_NATIVE_FLOAT : H5T_NATIVE_INT64;
  const Handle id = handle(H5Dcreate2(*file_->id, path.c_str(), stored, *space, *links, *made, H5P_DEFAULT), H5Dclose);
  if (id == nullptr) return fail({Failure::io, file_->name, path, "a new dataset", last_error()});
  if (!widened.bytes.empty() && H5Dwrite(*id, native, H5S_ALL, H5S_ALL, H5P_DEFAULT, widened.bytes.data()) < 0)
    return fail({Failure::io, file_->name, path, "a written dataset", last_error()});
  return {};
}

Result<void> Writer::attribute(const std::string& object, const std::string& name, const Value& value) {
  const auto refused = [&] {
    return fail({Failure::io, file_->name, object + "@" + name, "a new attribute", last_error()});
  };
  const Handle id = handle(H5Oopen(*file_->id, object.c_str(), H5P_DEFAULT), H5Oclose);
  if (id == nullptr) return refused();
  Handle type, space = handle(H5Screate(H5S_SCALAR), H5Sclose);
  const void* bytes = nullptr;
  const char* text = nullptr;
  if (const auto* integer = std::get_if<std::int64_t>(&value)) {
    type = handle(H5Tcopy(H5T_NATIVE_INT64), H5Tclose);
    bytes = integer;
  } else if (const auto* number = std::get_if<double>(&value)) {
    type = handle(H5Tcopy(H5T_NATIVE_DOUBLE), H5Tclose);
    bytes = number;
  } else if (const auto* string = std::get_if<std::string>(&value)) {
    type = handle(H5Tcopy(H5T_C_S1), H5Tclose);
    H5Tset_size(*type, H5T_VARIABLE);
    H5Tset_cset(*type, H5T_CSET_UTF8);
    text = string->c_str();
    bytes = static_cast<const void*>(&text);
  } else {
    const auto& list = std::get<std::vector<std::int64_t>>(value);
    const hsize_t count = list.size();
    type = handle(H5Tcopy(H5T_NATIVE_INT64), H5Tclose);
    space = handle(H5Screate_simple(1, &count, nullptr), H5Sclose);
    bytes = list.data();
  }
  const Handle made = handle(H5Acreate2(*id, name.c_str(), *type, *space, H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  if (made == nullptr || (bytes != nullptr && H5Awrite(*made, *type, bytes) < 0)) return refused();
  return {};
}

Result<void> Writer::close() {
  const bool flushed = H5Fflush(*file_->id, H5F_SCOPE_GLOBAL) >= 0;
  const std::string name = file_->name;
  file_->id = nullptr;
  file_->guard.unlock();
  if (!flushed) return fail({Failure::io, name, "", "room for the file", "a failed write"});
  return {};
}

}  // namespace assay::hdf5
