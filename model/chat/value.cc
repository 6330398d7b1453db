#include "value.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <numeric>
#include <optional>
#include <unordered_set>

#include <nlohmann/json.hpp>

namespace assay {
namespace {

constexpr std::size_t kDeepest = 64;
constexpr std::size_t kMostDigits = 4300;  // Python reads no longer integers
const Value kUndefined;

/// Builds the value from the parser's events.
class Builder final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Builder(const std::string& where) : where_(where) {}
  std::optional<Failure> failure;
  Value root;

  bool null() override { return put(Value{Value::none}); }
  bool boolean(bool value) override {
    Value made{Value::boolean};
    made.flag = value;
    return put(std::move(made));
  }
  bool number_integer(number_integer_t value) override { return whole(std::to_string(value)); }
  bool number_unsigned(number_unsigned_t value) override { return whole(std::to_string(value)); }
  bool number_float(number_float_t value, const string_t& digits) override {
    if (digits.find_first_of(".eE") == std::string::npos) return whole(digits);  // an integer beyond 64 bits
    Value made{Value::real};
    made.number = value;
    return put(std::move(made));
  }
  bool string(string_t& text) override {
    Value made{Value::string};
    made.text = std::move(text);
    return put(std::move(made));
  }
  bool binary(binary_t&) override { return refuse("", "JSON", "bytes"); }

  bool start_object(std::size_t) override { return open(Value::object); }
  bool start_array(std::size_t) override { return open(Value::list); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    if (!seen_.back().insert(name).second) return refuse(name, "each key once in an object", "it twice");
    open_.back()->members.push_back({name, Value{}});
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& error) override {
    const bool range = dynamic_cast<const nlohmann::detail::out_of_range*>(&error) != nullptr;
    return refuse("byte " + std::to_string(position), "JSON", range ? "a number out of range" : "a syntax error");
  }

 private:
  /// Where the next value belongs: the root, the last key's, or behind a list.
  Value& place() {
    if (open_.empty()) return root;
    Value& parent = *open_.back();
    if (parent.kind == Value::object) return parent.members.back().second;
    return parent.items.emplace_back();
  }
  bool put(Value&& value) {
    place() = std::move(value);
    return true;
  }
  bool whole(std::string digits) {
    if (digits.size() > kMostDigits) return refuse("", "at most 4300 digits", std::to_string(digits.size()));
    Value made{Value::integer};
    made.text = digits == "-0" ? "0" : std::move(digits);
    return put(std::move(made));
  }
  bool open(Value::Kind kind) {
    if (open_.size() == kDeepest) return refuse("", "at most 64 levels", "more");
    Value& value = place();
    value.kind = kind;
    open_.push_back(&value);  // stays put: what its parent holds grows only after it is closed
    seen_.emplace_back();
    return true;
  }
  bool close() {
    open_.pop_back();
    seen_.pop_back();
    return true;
  }
  bool refuse(std::string field, std::string expected, std::string found) {
    if (!failure)
      failure = Failure{Failure::bad_input, where_, std::move(field), std::move(expected), std::move(found)};
    return false;
  }

  const std::string& where_;
  std::vector<Value*> open_;
  std::vector<std::unordered_set<std::string>> seen_;
};

// ---- Unicode, as far as it goes here

struct Char {
  std::uint32_t code = 0;
  std::size_t bytes = 1;
};

/// The character at `at`; the text is valid UTF-8 (the parser saw to that).
Char char_at(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) { return std::uint32_t(static_cast<unsigned char>(text[at + i])); };
  const std::uint32_t first = byte(0);
  const std::size_t left = text.size() - at;
  if (first < 0x80 || left < 2) return {first, 1};
  if (first < 0xE0) return {(first & 0x1FU) << 6U | (byte(1) & 0x3FU), 2};
  if (first < 0xF0 && left >= 3) return {(first & 0x0FU) << 12U | (byte(1) & 0x3FU) << 6U | (byte(2) & 0x3FU), 3};
  if (left >= 4)
    return {(first & 0x07U) << 18U | (byte(1) & 0x3FU) << 12U | (byte(2) & 0x3FU) << 6U | (byte(3) & 0x3FU), 4};
  return {first, 1};
}

