#include "model/gguf/gguf.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "model/mapped_file.h"

namespace assay {
namespace {

static_assert(std::endian::native == std::endian::little, "the files read here hold little-endian numbers");

constexpr std::uint32_t kMagic = 0x46554747;  // "GGUF"
constexpr std::uint64_t kDefaultAlignment = 32, kLargestAlignment = 1U << 20U;
constexpr std::uint64_t kHeader = 24;         // magic, version, two counts
constexpr std::uint64_t kLeastEntry = 13;     // a key's length, a type, a one-byte value
constexpr std::uint64_t kLeastTensor = 24;    // a name's length, dimensions, type, offset
constexpr std::uint32_t kMostDimensions = 4;  // GGML_MAX_DIMS
constexpr std::uint64_t kLongestName = 65'535;
constexpr int kDeepestArray = 4;
constexpr std::string_view kAlignmentKey = "general.alignment";

struct TypeRow {
  std::string_view name;
  std::uint32_t bytes;  ///< of one value; 0 where it says its length itself
};
constexpr std::array<TypeRow, 13> kTypes = {{{"u8", 1},
                                             {"i8", 1},
                                             {"u16", 2},
                                             {"i16", 2},
                                             {"u32", 4},
                                             {"i32", 4},
                                             {"f32", 4},
                                             {"bool", 1},
                                             {"string", 0},
                                             {"array", 0},
                                             {"u64", 8},
                                             {"i64", 8},
                                             {"f64", 8}}};
const TypeRow& row_of(GgufType type) { return kTypes[std::size_t(type)]; }

/// GGML_QUANT_SIZES of constants.py: how each type packs elements, and the dtype where there is one here.
struct TensorType {
  std::uint32_t id;
  std::string_view name;
  std::int64_t elements, bytes;
  std::optional<Dtype> dtype = {};
};
constexpr std::array<TensorType, 34> kTensorTypes = {{{0, "F32", 1, 4, Dtype::f32},
                                                      {1, "F16", 1, 2, Dtype::f16},
                                                      {2, "Q4_0", 32, 18, Dtype::q4_0},
                                                      {3, "Q4_1", 32, 20},
                                                      {6, "Q5_0", 32, 22},
                                                      {7, "Q5_1", 32, 24},
                                                      {8, "Q8_0", 32, 34, Dtype::q8_0},
                                                      {9, "Q8_1", 32, 40},
                                                      {10, "Q2_K", 256, 84},
                                                      {11, "Q3_K", 256, 110},
                                                      {12, "Q4_K", 256, 144},
                                                      {13, "Q5_K", 256, 176},
                                                      {14, "Q6_K", 256, 210, Dtype::q6_k},
                                                      {15, "Q8_K", 256, 292},
                                                      {16, "IQ2_XXS", 256, 66},
                                                      {17, "IQ2_XS", 256, 74},
                                                      {18, "IQ3_XXS", 256, 98},
                                                      {19, "IQ1_S", 256, 50},
                                                      {20, "IQ4_NL", 32, 18},
                                                      {21, "IQ3_S", 256, 110},
                                                      {22, "IQ2_S", 256, 82},
                                                      {23, "IQ4_XS", 256, 136},
                                                      {24, "I8", 1, 1, Dtype::i8},
                                                      {25, "I16", 1, 2, Dtype::i16},
                                                      {26, "I32", 1, 4, Dtype::i32},
                                                      {27, "I64", 1, 8, Dtype::i64},
                                                      {28, "F64", 1, 8, Dtype::f64},
                                                      {29, "IQ1_M", 256, 56},
                                                      {30, "BF16", 1, 2, Dtype::bf16},
                                                      {34, "TQ1_0", 256, 54},
                                                      {35, "TQ2_0", 256, 66},
                                                      {39, "MXFP4", 32, 17},
                                                      {40, "NVFP4", 64, 36},
                                                      {41, "Q1_0", 128, 18}}};

/// For messages: an outsider's text may be long, and unfit for a terminal.
std::string brief(std::string_view text) {
  std::string shown(text.substr(0, 80));
  for (char& c : shown)
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) c = '?';
  if (text.size() > 80) shown += "...";
  return shown;
}

template <class T>
T load(std::span<const std::byte> bytes, std::size_t i = 0) {
  T value;
  std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
  return value;
}

/// A place in the file that only moves forward, and never past the end.
class Cursor {
 public:
  Cursor(std::span<const std::byte> bytes, const std::string& where) : bytes_(bytes), where_(where) {}

