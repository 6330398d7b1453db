#include "tokenizer_json.h"

#include <optional>
#include <utility>

#include <nlohmann/json.hpp>

namespace assay {
namespace {

using nlohmann::json;

constexpr std::size_t kDeepest = 64;
constexpr std::size_t kMostValues = 1'000'000;  // outside vocab and merges; the published file has 50 thousand

/// Hears the parser's events. model.vocab and model.merges go where they belong at once; the rest, small, becomes a
/// tree.
class Reader final : public nlohmann::json_sax<json> {
 public:
  Reader(const std::string& where, TokenizerJson& out) : where_(where), out_(out) {}
  std::optional<Failure> failure;
  json rest;
  bool has_vocabulary = false, has_merges = false;

  bool null() override { return value(nullptr, "null"); }
  bool boolean(bool v) override { return value(v, "a boolean"); }
  bool number_integer(number_integer_t v) override { return value(v, std::to_string(v)); }
  bool number_unsigned(number_unsigned_t v) override {
    if (mode_ != Mode::vocabulary) return value(v, std::to_string(v));
    if (v > INT32_MAX) return refuse(field("vocab", name_), "an id below 2^31", std::to_string(v));
    if (!out_.vocabulary.add(name_, std::uint32_t(v)))
      return refuse(field("vocab", name_), "each token once", "it twice");
    return true;
  }
  bool number_float(number_float_t v, const string_t& text) override { return value(v, text); }
  bool string(string_t& text) override {
    if (mode_ == Mode::merges) return merge_line(text);
    if (mode_ == Mode::merge) {
      if (pair_.size() == 2) return refuse(merge_name(), "two tokens", "more");
      pair_.push_back(std::move(text));
      return true;
    }
    return value(std::move(text), "a string");
  }
  bool binary(binary_t&) override { return false; }

  bool start_object(std::size_t) override {
    if (at_model_member("vocab")) {
      if (std::exchange(has_vocabulary, true)) return refuse("model.vocab", "it once", "it twice");
      mode_ = Mode::vocabulary;
      return true;
    }
    return mode_ == Mode::tree ? open(json::object()) : refuse(place(), place_wants(), "an object");
  }
  bool end_object() override {
    if (mode_ == Mode::vocabulary) {
      mode_ = Mode::tree;
      return true;
    }
    return close();
  }
  bool start_array(std::size_t) override {
    if (at_model_member("merges")) {
      if (std::exchange(has_merges, true)) return refuse("model.merges", "it once", "it twice");
      mode_ = Mode::merges;
      return true;
    }
    if (mode_ == Mode::merges) {
      if (lines_) return refuse(merge_name(), "a string, as before it", "an array");
      mode_ = Mode::merge;
      pair_.clear();
      return true;
    }
    return mode_ == Mode::tree ? open(json::array()) : refuse(place(), place_wants(), "an array");
  }
  bool end_array() override {
    if (mode_ == Mode::merge) {
      mode_ = Mode::merges;
      return pair_.size() == 2 ? add_merge(pair_[0], pair_[1]) : refuse(merge_name(), "two tokens", "fewer");
    }
    if (mode_ == Mode::merges) {
      mode_ = Mode::tree;
      return true;
    }
    return close();
  }
  bool key(string_t& name) override {
    name_ = std::move(name);
    if (mode_ != Mode::tree || !open_.back()->contains(name_)) return true;
    return refuse(name_, "each key once in an object", "it twice");
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    return refuse("byte " + std::to_string(position), "JSON", "a syntax error");
  }

 private:
  enum class Mode { tree, vocabulary, merges, merge };

  bool refuse(std::string field, std::string expected, std::string found) {
    failure = Failure{Failure::bad_input, where_, std::move(field), std::move(expected), std::move(found)};
    return false;
  }
  static std::string field(const char* table, const std::string& name) {
    return std::string("model.") + table + "[\"" + name.substr(0, 80) + "\"]";
  }
  std::string merge_name() const { return "model.merges[" + std::to_string(out_.merges.bytes.size()) + ']'; }
  std::string place() const { return mode_ == Mode::vocabulary ? field("vocab", name_) : merge_name(); }
  std::string place_wants() const { return mode_ == Mode::vocabulary ? "an id" : "a merge of two tokens"; }

