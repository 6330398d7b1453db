#include "golden/child.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <fstream>
#include <optional>
#include <string_view>

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace assay {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMaxAnswer = std::size_t{64} << 20U;  // bytes that a child may send back

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;  // their shadow memory needs terabytes of address space
#else
constexpr bool kSanitized = false;
#endif

void limit(int resource, std::int64_t soft, std::int64_t hard) {
  const rlimit value{rlim_t(soft), rlim_t(hard)};
  setrlimit(static_cast<__rlimit_resource>(resource), &value);
}

/// Bytes of address space in use: a child inherits all mapped weights, and RLIMIT_AS counts them.
std::int64_t mapped_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::int64_t pages = 0;
  statm >> pages;
  return pages * sysconf(_SC_PAGESIZE);
}

// The answer: a letter, then the value, or the failure's parts with a zero byte after each.
std::string pack(const Result<std::string>& result) {
  if (result) return "v" + *result;
  const Failure& failure = result.error();
  std::string packed = "f" + std::to_string(int(failure.kind));
  for (const std::string& part : {failure.where, failure.field, failure.expected, failure.found})
    (packed += part) += '\0';
  return packed;
}

std::optional<Result<std::string>> unpack(std::string_view packed) {
  if (packed.starts_with('v')) return std::string(packed.substr(1));
  if (!packed.starts_with('f') || packed.size() < 2) return std::nullopt;
  const int kind = packed[1] - '0';
  if (kind < Failure::bad_input || kind > Failure::internal) return std::nullopt;
  packed.remove_prefix(2);
  Failure failure;
  failure.kind = static_cast<Failure::Kind>(kind);
  for (std::string* part : {&failure.where, &failure.field, &failure.expected, &failure.found}) {
    const std::size_t end = packed.find('\0');
    if (end == std::string_view::npos) return std::nullopt;
    *part = packed.substr(0, end);
    packed.remove_prefix(end + 1);
  }
  return fail(std::move(failure));
}

[[noreturn]] void run_child(int answer, const ChildLimits& limits, const std::string& where,
                            const std::function<Result<std::string>()>& work) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  for (const int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTERM, SIGINT, SIGXCPU})
    std::signal(number, SIG_DFL);
  std::signal(SIGPIPE, SIG_IGN);
  limit(RLIMIT_CORE, 0, 0);
  limit(RLIMIT_CPU, limits.cpu_seconds, limits.cpu_seconds + 1);
  if (!kSanitized) {
    const std::int64_t most = mapped_bytes() + limits.memory;
    limit(RLIMIT_AS, most, most);
  }
  const int nowhere = open("/dev/null", O_RDWR);
  if (nowhere >= 0) {  // the C library's last words about a heap it found broken are not ours
    dup2(nowhere, STDIN_FILENO);
    dup2(nowhere, STDOUT_FILENO);
    dup2(nowhere, STDERR_FILENO);
  }
  std::string packed;
  try {
    packed = pack(work());
  } catch (const std::exception& error) {
    packed = pack(fail({Failure::bad_input, where, "", "a file that can be read within the limits", error.what()}));
  }
  for (std::string_view rest = packed; !rest.empty();) {
    const ssize_t written = write(answer, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) _exit(1);
    rest.remove_prefix(std::size_t(written));
  }
  _exit(0);
}

/// Reads what is there; false at the end of the answer.
bool drain(int from, std::string& into) {
  char buffer[1 << 16];  // NOLINT: filled by read
  const ssize_t count = read(from, static_cast<char*>(buffer), sizeof buffer);
  if (count < 0) return errno == EINTR || errno == EAGAIN;
  into.append(static_cast<char*>(buffer), std::size_t(count));
  return count > 0;
}

std::string ending(int status) {
  if (WIFSIGNALED(status)) {
    const char* name = strsignal(WTERMSIG(status));
    return "the reader died of signal " + std::to_string(WTERMSIG(status)) +
           (name != nullptr ? " (" + std::string(name) + ")" : "");
  }
  return "the reader ended without an answer (status " + std::to_string(WEXITSTATUS(status)) + ")";
}

}  // namespace

Result<std::string> in_child(const std::string& where, const ChildLimits& limits,
                             const std::function<Result<std::string>()>& work) {
  const auto refused = [&](const char* what) {
    return fail({Failure::io, where, "", std::string(what), std::strerror(errno)});
  };
  int ends[2];
  if (pipe2(static_cast<int*>(ends), O_CLOEXEC) != 0) return refused("a pipe to a child process");
  const int from = ends[0], to = ends[1];
  const auto deadline = Clock::now() + limits.deadline;
  const pid_t child = fork();
  if (child < 0) {
    close(from);
    close(to);
    return refused("a child process");
  }
  if (child == 0) {
    close(from);
    run_child(to, limits, where, work);
  }
  close(to);
  fcntl(from, F_SETFL, O_NONBLOCK);

  std::string packed, killed;
  bool open_end = true;
  int status = 0;
  while (true) {
    pollfd waiting{from, POLLIN, 0};
    poll(&waiting, open_end ? 1 : 0, open_end ? 20 : 1);  // ms: also how late the child's end may be noticed
    if (open_end && waiting.revents != 0) open_end = drain(from, packed);
    const pid_t ended = waitpid(child, &status, WNOHANG);
    if (ended == child || (ended < 0 && errno != EINTR)) break;
    if (packed.size() > kMaxAnswer) killed = "a longer answer";
    if (Clock::now() > deadline) killed = "the reader did not end";
    if (!killed.empty()) {
      kill(child, SIGKILL);
      while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
      }
      break;
    }
  }
  while (killed.empty() && packed.size() <= kMaxAnswer) {  // what it sent before it ended
    const std::size_t before = packed.size();
    if (!drain(from, packed) || packed.size() == before) break;
  }
  close(from);
  if (!killed.empty()) {
    const std::string seconds = std::to_string(limits.deadline.count() / 1000) + " s";
    return fail({Failure::bad_input, where, "", "a file that can be read within " + seconds, killed});
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    return fail({Failure::bad_input, where, "", "a well-formed file", ending(status)});
  if (auto answer = unpack(packed)) return *std::move(answer);
  return fail({Failure::bad_input, where, "", "a well-formed file", "the reader ended without an answer"});
}

}  // namespace assay
