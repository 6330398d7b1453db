// Faults of the tokenizer: rows G1, G3 to G5, and what other tokenizers do. Not here: conversations (chat.cc), stop
// tokens (generation.cc).
#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

#include "harness/faults/fault.h"
#include "harness/faults/replaced.h"
#include "model/processor/front_end.h"
#include "model/tokenizer/utf8.h"

namespace assay {
namespace {

using Ids = std::vector<std::int64_t>;
using Encode = std::function<Result<Ids>(const Tokenizer&, std::string_view, const EncodeOptions&)>;
using Decode = std::function<std::string(const Tokenizer&, std::span<const std::int64_t>, bool skip_special)>;

constexpr std::string_view kMark = "\xE2\x96\x81";         // U+2581
constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

Fault encoding(std::string_view name, std::string_view row, std::string_view what, std::string_view shipped_in,
               Encode encode) {
  return {.name = name,
          .row = row,
          .what = what,
          .shipped_in = shipped_in,
          .stage = "text.ids",
          .bend = [encode](FrontEnd& steps) { steps.encode = encode; }};
}

Fault decoding(std::string_view name, std::string_view what, Decode decode) {
  return {.name = name,
          .row = "x",
          .what = what,
          .shipped_in = "",
          .stage = "text.decoded",
          .bend = [decode](FrontEnd& steps) { steps.decode = decode; }};
}

/// The text is another before the true tokenizer sees it.
Encode of_text(std::function<std::string(std::string_view)> edit) {
  return [edit](const Tokenizer& tokenizer, std::string_view text, const EncodeOptions& options) {
    return tokenizer.encode(edit(text), options);
  };
}

/// The true ids of pieces that are never merged with each other.
Encode in_pieces(std::function<std::vector<std::string_view>(const Tokenizer&, std::string_view)> cut) {
  return [cut](const Tokenizer& tokenizer, std::string_view text, EncodeOptions options) -> Result<Ids> {
    ASSAY_TRY(ids, tokenizer.encode("", options));
    options.add_special = false;
    for (const std::string_view piece : cut(tokenizer, text)) {
      ASSAY_TRY(more, tokenizer.encode(piece, options));
      ids.insert(ids.end(), more.begin(), more.end());
    }
    return ids;
  };
}

std::vector<std::string> special_tokens(const Tokenizer& tokenizer) {
  std::vector<std::string> all;
  for (std::int64_t id = 0; id < tokenizer.size(); ++id)
    if (tokenizer.is_special(id)) all.push_back(*tokenizer.token_of(id));
  return all;
}

/// Where a special token begins at the front of a text, its length; else 0.
std::size_t special_at(const std::vector<std::string>& tokens, std::string_view text) {
  std::size_t longest = 0;
  for (const std::string& token : tokens)
    if (token.size() > longest && text.starts_with(token)) longest = token.size();
  return longest;
}

/// Cuts behind the first character of each special token, so that none is left.
std::vector<std::string_view> through_special(const Tokenizer& tokenizer, std::string_view text) {
  const std::vector<std::string> tokens = special_tokens(tokenizer);
  std::vector<std::string_view> pieces;
  std::size_t first = 0;
  for (std::size_t at = 0; at < text.size(); ++at)
    if (text[at] == '<' && special_at(tokens, text.substr(at)) > 1) {
      pieces.push_back(text.substr(first, at + 1 - first));
      first = at + 1;
    }
  pieces.push_back(text.substr(first));
  return pieces;
}

std::vector<std::string_view> each_newline(const Tokenizer&, std::string_view text) {
  std::vector<std::string_view> pieces;
  for (std::size_t at = text.find('\n'); at != std::string_view::npos; at = text.find('\n')) {
    pieces.push_back(text.substr(0, at));
    pieces.push_back(text.substr(at, 1));
    text.remove_prefix(at + 1);
  }
  pieces.push_back(text);
  return pieces;
}

/// Cuts where newlines begin and end, llama.cpp's rule: newlines in a row stay together.
std::vector<std::string_view> runs_of_newlines(const Tokenizer&, std::string_view text) {
  std::vector<std::string_view> pieces;
  std::size_t first = 0;
  for (std::size_t at = 1; at < text.size(); ++at)
    if ((text[at] == '\n') != (text[at - 1] == '\n')) {
      pieces.push_back(text.substr(first, at - first));
      first = at;
    }
  pieces.push_back(text.substr(first));
  return pieces;
}

std::vector<std::string_view> words(const Tokenizer&, std::string_view text) {
  std::vector<std::string_view> pieces;
  std::size_t first = 0;
  for (std::size_t at = 1; at < text.size(); ++at)
    if (text[at] == ' ') {
      pieces.push_back(text.substr(first, at - first));
      first = at;
    }
  pieces.push_back(text.substr(first));
  return pieces;
}

/// A piece as ids of its characters, or of their bytes.
Ids symbols(const Tokenizer& tokenizer, std::string_view piece) {
  Ids ids;
  while (!piece.empty()) {
    const Utf8Step step = utf8_step(piece);
    const std::string_view bytes = piece.substr(0, step.bytes);
    piece.remove_prefix(step.bytes);
    if (const auto id = tokenizer.id_of(bytes)) {
      ids.push_back(*id);
      continue;
    }
    constexpr std::string_view kHex = "0123456789ABCDEF";
    for (const char c : bytes) {
      const auto byte = static_cast<unsigned char>(c);
      const std::string name = std::string("<0x") + kHex[byte >> 4U] + kHex[byte & 15U] + '>';
      ids.push_back(tokenizer.id_of(name).value_or(tokenizer.unk().value_or(0)));
    }
  }
  return ids;
}

/// Joins the pair whose token has the lowest id, that is the best score, until no pair is a token.
Ids by_score(const Tokenizer& tokenizer, std::string_view piece) {
  Ids ids = symbols(tokenizer, piece);
  std::vector<std::string> names;
  for (const std::int64_t id : ids) names.push_back(tokenizer.token_of(id).value_or(""));
  while (true) {
    std::int64_t best = std::numeric_limits<std::int64_t>::max();
    std::size_t where = 0;
    for (std::size_t i = 0; i + 1 < ids.size(); ++i)
      if (const auto id = tokenizer.id_of(names[i] + names[i + 1]); id && *id < best) {
        best = *id;
        where = i;
      }
    if (best == std::numeric_limits<std::int64_t>::max()) return ids;
    ids[where] = best;
    names[where] += names[where + 1];
    ids.erase(ids.begin() + std::ptrdiff_t(where) + 1);
    names.erase(names.begin() + std::ptrdiff_t(where) + 1);
  }
}

Ids longest_first(const Tokenizer& tokenizer, std::string_view piece) {
  Ids ids;
  while (!piece.empty()) {
    std::size_t length = std::min<std::size_t>(piece.size(), 64);
    while (length > 0 && !tokenizer.id_of(piece.substr(0, length))) --length;
    if (length == 0) length = utf8_step(piece).bytes;
    for (const std::int64_t id : tokenizer.id_of(piece.substr(0, length))
                                     ? Ids{*tokenizer.id_of(piece.substr(0, length))}
                                     : symbols(tokenizer, piece.substr(0, length)))
      ids.push_back(id);
    piece.remove_prefix(length);
  }
  return ids;
}

/// Another algorithm for what lies between special tokens and newlines. Texts over 64 KiB are left to the true one.
Encode merged(Ids (*merge)(const Tokenizer&, std::string_view)) {
  return [merge](const Tokenizer& tokenizer, std::string_view given, const EncodeOptions& options) -> Result<Ids> {
    if (given.size() > 65536 || options.strict) return tokenizer.encode(given, options);
    ASSAY_TRY(ids, tokenizer.encode("", options));
    const std::string text = utf8_replaced(given);
    const std::vector<std::string> tokens = special_tokens(tokenizer);
    std::string piece;
    const auto flush = [&] {
      const Ids more = merge(tokenizer, replaced(std::exchange(piece, ""), " ", kMark));
      ids.insert(ids.end(), more.begin(), more.end());
    };
    for (std::size_t at = 0; at < text.size();) {
      std::size_t length = special_at(tokens, std::string_view(text).substr(at));
      if (length == 0 && text[at] == '\n') length = std::min(text.find_first_not_of('\n', at), text.size()) - at;
      if (length == 0) {
        piece += text[at++];
        continue;
      }
      flush();
      ASSAY_TRY(more, tokenizer.encode(std::string_view(text).substr(at, length), {.add_special = false}));
      ids.insert(ids.end(), more.begin(), more.end());
      at += length;
    }
    flush();
    return ids;
  };
}

bool is_byte(const Tokenizer& tokenizer, std::int64_t id) {
  const std::string token = tokenizer.token_of(id).value_or("");
  return token.size() == 6 && token.starts_with("<0x");
}

Result<Ids> without_bytes(const Tokenizer& tokenizer, std::string_view text, const EncodeOptions& options) {
  ASSAY_TRY(ids, tokenizer.encode(text, options));
  Ids out;
  bool unknown = false;
  for (const std::int64_t id : ids) {
    const bool byte = is_byte(tokenizer, id);
    if (!byte || !unknown) out.push_back(byte ? tokenizer.unk().value_or(0) : id);
    unknown = byte;
  }
  return out;
}

std::string trimmed(std::string_view text) {
  const std::size_t last = text.find_last_not_of(" \t\n");
  return std::string(text.substr(0, last == std::string_view::npos ? 0 : last + 1));
}

std::string single_spaces(std::string_view text) {
  std::string out;
  for (const char c : text)
    if (c != ' ' || !out.ends_with(' ')) out += c;
  return out;
}

/// Each bad sequence of UTF-8 as something else than one U+FFFD.
std::string bad_bytes(std::string_view text, bool dropped) {
  std::string out;
  while (!text.empty()) {
    const Utf8Step step = utf8_step(text);
    if (step.valid) out += text.substr(0, step.bytes);
    for (std::size_t i = 0; i < step.bytes && !step.valid && !dropped; ++i) out += kReplacement;
    text.remove_prefix(step.bytes);
  }
  return out;
}

Result<Ids> stripped_around_special(const Tokenizer& tokenizer, std::string_view text, const EncodeOptions& options) {
  const std::vector<std::string> tokens = special_tokens(tokenizer);
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = special_at(tokens, text.substr(at));
    out += text.substr(at, std::max<std::size_t>(length, 1));
    at += std::max<std::size_t>(length, 1);
    if (length > 0) at = std::min(text.find_first_not_of(" \n", at), text.size());
  }
  return tokenizer.encode(out, options);
}

Result<Ids> overflowing(const Tokenizer& tokenizer, std::string_view text, const EncodeOptions& options) {
  constexpr std::size_t kMost = 30000;  // about 8192 tokens
  for (std::string_view rest = text; rest.size() > kMost;) {
    const std::size_t line = std::min(rest.find('\n'), rest.size());
    if (line > kMost)
      return fail({Failure::internal, "tokenizer", "", "newlines", "a regular expression's stack is full"});
    rest.remove_prefix(std::min(line + 1, rest.size()));
  }
  return tokenizer.encode(text, options);
}

std::string cleaned_up(std::string text) {
  for (const std::string_view mark : {".", ",", "!", "?", "'s", "'m", "n't", "'re", "'ve"})
    text = replaced(text, " " + std::string(mark), mark);
  return text;
}

std::vector<Fault> encoders() {
  const auto special = [](bool add) -> Encode {
    return [add](const Tokenizer& tokenizer, std::string_view text, EncodeOptions options) {
      options.add_special = add;
      return tokenizer.encode(text, options);
    };
  };
  return {
      encoding("merges-by-score", "G1",
               "The pair whose token has the best score is joined first, as SentencePiece does.",
               "ggml-org/llama.cpp#21343", merged(by_score)),
      encoding("tokens-longest-first", "G1", "The longest token that fits is taken, from left to right.",
               "class of ariannamethod/notorch#44", merged(longest_first)),
      encoding("bos-missing", "G4", "No <bos>, where the tokenizer says that there is one.", "ggml-org/llama.cpp#21500",
               special(false)),
      encoding("bos-twice", "G5", "The tokenizer's <bos> beside the template's own.",
               "class of ggml-org/llama.cpp#21500", special(true)),
      encoding("long-line-overflows", "G3", "A text of 30 KB without a newline fails.", "ggml-org/llama.cpp#21587",
               overflowing),
      encoding("eos-appended", "x", "<eos> behind the text.", "",
               [](const Tokenizer& tokenizer, std::string_view text, const EncodeOptions& options) -> Result<Ids> {
                 ASSAY_TRY(ids, tokenizer.encode(text, options));
                 ids.push_back(tokenizer.eos().value_or(1));
                 return ids;
               }),
      encoding("newlines-split", "x",
               "Newlines are cut out before merging: no token holds a newline and something else.",
               "ggml-org/llama.cpp's rule", in_pieces(runs_of_newlines)),
      encoding("newlines-one-by-one", "x", "Newlines in a row are that many tokens.", "", in_pieces(each_newline)),
      encoding("words-split", "x", "Cut before each space, as GPT-2's tokenizer does.", "", in_pieces(words)),
      encoding("bytes-unknown", "x", "No byte fallback: characters without a token are <unk>.", "", without_bytes),
      encoding("space-first", "x", "A space before the text, SentencePiece's default.", "",
               of_text([](std::string_view text) { return " " + std::string(text); })),
      encoding("spaces-single", "x", "Several spaces in a row become one, SentencePiece's default.", "",
               of_text(single_spaces)),
      encoding("text-trimmed", "x", "White space at the end goes.", "", of_text(trimmed)),
      encoding("spaces-wide", "x", "U+3000 becomes a space, as NFKC has it.", "",
               of_text([](std::string_view text) { return replaced(text, "\xE3\x80\x80", " "); })),
      encoding("special-tokens-spelt", "x", "Special tokens in a text are taken letter by letter.", "",
               in_pieces(through_special)),
      encoding("special-tokens-strip", "x", "White space behind special tokens goes with them.", "",
               stripped_around_special),
      encoding("invalid-dropped", "x", "Invalid UTF-8 is dropped.", "",
               of_text([](std::string_view text) { return bad_bytes(text, true); })),
      encoding("invalid-by-byte", "x", "U+FFFD for each invalid byte, not for each sequence.", "",
               of_text([](std::string_view text) { return bad_bytes(text, false); })),
  };
}

std::vector<Fault> decoders() {
  const auto text = [](std::string (*edit)(std::string)) -> Decode {
    return [edit](const Tokenizer& tokenizer, std::span<const std::int64_t> ids, bool skip) {
      return edit(tokenizer.decode(ids, skip));
    };
  };
  const auto skipping = [](bool always) -> Decode {
    return [always](const Tokenizer& tokenizer, std::span<const std::int64_t> ids, bool) {
      return tokenizer.decode(ids, always);
    };
  };
  return {
      decoding("decode-keeps-marks", "U+2581 stays.",
               text([](std::string made) { return replaced(made, " ", kMark); })),
      decoding("decode-strips-front", "A space in front goes, as SentencePiece's decoder does it.",
               text([](std::string made) { return made.starts_with(' ') ? made.substr(1) : made; })),
      decoding("decode-one-by-one", "Each token is decoded alone: characters of several bytes break.",
               [](const Tokenizer& tokenizer, std::span<const std::int64_t> ids, bool skip) {
                 std::string made;
                 for (const std::int64_t& id : ids) made += tokenizer.decode({&id, 1}, skip);
                 return made;
               }),
      decoding("decode-cleans-up", "Spaces before punctuation go: clean_up_tokenization_spaces.", text(cleaned_up)),
      decoding("decode-drops-invalid", "Bytes that are no text are dropped, not U+FFFD.",
               text([](std::string made) { return replaced(made, kReplacement, ""); })),
      decoding("decode-keeps-special", "skip_special_tokens is not heard.", skipping(false)),
      decoding("decode-skips-special", "Special tokens are always left out.", skipping(true)),
  };
}

Fault control() {
  Fault same = decoding("decode-as-it-comes", "Decoding while the tokens come, whole characters at a time.",
                        [](const Tokenizer& tokenizer, std::span<const std::int64_t> ids, bool skip) {
                          StreamDecoder decoder(tokenizer, skip);
                          std::string made;
                          for (const std::int64_t id : ids) made += decoder.push(id);
                          return made + decoder.finish();
                        });
  same.row = "-";
  same.control = true;
  return same;
}

}  // namespace

std::vector<Fault> token_faults() {
  std::vector<Fault> all = encoders();
  for (Fault& fault : decoders()) all.push_back(std::move(fault));
  all.push_back(control());
  return all;
}

}  // namespace assay