void append_char(std::string& text, std::uint32_t code) {  // of the two-byte range alone
  text += char(0xC0U | code >> 6U);
  text += char(0x80U | (code & 0x3FU));
}

/// str.isspace()
bool is_space(std::uint32_t code) {
  static constexpr std::array<std::uint32_t, 9> kAlone = {0x20,   0x85,   0xA0,   0x1680, 0x2028,
                                                          0x2029, 0x202F, 0x205F, 0x3000};
  return (code >= 0x09 && code <= 0x0D) || (code >= 0x1C && code <= 0x1F) || (code >= 0x2000 && code <= 0x200A) ||
         std::find(kAlone.begin(), kAlone.end(), code) != kAlone.end();
}

/// Scripts without case, whose every character lower() leaves alone: Hebrew to Thai and Tibetan, punctuation and
/// currency, Han, kana, Hangul, the private use area, emoji.
bool caseless(std::uint32_t code) {
  return (code >= 0x0590 && code <= 0x0FFF) || (code >= 0x2000 && code <= 0x20FF) ||
         (code >= 0x2E80 && code <= 0xA63F) || (code >= 0xAC00 && code <= 0xD7A3) ||
         (code >= 0xE000 && code <= 0xFAFF) || (code >= 0xFF61 && code <= 0xFFEF) ||
         (code >= 0x1F000 && code <= 0x3FFFF);
}

/// repr() of a finite double: the shortest digits that read back, 1e16 and 1e-05 in scientific form.
std::string python_real(double value) {
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  std::array<char, 64> buffer{};
  const auto end = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::scientific);
  const std::string text(buffer.data(), end.ptr);
  const std::size_t e = text.find('e');
  const int exponent = std::stoi(text.substr(e + 1));
  const bool negative = text.front() == '-';
  std::string digits;
  for (const char c : text.substr(negative ? 1 : 0, e - (negative ? 1 : 0)))
    if (c != '.') digits += c;
  std::string made;
  if (exponent < -4 || exponent >= 16) {
    made = digits.substr(0, 1);
    if (digits.size() > 1) made += "." + digits.substr(1);
    const std::string power = std::to_string(std::abs(exponent));
    made += exponent < 0 ? "e-" : "e+";
    made += power.size() < 2 ? "0" + power : power;
  } else if (exponent < 0) {
    made = "0." + std::string(std::size_t(-exponent - 1), '0') + digits;
  } else {
    if (digits.size() < std::size_t(exponent) + 2) digits.resize(std::size_t(exponent) + 2, '0');
    made = digits.substr(0, std::size_t(exponent) + 1) + "." + digits.substr(std::size_t(exponent) + 1);
  }
  return negative ? "-" + made : made;
}

/// repr() of a string.
void append_repr(std::string& to, std::string_view text, bool& exact) {
  const bool single = text.find('\'') == std::string_view::npos || text.find('"') != std::string_view::npos;
  const char quote = single ? '\'' : '"';
  to += quote;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80) exact = false;
    if (c == quote || c == '\\')
      (to += '\\') += c;
    else if (c == '\n')
      to += "\\n";
    else if (c == '\r')
      to += "\\r";
    else if (c == '\t')
      to += "\\t";
    else if (byte < 0x20 || byte == 0x7F) {
      std::array<char, 5> code{};
      std::snprintf(code.data(), code.size(), "\\x%02x", unsigned{byte});
      to += code.data();
    } else
      to += c;
  }
  to += quote;
}

void append_str(std::string& to, const Value& value, bool inside, bool& exact) {
  switch (value.kind) {
    case Value::undefined: return;
    case Value::none: to += "None"; return;
    case Value::boolean: to += value.flag ? "True" : "False"; return;
    case Value::integer: to += value.text; return;
    case Value::real: to += python_real(value.number); return;
    case Value::string:
      if (inside)
        append_repr(to, value.text, exact);
      else
        to += value.text;
      return;
    case Value::list: {
      to += '[';
      for (std::size_t i = 0; i < value.items.size(); ++i) {
        if (i > 0) to += ", ";
        append_str(to, value.items[i], true, exact);
      }
      to += ']';
      return;
    }
    case Value::object: {
      to += '{';
      for (std::size_t i = 0; i < value.members.size(); ++i) {
        if (i > 0) to += ", ";
        append_repr(to, value.members[i].first, exact);
        to += ": ";
        append_str(to, value.members[i].second, true, exact);
      }
      to += '}';
      return;
    }
  }
}

