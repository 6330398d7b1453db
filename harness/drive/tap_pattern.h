// Patterns of tap names, as engines declare them and --taps takes them. Not here: the names themselves (engine/taps.h).
#pragma once

#include <string_view>

namespace assay {

/// `*` stands for any characters but a dot, so that `text.layer.*.out` is no layer's attn.out; as the pattern's last
/// character it stands for all that follows: `text.*`.
bool tap_matches(std::string_view pattern, std::string_view name);

}  // namespace assay
