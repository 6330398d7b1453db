// A program that answers each line with a line: started through the shell, watched while it works, ended with all that
// it started. Whatever it does is a Failure here, never a signal or a hang of ours. Not here: what lines mean.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace assay::external {

struct Limits {
  std::chrono::duration<double> answer{300};  ///< for each answer
  std::int64_t memory = 0;  ///< resident bytes of the program and what it starts; 0: nine tenths of the machine's
  std::int64_t output = std::int64_t{4} << 30;  ///< bytes of each file that it writes, and of all that it prints
  bool show = true;                             ///< what it prints, on our stderr
};

/// Bytes of an answer's line.
inline constexpr std::size_t kMostLine = std::size_t{1} << 20;

class Process {
 public:
  /// Runs `command` by /bin/sh. It is told two descriptors in ASSAY_IN and ASSAY_OUT. If it answers there, its stdout
  /// is its own and passed on to our stderr, as its stderr always is; else it answers on stdout. Errors: io.
  /// @param environment  NAME, VALUE: beside our own
  static Result<std::unique_ptr<Process>> start(std::string command, const Limits& limits,
                                                const std::vector<std::pair<std::string, std::string>>& environment);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  /// Sends a line and waits for one. After an error the program is dead. Errors: internal: expected kInTime where
  /// there was no answer within the limit; else its end, more memory or output than allowed, a line that is too long.
  /// @param what  goes into messages: `forward`
  Result<std::string> ask(std::string_view line, std::string_view what);

  bool alive() const { return pid_ > 0; }
  const std::string& command() const { return command_; }
  /// Closes its input, waits a moment for it to go, and ends what is left of it.
  void end();
  void kill();

 private:
  /// What comes out of one of its descriptors.
  struct Stream {
    int fd = -1;
    std::string bytes;  ///< not yet a line
    bool ended = false;
  };

  Process(std::string command, const Limits& limits) : command_(std::move(command)), limits_(limits) {}
  void send_some(std::string& pending);
  void receive(Stream& stream);
  void pass_on(Stream& stream);
  bool take_line(std::string& line);
  std::int64_t resident() const;
  tl::unexpected<Failure> broken(std::string_view what, std::string expected, std::string found);
  std::string why_ended();
  void close_all();
  void wait_for_end(std::chrono::duration<double> most);

  std::string command_;
  Limits limits_;
  pid_t pid_ = -1, owner_ = -1;
  int in_ = -1;
  Stream stdout_, own_, stderr_;
  Stream* channel_ = nullptr;  ///< where it answers, once that is known
  int status_ = 0;
  std::int64_t printed_ = 0;
  std::string last_words_;  ///< the end of what it wrote to stderr
};

}  // namespace assay::external