  bool at_model_member(std::string_view name) const {
    return mode_ == Mode::tree && open_.size() == 2 && outer_ == "model" && name_ == name && open_[1]->is_object();
  }
  json* put(json&& v) {
    if (++values_ > kMostValues) {
      refuse("", "at most " + std::to_string(kMostValues) + " values beside vocab and merges", "more");
      return nullptr;
    }
    if (open_.empty()) return &(rest = std::move(v));
    json& parent = *open_.back();
    if (parent.is_array()) return &parent.emplace_back(std::move(v));
    return &(parent[name_] = std::move(v));
  }
  bool value(json&& v, std::string found) {
    if (mode_ != Mode::tree) return refuse(place(), place_wants(), std::move(found));
    if (open_.empty()) return refuse("", "a JSON object", "another value");
    return put(std::move(v)) != nullptr;
  }
  bool open(json&& v) {
    if (open_.empty() && !v.is_object()) return refuse("", "a JSON object", "another value");
    if (open_.size() == kDeepest) return refuse("", "at most " + std::to_string(kDeepest) + " levels of JSON", "more");
    if (open_.size() == 1) outer_ = name_;
    json* opened = put(std::move(v));
    if (opened == nullptr) return false;
    open_.push_back(opened);
    return true;
  }
  bool close() { return open_.pop_back(), true; }

  bool merge_line(const std::string& line) {
    if (!lines_ && !out_.merges.bytes.empty()) return refuse(merge_name(), "an array, as before it", "a string");
    lines_ = true;
    if (line.starts_with("#version")) return true;
    const std::size_t space = line.find(' ');
    if (space == std::string::npos || line.find(' ', space + 1) != std::string::npos)
      return refuse(merge_name(), "two tokens with a space between", '"' + line.substr(0, 80) + '"');
    return add_merge(std::string_view(line).substr(0, space), std::string_view(line).substr(space + 1));
  }
  bool add_merge(std::string_view left, std::string_view right) {
    out_.merges.add(left, right);
    return true;
  }

  const std::string& where_;
  TokenizerJson& out_;
  Mode mode_ = Mode::tree;
  std::vector<json*> open_;  ///< each is the last child of the one before, so none moves while it is open
  std::string name_, outer_;
  std::vector<std::string> pair_;
  bool lines_ = false;
  std::size_t values_ = 0;
};

/// What stands where something of Gemma's was expected, short enough for a message.
std::string shown(const json& value) {
  std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  if (text.size() > 120) text = text.substr(0, 117) + "...";
  return text;
}

/// Checks the parts that are not tables.
class Pipeline {
 public:
  Pipeline(const json& file, const std::string& where, TokenizerJson& out) : file_(file), where_(where), out_(out) {}

  Result<void> read() {
    ASSAY_CHECK(version());
    ASSAY_CHECK(model());
    ASSAY_CHECK(added());
    ASSAY_CHECK(pipeline());
    return post_processor();
  }

 private:
  static const json& member(const json& object, const char* name) {
    static const json kNull;
    const auto found = object.find(name);
    return found == object.end() ? kNull : *found;
  }
  tl::unexpected<Failure> refuse(Failure::Kind kind, std::string field, std::string expected, const json& found) const {
    return fail({kind, where_, std::move(field), std::move(expected), shown(found)});
  }
  /// A string, or null.
  Result<std::optional<std::string>> text(const json& object, const char* name, const std::string& field) const {
    const json& value = member(object, name);
    if (value.is_null()) return std::nullopt;
    if (!value.is_string()) return refuse(Failure::bad_input, field + name, "a string", value);
    return value.get<std::string>();
  }
  Result<bool> flag(const json& object, const char* name, const std::string& field, bool otherwise) const {
    const json& value = member(object, name);
    if (value.is_null()) return otherwise;
    if (!value.is_boolean()) return refuse(Failure::bad_input, field + name, "true or false", value);
    return value.get<bool>();
  }

