// `assay kernel check`: kernels held against their specs, each in a process of its own.
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "harness/cli/kernel_verbs.h"
#include "harness/kernel/select.h"
#include "harness/machine/machine.h"
#include "harness/verify/isolate.h"
#include "model/published_config.h"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;
using kernels::Kernel;
using kernels::OpInfo;
using kernels::Shape;

/// Checks a kernel in a child: what crashes it is a fault of the shape it was at.
Json checked_apart(const Kernel& kernel, const std::vector<Shape>& shapes, bool only_these,
                   const KernelOptions& options) {
  const OpInfo& op = kernels::info(kernel.op);
  constexpr std::string_view kAt = "at ";
  const assay::Work work = [&](const Send& send) {
    CheckOptions check{.threads = threads_of(options), .seed = options.seed};
    check.before = [&](const Shape& shape) { send(std::string(kAt) + kernels::to_string(op, shape)); };
    KernelReport report;
    if (only_these) {
      report.kernel = kernel.name;
      for (const Shape& shape : shapes) {
        check.before(shape);
        if (auto fault = check_shape(kernel, shape, check, report)) report.faults.push_back(std::move(*fault));
      }
    } else {
      report = check_kernel(kernel, shapes, check);
    }
    send(json_of(report, op).dump());
  };
  const Outcome outcome =
      isolate({work}, {.children = 1, .deadline = std::chrono::duration<double>(options.deadline)})[0];
  if (outcome.end == Outcome::finished && !outcome.messages.empty()) return Json::parse(outcome.messages.back());
  std::string at = "?";
  std::size_t tried = 0;
  for (const std::string& message : outcome.messages)
    if (message.starts_with(kAt)) at = message.substr(kAt.size()), ++tried;
  return {{"kernel", kernel.name},
          {"shapes", tried},
          {"cut", 0},
          {"judged", 0},
          {"worst_ratio", 0},
          {"seconds", outcome.seconds},
          {"faults", {{{"shape", at}, {"seed", options.seed}, {"what", outcome.what}}}}};
}

void print_check(const Json& report) {
  const std::string name = report["kernel"].get<std::string>();
  if (report["faults"].empty()) {
    const auto cut = report["cut"].get<std::size_t>();
    fmt::print("ok    {:<36} {:>4} shapes{}, {} outputs, worst {:.2g} of tolerance, {:.1f} s\n", name,
               report["shapes"].get<std::size_t>(), cut == 0 ? "" : fmt::format(" ({} cut)", cut),
               report["judged"].get<std::size_t>(), report["worst_ratio"].get<double>(),
               report["seconds"].get<double>());
  }
  for (const Json& fault : report["faults"])
    fmt::print("FAIL  {:<36} {}: {}\n      ./assay kernel check {} --shape {} --seed {}\n", name,
               fault["shape"].get<std::string>(), fault["what"].get<std::string>(), name,
               fault["shape"].get<std::string>(), fault["seed"].get<std::uint64_t>());
  std::fflush(stdout);
}

}  // namespace

Result<int> checked_kernels(const KernelOptions& options) {
  ASSAY_TRY(selected, chosen_kernels(options));
  ASSAY_TRY(uses, uses_of(options, published_names()));
  Json all = Json::array();
  std::size_t wrong = 0, none = 0;
  for (const Kernel* kernel : selected) {
    const OpInfo& op = kernels::info(kernel->op);
    std::vector<Shape> shapes;
    if (options.shape.empty()) {
      for (const KernelUse& use : uses)
        if (use.op->op == kernel->op) shapes.push_back(use.shape);
    } else {
      const auto shape = kernels::parse_shape(op, options.shape);
      const std::string why = shape ? op.invalid(kernel->format, kernel->acts, *shape) : "another number of dimensions";
      if (!why.empty()) {
        if (selected.size() == 1)
          return fail({Failure::bad_input, "--shape", std::string(kernel->name), why, options.shape});
        ++none;
        continue;
      }
      shapes.push_back(*shape);
    }
    Json found = checked_apart(*kernel, shapes, !options.shape.empty(), options);
    wrong += found["faults"].empty() ? 0 : 1;
    if (!options.json) print_check(found);
    all.push_back(std::move(found));
  }
  std::size_t elsewhere = 0;
  ASSAY_TRY(meant, select_kernels(options.names, true));
  for (const Kernel* kernel : meant) elsewhere += kernels::runnable(*kernel) ? 0 : 1;
  if (options.json)
    fmt::print(
        "{}\n",
        Json{{"machine", machine_facts().fingerprint}, {"kernels", all}, {"wrong", wrong}, {"not_run_here", elsewhere}}
            .dump(1));
  else
    fmt::print("kernels: {} right, {} wrong{}{}\n", all.size() - wrong, wrong,
               elsewhere == 0 ? "" : fmt::format("; {} need instructions that this machine lacks", elsewhere),
               none == 0 ? "" : fmt::format("; {} do not take this shape", none));
  return wrong > 0 ? 1 : all.empty() ? 3 : 0;
}

}  // namespace assay
