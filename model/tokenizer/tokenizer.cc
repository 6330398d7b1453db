#include "tokenizer.h"

#include <algorithm>

#include "base/files.h"
#include "gguf_tokenizer.h"
#include "tokenizer_parts.h"
#include "utf8.h"

namespace assay {
namespace {

constexpr std::size_t kFileLimit = 256U << 20U;
constexpr std::size_t kTextLimit = 1U << 30U;
constexpr std::string_view kMark = "\xE2\x96\x81";         // U+2581
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

Result<Tokenizer::Parts> read_json(std::string_view text, const TokenizerConfig& config, const std::string& where) {
  ASSAY_TRY(file, parse_tokenizer_json(text, where));
  return assemble(std::move(file), config, where);
}

Result<Tokenizer::Parts> read_model(std::string_view bytes, TokenizerConfig config, const std::string& where) {
  ASSAY_TRY(model, parse_sentencepiece_model(bytes, where));
  return assemble(std::move(model), std::move(config), where);
}

Result<Tokenizer::Parts> open_json(const std::filesystem::path& path, const TokenizerConfig& config) {
  ASSAY_TRY(text, read_file(path, kFileLimit));
  return read_json(text, config, path.string());
}

Result<Tokenizer::Parts> open_model(const std::filesystem::path& path, TokenizerConfig config) {
  ASSAY_TRY(bytes, read_file(path, kFileLimit));
  return read_model(bytes, std::move(config), path.string());
}

Result<Tokenizer::Parts> open_directory(const std::filesystem::path& directory) {
  ASSAY_TRY(config, read_tokenizer_config(directory));
  std::error_code ignored;
  if (std::filesystem::exists(directory / "tokenizer.json", ignored))
    return open_json(directory / "tokenizer.json", config);
  if (std::filesystem::exists(directory / "tokenizer.model", ignored))
    return open_model(directory / "tokenizer.model", std::move(config));
  return fail({Failure::io, directory.string(), "", "tokenizer.json or tokenizer.model", "neither"});
}

Result<Tokenizer> whole(Result<Tokenizer::Parts> parts) {
  if (!parts) return fail(std::move(parts).error());
  return Tokenizer(std::make_shared<const Tokenizer::Parts>(std::move(*parts)));
}

/// A token as text: the decoder's Replace step.
std::string unmarked(std::string_view token) {
  std::string text;
  text.reserve(token.size());
  for (std::size_t at = 0; at < token.size();) {
    const std::size_t mark = std::min(token.find(kMark, at), token.size());
    text += token.substr(at, mark - at);
    if (mark == token.size()) break;
    text += ' ';
    at = mark + kMark.size();
  }
  return text;
}

/// The byte that a token such as <0x0A> stands for. `+A` is one digit to Rust's from_str_radix, and so it is here.
std::optional<char> byte_of(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') return std::nullopt;
  const auto digit = [](char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
  };
  const int high = token[3] == '+' ? 0 : digit(token[3]);
  const int low = digit(token[4]);
  if (high < 0 || low < 0) return std::nullopt;
  return static_cast<char>(high * 16 + low);
}

/// A run of bytes that ended: its text if all of it is valid, else one U+FFFD for each byte.
/// Source: ByteFallback (tokenizers 0.23).
std::string text_of_bytes(const std::string& bytes) {
  if (!utf8_invalid_at(bytes)) return bytes;
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); ++i) text += kReplacement;
  return text;
}

}  // namespace

Result<Tokenizer> Tokenizer::open(const std::filesystem::path& path) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) return whole(open_directory(path));
  if (path.extension() == ".gguf") {
    ASSAY_TRY(file, Gguf::open(path));
    return from_gguf(file);
  }
  return whole(path.extension() == ".model" ? open_model(path, {}) : open_json(path, {}));
}

Result<Tokenizer> Tokenizer::from_json(std::string_view text, const std::string& where) {
  return whole(read_json(text, {}, where));
}

Result<Tokenizer> Tokenizer::from_model(std::string_view bytes, const std::string& where) {
  return whole(read_model(bytes, {}, where));
}

Result<Tokenizer> Tokenizer::from_gguf(const Gguf& file) {
  ASSAY_TRY(read, read_gguf_tokenizer(file));
  return whole(assemble(std::move(read.file), read.config, file.where()));
}

Result<std::vector<std::int64_t>> Tokenizer::encode(std::string_view text, EncodeOptions options) const {
  if (text.size() > kTextLimit)
    return fail({Failure::bad_input, "text", "", "at most 1 GiB", std::to_string(text.size()) + " bytes"});
  std::string replaced;
  if (const auto invalid = utf8_invalid_at(text)) {
    if (options.strict)
      return fail({Failure::bad_input, "text", "byte " + std::to_string(*invalid), "UTF-8", "an invalid sequence"});
    replaced = utf8_replaced(text);
    text = replaced;
  }
  std::vector<std::int64_t> ids;
  if (options.add_special) ids = parts_->before;
  for (const AddedTokens::Piece& piece : parts_->added.split(text))
    if (piece.id)
      ids.push_back(*piece.id);
    else
      ASSAY_CHECK(parts_->bpe.encode(piece.text, ids));
  if (options.add_special) ids.insert(ids.end(), parts_->after.begin(), parts_->after.end());
  return ids;
}

std::string Tokenizer::decode(std::span<const std::int64_t> ids, bool skip_special) const {
  StreamDecoder decoder(*this, skip_special);
  std::string text;
  for (const std::int64_t id : ids) text += decoder.push(id);
  return text + decoder.finish();
}

std::optional<std::int64_t> Tokenizer::id_of(std::string_view token) const { return parts_->id_of(token); }

std::optional<std::string> Tokenizer::token_of(std::int64_t id) const {
  if (const AddedToken* token = parts_->added.token(id)) return token->content;
  const auto token = parts_->bpe.vocabulary().token(id);
  return token ? std::optional(std::string(*token)) : std::nullopt;
}

bool Tokenizer::is_special(std::int64_t id) const {
  const auto token = parts_->spelling(id);
  return token && parts_->added.is_special(*token);
}

std::int64_t Tokenizer::size() const {
  return std::int64_t(parts_->bpe.vocabulary().size() + parts_->added.beyond(parts_->bpe.vocabulary()));
}

std::optional<std::int64_t> Tokenizer::bos() const { return parts_->bos; }
std::optional<std::int64_t> Tokenizer::eos() const { return parts_->eos; }
std::optional<std::int64_t> Tokenizer::pad() const { return parts_->pad; }
std::optional<std::int64_t> Tokenizer::unk() const { return parts_->unk; }

std::string StreamDecoder::push(std::int64_t id) {
  const auto token = tokenizer_.parts_->spelling(id);
  if (!token || (skip_special_ && tokenizer_.parts_->added.is_special(*token))) return {};
  std::string text = unmarked(*token);
  if (const auto byte = byte_of(text)) {
    bytes_ += *byte;
    return {};
  }
  return finish() + text;
}

std::string StreamDecoder::finish() {
  std::string text = text_of_bytes(bytes_);
  bytes_.clear();
  return text;
}

}  // namespace assay