  Result<void> version() const {
    const json& found = member(file_, "version");
    if (found.is_null() || found == "1.0") return {};
    return refuse(Failure::unsupported, "version", "\"1.0\"", found);
  }

  Result<void> model() const {
    const json& found = member(file_, "model");
    if (!found.is_object()) return refuse(Failure::bad_input, "model", "an object", found);
    if (const json& type = member(found, "type"); !type.is_null() && type != "BPE")
      return refuse(Failure::unsupported, "model.type", "\"BPE\"", type);
    if (const json& dropout = member(found, "dropout"); !dropout.is_null() && dropout != 0)
      return refuse(Failure::unsupported, "model.dropout", "none", dropout);
    for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      ASSAY_TRY(value, text(found, affix, "model."));
      if (value && !value->empty()) return refuse(Failure::unsupported, std::string("model.") + affix, "none", *value);
    }
    ASSAY_TRY(unknown, text(found, "unk_token", "model."));
    ASSAY_TRY(fuse, flag(found, "fuse_unk", "model.", false));
    ASSAY_TRY(bytes, flag(found, "byte_fallback", "model.", false));
    ASSAY_TRY(ignore, flag(found, "ignore_merges", "model.", false));
    out_.options = {std::move(unknown), fuse, bytes, ignore};
    return {};
  }

  Result<void> added() const {
    const json& list = member(file_, "added_tokens");
    if (list.is_null()) return {};
    if (!list.is_array()) return refuse(Failure::bad_input, "added_tokens", "an array", list);
    for (std::size_t i = 0; i < list.size(); ++i) {
      const std::string field = "added_tokens[" + std::to_string(i) + "].";
      const json& entry = list[i];
      if (!entry.is_object()) return refuse(Failure::bad_input, field, "an object", entry);
      const json& id = member(entry, "id");
      if (!id.is_number_unsigned() || id.get<std::uint64_t>() > INT32_MAX)
        return refuse(Failure::bad_input, field + "id", "an id below 2^31", id);
      ASSAY_TRY(content, text(entry, "content", field));
      if (!content) return refuse(Failure::bad_input, field + "content", "a string", nullptr);
      ASSAY_TRY(single, flag(entry, "single_word", field, false));
      if (single) return refuse(Failure::unsupported, field + "single_word", "false", true);
      ASSAY_TRY(lstrip, flag(entry, "lstrip", field, false));
      ASSAY_TRY(rstrip, flag(entry, "rstrip", field, false));
      ASSAY_TRY(special, flag(entry, "special", field, false));
      ASSAY_TRY(normalized, flag(entry, "normalized", field, !special));
      out_.added.push_back({std::move(*content), lstrip, rstrip, normalized, special});
      out_.added_ids.push_back(id.get<std::uint32_t>());
    }
    return {};
  }

  /// The steps of a pipeline stage: those of a Sequence, else itself.
  static std::vector<json> steps(const json& stage, const char* list) {
    if (stage.is_object() && member(stage, "type") == "Sequence" && member(stage, list).is_array())
      return member(stage, list).get<std::vector<json>>();
    return stage.is_null() ? std::vector<json>{} : std::vector<json>{stage};
  }
  static bool replaces(const json& step, const char* what, const char* with) {
    return step.is_object() && member(step, "type") == "Replace" && member(step, "content") == with &&
           member(step, "pattern") == json{{"String", what}};
  }

