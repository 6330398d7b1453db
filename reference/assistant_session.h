// The drafter at work: the order in which its blocks run, and where its taps are shown. Each call stands alone, for all
// that a drafter remembers is its target's. Not here: the blocks (assistant.h), several tokens in a row
// (harness/drive/draft.h).
#pragma once

#include <memory>

#include "engine/engine.h"
#include "reference/parts.h"

namespace assay::reference {

/// An open drafter; parts.assistant is there.
std::unique_ptr<Session> make_assistant_session(Parts parts);

}  // namespace assay::reference
