#include "model/gguf/gguf_tokens.h"

namespace assay {
namespace {

constexpr std::string_view kTokens = "tokenizer.ggml.tokens";
constexpr std::string_view kNames[] = {"bos", "eos", "eot", "eom", "unknown", "padding"};

}  // namespace

std::string_view GgufTokens::text(std::string_view name) const {
  const auto found = named.find(name);
  return found == named.end() ? std::string_view() : texts[std::size_t(found->second)];
}

Result<GgufTokens> read_gguf_tokens(const Gguf& file) {
  GgufTokens tokens;
  const GgufValue* listed = file.find(kTokens);
  auto texts = listed == nullptr ? std::nullopt : listed->texts();
  if (!texts || texts->empty())
    return fail({Failure::bad_input, file.where(), std::string(kTokens), "a list of strings",
                 listed == nullptr ? "none" : listed->what()});
  tokens.texts = std::move(*texts);
  for (const std::string_view name : kNames) {
    const std::string key = "tokenizer.ggml." + std::string(name) + "_token_id";
    const GgufValue* value = file.find(key);
    if (value == nullptr) continue;
    const auto id = value->integer();
    if (!id || *id < 0 || *id >= std::ssize(tokens.texts))
      return fail({Failure::bad_input, file.where(), key, "an id below " + std::to_string(tokens.texts.size()),
                   id ? std::to_string(*id) : value->what()});
    tokens.named.emplace(name, *id);
  }
  return tokens;
}

}  // namespace assay
