#include "json_check.h"

#include <optional>
#include <set>
#include <vector>

#include <nlohmann/json.hpp>

namespace assay {
namespace {

constexpr std::size_t kDeepest = 64;

/// Hears the parser's events; builds nothing. Returning false stops the parser.
class Checker final : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Checker(const std::string& where) : where_(where) {}
  std::optional<Failure> failure;

  bool null() override { return scalar(); }
  bool boolean(bool) override { return scalar(); }
  bool number_integer(number_integer_t) override { return scalar(); }
  bool number_unsigned(number_unsigned_t) override { return scalar(); }
  bool number_float(number_float_t, const string_t&) override { return scalar(); }
  bool string(string_t&) override { return scalar(); }
  bool binary(binary_t&) override { return scalar(); }

  bool start_object(std::size_t) override { return deeper(); }
  bool end_object() override { return open_.pop_back(), true; }
  bool start_array(std::size_t) override { return (!open_.empty() || scalar()) && deeper(); }
  bool end_array() override { return open_.pop_back(), true; }

  bool key(string_t& name) override {
    if (open_.back().insert(name).second) return true;
    return refuse(name, "each key once in an object", "it twice");
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    return refuse("byte " + std::to_string(position), "JSON", "a syntax error");
  }

 private:
  bool refuse(std::string field, std::string expected, std::string found) {
    failure = Failure{Failure::bad_input, where_, std::move(field), std::move(expected), std::move(found)};
    return false;
  }
  bool scalar() { return !open_.empty() || refuse("", "a JSON object", "another value"); }
  bool deeper() {
    if (open_.size() == kDeepest) return refuse("", "at most " + std::to_string(kDeepest) + " levels of JSON", "more");
    open_.emplace_back();
    return true;
  }

  const std::string& where_;
  std::vector<std::set<std::string, std::less<>>> open_;  ///< keys seen in each open object; empty for an array
};

}  // namespace

Result<void> check_json_object(std::string_view text, const std::string& where) {
  // The parser takes a zero byte for the end, and whatever follows would go unread.
  if (const std::size_t zero = text.find('\0'); zero != std::string_view::npos)
    return fail({Failure::bad_input, where, "byte " + std::to_string(zero), "JSON", "a zero byte"});
  Checker checker(where);
  if (nlohmann::json::sax_parse(text.begin(), text.end(), &checker)) return {};
  return fail(checker.failure.value_or(Failure{Failure::bad_input, where, "", "JSON", "something else"}));
}

}  // namespace assay
