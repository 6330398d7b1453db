// Tokens that lie over the vocabulary: special ones, newline runs. They are cut out of the text before anything is
// merged, the longest at the leftmost place first. Private to this folder. Not here: reading them from files.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "vocabulary.h"

namespace assay {

struct AddedToken {
  std::string content;
  bool lstrip = false, rstrip = false;  ///< takes the white space on that side with it
  bool normalized = true;               ///< looked for after spaces became U+2581, spelt that way itself
  bool special = false;                 ///< left out by decode(skip_special)
};

/// Every space as U+2581: the one normaliser that Gemma's files have.
std::string spaces_marked(std::string_view text);

class AddedTokens {
 public:
  /// Takes over the id that `vocabulary` or an earlier call gave the content, else the next free one. A token added
  /// again has the later call's flags; one that was special stays so. Empty contents are left out.
  /// Source: AddedVocabulary::add_tokens (tokenizers 0.23).
  void add(const std::vector<AddedToken>& tokens, const Vocabulary& vocabulary);
  /// Builds what find() reads. Errors: bad_input (two contents that normalise alike), unsupported (one longer than
  /// 4096 bytes), naming `where`.
  Result<void> finish(const std::string& where);

  struct Piece {
    std::string text;                 ///< normalised, where it is not a token
    std::optional<std::uint32_t> id;  ///< of the added token it is
  };
  /// The text cut into added tokens and what lies between them. Source: extract_and_normalize (tokenizers 0.23).
  std::vector<Piece> split(std::string_view text) const;

  std::optional<std::uint32_t> find(std::string_view content) const;
  const AddedToken* token(std::int64_t id) const;
  /// The token's text as decode() takes it: normalised where it is normalised. Null where no token has the id.
  const std::string* spelling(std::int64_t id) const;
  bool is_special(std::string_view content) const { return special_.contains(content); }
  std::size_t size() const { return by_content_.size(); }
  std::size_t beyond(const Vocabulary& vocabulary) const;  ///< how many the vocabulary lacks

 private:
  /// The patterns as a tree of bytes; find() walks it from each place where some pattern may start.
  struct Trie {
    struct Node {
      std::map<unsigned char, std::uint32_t> next;
      std::int64_t id = -1;
    };
    std::vector<Node> nodes{1};
    std::array<bool, 256> starts{};
    bool add(std::string_view pattern, std::uint32_t id);
    struct Match {
      std::size_t first, last;  ///< the bytes [first, last)
      std::uint32_t id;
    };
    std::optional<Match> find(std::string_view text, std::size_t from) const;
  };
  struct Span {
    std::size_t first, last;
    std::optional<std::uint32_t> id;
  };
  std::vector<Span> spans(std::string_view text, const Trie& trie) const;

  struct Entry {
    AddedToken token;
    std::string spelling;
  };
  std::map<std::uint32_t, Entry> by_id_;
  std::unordered_map<std::string, std::uint32_t> by_content_;
  std::set<std::string, std::less<>> special_;
  Trie raw_, normalized_;
};

}  // namespace assay
