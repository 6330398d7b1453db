// A JSON value with the order of its keys and the digits of its integers, and what Python and Jinja make of it: truth,
// str(), upper(), strip(), sorted keys. Private to the room. Not here: templates.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace assay {

struct Member;

struct Value {
  enum Kind { undefined, none, boolean, integer, real, string, list, object };
  Kind kind = undefined;
  bool flag = false;
  double number = 0;  ///< of a real
  std::string text;   ///< of a string; of an integer, its digits
  std::vector<Value> items;
  std::vector<Member> members;  ///< no key twice

  /// The member, or an undefined value: also of what is no object.
  const Value& operator[](std::string_view key) const;
  bool is(Kind wanted) const { return kind == wanted; }
  bool missing() const { return kind == undefined || kind == none; }
  /// Python's bool(); of an undefined value, false.
  bool truthy() const;
};

/// A key of an object and its value.
struct Member {
  std::string first;
  Value second;
};

/// Reads a JSON text: UTF-8, at most 64 levels deep, no key twice, no number beyond double.
/// Errors: bad_input, naming `where` and the byte or the key.
Result<Value> parse_value(std::string_view text, const std::string& where);

/// Python's a == b for what JSON can hold; an undefined value equals an undefined value alone.
bool equal(const Value& a, const Value& b);

// Below: `exact` becomes false where Python's answer needs tables of Unicode that are not here (the case of letters
// beyond Latin-1 and Cyrillic, which characters a repr escapes). The text returned is then not to be used.

/// Python's str(); of an undefined value, the empty string.
std::string python_str(const Value& value, bool& exact);
std::string python_upper(std::string text, bool& exact);
std::string python_lower(std::string text, bool& exact);
/// str.strip() without arguments.
std::string_view python_strip(std::string_view text);
/// The members in the order of Jinja's dictsort: by lower-cased key, else as they came.
std::vector<const Member*> dictsort(const Value& object, bool& exact);

}  // namespace assay