  std::uint64_t at() const { return at_; }
  std::uint64_t left() const { return bytes_.size() - at_; }

  Result<std::span<const std::byte>> take(std::uint64_t count, std::string_view field) {
    if (count > left())
      return bad(field, std::to_string(count) + " more bytes", std::to_string(left()) + " before the end");
    const auto taken = bytes_.subspan(at_, count);
    at_ += count;
    return taken;
  }
  template <class T>
  Result<T> number(std::string_view field) {
    ASSAY_TRY(taken, take(sizeof(T), field));
    return load<T>(taken);
  }
  /// A length, then as many bytes.
  Result<std::string_view> string(std::string_view field, std::uint64_t longest = UINT64_MAX) {
    ASSAY_TRY(length, number<std::uint64_t>(field));
    if (length > longest) return bad(field, "at most " + std::to_string(longest) + " bytes", std::to_string(length));
    ASSAY_TRY(taken, take(length, field));
    return std::string_view(reinterpret_cast<const char*>(taken.data()), taken.size());
  }
  tl::unexpected<Failure> bad(std::string_view field, std::string expected, std::string found) const {
    return fail({Failure::bad_input, where_, brief(field), std::move(expected), std::move(found)});
  }

 private:
  std::span<const std::byte> bytes_;
  std::uint64_t at_ = 0;
  const std::string& where_;
};

Result<GgufType> read_type(Cursor& cursor, std::string_view key) {
  ASSAY_TRY(type, cursor.number<std::uint32_t>(key));
  if (type >= kTypes.size())
    return cursor.bad(key, "a type of 0 to " + std::to_string(kTypes.size() - 1), std::to_string(type));
  return GgufType(type);
}

/// Steps over `count` values, checking each that says its own length.
Result<void> skip_values(Cursor& cursor, std::string_view key, GgufType type, std::uint64_t count, int depth);

Result<GgufValue> read_array(Cursor& cursor, std::string_view key, int depth) {
  if (depth > kDeepestArray)
    return cursor.bad(key, "arrays at most " + std::to_string(kDeepestArray) + " deep", "deeper ones");
  GgufValue value{.type = GgufType::array, .bytes = {}};
  ASSAY_TRY(element, read_type(cursor, key));
  value.element = element;
  ASSAY_TRY(count, cursor.number<std::uint64_t>(key));
  value.count = count;
  Cursor start = cursor;
  ASSAY_CHECK(skip_values(cursor, key, element, count, depth));
  ASSAY_TRY(bytes, start.take(cursor.at() - start.at(), key));
  value.bytes = bytes;
  return value;
}

Result<void> skip_values(Cursor& cursor, std::string_view key, GgufType type, std::uint64_t count, int depth) {
  if (const std::uint64_t size = row_of(type).bytes; size > 0) {
    if (count > cursor.left() / size)
      return cursor.bad(key, "at most " + std::to_string(cursor.left() / size) + " elements before the end",
                        std::to_string(count));
    ASSAY_TRY(taken, cursor.take(count * size, key));
    if (type == GgufType::boolean)
      for (const std::byte flag : taken)
        if (flag > std::byte{1}) return cursor.bad(key, "booleans of 0 or 1", std::to_string(int(flag)));
    return {};
  }
  for (std::uint64_t i = 0; i < count; ++i)  // each takes bytes of the file, so a lying count ends at its end
    if (type == GgufType::string) {
      ASSAY_CHECK(cursor.string(key));
    } else {
      ASSAY_CHECK(read_array(cursor, key, depth + 1));
    }
  return {};
}

Result<GgufValue> read_value(Cursor& cursor, std::string_view key) {
  ASSAY_TRY(type, read_type(cursor, key));
  if (type == GgufType::array) return read_array(cursor, key, 1);
  GgufValue value{.type = type, .bytes = {}};
  if (type == GgufType::string) {
    ASSAY_TRY(text, cursor.string(key));
    value.bytes = std::as_bytes(std::span(text));
    return value;
  }
  Cursor start = cursor;
  ASSAY_CHECK(skip_values(cursor, key, type, 1, 0));
  ASSAY_TRY(bytes, start.take(cursor.at() - start.at(), key));
  value.bytes = bytes;
  return value;
}

/// What the header says of a tensor.
struct Entry {
  std::string_view name;
  std::vector<std::int64_t> shape;  ///< outermost first
  std::uint32_t type = 0;
  std::uint64_t offset = 0;  ///< in the data part
};

Result<Entry> read_entry(Cursor& cursor) {
  Entry entry;
  ASSAY_TRY(name, cursor.string("a tensor's name", kLongestName));
  entry.name = name;
  ASSAY_TRY(dimensions, cursor.number<std::uint32_t>(name));
  if (dimensions > kMostDimensions)
    return cursor.bad(name, "at most " + std::to_string(kMostDimensions) + " dimensions", std::to_string(dimensions));
  for (std::uint32_t i = 0; i < dimensions; ++i) {
    ASSAY_TRY(extent, cursor.number<std::uint64_t>(name));
    if (extent > std::uint64_t(INT64_MAX)) return cursor.bad(name, "extents below 2^63", std::to_string(extent));
    entry.shape.insert(entry.shape.begin(), std::int64_t(extent));
  }
  ASSAY_TRY(type, cursor.number<std::uint32_t>(name));
  entry.type = type;
  ASSAY_TRY(offset, cursor.number<std::uint64_t>(name));
  entry.offset = offset;
  return entry;
}

const TensorType* type_of(std::uint32_t id) {
  for (const TensorType& type : kTensorTypes)
    if (type.id == id) return &type;
  return nullptr;
}

/// Bytes of a tensor; 0 where the type is not known. Errors: bad_input (rows that are no whole blocks, a size of 2^63
/// or more).
Result<std::uint64_t> size_of_tensor(const Cursor& cursor, const Entry& entry, const TensorType* type) {
  std::int64_t elements = 1, bytes = 0;
  for (const std::int64_t extent : entry.shape)
    if (__builtin_mul_overflow(elements, extent, &elements))
      return cursor.bad(entry.name, "fewer than 2^63 elements", shape_text(entry.shape));
  if (type == nullptr) return 0;
  const std::int64_t row = entry.shape.empty() ? 1 : entry.shape.back();
  if (row % type->elements != 0)
    return cursor.bad(entry.name, std::string(type->name) + " rows of a multiple of " + std::to_string(type->elements),
                      std::to_string(row));
  if (__builtin_mul_overflow(elements / type->elements, type->bytes, &bytes))
    return cursor.bad(entry.name, "fewer than 2^63 bytes", shape_text(entry.shape));
  return std::uint64_t(bytes);
}

/// Where one tensor lies in the data part.
struct Extent {
  std::uint64_t begin, end;
  std::string_view name;
};

Result<void> check_apart(const Cursor& cursor, std::vector<Extent> extents) {
  std::sort(extents.begin(), extents.end(),
            [](const Extent& a, const Extent& b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
  for (std::size_t i = 1; i < extents.size(); ++i)
    if (extents[i].begin < extents[i - 1].end)
      return cursor.bad(extents[i].name,
                        "an offset of at least " + std::to_string(extents[i - 1].end) + ", where " +
                            brief(extents[i - 1].name) + " ends",
                        std::to_string(extents[i].begin));
  return {};
}

template <class T>
std::int64_t widened(std::span<const std::byte> bytes, std::size_t i) {
  return std::int64_t(load<T>(bytes, i));
}

/// Element i of integers or booleans; none for another type, and for a number of 2^63 or more.
std::optional<std::int64_t> integer_at(GgufType type, std::span<const std::byte> bytes, std::size_t i) {
  switch (type) {
    case GgufType::u8:
    case GgufType::boolean: return widened<std::uint8_t>(bytes, i);
    case GgufType::i8: return widened<std::int8_t>(bytes, i);
    case GgufType::u16: return widened<std::uint16_t>(bytes, i);
    case GgufType::i16: return widened<std::int16_t>(bytes, i);
    case GgufType::u32: return widened<std::uint32_t>(bytes, i);
    case GgufType::i32: return widened<std::int32_t>(bytes, i);
    case GgufType::i64: return widened<std::int64_t>(bytes, i);
    case GgufType::u64:
      if (load<std::uint64_t>(bytes, i) > std::uint64_t(INT64_MAX)) return std::nullopt;
      return widened<std::uint64_t>(bytes, i);
    default: return std::nullopt;
  }
}

std::optional<double> real_at(GgufType type, std::span<const std::byte> bytes, std::size_t i) {
  if (type == GgufType::f32) return load<float>(bytes, i);
  if (type == GgufType::f64) return load<double>(bytes, i);
  return std::nullopt;
}

}  // namespace

std::string GgufValue::what() const {
  if (type != GgufType::array) return std::string(row_of(type).name);
  return "array of " + std::to_string(count) + " " + std::string(row_of(element).name);
}

std::optional<std::int64_t> GgufValue::integer() const {
  return type == GgufType::boolean ? std::nullopt : integer_at(type, bytes, 0);
}
std::optional<double> GgufValue::real() const { return real_at(type, bytes, 0); }
std::optional<bool> GgufValue::flag() const {
  if (type != GgufType::boolean) return std::nullopt;
  return bytes[0] != std::byte{0};
}
std::optional<std::string_view> GgufValue::text() const {
  if (type != GgufType::string) return std::nullopt;
  return std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

std::optional<std::vector<std::int64_t>> GgufValue::integers() const {
  if (type != GgufType::array || row_of(element).bytes == 0) return std::nullopt;
  std::vector<std::int64_t> values;
  values.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto value = integer_at(element, bytes, i);
    if (!value) return std::nullopt;
    values.push_back(*value);
  }
  return values;
}

std::optional<std::vector<double>> GgufValue::reals() const {
  if (type != GgufType::array || row_of(element).bytes == 0) return std::nullopt;
  std::vector<double> values;
  values.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto value = real_at(element, bytes, i);
    if (!value) return std::nullopt;
    values.push_back(*value);
  }
  return values;
}

std::optional<std::vector<std::string_view>> GgufValue::texts() const {
  if (type != GgufType::array || element != GgufType::string) return std::nullopt;
  std::vector<std::string_view> values;
  for (std::size_t at = 0; at < bytes.size();) {  // lengths were checked when the file was read
    const auto length = load<std::uint64_t>(bytes.subspan(at));
    values.emplace_back(reinterpret_cast<const char*>(bytes.data()) + at + sizeof length, length);
    at += sizeof length + length;
  }
  return values;
}

Result<Gguf> Gguf::parse(std::span<const std::byte> bytes, std::string where, std::shared_ptr<const void> keep) {
  Gguf file;
  file.where_ = std::move(where);
  file.keep_ = std::move(keep);
  Cursor cursor(bytes, file.where_);
  if (bytes.size() < kHeader)
    return cursor.bad("", "at least " + std::to_string(kHeader) + " bytes", std::to_string(bytes.size()));
  ASSAY_TRY(magic, cursor.number<std::uint32_t>("magic"));
  if (magic != kMagic) return cursor.bad("magic", "GGUF", "something else");
  ASSAY_TRY(version, cursor.number<std::uint32_t>("version"));
  if (version != 2 && version != 3)
    return fail({Failure::unsupported, file.where_, "version", "2 or 3, little-endian", std::to_string(version)});
  ASSAY_TRY(tensors, cursor.number<std::uint64_t>("tensor count"));
  ASSAY_TRY(entries, cursor.number<std::uint64_t>("metadata count"));
  if (entries > cursor.left() / kLeastEntry)
    return cursor.bad("metadata count", "at most " + std::to_string(cursor.left() / kLeastEntry),
                      std::to_string(entries));
  if (tensors > cursor.left() / kLeastTensor)
    return cursor.bad("tensor count", "at most " + std::to_string(cursor.left() / kLeastTensor),
                      std::to_string(tensors));

  for (std::uint64_t i = 0; i < entries; ++i) {
    ASSAY_TRY(key, cursor.string("a key", kLongestName));
    ASSAY_TRY(value, read_value(cursor, key));
    if (!file.metadata_.emplace(std::string(key), value).second) return cursor.bad(key, "each key once", "it twice");
  }
  std::uint64_t alignment = kDefaultAlignment;
  if (const GgufValue* value = file.find(kAlignmentKey)) {
    const auto given = value->integer();
    if (!given || *given < 1 || std::uint64_t(*given) > kLargestAlignment ||
        !std::has_single_bit(std::uint64_t(*given)))
      return cursor.bad(kAlignmentKey, "a power of two up to " + std::to_string(kLargestAlignment),
                        given ? std::to_string(*given) : value->what());
    alignment = std::uint64_t(*given);
  }

  std::vector<Entry> table;
  for (std::uint64_t i = 0; i < tensors; ++i) {
    ASSAY_TRY(entry, read_entry(cursor));
    table.push_back(std::move(entry));
  }
  const std::uint64_t start = (cursor.at() + alignment - 1) / alignment * alignment;
  const std::span<const std::byte> data = bytes.subspan(std::min<std::uint64_t>(start, bytes.size()));
  std::vector<Extent> extents;
  for (Entry& entry : table) {
    const TensorType* type = type_of(entry.type);
    ASSAY_TRY(size, size_of_tensor(cursor, entry, type));
    if (entry.offset % alignment != 0)
      return cursor.bad(entry.name, "an offset that is a multiple of " + std::to_string(alignment),
                        std::to_string(entry.offset));
    if (entry.offset > data.size() || size > data.size() - entry.offset)
      return cursor.bad(entry.name,
                        std::to_string(size) + " bytes within the " + std::to_string(data.size()) + " of data",
                        "an offset of " + std::to_string(entry.offset));
    if (size > 0) extents.push_back({entry.offset, entry.offset + size, entry.name});
    GgufTensor tensor;
    tensor.tensor.shape = std::move(entry.shape);
    tensor.tensor.keep = file.keep_;
    if (type != nullptr && type->dtype) {
      tensor.tensor.dtype = *type->dtype;
      tensor.tensor.bytes = data.subspan(entry.offset, size);
    } else {
      tensor.other_type = type != nullptr ? std::string(type->name) : "type " + std::to_string(entry.type);
    }
    if (!file.tensors_.emplace(std::string(entry.name), std::move(tensor)).second)
      return cursor.bad(entry.name, "each tensor once", "it twice");
  }
  ASSAY_CHECK(check_apart(cursor, std::move(extents)));
  return file;
}

Result<Gguf> Gguf::open(const std::filesystem::path& file) {
  ASSAY_TRY(mapping, MappedFile::open(file, kHeader));
  return parse(mapping->bytes(), file.string(), mapping);
}

const GgufValue* Gguf::find(std::string_view key) const {
  const auto found = metadata_.find(key);
  return found == metadata_.end() ? nullptr : &found->second;
}

}  // namespace assay
