// A HTTP server on the loopback interface that a test tells how to fail: cut a body after so many bytes, answer with
// any status, redirect. One connection after the other, one request each. Not here: what the hub answers (hub_test.cc).
#pragma once

#include <algorithm>
#include <atomic>
#include <cctype>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace assay {

struct HttpAsked {
  std::string method, path;
  std::map<std::string, std::string> headers;  ///< names in lower case
  std::string header(const std::string& name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? "" : found->second;
  }
};

struct HttpAnswer {
  int status = 200;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
  std::int64_t cut = -1;  ///< bytes of the body after which the connection is closed
};

class HttpServer {
 public:
  using Answer = std::function<HttpAnswer(const HttpAsked&)>;

  explicit HttpServer(Answer answer) : answer_(std::move(answer)), socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* plain = reinterpret_cast<sockaddr*>(&address);  // NOLINT: the sockets interface is made so
    if (socket_ < 0 || ::bind(socket_, plain, length) != 0 || ::listen(socket_, 16) != 0 ||
        ::getsockname(socket_, plain, &length) != 0)
      throw std::runtime_error("no socket");
    port_ = ntohs(address.sin_port);
    thread_ = std::thread([this] { serve(); });
  }
  ~HttpServer() {
    stopped_ = true;
    ::shutdown(socket_, SHUT_RDWR);
    thread_.join();
    ::close(socket_);
  }
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::string url(const std::string& host = "127.0.0.1") const {
    return "http://" + host + ":" + std::to_string(port_);
  }
  std::vector<HttpAsked> asked() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return asked_;
  }
  /// Requests whose path ends so.
  std::vector<HttpAsked> asked(const std::string& end) const {
    std::vector<HttpAsked> out;
    for (const HttpAsked& one : asked())
      if (one.path.ends_with(end)) out.push_back(one);
    return out;
  }

 private:
  void serve() {
    while (!stopped_) {
      const int connection = ::accept(socket_, nullptr, nullptr);
      if (connection < 0) continue;
      std::string text;
      char buffer[4096];
      while (text.find("\r\n\r\n") == std::string::npos) {
        const ssize_t got = ::recv(connection, buffer, sizeof buffer, 0);
        if (got <= 0) break;
        text.append(buffer, std::size_t(got));
      }
      respond(connection, parse(text));
      ::close(connection);
    }
  }

  static HttpAsked parse(const std::string& text) {
    HttpAsked asked;
    std::size_t at = text.find("\r\n");
    const std::string first = text.substr(0, at);
    asked.method = first.substr(0, first.find(' '));
    const std::size_t path = first.find(' ') + 1;
    asked.path = first.substr(path, first.find(' ', path) - path);
    while (at != std::string::npos && at + 2 < text.size()) {
      const std::size_t end = text.find("\r\n", at + 2);
      const std::string line = text.substr(at + 2, end - at - 2);
      if (const std::size_t colon = line.find(": "); colon != std::string::npos) {
        std::string name = line.substr(0, colon);
        std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return char(std::tolower(c)); });
        asked.headers[name] = line.substr(colon + 2);
      }
      at = end;
    }
    return asked;
  }

  void respond(int connection, const HttpAsked& asked) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      asked_.push_back(asked);
    }
    const HttpAnswer answer = answer_(asked);
    std::string out = "HTTP/1.1 " + std::to_string(answer.status) + " X\r\nConnection: close\r\n";
    for (const auto& [name, value] : answer.headers) out += name + ": " + value + "\r\n";
    out += "Content-Length: " + std::to_string(answer.body.size()) + "\r\n\r\n";
    if (asked.method != "HEAD") out += answer.cut < 0 ? answer.body : answer.body.substr(0, std::size_t(answer.cut));
    for (std::size_t sent = 0; sent < out.size();) {
      const ssize_t count = ::send(connection, out.data() + sent, out.size() - sent, MSG_NOSIGNAL);
      if (count <= 0) return;
      sent += std::size_t(count);
    }
  }

  Answer answer_;
  int socket_, port_ = 0;
  std::atomic<bool> stopped_ = false;
  mutable std::mutex mutex_;
  std::vector<HttpAsked> asked_;
  std::thread thread_;
};

}  // namespace assay
