#include "harness/judge/arithmetic.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

namespace assay {
namespace {

constexpr std::string_view kCache = "+kv=";
constexpr std::array<std::string_view, 4> kActs = {"fp32", "bf16", "fp16", "int8"};
constexpr std::array<std::string_view, 3> kCaches = {"bf16", "fp16", "q8_0"};

template <std::size_t n>
std::optional<std::string_view> known(const std::array<std::string_view, n>& names, std::string_view name) {
  const auto found = std::find(names.begin(), names.end(), name);
  return found == names.end() ? std::nullopt : std::optional(*found);
}

std::optional<Noise> measured(Noise noise) {
  return std::isfinite(noise.most) && std::isfinite(noise.rms) ? std::optional(noise) : std::nullopt;
}

std::optional<Noise> lost(const GoldenTap& tap, std::string_view what) {
  const auto found = std::find_if(tap.losses.begin(), tap.losses.end(), [&](const auto& l) { return l.first == what; });
  return found == tap.losses.end() ? std::nullopt : measured(found->second);
}

std::optional<double> routed(const GoldenCase& golden, int layer, std::string_view what) {
  for (const auto& [name, layers] : golden.router_noise)
    if (name == what && layer >= 0 && std::size_t(layer) < layers.size() && std::isfinite(layers[std::size_t(layer)]))
      return layers[std::size_t(layer)];
  return std::nullopt;
}

}  // namespace

std::optional<Arithmetic> Arithmetic::parse(std::string_view text) {
  const std::size_t plus = std::min(text.find(kCache), text.size());
  std::string_view acts = text.substr(0, plus);
  if (acts == "q8_0" || acts == "q4_0") acts = "int8";
  Arithmetic out;
  const auto own = known(kActs, acts);
  if (!own) return std::nullopt;
  out.acts = *own;
  if (plus == text.size()) return out;
  const auto cache = known(kCaches, text.substr(plus + kCache.size()));
  if (!cache) return std::nullopt;
  if (*cache != out.acts) out.kv = *cache;  // transformers in bf16 has its cache in bf16 too
  return out;
}

std::optional<Noise> noise(const GoldenTap& tap, const Arithmetic& arithmetic) {
  Noise acts;
  if (arithmetic.acts != "fp32") {
    auto own = lost(tap, arithmetic.acts);  // several runs; golden.h5 has one
    if (!own && arithmetic.acts == "bf16") own = measured({tap.noise_bf16, tap.noise_bf16_rms});
    if (!own && arithmetic.acts == "int8") own = measured({tap.noise_int8, tap.noise_int8_rms});
    if (!own) return std::nullopt;
    acts = *own;
  } else if (arithmetic.kv.empty()) {
    return Noise{tap.noise_fp32, 0};
  }
  if (arithmetic.kv.empty()) return acts;
  const auto cache = lost(tap, "kv_" + std::string(arithmetic.kv));
  if (!cache) return std::nullopt;
  return Noise{std::hypot(acts.most, cache->most), std::hypot(acts.rms, cache->rms)};
}

std::optional<double> router_noise(const GoldenCase& golden, int layer, const Arithmetic& arithmetic) {
  double acts = 0;
  if (arithmetic.acts != "fp32") {
    const auto own = routed(golden, layer, arithmetic.acts);
    if (!own) return std::nullopt;
    acts = *own;
  }
  if (arithmetic.kv.empty()) return arithmetic.acts == "fp32" ? std::nullopt : std::optional(acts);
  const auto cache = routed(golden, layer, "kv_" + std::string(arithmetic.kv));
  if (!cache) return std::nullopt;
  return std::hypot(acts, *cache);
}

}  // namespace assay
