// What several tests of this room share: the message of an expected failure.
#pragma once

#include <string>

#include "base/result.h"
#include "temporary.h"

namespace assay {

/// What went wrong, or "no failure": reads well in a matcher's message.
template <class T>
std::string message_of(const Result<T>& result) {
  return result ? "no failure" : result.error().message();
}

}  // namespace assay
