#include "golden/odd_hdf5.h"

#include <array>
#include <cstdint>
#include <numeric>
#include <stdexcept>
#include <vector>

#include <hdf5.h>

namespace assay {
namespace {

hid_t ok(hid_t id) {
  if (id < 0) throw std::runtime_error("HDF5 refused");
  return id;
}

struct File {
  hid_t file, group;
  explicit File(const std::filesystem::path& path)
      : file(ok(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT))),
        group(ok(H5Gcreate2(file, "odd", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT))) {}
  ~File() {
    H5Gclose(group);
    H5Fclose(file);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
};

/// Written through the library's conversion from `memory` to `stored`.
void dataset(hid_t group, const char* name, const std::vector<hsize_t>& shape, hid_t stored, hid_t memory,
             const void* values, hid_t made = H5P_DEFAULT) {
  const hid_t space =
      ok(shape.empty() ? H5Screate(H5S_SCALAR) : H5Screate_simple(int(shape.size()), shape.data(), nullptr));
  const hid_t id = ok(H5Dcreate2(group, name, stored, space, H5P_DEFAULT, made, H5P_DEFAULT));
  if (values != nullptr) ok(H5Dwrite(id, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, values));
  H5Dclose(id);
  H5Sclose(space);
}

void attribute(hid_t object, const char* name, hid_t type, const void* value, hsize_t count = 0) {
  const hid_t space = ok(count == 0 ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &count, nullptr));
  const hid_t id = ok(H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT));
  ok(H5Awrite(id, type, value));
  H5Aclose(id);
  H5Sclose(space);
}

hid_t boolean() {  // as h5py has it
  const hid_t type = ok(H5Tenum_create(H5T_NATIVE_INT8));
  for (const std::int8_t value : {std::int8_t{0}, std::int8_t{1}})
    ok(H5Tenum_insert(type, value != 0 ? "TRUE" : "FALSE", &value));
  return type;
}

hid_t half() {
  const hid_t type = ok(H5Tcopy(H5T_IEEE_F32LE));
  ok(H5Tset_fields(type, 15, 10, 5, 0, 10));
  ok(H5Tset_size(type, 2));
  ok(H5Tset_ebias(type, 15));
  return type;
}

hid_t text(std::size_t size, H5T_str_t padding) {
  const hid_t type = ok(H5Tcopy(H5T_C_S1));
  ok(H5Tset_size(type, size));
  ok(H5Tset_strpad(type, padding));
  return type;
}

}  // namespace

void write_odd_types(const std::filesystem::path& path) {
  const File file(path);
  const std::array<int, 6> small = {0, 1, 2, 3, 4, 5};
  const hid_t float16 = half(), truth = boolean();
  dataset(file.group, "int8", {2, 3}, H5T_STD_I8LE, H5T_NATIVE_INT, small.data());
  dataset(file.group, "uint16", {2, 3}, H5T_STD_U16BE, H5T_NATIVE_INT, small.data());
  dataset(file.group, "int32", {2, 3}, H5T_STD_I32LE, H5T_NATIVE_INT, small.data());
  dataset(file.group, "float64", {2, 3}, H5T_IEEE_F64LE, H5T_NATIVE_INT, small.data());
  dataset(file.group, "float16", {2, 3}, float16, H5T_NATIVE_INT, small.data());
  const std::array<std::int8_t, 3> flags = {1, 0, 1};
  dataset(file.group, "boolean", {3}, truth, truth, flags.data());
  const std::int64_t seven = 7;
  dataset(file.group, "scalar", {}, H5T_STD_I64LE, H5T_NATIVE_INT64, &seven);
  dataset(file.group, "empty", {0, 3}, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, nullptr);
  std::vector<float> many(512);
  std::iota(many.begin(), many.end(), 0.0F);
  const hid_t packed = ok(H5Pcreate(H5P_DATASET_CREATE));
  const std::array<hsize_t, 2> chunk = {16, 8};
  ok(H5Pset_chunk(packed, 2, chunk.data()));
  ok(H5Pset_shuffle(packed));
  ok(H5Pset_deflate(packed, 9));
  dataset(file.group, "packed", {64, 8}, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, many.data(), packed);
  H5Gclose(ok(H5Gcreate2(file.group, "below", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT)));

  const hid_t fixed = text(5, H5T_STR_NULLTERM), padded = text(8, H5T_STR_NULLPAD),
              variable = text(H5T_VARIABLE, H5T_STR_NULLTERM);
  attribute(file.group, "fixed", fixed, "four");
  attribute(file.group, "padded", padded, "five!\0\0\0");
  const char* words = "as long as it likes";
  attribute(file.group, "variable", variable, &words);
  const std::array<std::int64_t, 3> three = {1, 2, 3};
  attribute(file.group, "vector", H5T_NATIVE_INT64, three.data(), 3);
  const double real = 0.5;
  attribute(file.group, "real", H5T_NATIVE_DOUBLE, &real);
  attribute(file.group, "flag", truth, flags.data());
  for (const hid_t type : {fixed, padded, variable, float16, truth}) H5Tclose(type);
  H5Pclose(packed);
}

void write_odd_dataset(const std::filesystem::path& path, Odd odd, const std::filesystem::path& other) {
  const File file(path);
  const hid_t made = ok(H5Pcreate(H5P_DATASET_CREATE));
  switch (odd) {
    case Odd::compound: {
      const hid_t type = ok(H5Tcreate(H5T_COMPOUND, 8));
      ok(H5Tinsert(type, "a", 0, H5T_NATIVE_FLOAT));
      ok(H5Tinsert(type, "b", 4, H5T_NATIVE_FLOAT));
      dataset(file.group, "value", {2}, type, type, nullptr);
      H5Tclose(type);
      break;
    }
    case Odd::soft_link: ok(H5Lcreate_soft("/odd/value", file.group, "value", H5P_DEFAULT, H5P_DEFAULT)); break;
    case Odd::external_link:
      ok(H5Lcreate_external(other.c_str(), "/odd/scalar", file.group, "value", H5P_DEFAULT, H5P_DEFAULT));
      break;
    case Odd::external_data:
      ok(H5Pset_external(made, other.c_str(), 0, 8));
      dataset(file.group, "value", {2}, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, nullptr, made);
      break;
    case Odd::text: {
      const hid_t type = text(4, H5T_STR_NULLPAD);
      dataset(file.group, "value", {}, type, type, "four");
      H5Tclose(type);
      break;
    }
    case Odd::null: {
      const hid_t space = ok(H5Screate(H5S_NULL));
      H5Dclose(ok(H5Dcreate2(file.group, "value", H5T_IEEE_F32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT)));
      H5Sclose(space);
      break;
    }
    case Odd::huge: {
      const std::array<hsize_t, 2> chunk = {1, 1024};
      ok(H5Pset_chunk(made, 2, chunk.data()));  // never written: a few bytes in the file
      dataset(file.group, "value", {1U << 30U, 1U << 30U}, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, nullptr, made);
      break;
    }
  }
  H5Pclose(made);
}

}  // namespace assay