double as_number(const Value& value) {
  if (value.kind == Value::boolean) return value.flag ? 1 : 0;
  if (value.kind == Value::real) return value.number;
  return std::strtod(value.text.c_str(), nullptr);
}
bool numeric(const Value& value) {
  return value.kind == Value::boolean || value.kind == Value::integer || value.kind == Value::real;
}

}  // namespace

const Value& Value::operator[](std::string_view key) const {
  for (const auto& [name, value] : members)
    if (name == key) return value;
  return kUndefined;
}

bool Value::truthy() const {
  switch (kind) {
    case undefined:
    case none: return false;
    case boolean: return flag;
    case integer: return text != "0";
    case real: return number != 0;
    case string: return !text.empty();
    case list: return !items.empty();
    case object: return !members.empty();
  }
  return false;
}

Result<Value> parse_value(std::string_view text, const std::string& where) {
  Builder builder(where);
  const bool read = nlohmann::json::sax_parse(text.begin(), text.end(), &builder);
  if (builder.failure) return fail(std::move(*builder.failure));
  if (!read) return fail({Failure::bad_input, where, "", "JSON", "something else"});
  return std::move(builder.root);
}

bool equal(const Value& a, const Value& b) {
  if (numeric(a) && numeric(b)) {
    if (a.kind == Value::integer && b.kind == Value::integer) return a.text == b.text;
    return as_number(a) == as_number(b);
  }
  if (a.kind != b.kind) return false;
  switch (a.kind) {
    case Value::string: return a.text == b.text;
    case Value::list: return std::equal(a.items.begin(), a.items.end(), b.items.begin(), b.items.end(), equal);
    case Value::object:
      return a.members.size() == b.members.size() &&
             std::all_of(a.members.begin(), a.members.end(),
                         [&](const auto& member) { return equal(member.second, b[member.first]); });
    default: return true;
  }
}

std::string python_str(const Value& value, bool& exact) {
  std::string text;
  append_str(text, value, false, exact);
  return text;
}

std::string python_upper(std::string text, bool& exact) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) >= 0x80) exact = false;
    if (c >= 'a' && c <= 'z') c = char(c - 'a' + 'A');
  }
  return text;
}

std::string python_lower(std::string text, bool& exact) {
  std::string lower;
  lower.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Char c = char_at(text, at);
    if (c.code >= 'A' && c.code <= 'Z')
      lower += char(c.code + 0x20);
    else if ((c.code >= 0xC0 && c.code <= 0xDE && c.code != 0xD7) || (c.code >= 0x0410 && c.code <= 0x042F))
      append_char(lower, c.code + 0x20);
    else {
      if (c.code > 0xFF && !(c.code >= 0x0430 && c.code <= 0x044F) && !caseless(c.code)) exact = false;
      lower.append(text, at, c.bytes);
    }
    at += c.bytes;
  }
  return lower;
}

std::string_view python_strip(std::string_view text) {
  std::size_t first = 0;
  while (first < text.size()) {
    const Char c = char_at(text, first);
    if (!is_space(c.code)) break;
    first += c.bytes;
  }
  std::size_t last = text.size();
  while (last > first) {
    std::size_t start = last - 1;
    while (start > first && (static_cast<unsigned char>(text[start]) & 0xC0U) == 0x80U) --start;
    if (!is_space(char_at(text.substr(0, last), start).code)) break;
    last = start;
  }
  return text.substr(first, last - first);
}

std::vector<const Member*> dictsort(const Value& object, bool& exact) {
  std::vector<std::string> keys;
  keys.reserve(object.members.size());
  for (const auto& member : object.members) keys.push_back(python_lower(member.first, exact));
  std::vector<std::size_t> order(keys.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  // UTF-8 sorts as its code points do, which is how Python compares.
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return keys[a] < keys[b]; });
  std::vector<const Member*> sorted;
  sorted.reserve(order.size());
  for (const std::size_t i : order) sorted.push_back(&object.members[i]);
  return sorted;
}

}  // namespace assay
