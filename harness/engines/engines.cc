#include "harness/engines/engines.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <string>
#include <utility>

#include "engine/cpu/engine.h"
#include "harness/faults/observe.h"
#include "kernels/isa.h"
#include "model/quantise.h"
#include "reference/reference.h"

namespace assay {
namespace {

constexpr std::string_view kIsas =
#define ISA(name, architecture, needs) " " #name
#include "kernels/cpu/isas.inc"
#undef ISA
    ;

constexpr int kMostThreads = 1024;

tl::unexpected<Failure> wrong(std::string_view option, std::string_view expected, std::string_view found) {
  return fail({Failure::bad_input, "engine", std::string(option), std::string(expected), std::string(found)});
}

struct CpuOption {
  EngineOption option;
  /// Whether `value` is one of those that the option takes.
  bool (*take)(std::string_view value, cpu::Options& options);
};

constexpr std::array<CpuOption, 6> kCpuOptions = {{
    {{"acts", "fp32, bf16 or int8", "What activations are rounded to before a matrix multiplies them"},
     [](std::string_view value, cpu::Options& options) {
       const auto acts = kernels::parse_acts(value);
       if (acts) options.acts = *acts;
       return acts.has_value();
     }},
    {{"weights", "q8_0 or q4_0", "Pack the text decoder's weights as they are opened"},
     [](std::string_view value, cpu::Options& options) {
       const auto weights = weights_named(value, "engine");
       if (weights) options.weights = *weights;
       return weights.has_value();
     }},
    {{"kv", "fp32, bf16 or q8_0", "How keys and values are cached"},
     [](std::string_view value, cpu::Options& options) {
       const auto format = kernels::parse_format(value);
       const bool known = format && (*format == kernels::Format::fp32 || *format == kernels::Format::bf16 ||
                                     *format == kernels::Format::q8_0);
       if (known) options.kv = *format;
       return known;
     }},
    {{"pages", "auto, mapped or huge",
      "Read weights from the file's pages or from copies in huge ones; auto: copies, after 16 tokens, where those are "
      "faster and memory for both is free"},
     [](std::string_view value, cpu::Options& options) {
       constexpr std::array<std::string_view, 3> kNames = {"auto", "mapped", "huge"};
       const auto found = std::ranges::find(kNames, value);
       options.placement = cpu::Placement(found - kNames.begin());
       return found != kNames.end();
     }},
    {{"threads", "1 to 1024", "Most threads; else OMP_NUM_THREADS or a thread a core"},
     [](std::string_view value, cpu::Options& options) {
       const char* const end = value.data() + value.size();
       const auto [stop, error] = std::from_chars(value.data(), end, options.threads);
       return error == std::errc() && stop == end && options.threads >= 1 && options.threads <= kMostThreads;
     }},
    {{"isa", kIsas.substr(1),
      "Kernels of this instruction set where there are some; else the best that the machine has"},
     [](std::string_view value, cpu::Options& options) {
       options.isa = kernels::parse_isa(value);
       return options.isa.has_value();
     }},
}};

Result<Engine> make_cpu(std::string_view settings) {
  cpu::Options options;
  while (!settings.empty()) {
    const std::string_view setting = settings.substr(0, settings.find('+'));
    settings.remove_prefix(std::min(setting.size() + 1, settings.size()));
    const std::string_view name = setting.substr(0, setting.find('='));
    const std::string_view value = name.size() < setting.size() ? setting.substr(name.size() + 1) : "";
    std::string known;
    const CpuOption* found = nullptr;
    for (const CpuOption& one : kCpuOptions) {
      if (one.option.name == name) found = &one;
      known += (known.empty() ? "" : ", ") + std::string(one.option.name);
    }
    if (found == nullptr) return wrong("settings of cpu", known, name);
    if (!found->take(value, options)) return wrong(name, found->option.values, value);
  }
  if (options.isa && (kernels::needs(*options.isa) & ~kernels::machine_features()) != 0)
    return fail({Failure::unsupported, "engine", "isa", "one that this machine has", std::string(name(*options.isa))});
  return cpu_engine(options);
}

constexpr EngineOption kFault = {"fault", "a fault of `assay faults list`", "Bend the reference engine by it"};

/// The reference engine with faults in it: what a port with these bugs would give. Beside a drafter, a fault of
/// drafters bends the drafter and all others the target.
Result<Engine> make_faulty(std::string_view settings) {
  std::vector<const Fault*> faults;
  while (!settings.empty()) {
    const std::string_view setting = settings.substr(0, settings.find('+'));
    settings.remove_prefix(std::min(setting.size() + 1, settings.size()));
    const std::string_view name = setting.substr(0, setting.find('='));
    const std::string_view value = name.size() < setting.size() ? setting.substr(name.size() + 1) : "";
    if (name != kFault.name) return wrong("settings of reference", kFault.name, name);
    const Fault* fault = find_fault(value);
    if (fault == nullptr || !fault->inject) return wrong(kFault.name, kFault.values, value);
    faults.push_back(fault);
  }
  Engine engine = reference_engine();
  engine.open = [faults](const Checkpoint& checkpoint) -> Result<std::unique_ptr<Session>> {
    std::vector<const Fault*> here;
    for (const Fault* fault : faults)
      if ((fault->of == Fault::drafter) == checkpoint.plan.assistant.has_value()) here.push_back(fault);
    return bent_session(here, checkpoint);
  };
  return engine;
}

/// The oracle has every op's result rounded, or faults in it.
Result<Engine> make_reference(std::string_view settings) {
  if (settings == "acts=fp32") return reference_engine();
  if (settings == "acts=bf16") return rounded_reference_engine(reference::Rounding::bf16);
  if (settings == "acts=fp16") return rounded_reference_engine(reference::Rounding::fp16);
  if (settings.starts_with("fault=")) return make_faulty(settings);
  return wrong("settings of reference", "acts=fp32, acts=bf16, acts=fp16 or fault=NAME", settings);
}

}  // namespace

const std::vector<Engine>& built_in_engines() {
  static const std::vector<Engine> engines{reference_engine(), cpu_engine()};
  return engines;
}

std::span<const EngineOption> engine_options() {
  static const auto options = [] {
    std::array<EngineOption, kCpuOptions.size() + 1> all{};
    for (std::size_t i = 0; i < kCpuOptions.size(); ++i) all[i] = kCpuOptions[i].option;
    all.back() = kFault;
    return all;
  }();
  return options;
}

Result<Engine> make_engine(std::string_view spelt) {
  const std::string_view name = spelt.substr(0, spelt.find('+'));
  const std::string_view settings = name.size() < spelt.size() ? spelt.substr(name.size() + 1) : "";
  std::string known;
  for (const Engine& engine : built_in_engines()) {
    known += (known.empty() ? "" : ", ") + engine.can.name;
    if (engine.can.name != name) continue;
    if (settings.empty()) return engine;
    ASSAY_TRY(made, name == "cpu" ? make_cpu(settings) : make_reference(settings));
    made.can.name = spelt;
    return made;
  }
  return fail({Failure::bad_input, "engine", "", known, std::string(spelt)});
}

}  // namespace assay
