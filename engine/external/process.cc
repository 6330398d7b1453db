#include "engine/external/process.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <thread>

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include "engine/engine.h"

namespace assay::external {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kTick{100};  // between looks at its memory
constexpr std::chrono::duration<double> kToLeave{2};
constexpr std::size_t kLastWords = 4096, kShown = 300;
constexpr int kTheirIn = 3, kTheirOut = 4;
constexpr double kMebi = 1 << 20;

/// A dead reader is an errno for whoever holds this, not a signal.
class NoSigpipe {
 public:
  NoSigpipe() {
    sigemptyset(&pipe_);
    sigaddset(&pipe_, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
  }
  ~NoSigpipe() {
    const timespec now{0, 0};
    if (sigismember(&before_, SIGPIPE) == 0)
      while (sigtimedwait(&pipe_, nullptr, &now) == SIGPIPE) {
      }
    pthread_sigmask(SIG_SETMASK, &before_, nullptr);
  }
  NoSigpipe(const NoSigpipe&) = delete;
  NoSigpipe& operator=(const NoSigpipe&) = delete;

 private:
  sigset_t pipe_{}, before_{};
};

void limit(int what, std::int64_t most) {
  const rlimit value{rlim_t(most), rlim_t(most)};
  ::setrlimit(__rlimit_resource_t(what), &value);
}

struct Ends {
  int in = -1, out = -1, own = -1, err = -1;  ///< the program's
};

/// Between fork and exec: system calls alone.
[[noreturn]] void become(const char* command, char* const* environment, Ends ends, pid_t parent, std::int64_t output) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
  ::setpgid(0, 0);
  constexpr int kHigh = 10;  // out of the way of what they become
  const int in = ::fcntl(ends.in, F_DUPFD, kHigh), out = ::fcntl(ends.out, F_DUPFD, kHigh);
  const int own = ::fcntl(ends.own, F_DUPFD, kHigh), err = ::fcntl(ends.err, F_DUPFD, kHigh);
  ::dup2(in, STDIN_FILENO);
  ::dup2(out, STDOUT_FILENO);
  ::dup2(err, STDERR_FILENO);
  ::dup2(in, kTheirIn);
  ::dup2(own, kTheirOut);
  if (::close_range(kTheirOut + 1, ~0U, 0) != 0)
    for (int fd = kTheirOut + 1; fd < 1024; ++fd) ::close(fd);
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_FSIZE, output);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (const int number : {SIGPIPE, SIGINT, SIGTERM, SIGCHLD, SIGXFSZ}) std::signal(number, SIG_DFL);
  const char* const arguments[] = {"sh", "-c", command, nullptr};
  ::execve("/bin/sh", const_cast<char* const*>(arguments), environment);
  ::_exit(127);
}

std::vector<std::string> environment_with(const std::vector<std::pair<std::string, std::string>>& more) {
  std::vector<std::string> all;
  for (char** at = environ; *at != nullptr; ++at) {
    const std::string_view entry(*at);
    const std::string_view name = entry.substr(0, entry.find('='));
    if (std::none_of(more.begin(), more.end(), [&](const auto& one) { return one.first == name; }))
      all.emplace_back(entry);
  }
  for (const auto& [name, value] : more) all.emplace_back(name).append("=").append(value);
  return all;
}

/// A command that is one program and its arguments takes the shell's place: its signals and its end are then its own.
std::string for_shell(const std::string& command) {
  const bool simple = command.find_first_of(";|&()<>\n`#") == std::string::npos;
  const std::string first = command.substr(0, command.find(' '));
  return simple && first.find('=') == std::string::npos ? "exec " + command : command;
}

std::int64_t machine_memory() { return std::int64_t{::sysconf(_SC_PHYS_PAGES)} * ::sysconf(_SC_PAGESIZE); }

}  // namespace

