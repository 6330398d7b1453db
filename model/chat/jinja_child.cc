#include "jinja_child.h"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <vector>

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <nlohmann/json.hpp>

namespace assay {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

constexpr const char* kProgram =
#include "render_py.inc"
    ;
constexpr int kNoJinja = 3;
constexpr std::size_t kLongestMessage = 2000;

std::string request_text(const JinjaRequest& request, const JinjaLimits& limits) {
  const auto text = [](const json& value) { return value.dump(-1, ' ', true, json::error_handler_t::replace); };
  const json options = {{"add_generation_prompt", request.options.add_generation_prompt},
                        {"enable_thinking", request.options.enable_thinking},
                        {"preserve_thinking", request.options.preserve_thinking}};
  std::string made = R"({"limits":)" + text({{"memory", limits.memory}, {"cpu", limits.cpu_seconds}});
  made += R"(,"template":)" + text(std::string(request.text));
  made += R"(,"tokens":)" + text(request.tokens);
  made += R"(,"options":)" + text(options);
  made += R"(,"messages":)";
  made += request.messages_json;
  made += R"(,"tools":)";
  made += request.tools_json.empty() ? "null" : request.tools_json;
  return made + "}";
}

/// What an interpreter needs to find itself; no tokens, no passwords.
std::vector<std::string> environment() {
  std::vector<std::string> kept = {"LC_ALL=C.UTF-8"};
  for (const char* name : {"PATH", "HOME", "TZ", "PYENV_ROOT", "PYENV_VERSION"})
    if (const char* value = std::getenv(name); value != nullptr) kept.push_back(std::string(name) + "=" + value);
  return kept;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> all;
  all.reserve(words.size() + 1);
  for (std::string& word : words) all.push_back(word.data());
  all.push_back(nullptr);
  return all;
}

/// A running interpreter in a process group of its own; the end of the object is its end.
class Child {
 public:
  Child() = default;
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (socket_ >= 0) close(socket_);
    if (pid_ > 0) kill(-pid_, SIGKILL);
    while (pid_ > 0 && waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }

  /// 0, or the errno of what did not work.
  int start() {
    std::array<int, 2> ends{};
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) return errno;
    socket_ = ends[0];
    fcntl(socket_, F_SETFL, O_NONBLOCK);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addchdir_np(&actions, "/");
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t all, none;
    sigfillset(&all);
    sigemptyset(&none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETPGROUP);
    std::vector<std::string> words = {"python3", "-I", "-c", kProgram}, variables = environment();
    const int refused =
        posix_spawnp(&pid_, "python3", &actions, &attributes, pointers(words).data(), pointers(variables).data());
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    if (refused != 0) pid_ = 0;
    return refused;
  }

  int socket() const { return socket_; }

  /// Its status once it has ended, if that is before the deadline.
  bool ended(Clock::time_point deadline, int& status) {
    while (true) {
      const pid_t done = waitpid(pid_, &status, WNOHANG);
      if (done == pid_) {
        kill(-pid_, SIGKILL);  // what it may have left behind
        pid_ = 0;
        return true;
      }
      if (done < 0 && errno != EINTR) return pid_ = 0, false;
      if (Clock::now() > deadline) return false;
      poll(nullptr, 0, 1);
    }
  }

 private:
  pid_t pid_ = 0;
  int socket_ = -1;
};

enum class Talk { done, late, long_answer };

/// Sends the request and reads until the child ends its side.
Talk talk(int socket, std::string_view request, std::string& answer, const JinjaLimits& limits,
          Clock::time_point deadline) {
  std::vector<char> buffer(1U << 16U);
  while (true) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return Talk::late;
    pollfd waiting{socket, short(request.empty() ? POLLIN : POLLIN | POLLOUT), 0};
    poll(&waiting, 1, int(std::min<std::int64_t>(left, 1000)));
    if ((waiting.revents & POLLOUT) != 0 && !request.empty()) {
      const ssize_t sent = send(socket, request.data(), request.size(), MSG_NOSIGNAL);
      if (sent > 0) request.remove_prefix(std::size_t(sent));
      if (sent < 0 && errno != EAGAIN && errno != EINTR) request = {};  // it has ended: its status says why
      if (request.empty()) shutdown(socket, SHUT_WR);
    }
    if ((waiting.revents & (POLLIN | POLLHUP | POLLERR)) == 0) continue;
    const ssize_t count = recv(socket, buffer.data(), buffer.size(), 0);
    if (count > 0) answer.append(buffer.data(), std::size_t(count));
    if (answer.size() > limits.answer + 1) return Talk::long_answer;
    if (count == 0 || (count < 0 && errno != EAGAIN && errno != EINTR)) return Talk::done;
  }
}

}  // namespace

Result<std::string> render_with_jinja(const JinjaRequest& request, const JinjaLimits& limits) {
  const auto failed = [&](Failure::Kind kind, std::string expected, std::string found) {
    return fail({kind, request.where, "", std::move(expected), std::move(found)});
  };
  const std::string needs =
      "python3 with jinja2 (Debian: python3-jinja2), as this template is not one that is built in";
  const auto deadline = Clock::now() + limits.deadline;
  Child child;
  if (const int refused = child.start(); refused == ENOENT || refused == EACCES)
    return failed(Failure::unsupported, needs, "no python3");
  else if (refused != 0)
    return failed(Failure::io, "a child process", std::strerror(refused));

  std::string answer;
  const std::string seconds = std::to_string(limits.deadline.count() / 1000) + " s";
  const Talk how = talk(child.socket(), request_text(request, limits), answer, limits, deadline);
  if (how == Talk::long_answer)
    return failed(Failure::bad_input, "a text of at most " + std::to_string(limits.answer >> 20U) + " MiB",
                  "a longer one");
  int status = 0;
  if (how == Talk::late || !child.ended(deadline, status))
    return failed(Failure::bad_input, "a template that ends within " + seconds, "one that does not");
  if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGXCPU || WTERMSIG(status) == SIGKILL))
    return failed(Failure::bad_input,
                  "a template that ends within " + std::to_string(limits.cpu_seconds) + " s of work",
                  "one that does not");
  if (WIFEXITED(status) && (WEXITSTATUS(status) == kNoJinja || WEXITSTATUS(status) == 127))
    return failed(Failure::unsupported, needs, WEXITSTATUS(status) == 127 ? "no python3" : "a python3 without jinja2");
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || answer.empty())
    return failed(Failure::bad_input, "a template that renders",
                  WIFSIGNALED(status) ? "the child died of signal " + std::to_string(WTERMSIG(status))
                                      : "the child ended with status " + std::to_string(WEXITSTATUS(status)));
  const bool rendered = answer.front() == 'v';
  answer.erase(0, 1);
  if (rendered) return answer;
  if (answer.size() > kLongestMessage) answer.resize(kLongestMessage);
  return failed(Failure::bad_input, "a conversation and a template that fit", std::move(answer));
}

}  // namespace assay
