// What is not a sentencepiece model, or not one that can be read in two ways.
#include <gmock/gmock.h>

#include "small.h"

namespace assay {
namespace {

using ::testing::HasSubstr;

std::string message_for(const std::string& bytes) {
  const Temporary folder;
  put(folder / "tokenizer.model", bytes);
  const auto tokenizer = Tokenizer::open(folder / "tokenizer.model");
  return tokenizer ? "no failure" : tokenizer.error().message();
}

std::string block(char tag, const std::string& bytes) {
  std::string out(1, tag);
  std::size_t size = bytes.size();
  for (; size > 127; size >>= 7U) out += char((size & 127U) | 128U);
  return out + char(size) + bytes;
}

/// ModelProto.pieces: a piece of a kind.
std::string piece(const std::string& text, int kind) {
  return block('\x0A', block('\x0A', text) + '\x15' + std::string(4, '\0') + '\x18' + char(kind));
}

std::string model() {
  return bytes_of(std::filesystem::path(ASSAY_SOURCE_DIR) / "tests/data/tokenizer/tokenizer.model");
}

TEST(Sentencepiece, TakesTheCommittedModel) { EXPECT_EQ(message_for(model()), "no failure"); }

TEST(Sentencepiece, RefusesOtherBytes) {
  EXPECT_THAT(message_for(""), HasSubstr("expected a sentencepiece model with pieces"));
  EXPECT_THAT(message_for("{\"model\": {}}"), HasSubstr("expected a sentencepiece model with pieces"));
  EXPECT_THAT(message_for(std::string(100, '\xFF')), HasSubstr("expected a sentencepiece model with pieces"));
  for (const std::size_t size : {1U, 10U, 1000U, 15000U})
    EXPECT_THAT(message_for(model().substr(0, size)), HasSubstr("tokenizer.model")) << size;
}

TEST(Sentencepiece, RefusesPiecesThatCannotBeAVocabulary) {
  EXPECT_THAT(message_for(model() + piece("gold\xFF", 1)), HasSubstr(".piece: expected UTF-8"));
  EXPECT_THAT(message_for(model() + piece("", 4)), HasSubstr(".piece: expected text without a zero byte, found none"));
  EXPECT_THAT(message_for(model() + piece(std::string(2, '\0'), 4)), HasSubstr("text without a zero byte, found one"))
      << "the library ends the program on such a piece";
  EXPECT_THAT(message_for(model() + piece("<eos>", 1)), HasSubstr("each piece once, found \"<eos>\" twice"));
  EXPECT_THAT(message_for(model() + piece(std::string(600, 'x'), 1)), HasSubstr("at most 512 bytes, found 600"));
  EXPECT_THAT(message_for(model() + piece("\u2603", 2)),
              HasSubstr("expected a model that the sentencepiece library takes"));
}

}  // namespace
}  // namespace assay