Result<std::unique_ptr<Process>> Process::start(std::string command, const Limits& limits,
                                                const std::vector<std::pair<std::string, std::string>>& environment) {
  std::unique_ptr<Process> process(new Process(std::move(command), limits));
  if (process->limits_.memory <= 0) process->limits_.memory = machine_memory() / 10 * 9;
  auto more = environment;
  more.emplace_back("ASSAY_IN", std::to_string(kTheirIn));
  more.emplace_back("ASSAY_OUT", std::to_string(kTheirOut));
  const std::vector<std::string> all = environment_with(more);
  std::vector<char*> pointers;
  pointers.reserve(all.size() + 1);
  for (const std::string& entry : all) pointers.push_back(const_cast<char*>(entry.c_str()));
  pointers.push_back(nullptr);

  int in[2], out[2], own[2], err[2];
  int made = 0;
  int* const pipes[] = {in, out, own, err};
  for (int* const ends : pipes) {
    if (::pipe2(ends, O_CLOEXEC) != 0) break;
    ++made;
  }
  const auto refuse = [&](const char* call) {
    const std::string why = std::strerror(errno);
    for (int i = 0; i < made; ++i)
      for (int end = 0; end < 2; ++end) ::close(pipes[i][end]);
    return fail({Failure::io, process->command_, "", "to be started", std::string(call) + ": " + why});
  };
  if (made < 4) return refuse("pipe");
  std::fflush(nullptr);
  const std::string line = for_shell(process->command_);
  process->owner_ = ::getpid();
  process->pid_ = ::fork();
  if (process->pid_ == 0)
    become(line.c_str(), pointers.data(), {in[0], out[1], own[1], err[1]}, process->owner_, process->limits_.output);
  if (process->pid_ < 0) return refuse("fork");
  ::setpgid(process->pid_, process->pid_);  // whoever comes first
  for (const int fd : {in[0], out[1], own[1], err[1]}) ::close(fd);
  process->in_ = in[1];
  process->stdout_.fd = out[0];
  process->own_.fd = own[0];
  process->stderr_.fd = err[0];
  for (const int fd : {in[1], out[0], own[0], err[0]}) ::fcntl(fd, F_SETFL, O_NONBLOCK);
  return process;
}

Process::~Process() {
  if (::getpid() != owner_) {  // a fork of ours: the program is its parent's
    close_all();
    return;
  }
  kill();
}

void Process::close_all() {
  for (int* const fd : {&in_, &stdout_.fd, &own_.fd, &stderr_.fd}) {
    if (*fd >= 0) ::close(*fd);
    *fd = -1;
  }
}

