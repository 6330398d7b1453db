// Text to token ids and back, as transformers' GemmaTokenizer does it: from a tokenizer.json or a sentencepiece
// tokenizer.model, the ids equal. Spaces become U+2581, added tokens are cut out, the rest is merged by rank as one
// piece, and what has no token falls back to its UTF-8 bytes. Not here: chat templates (model/chat), the soft tokens of
// images and sound (model/processor), other families' tokenizers, which are refused.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace assay {

class Gguf;

struct EncodeOptions {
  bool add_special = true;  ///< what the file's post-processor (or add_bos_token, for a tokenizer.model) puts around
  bool strict = false;      ///< invalid UTF-8 is an error; else each bad sequence is U+FFFD (Python's errors='replace')
};

/// A loaded tokenizer: cheap to copy, safe to share between threads.
class Tokenizer {
 public:
  /// A tokenizer.json, a tokenizer.model, a .gguf, or a checkpoint directory that holds one of the first two (json
  /// preferred). A directory's
  /// tokenizer_config.json is read too, as transformers reads it: it names special tokens and adds some.
  /// Errors: io; bad_input (file, field); unsupported (well formed, but not what Gemma's files hold).
  /// Source: GemmaTokenizer, TokenizersBackend (transformers 5.22.2), tokenizers 0.23.
  static Result<Tokenizer> open(const std::filesystem::path& path);

  /// The same from a tokenizer.json's or a tokenizer.model's bytes; `where` names them in failures.
  static Result<Tokenizer> from_json(std::string_view text, const std::string& where);
  static Result<Tokenizer> from_model(std::string_view bytes, const std::string& where);
  /// Of a GGUF's metadata, which may ask for a token in front of every text (add_bos_token) that a tokenizer.json does
  /// not. Errors: bad_input, unsupported (no merges, another family), naming the key.
  static Result<Tokenizer> from_gguf(const Gguf& file);

  /// Token ids of `text`; special tokens spelt out in it are recognised, as transformers does.
  /// Errors: bad_input (text longer than 1 GiB; with `strict`, the offset of the first invalid byte; an unknown
  /// character where the file has neither its bytes nor an unknown token).
  Result<std::vector<std::int64_t>> encode(std::string_view text, EncodeOptions options = {}) const;

  /// Equal to transformers' decode(ids, clean_up_tokenization_spaces=False). Ids without a token are left out.
  std::string decode(std::span<const std::int64_t> ids, bool skip_special = false) const;

  std::optional<std::int64_t> id_of(std::string_view token) const;
  std::optional<std::string> token_of(std::int64_t id) const;
  bool is_special(std::int64_t id) const;
  std::int64_t size() const;  ///< tokens, added ones included: len(tokenizer)
  std::optional<std::int64_t> bos() const, eos() const, pad() const, unk() const;

  struct Parts;
  explicit Tokenizer(std::shared_ptr<const Parts> parts) : parts_(std::move(parts)) {}

 private:
  friend class StreamDecoder;
  std::shared_ptr<const Parts> parts_;
};

/// Decodes ids as they come. Holds back what a later id may change: a run of byte tokens is text only if the whole run
/// is valid UTF-8. All that it returned, joined, equals Tokenizer::decode of all the ids.
class StreamDecoder {
 public:
  StreamDecoder(const Tokenizer& tokenizer, bool skip_special) : tokenizer_(tokenizer), skip_special_(skip_special) {}

  /// What `id` makes certain: whole characters, maybe none.
  std::string push(std::int64_t id);
  /// What was held back; the decoder may be used anew.
  std::string finish();

 private:
  Tokenizer tokenizer_;
  bool skip_special_;
  std::string bytes_;  ///< of the run of byte tokens so far
};

}  // namespace assay
