#include "http.h"

#include <algorithm>
#include <memory>
#include <optional>

#include <curl/curl.h>

namespace assay {
namespace {

constexpr int kMostRedirects = 10;
constexpr long kConnectSeconds = 10;
constexpr std::size_t kMostHeaders = 200;

struct CloseEasy {
  void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
};
struct CloseUrl {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
struct FreeText {
  void operator()(char* text) const { curl_free(text); }
};
struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

/// libcurl asks for one set-up a process, before its threads.
bool ready() {
  static const bool done = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  return done;
}

/// A URL taken apart: http or https, without user or password.
class Url {
 public:
  static std::optional<Url> parse(const std::string& text) {
    Url url;
    if (curl_url_set(url.parts_.get(), CURLUPART_URL, text.c_str(), 0) != CURLUE_OK) return std::nullopt;
    return url.checked();
  }
  /// What a Location header leads to; it may be relative.
  std::optional<Url> joined(const std::string& location) const {
    Url url;
    url.parts_.reset(curl_url_dup(parts_.get()));
    if (curl_url_set(url.parts_.get(), CURLUPART_URL, location.c_str(), 0) != CURLUE_OK) return std::nullopt;
    return url.checked();
  }
  std::string text() const { return part(CURLUPART_URL, 0); }
  std::string scheme() const { return part(CURLUPART_SCHEME, 0); }
  std::string host() const {
    std::string name = part(CURLUPART_HOST, 0);
    std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return char(std::tolower(c)); });
    return name;
  }
  std::string origin() const { return scheme() + "://" + host() + ":" + part(CURLUPART_PORT, CURLU_DEFAULT_PORT); }
  /// A token may go there: nobody on the way can read it.
  bool private_way() const {
    return scheme() == "https" || host() == "127.0.0.1" || host() == "localhost" || host() == "[::1]";
  }

 private:
  Url() : parts_(curl_url()) {}
  std::optional<Url> checked() {
    if (scheme() != "http" && scheme() != "https") return std::nullopt;
    if (!part(CURLUPART_USER, 0).empty() || !part(CURLUPART_PASSWORD, 0).empty()) return std::nullopt;
    return std::move(*this);
  }
  std::string part(CURLUPart which, unsigned flags) const {
    char* text = nullptr;
    if (curl_url_get(parts_.get(), which, &text, flags) != CURLUE_OK) return {};
    const std::unique_ptr<char, FreeText> owned(text);
    return text;
  }

  std::unique_ptr<CURLU, CloseUrl> parts_;
};

/// One response: what curl's callbacks fill in.
struct Exchange {
  CURL* handle = nullptr;
  const HttpRequest* request = nullptr;
  const std::function<bool(const HttpReply&)>* start = nullptr;
  const std::function<bool(std::string_view)>* take = nullptr;
  HttpReply* reply = nullptr;
  std::map<std::string, std::string> headers;  ///< of this response
  std::int64_t body = 0;
  bool started = false, refused = false;
};

std::string trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && std::string_view(" \t\r\n").find(text.back()) != std::string_view::npos)
    text.remove_suffix(1);
  return std::string(text);
}

std::size_t on_header(char* data, std::size_t, std::size_t count, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  const std::string_view line(data, count);
  if (line.starts_with("HTTP/")) exchange.headers.clear();  // after 100 Continue comes another
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || exchange.headers.size() >= kMostHeaders) return count;
  std::string name(line.substr(0, colon));
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return char(std::tolower(c)); });
  exchange.headers.emplace(std::move(name), trimmed(line.substr(colon + 1)));
  return count;
}

void keep_status(Exchange& exchange) {
  long status = 0;
  curl_easy_getinfo(exchange.handle, CURLINFO_RESPONSE_CODE, &status);
  exchange.reply->status = int(status);
  exchange.reply->headers.insert(exchange.headers.begin(), exchange.headers.end());
}

