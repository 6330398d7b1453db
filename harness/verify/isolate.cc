#include "harness/verify/isolate.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <thread>

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

namespace assay {
namespace {

using Clock = std::chrono::steady_clock;

/// What precedes a message in the pipe.
struct Header {
  enum Kind : std::uint32_t { message, exception, done };
  Kind kind;
  std::uint32_t size;
};

bool write_all(int fd, const void* data, std::size_t size) {
  const char* at = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t written = ::write(fd, at, size);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    at += written;
    size -= std::size_t(written);
  }
  return true;
}

void write_frame(int fd, Header::Kind kind, std::string_view text) {
  const Header header{kind, std::uint32_t(text.size())};
  if (!write_all(fd, &header, sizeof header) || !write_all(fd, text.data(), text.size())) ::_exit(1);
}

[[noreturn]] void run_child(const Work& work, int fd, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);  // the parent's end, by Ctrl-C or otherwise, is the child's
  if (::getppid() != parent) ::_exit(1);
  ::setpgid(0, 0);  // so that what an engine starts can be ended with it
  std::signal(SIGPIPE, SIG_IGN);
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  try {
    work([fd](std::string_view text) { write_frame(fd, Header::message, text); });
    write_frame(fd, Header::done, "");
  } catch (const std::exception& error) {
    write_frame(fd, Header::exception, error.what());
  } catch (...) {
    write_frame(fd, Header::exception, "an exception that is no std::exception");
  }
  std::fflush(nullptr);
  ::_exit(0);  // no destructors: they belong to the parent
}

/// One child, from its fork to its end.
class Child {
 public:
  Child(const Work& work, std::size_t index, std::chrono::duration<double> deadline)
      : index_(index), deadline_(deadline), start_(Clock::now()) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) {
      give_up("pipe");
      return;
    }
    std::fflush(nullptr);  // what is buffered would be written twice
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ == 0) {
      ::close(ends[0]);
      run_child(work, ends[1], parent);
    }
    ::close(ends[1]);
    fd_ = ends[0];
    ::fcntl(fd_, F_SETFL, O_NONBLOCK);
    if (pid_ < 0) give_up("fork");
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (fd_ >= 0) ::close(fd_);
  }

  int fd() const { return fd_; }
  /// Nothing more will come; as a rule the child's end is a moment away.
  bool closed() const { return closed_; }
  std::size_t index() const { return index_; }
  bool ended() const { return ended_; }
  Outcome take() { return std::move(outcome_); }
  double left() const { return (deadline_ - elapsed()).count(); }

  /// Reads what has come, and sees whether the child has ended or must.
  void attend() {
    if (ended_) return;
    closed_ = !drain();
    int status = 0;
    const pid_t waited = ::waitpid(pid_, &status, WNOHANG);
    if (waited == pid_) {
      drain();
      end(status);
    } else if (left() <= 0) {
      ::kill(-pid_, SIGKILL);
      ::kill(pid_, SIGKILL);  // it may not have come to its group yet
      while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
      }
      drain();
      end(status, true);
    }
  }

 private:
  std::chrono::duration<double> elapsed() const { return Clock::now() - start_; }

  void give_up(const char* call) {
    outcome_.end = Outcome::crashed;
    outcome_.what = fmt::format("{}: {}", call, std::strerror(errno));
    ended_ = true;
  }

  /// False at the end of the pipe.
  bool drain() {
    char buffer[65536];
    while (true) {
      const ssize_t got = ::read(fd_, buffer, sizeof buffer);
      if (got > 0) {
        bytes_.append(buffer, std::size_t(got));
      } else if (got < 0 && errno == EINTR) {
        continue;
      } else {
        return got != 0;
      }
    }
  }

  /// Takes whole frames out of the bytes; a frame cut off by a crash is dropped.
  void unpack() {
    for (std::size_t at = 0; bytes_.size() - at >= sizeof(Header);) {
      Header header{};
      std::memcpy(&header, bytes_.data() + at, sizeof header);
      at += sizeof header;
      if (bytes_.size() - at < header.size) break;
      std::string text = bytes_.substr(at, header.size);
      at += header.size;
      if (header.kind == Header::message)
        outcome_.messages.push_back(std::move(text));
      else if (header.kind == Header::done)
        done_ = true;
      else
        exception_ = text.empty() ? "an exception without a text" : std::move(text);
    }
  }

  void end(int status, bool late = false) {
    ended_ = true;
    outcome_.seconds = elapsed().count();
    ::kill(-pid_, SIGKILL);  // what the engine started and left behind
    unpack();
    if (done_) return;
    outcome_.end = late ? Outcome::timed_out : Outcome::crashed;
    if (late)
      outcome_.what = fmt::format("no end after {:.3g} s", deadline_.count());
    else if (!exception_.empty())
      outcome_.what = exception_;
    else if (WIFSIGNALED(status))
      outcome_.what = fmt::format("signal {} ({})", WTERMSIG(status), ::strsignal(WTERMSIG(status)));
    else
      outcome_.what = fmt::format("the process ended with status {} before its work did", WEXITSTATUS(status));
  }

  std::size_t index_;
  std::chrono::duration<double> deadline_;
  Clock::time_point start_;
  pid_t pid_ = -1;
  int fd_ = -1;
  bool closed_ = false, ended_ = false, done_ = false;
  std::string bytes_, exception_;
  Outcome outcome_;
};

/// Sleeps until a child says something, a deadline is near, or a tick has passed: a child whose own children hold the
/// pipe open ends without a sign in it.
void wait_for(const std::vector<std::unique_ptr<Child>>& running) {
  constexpr double kTick = 0.1, kMoment = 0.001;
  double left = kTick;
  std::vector<pollfd> fds;
  for (const auto& child : running) {
    if (!child->closed()) fds.push_back({child->fd(), POLLIN, 0});
    left = std::min(left, child->closed() ? kMoment : child->left());
  }
  ::poll(fds.data(), fds.size(), std::max(1, int(left * 1000)));
}

}  // namespace

int cores() { return std::max(1, int(std::thread::hardware_concurrency())); }

std::vector<Outcome> isolate(const std::vector<Work>& works, const IsolateOptions& options) {
  std::vector<Outcome> outcomes(works.size());
  std::vector<std::unique_ptr<Child>> running;
  const std::size_t at_once = std::size_t(options.children > 0 ? options.children : cores());
  std::size_t next = 0, ended = 0;
  while (ended < works.size()) {
    while (running.size() < at_once && next < works.size()) {
      running.push_back(std::make_unique<Child>(works[next], next, options.deadline));
      ++next;
    }
    wait_for(running);
    for (const auto& child : running) child->attend();
    for (std::size_t i = running.size(); i-- > 0;) {
      if (!running[i]->ended()) continue;
      const std::size_t index = running[i]->index();
      outcomes[index] = running[i]->take();
      if (options.came) options.came(index, outcomes[index]);
      running.erase(running.begin() + std::ptrdiff_t(i));
      if (options.ended)
        options.ended(++ended);
      else
        ++ended;
    }
  }
  return outcomes;
}

}  // namespace assay