  Result<void> pipeline() const {
    constexpr const char* kMark = "\xE2\x96\x81";
    const json& normalizer = member(file_, "normalizer");
    const auto normal = steps(normalizer, "normalizers");
    if (normal.size() != 1 || !replaces(normal[0], " ", kMark))
      return refuse(Failure::unsupported, "normalizer", "Gemma's, which replaces a space by U+2581", normalizer);
    // It finds no space to split at: the normaliser left none. So any way of splitting there is the same.
    const json& splitter = member(file_, "pre_tokenizer");
    for (const json& step : steps(splitter, "pretokenizers"))
      if (!step.is_object() || member(step, "type") != "Split" || member(step, "pattern") != json{{"String", " "}} ||
          member(step, "invert") != false)
        return refuse(Failure::unsupported, "pre_tokenizer", "Gemma's, which splits at spaces", splitter);
    const json& decoder = member(file_, "decoder");
    const auto decode = steps(decoder, "decoders");
    const auto is = [&](std::size_t i, const char* type) {
      return decode[i].is_object() && member(decode[i], "type") == type;
    };
    if (decode.size() < 2 || decode.size() > 3 || !replaces(decode[0], kMark, " ") || !is(1, "ByteFallback") ||
        (decode.size() == 3 && !is(2, "Fuse")))
      return refuse(Failure::unsupported, "decoder", "Gemma's: Replace U+2581 by a space, ByteFallback, Fuse", decoder);
    return {};
  }

  Result<void> post_processor() const {
    const json& found = member(file_, "post_processor");
    if (found.is_null()) return {};
    if (!found.is_object() || member(found, "type") != "TemplateProcessing" || !member(found, "single").is_array())
      return refuse(Failure::unsupported, "post_processor", "none or TemplateProcessing", found);
    const json& single = found["single"];
    bool text_seen = false;
    for (const json& item : single) {
      if (item.is_object() && item.contains("Sequence") && !std::exchange(text_seen, true)) continue;
      const json& special = item.is_object() ? member(item, "SpecialToken") : item;
      if (!special.is_object() || !member(special, "id").is_string())
        return refuse(Failure::unsupported, "post_processor.single", "special tokens around one sequence", single);
      ASSAY_CHECK(special_ids(found, special["id"].get<std::string>(), text_seen ? out_.after : out_.before));
    }
    if (!text_seen) return refuse(Failure::unsupported, "post_processor.single", "a sequence", single);
    return {};
  }
  Result<void> special_ids(const json& processor, const std::string& name, std::vector<std::int64_t>& ids) const {
    const std::string field = "post_processor.special_tokens[\"" + name.substr(0, 80) + "\"]";
    const json& table = member(processor, "special_tokens");
    const json& entry = table.is_object() ? member(table, name.c_str()) : table;
    const json& list = entry.is_object() ? member(entry, "ids") : entry;
    if (!list.is_array()) return refuse(Failure::bad_input, field, "ids", entry);
    for (const json& id : list) {
      if (!id.is_number_unsigned() || id.get<std::uint64_t>() > INT32_MAX)
        return refuse(Failure::bad_input, field, "ids below 2^31", id);
      ids.push_back(id.get<std::int64_t>());
    }
    return {};
  }

  const json& file_;
  const std::string& where_;
  TokenizerJson& out_;
};

}  // namespace

Result<TokenizerJson> parse_tokenizer_json(std::string_view text, const std::string& where) {
  // The parser takes a zero byte for the end, and whatever follows would go unread.
  if (const std::size_t zero = text.find('\0'); zero != std::string_view::npos)
    return fail({Failure::bad_input, where, "byte " + std::to_string(zero), "JSON", "a zero byte"});
  TokenizerJson out;
  Reader reader(where, out);
  if (!json::sax_parse(text.begin(), text.end(), &reader))
    return fail(reader.failure.value_or(Failure{Failure::bad_input, where, "", "JSON", "something else"}));
  ASSAY_CHECK(Pipeline(reader.rest, where, out).read());
  if (!reader.has_vocabulary || out.vocabulary.size() == 0)
    return fail({Failure::bad_input, where, "model.vocab", "an object of tokens and their ids", "none"});
  if (!reader.has_merges) return fail({Failure::bad_input, where, "model.merges", "an array", "none"});
  ASSAY_CHECK(out.vocabulary.finish(where + ": model.vocab"));
  return out;
}

}  // namespace assay
