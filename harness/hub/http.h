// One HTTP exchange, and redirects that do not carry a token to strangers. libcurl is behind this file alone; the file
// is private to its room. Not here: retrying, checksums, what is fetched.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"

namespace assay {

struct HttpRequest {
  std::string url;
  std::string token;       ///< sent as a bearer to the host, scheme and port of `url`, and nowhere else
  bool head = false;       ///< headers alone, and no redirect to another host is followed
  std::int64_t from = 0;   ///< the first byte wanted; 0: the whole
  std::int64_t most = 0;   ///< bytes of body after which the transfer is cut
  int stall_seconds = 30;  ///< how long nothing may come
};

struct HttpReply {
  int status = 0;                              ///< of the last response; 0: none came
  std::map<std::string, std::string> headers;  ///< of all responses, names in lower case; the first one's value counts
  std::string broken;                          ///< why the transfer ended before the body did; empty: it did not
  bool too_long = false;                       ///< the body went past `most`
};

/// @param start  called before the first byte of a body of a 2xx response; false ends the transfer
/// @param take   called with each piece of such a body; false ends the transfer
/// Errors: bad_input (a URL that is not http or https, a redirect from https to http, too many of them). Everything
/// that another attempt may cure is in the reply.
Result<HttpReply> http_get(const HttpRequest& request, const std::function<bool(const HttpReply&)>& start,
                           const std::function<bool(std::string_view)>& take);

/// `a b/c` -> `a%20b/c`, or with `slashes` escaped as well `a%20b%2Fc`.
std::string url_escaped(std::string_view text, bool slashes);

}  // namespace assay
