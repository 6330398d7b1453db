#include "tokenizer_parts.h"

#include <algorithm>
#include <utility>

namespace assay {
namespace {

bool is_gemma(const TokenizerConfig& config) {
  return config.tokenizer_class == "GemmaTokenizer" || config.tokenizer_class == "GemmaTokenizerFast";
}

/// The names that GemmaTokenizer's constructor gives where the configuration does not.
void add_defaults(TokenizerConfig& config) {
  std::vector<std::pair<std::string, std::optional<AddedToken>>> missing;
  for (const auto& [name, token] :
       {std::pair{"bos_token", "<bos>"}, std::pair{"eos_token", "<eos>"}, std::pair{"unk_token", "<unk>"},
        std::pair{"pad_token", "<pad>"}, std::pair{"mask_token", "<mask>"}})
    if (!config.has(name)) missing.emplace_back(name, AddedToken{token, false, false, false, true});
  config.named.insert(config.named.begin(), missing.begin(), missing.end());
}

/// Named tokens in the order in which transformers adds those that are new.
std::vector<AddedToken> named_tokens(const TokenizerConfig& config) {
  constexpr std::array kOrder = {"bos_token", "eos_token", "unk_token", "sep_token",
                                 "pad_token", "cls_token", "mask_token"};
  std::vector<AddedToken> found;
  for (const char* name : kOrder)
    for (const auto& [key, token] : config.named)
      if (key == name && token) found.push_back(*token);
  for (const auto& [key, token] : config.named)
    if (token && std::none_of(kOrder.begin(), kOrder.end(), [&key = key](const char* name) { return key == name; }))
      found.push_back(*token);
  return found;
}

/// added_tokens_decoder, then named tokens, then extra ones, each content once.
void add_tokens(Tokenizer::Parts& parts, const TokenizerConfig& config) {
  std::vector<AddedToken> tokens;
  if (config.added)
    for (const auto& [id, token] : *config.added) tokens.push_back(token);
  const std::vector<AddedToken> named = named_tokens(config);
  std::set<std::string> seen;
  for (const AddedToken& token : tokens) seen.insert(token.content);
  std::set<std::string> names;
  for (const AddedToken& token : named) names.insert(token.content);
  const auto add_new = [&](const AddedToken& token) {
    if (parts.added.find(token.content) || !seen.insert(token.content).second) return;
    tokens.push_back(token);
  };
  for (const AddedToken& token : named) add_new(token);
  if (config.extra)
    for (const AddedToken& token : *config.extra) add_new(token);
  for (AddedToken& token : tokens) token.special = token.special || names.contains(token.content);
  parts.added.add(tokens, parts.bpe.vocabulary());
}

void name_ids(Tokenizer::Parts& parts, const TokenizerConfig& config) {
  const auto id = [&](const char* name, const char* otherwise) {
    const auto text = config.text(name);
    return parts.id_of(text ? *text : config.has(name) ? "" : otherwise);
  };
  parts.bos = id("bos_token", "<bos>");
  parts.eos = id("eos_token", "<eos>");
  parts.pad = id("pad_token", "<pad>");
  parts.unk = id("unk_token", "<unk>");
}

}  // namespace

std::optional<std::int64_t> Tokenizer::Parts::id_of(std::string_view token) const {
  if (const auto id = added.find(token)) return *id;
  if (const auto id = bpe.vocabulary().find(token)) return *id;
  return std::nullopt;
}

std::optional<std::string_view> Tokenizer::Parts::spelling(std::int64_t id) const {
  if (const std::string* text = added.spelling(id)) return *text;
  return bpe.vocabulary().token(id);
}

Result<Tokenizer::Parts> assemble(TokenizerJson file, const TokenizerConfig& given, const std::string& where) {
  TokenizerConfig config = given;
  const bool gemma = is_gemma(config);
  if (gemma) {
    add_defaults(config);
    file.options = {config.text("unk_token"), true, true, false};
  }
  ASSAY_TRY(bpe, Bpe::make(std::move(file.vocabulary), file.merges, std::move(file.options), where));
  Tokenizer::Parts parts{std::move(bpe)};
  if (!gemma) parts.added.add(file.added, parts.bpe.vocabulary());
  if (!config.added) {  // transformers then fills added_tokens_decoder from the file, by the ids the file claims
    config.added.emplace();
    for (std::size_t i = 0; i < file.added.size(); ++i) (*config.added)[file.added_ids[i]] = file.added[i];
  }
  add_tokens(parts, config);
  ASSAY_CHECK(parts.added.finish(where));
  parts.before = std::move(file.before);
  parts.after = std::move(file.after);
  name_ids(parts, config);
  return parts;
}

Result<Tokenizer::Parts> assemble(SentencepieceModel model, TokenizerConfig config, const std::string& where) {
  add_defaults(config);
  if (!config.extra) config.extra = std::move(model.added);
  ASSAY_TRY(bpe,
            Bpe::make(std::move(model.vocabulary), model.merges, {config.text("unk_token"), true, true, false}, where));
  Tokenizer::Parts parts{std::move(bpe)};
  add_tokens(parts, config);
  ASSAY_CHECK(parts.added.finish(where));
  name_ids(parts, config);
  if (config.add_bos && parts.bos) parts.before.push_back(*parts.bos);
  if (config.add_eos && parts.eos) parts.after.push_back(*parts.eos);
  return parts;
}

}  // namespace assay
