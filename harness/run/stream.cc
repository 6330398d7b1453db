#include "harness/run/stream.h"

#include <utility>

namespace assay {

TextStream::TextStream(const Tokenizer& tokenizer, int rows, Out out) : out_(std::move(out)) {
  for (int b = 0; b < rows; ++b) rows_.push_back({StreamDecoder(tokenizer, true), {}});
}

void TextStream::push(int row, std::int64_t id, std::optional<Finish> finish) {
  Row& at = rows_[std::size_t(row)];
  if (finish != Finish::stop) at.text += at.decoder.push(id);
  if (finish) {
    at.text += at.decoder.finish();
    at.ended = true;
  }
  show();
}

void TextStream::show() {
  while (current_ < int(rows_.size())) {
    Row& row = rows_[std::size_t(current_)];
    if (!begun_ && (row.ended || !row.text.empty())) {
      out_.begin(current_);
      begun_ = true;
    }
    if (row.shown < row.text.size()) {
      out_.text(std::string_view(row.text).substr(row.shown));
      row.shown = row.text.size();
    }
    if (!row.ended) return;
    out_.end(current_);
    ++current_;
    begun_ = false;
  }
}

}  // namespace assay
