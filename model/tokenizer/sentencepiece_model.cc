#include "sentencepiece_model.h"

#include <algorithm>
#include <cstdint>
#include <exception>
#include <optional>
#include <utility>

#include <sentencepiece_processor.h>

#include "utf8.h"

namespace assay {
namespace {

constexpr std::size_t kLongestPiece = 512;  // each place inside a piece is tried as a merge

/// One field of a protobuf message: its number, and a varint's value or a block's bytes.
struct Field {
  std::uint64_t number = 0, value = 0;
  std::string_view block;
};

/// Walks the fields of a message. The library tells unknown, control and byte pieces apart but has no question for
/// user-defined ones, so the kinds are read from the same bytes here.
class Message {
 public:
  explicit Message(std::string_view bytes) : left_(bytes) {}
  bool bad() const { return bad_; }

  std::optional<Field> next() {
    if (left_.empty() || bad_) return std::nullopt;
    Field field;
    const std::uint64_t tag = varint();
    field.number = tag >> 3;
    switch (tag & 7U) {
      case 0: field.value = varint(); break;
      case 1: field.block = take(8); break;
      case 2: field.block = take(varint()); break;
      case 5: field.block = take(4); break;
      default: bad_ = true;  // groups, which this format never had
    }
    if (bad_) return std::nullopt;
    return field;
  }

 private:
  std::uint64_t varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && !left_.empty(); shift += 7) {
      const auto byte = static_cast<unsigned char>(left_.front());
      left_.remove_prefix(1);
      value |= std::uint64_t{byte & 0x7FU} << shift;
      if (byte < 0x80) return value;
    }
    bad_ = true;
    return 0;
  }
  std::string_view take(std::uint64_t count) {
    if (count > left_.size()) {
      bad_ = true;
      return {};
    }
    const std::string_view block = left_.substr(0, count);
    left_.remove_prefix(count);
    return block;
  }

  std::string_view left_;
  bool bad_ = false;
};

enum Kind : std::uint64_t { normal = 1, unknown = 2, control = 3, user_defined = 4, unused = 5, byte = 6 };

struct Piece {
  std::string_view text;
  std::uint64_t kind = normal;
};

/// ModelProto.pieces (field 1) of SentencePiece {piece = 1, score = 2, type = 3}.
Result<std::vector<Piece>> pieces_of(std::string_view bytes, const std::string& where) {
  std::vector<Piece> pieces;
  Message model(bytes);
  while (const auto field = model.next()) {
    if (field->number != 1) continue;
    Piece piece;
    Message message(field->block);
    while (const auto part = message.next()) {
      if (part->number == 1) piece.text = part->block;
      if (part->number == 3 && part->value >= normal && part->value <= byte) piece.kind = part->value;
    }
    if (message.bad())
      return fail({Failure::bad_input, where, "pieces[" + std::to_string(pieces.size()) + "]", "a SentencePiece",
                   "other bytes"});
    pieces.push_back(piece);
  }
  if (model.bad() || pieces.empty())
    return fail({Failure::bad_input, where, "", "a sentencepiece model with pieces", "other bytes"});
  return pieces;
}

void put_varint(std::string& out, std::uint64_t value) {
  for (; value > 127; value >>= 7U) out += static_cast<char>(value | 128U);
  out += static_cast<char>(value);
}

void put_block(std::string& out, char tag, std::string_view block) {
  out += tag;
  put_varint(out, block.size());
  out += block;
}

/// The pieces as a BPE model of nothing else. transformers reads only them, and the library ends the program on some
/// tables that a stranger may have put beside them.
std::string bare_model(const std::vector<Piece>& pieces) {
  std::string model;
  bool bytes = false;
  for (const Piece& piece : pieces) {
    std::string message;
    put_block(message, '\x0A', piece.text);  // piece
    message += '\x18';                       // type
    put_varint(message, piece.kind);
    put_block(model, '\x0A', message);
    bytes = bytes || piece.kind == byte;
  }
  put_block(model, '\x12', bytes ? "\x18\x02\x98\x02\x01" : "\x18\x02");  // model_type BPE, byte_fallback
  return model;
}

/// What the library makes of the pieces must agree with what was read here.
Result<void> check_with_library(const std::vector<Piece>& pieces, const std::string& where) try {
  sentencepiece::SentencePieceProcessor library;
  const std::string bytes = bare_model(pieces);
  const auto status = library.LoadFromSerializedProto({bytes.data(), bytes.size()});
  if (!status.ok())
    return fail({Failure::bad_input, where, "", "a model that the sentencepiece library takes", status.ToString()});
  bool same = std::size_t(library.GetPieceSize()) == pieces.size();
  for (std::size_t i = 0; same && i < pieces.size(); ++i) {
    const int id = int(i);
    same = library.IdToPiece(id) == pieces[i].text && library.IsControl(id) == (pieces[i].kind == control) &&
           library.IsUnknown(id) == (pieces[i].kind == unknown) && library.IsByte(id) == (pieces[i].kind == byte);
  }
  if (same) return {};
  return fail({Failure::bad_input, where, "pieces", "one reading of them", "two"});
} catch (const std::exception& thrown) {
  return fail({Failure::bad_input, where, "", "a model that the sentencepiece library takes", thrown.what()});
}

/// Every way to cut a piece into two others, in the order of the whole piece's id, then of the left part's length.
void add_merges(SentencepieceModel& model) {
  for (std::size_t i = 0; i < model.vocabulary.size(); ++i) {
    const std::string piece(model.vocabulary.name(i));
    for (std::size_t cut = 1; cut < piece.size(); ++cut) {
      if ((static_cast<unsigned char>(piece[cut]) & 0xC0U) == 0x80) continue;
      const auto left = std::string_view(piece).substr(0, cut);
      const auto right = std::string_view(piece).substr(cut);
      if (model.vocabulary.find(left) && model.vocabulary.find(right)) model.merges.add(left, right);
    }
  }
}

}  // namespace

Result<SentencepieceModel> parse_sentencepiece_model(std::string_view bytes, const std::string& where) {
  ASSAY_TRY(pieces, pieces_of(bytes, where));
  SentencepieceModel model;
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    const auto [text, kind] = pieces[i];
    const std::string field = "pieces[" + std::to_string(i) + "].piece";
    if (text.empty() || text.find('\0') != std::string_view::npos)
      return fail({Failure::bad_input, where, field, "text without a zero byte", text.empty() ? "none" : "one"});
    if (utf8_invalid_at(text)) return fail({Failure::bad_input, where, field, "UTF-8", "other bytes"});
    if (text.size() > kLongestPiece)
      return fail({Failure::unsupported, where, field, "at most " + std::to_string(kLongestPiece) + " bytes",
                   std::to_string(text.size())});
    if (!model.vocabulary.add(text, std::uint32_t(i)))
      return fail({Failure::bad_input, where, field, "each piece once", '"' + std::string(text) + "\" twice"});
    if (kind == control || kind == user_defined)
      model.added.push_back({std::string(text), false, false, false, kind == control});
  }
  ASSAY_CHECK(check_with_library(pieces, where));
  ASSAY_CHECK(model.vocabulary.finish(where));
  add_merges(model);
  return model;
}

}  // namespace assay
