// How far a verb has come: one line on stderr that overwrites itself. Nothing where stderr is no terminal.
#pragma once

#include <cstddef>
#include <string>

namespace assay {

class Progress {
 public:
  /// @param what  what is counted: `cases`
  explicit Progress(std::string what);

  void show(std::size_t done, std::size_t all) const;
  void clear() const;

 private:
  std::string what_;
  bool on_terminal_;
};

}  // namespace assay
