// Several rows of ids that come in turns, as text that can be printed at once: the first row's as it comes, another's
// when those before it have ended. Whole characters only. Not here: printing.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "harness/run/generate.h"
#include "model/tokenizer/tokenizer.h"

namespace assay {

class TextStream {
 public:
  /// @param begin  called before a row's first text
  /// @param text   called with pieces of the row that was begun last
  /// @param end    called after a row's last
  struct Out {
    std::function<void(int row)> begin, end;
    std::function<void(std::string_view piece)> text;
  };

  /// Special tokens and the stop token are left out of the text.
  TextStream(const Tokenizer& tokenizer, int rows, Out out);

  void push(int row, std::int64_t id, std::optional<Finish> finish);
  /// All of a row's text so far.
  const std::string& text(int row) const { return rows_[std::size_t(row)].text; }

 private:
  struct Row {
    StreamDecoder decoder;
    std::string text;
    std::size_t shown = 0;  ///< bytes of it
    bool ended = false;
  };
  void show();

  std::vector<Row> rows_;
  Out out_;
  int current_ = 0;
  bool begun_ = false;
};

}  // namespace assay
