// A journal beside a run's report: a line for each case that is done, so that a run that was killed goes on where it
// stood. Not here: which cases there are, what they depend on (about.h).
#pragma once

#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "reports/run.h"

namespace assay {

class Journal {
 public:
  /// Takes up the journal in `file`, or begins one. One of another run, or one that is no journal, is begun anew, and
  /// `word()` says why; a line that a kill cut off, and whatever follows it, is dropped. Errors: io; bad_input where
  /// another process is writing it.
  static Result<Journal> open(const std::filesystem::path& file, const Facts& about);
  Journal(Journal&& other) noexcept;
  Journal& operator=(Journal&&) = delete;
  ~Journal();

  /// Results of a unit that is done, or null.
  const std::vector<PathResult>* find(const std::string& unit) const;
  std::size_t size() const { return done_.size(); }
  const std::string& word() const { return word_; }

  /// Writes a unit's line; it is on the disk when this returns. Errors: io.
  Result<void> add(const std::string& unit, std::span<const PathResult> results);
  /// The report is written: nobody needs the journal any more.
  void remove();

 private:
  Journal(std::filesystem::path file, int fd) : file_(std::move(file)), fd_(fd) {}
  Result<void> write_line(const std::string& line);
  /// Reads what holds; returns how many bytes that is, 0 if not even the first line does.
  std::size_t read(const std::string& text, const Facts& about);

  std::filesystem::path file_;
  int fd_ = -1;
  std::map<std::string, std::vector<PathResult>> done_;
  std::string word_;
};

}  // namespace assay