void Process::kill() {
  if (pid_ > 0) {
    ::kill(-pid_, SIGKILL);
    ::kill(pid_, SIGKILL);  // it may not have come to its group yet
    while (::waitpid(pid_, &status_, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
  }
  close_all();
}

void Process::wait_for_end(std::chrono::duration<double> most) {
  const auto until = Clock::now() + most;
  while (pid_ > 0) {
    if (::waitpid(pid_, &status_, WNOHANG) == pid_) {
      ::kill(-pid_, SIGKILL);  // what it started and left behind
      pid_ = -1;
      return;
    }
    if (Clock::now() >= until) return;
    pass_on(stderr_);  // so that it does not wait for a reader
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

void Process::end() {
  if (::getpid() == owner_ && pid_ > 0) {
    if (in_ >= 0) ::close(in_);
    in_ = -1;
    wait_for_end(kToLeave);
  }
  kill();
}

void Process::send_some(std::string& pending) {
  const NoSigpipe guard;
  while (!pending.empty()) {
    const ssize_t written = ::write(in_, pending.data(), pending.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno != EAGAIN) pending.clear();  // it reads no more; that it ended is seen where it writes
    if (written <= 0) return;
    pending.erase(0, std::size_t(written));
  }
}

void Process::receive(Stream& stream) {
  char buffer[65536];
  while (stream.fd >= 0 && !stream.ended && stream.bytes.size() <= kMostLine) {
    const ssize_t got = ::read(stream.fd, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && errno == EAGAIN) return;
    if (got <= 0) {
      stream.ended = true;
      return;
    }
    printed_ += got;
    stream.bytes.append(buffer, std::size_t(got));
  }
}

void Process::pass_on(Stream& stream) {
  receive(stream);
  const NoSigpipe guard;
  for (std::string_view rest = stream.bytes; limits_.show && !rest.empty();) {
    const ssize_t written = ::write(STDERR_FILENO, rest.data(), rest.size());
    if (written <= 0 && errno != EINTR) break;
    rest.remove_prefix(std::size_t(std::max<ssize_t>(written, 0)));
  }
  last_words_ += stream.bytes;
  if (last_words_.size() > kLastWords) last_words_.erase(0, last_words_.size() - kLastWords);
  stream.bytes.clear();
}

bool Process::take_line(std::string& line) {
  if (channel_ == nullptr) {
    // Whoever answers on ASSAY_OUT may print what it likes on stdout. Whoever answers on stdout may print nothing else:
    // with its first answer there, what it printed before is an answer, too.
    const std::size_t last = stdout_.bytes.size() < 2 ? 0 : stdout_.bytes.rfind('\n', stdout_.bytes.size() - 2) + 1;
    const std::string_view newest = std::string_view(stdout_.bytes).substr(last);
    const bool answered = newest.starts_with('{') && newest.find("\"id\"") != std::string_view::npos;
    if (own_.bytes.find('\n') != std::string::npos)
      channel_ = &own_;
    else if (answered && stdout_.bytes.ends_with('\n'))
      channel_ = &stdout_;
    else
      return false;
  }
  const std::size_t end = channel_->bytes.find('\n');
  if (end == std::string::npos) return false;
  line = channel_->bytes.substr(0, end);
  channel_->bytes.erase(0, end + 1);
  return true;
}

/// Of its process group, which is all that it started unless that went away on purpose.
std::int64_t Process::resident() const {
  std::int64_t pages = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", error)) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    if (::getpgid(pid_t(std::atol(name.c_str()))) != pid_) continue;
    std::ifstream statm(entry.path() / "statm");
    std::int64_t size = 0, own = 0;
    if (statm >> size >> own) pages += own;
  }
  return pages * ::sysconf(_SC_PAGESIZE);
}

std::string Process::why_ended() {
  wait_for_end(kToLeave);
  std::string why;
  if (pid_ > 0)
    why = "no more of them, though it lives";
  else if (WIFSIGNALED(status_))
    why = fmt::format("its end by signal {} ({})", WTERMSIG(status_), ::strsignal(WTERMSIG(status_)));
  else if (constexpr int kOfShell = 128; WEXITSTATUS(status_) > kOfShell)
    why = fmt::format("its end with exit status {}, a shell's word for signal {} ({})", WEXITSTATUS(status_),
                      WEXITSTATUS(status_) - kOfShell, ::strsignal(WEXITSTATUS(status_) - kOfShell));
  else
    why = fmt::format("its end with exit status {}", WEXITSTATUS(status_));
  pass_on(stderr_);
  std::string_view said = last_words_;
  while (!said.empty() && (said.back() == '\n' || said.back() == ' ')) said.remove_suffix(1);
  if (const std::size_t line = said.rfind('\n'); line != std::string_view::npos) said.remove_prefix(line + 1);
  if (!said.empty()) why += fmt::format("; its last words: {}", said.substr(0, kShown));
  return why;
}

tl::unexpected<Failure> Process::broken(std::string_view what, std::string expected, std::string found) {
  kill();
  return fail({Failure::internal, command_, std::string(what), std::move(expected), std::move(found)});
}

Result<std::string> Process::ask(std::string_view line, std::string_view what) {
  if (!alive()) return fail({Failure::internal, command_, std::string(what), "an answer", "a program that has ended"});
  const auto start = Clock::now();
  std::string pending(line), answer;
  pending += '\n';
  auto looked = start;
  int idle = 0;  // rounds since it ended, in which somebody out of its group may still hold a pipe
  while (true) {
    send_some(pending);
    receive(own_);
    receive(stdout_);
    if (channel_ == &own_) pass_on(stdout_);
    pass_on(stderr_);
    if (take_line(answer)) return answer;
    const Stream& awaited = channel_ == nullptr ? (own_.bytes.empty() ? stdout_ : own_) : *channel_;
    if (awaited.bytes.size() > kMostLine)
      return broken(what, fmt::format("a line of at most {} bytes", kMostLine), "more");
    if (printed_ > limits_.output) return broken(what, fmt::format("at most {} bytes printed", limits_.output), "more");
    const bool mute = channel_ == nullptr ? own_.ended && stdout_.ended : channel_->ended;
    if (mute || (pid_ < 0 && ++idle > 2)) {
      std::string why = why_ended();
      return broken(what, "an answer", std::move(why));
    }
    const auto now = Clock::now();
    if (now - start >= limits_.answer)
      return broken(what, std::string(kInTime),
                    fmt::format("none within {:.3g} s{}{}", limits_.answer.count(),
                                channel_ == nullptr && !stdout_.bytes.empty() ? "; on its stdout: " : "",
                                channel_ == nullptr ? stdout_.bytes.substr(0, kShown) : ""));
    if (pid_ > 0 && now - looked >= kTick) {
      looked = now;
      if (::waitpid(pid_, &status_, WNOHANG) == pid_) {
        ::kill(-pid_, SIGKILL);  // what it started holds its descriptors open
        pid_ = -1;
        continue;  // what it wrote before its end still counts
      }
      if (const std::int64_t used = resident(); used > limits_.memory)
        return broken(what, fmt::format("at most {:.0f} MiB of memory", double(limits_.memory) / kMebi),
                      fmt::format("{:.0f} MiB", double(used) / kMebi));
    }
    std::vector<pollfd> fds;
    for (const Stream* stream : {&stdout_, &own_, &stderr_})
      if (!stream->ended) fds.push_back({stream->fd, POLLIN, 0});
    if (!pending.empty()) fds.push_back({in_, POLLOUT, 0});
    const double left = (limits_.answer - (now - start)) / std::chrono::milliseconds(1);
    ::poll(fds.data(), fds.size(), std::clamp(int(left) + 1, 1, int(kTick.count())));
  }
}

}  // namespace assay::external