std::size_t on_body(char* data, std::size_t, std::size_t count, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  keep_status(exchange);
  if (exchange.reply->status / 100 != 2) return count;  // an error's page is nobody's file
  if (!exchange.started) {
    exchange.started = true;
    if (!(*exchange.start)(*exchange.reply)) {
      exchange.refused = true;
      return 0;
    }
  }
  exchange.body += std::int64_t(count);
  if (exchange.body > exchange.request->most) {
    exchange.reply->too_long = true;
    return 0;
  }
  if ((*exchange.take)({data, count})) return count;
  exchange.refused = true;
  return 0;
}

/// One request to one host.
void perform(Exchange& exchange, const Url& url, bool with_token) {
  CURL* curl = exchange.handle;
  const HttpRequest& request = *exchange.request;
  curl_easy_reset(curl);
  curl_easy_setopt(curl, CURLOPT_URL, url.text().c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);  // redirects are followed by http_get, which minds the token
  curl_easy_setopt(curl, CURLOPT_NETRC, long{CURL_NETRC_IGNORED});
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, long{request.stall_seconds});
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "assay");
  curl_easy_setopt(curl, CURLOPT_NOBODY, request.head ? 1L : 0L);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &exchange);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &exchange);
  // No Accept-Encoding: bytes and lengths are those of the file.
  std::unique_ptr<curl_slist, FreeList> lines(curl_slist_append(nullptr, "Accept-Encoding: identity"));
  if (with_token) curl_slist_append(lines.get(), ("Authorization: Bearer " + request.token).c_str());
  if (request.from > 0) curl_slist_append(lines.get(), ("Range: bytes=" + std::to_string(request.from) + "-").c_str());
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, lines.get());
  char why[CURL_ERROR_SIZE] = "";  // NOLINT: filled by curl
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
  const CURLcode code = curl_easy_perform(curl);
  keep_status(exchange);
  if (code != CURLE_OK && !exchange.refused) exchange.reply->broken = why[0] != '\0' ? why : curl_easy_strerror(code);
  if (code == CURLE_OK && !exchange.started && exchange.reply->status / 100 == 2)  // an empty body
    (*exchange.start)(*exchange.reply);
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, nullptr);
}

}  // namespace

Result<HttpReply> http_get(const HttpRequest& request, const std::function<bool(const HttpReply&)>& start,
                           const std::function<bool(std::string_view)>& take) {
  const std::unique_ptr<CURL, CloseEasy> handle(ready() ? curl_easy_init() : nullptr);
  if (handle == nullptr) return fail({Failure::internal, request.url, "", "libcurl", "none"});
  std::optional<Url> url = Url::parse(request.url);
  if (!url) return fail({Failure::bad_input, request.url, "", "a http or https address without a user's name", "none"});
  if (std::any_of(request.token.begin(), request.token.end(), [](unsigned char c) { return c <= 0x20 || c == 0x7f; }))
    return fail({Failure::bad_input, "HF_TOKEN", "", "a token without spaces and line ends", "one with them"});
  const std::string home = url->origin();
  HttpReply reply;
  for (int redirects = 0; redirects <= kMostRedirects; ++redirects) {
    Exchange exchange{.handle = handle.get(), .request = &request, .start = &start, .take = &take, .reply = &reply};
    perform(exchange, *url, !request.token.empty() && url->origin() == home && url->private_way());
    const auto location = exchange.headers.find("location");
    if (reply.status / 100 != 3 || !reply.broken.empty() || location == exchange.headers.end()) return reply;
    std::optional<Url> next = url->joined(location->second);
    if (!next || (url->scheme() == "https" && next->scheme() != "https"))
      return fail({Failure::bad_input, url->text(), "Location", "a http or https address, not http after https",
                   location->second});
    if (request.head && next->origin() != home) return reply;  // a file's data: its headers have been seen
    url = std::move(next);
  }
  return fail(
      {Failure::bad_input, request.url, "", "at most " + std::to_string(kMostRedirects) + " redirects", "more"});
}

std::string url_escaped(std::string_view text, bool slashes) {
  static constexpr char kHex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain = std::isalnum(byte) != 0 || std::string_view("-._~").find(c) != std::string_view::npos;
    if (plain || (c == '/' && !slashes))
      out += c;
    else
      out += {'%', kHex[byte >> 4U], kHex[byte & 15U]};
  }
  return out;
}

}  // namespace assay
