#include "reports/junit.h"

#include <sstream>

#include <fmt/format.h>
#include <pugixml.hpp>

#include "reports/summary.h"
#include "reports/text.h"

namespace assay {
namespace {

void set(pugi::xml_node node, const char* name, const std::string& value) {
  node.append_attribute(name).set_value(printable(value).c_str());
}

std::string seconds(double value) { return fmt::format("{:.3f}", value); }

/// A crash or a timeout is an error in JUnit's words, a wrong result a failure.
bool is_error(Verdict verdict) { return verdict == Verdict::crash || verdict == Verdict::timeout; }

void add_case(pugi::xml_node suite, const PathResult& result) {
  pugi::xml_node node = suite.append_child("testcase");
  set(node, "name", result.case_name + "/" + result.path);
  set(node, "classname", result.engine + "." + result.golden);
  set(node, "time", seconds(result.seconds));
  const bool judged = result.verdict != Verdict::unsupported && result.verdict != Verdict::no_golden;
  if (!judged && !fails(result)) {
    set(node.append_child("skipped"), "message", result.note);
  } else if (!fails(result) && failed(result.verdict)) {
    set(node.append_child("skipped"), "message", result.because);
  } else if (fails(result)) {
    const Explanation why = explain(result);
    pugi::xml_node child = node.append_child(is_error(result.verdict) ? "error" : "failure");
    set(child, "message", why.title);
    set(child, "type", std::string(name_of(result.verdict)));
    std::string body = why.title + "\n";
    for (const auto& [name, value] : why.facts) body += fmt::format("{:11} {}\n", name, value);
    child.append_child(pugi::node_pcdata).set_value(printable(body).c_str());
  }
}

void add_suite(pugi::xml_node root, const Run& run, const Line& line) {
  pugi::xml_node suite = root.append_child("testsuite");
  int errors = 0;
  double total = 0;
  for (const PathResult& result : run.results) {
    if (result.engine != line.engine || result.golden != line.golden) continue;
    errors += is_error(result.verdict) && fails(result) ? 1 : 0;
    total += result.seconds;
  }
  set(suite, "name", line.engine + "." + line.golden);
  set(suite, "time", seconds(total));
  const Counts& counts = line.counts;
  set(suite, "tests", std::to_string(counts.all()));
  set(suite, "errors", std::to_string(errors));
  set(suite, "skipped", std::to_string(counts.all() - counts.passed - counts.failed));
  set(suite, "failures", std::to_string(counts.failed - errors));
  pugi::xml_node properties = suite.append_child("properties");
  const auto property = [&](const char* name, const std::string& value) {
    pugi::xml_node node = properties.append_child("property");
    set(node, "name", name);
    set(node, "value", value);
  };
  property("assay.version", run.version);
  property("machine.cpu", run.machine.cpu);
  property("machine.cores", std::to_string(run.machine.cores));
  if (const auto agreement = agreement_of(run, line.engine, line.golden)) {
    property("logits.kl_mean", fmt::format("{:.3g}", agreement->kl_mean));
    property("logits.kl_most", fmt::format("{:.3g}", agreement->kl_most));
    property("logits.top1", fmt::format("{} of {}", agreement->same_top, agreement->rows));
  }
  for (const PathResult& result : run.results)
    if (result.engine == line.engine && result.golden == line.golden) add_case(suite, result);
}

void add_unmet(pugi::xml_node root, const Run& run) {
  pugi::xml_node suite = root.append_child("testsuite");
  const std::string number = std::to_string(run.unmet.size());
  set(suite, "name", "requirements");
  set(suite, "time", seconds(0));
  set(suite, "tests", number);
  set(suite, "errors", "0");
  set(suite, "skipped", "0");
  set(suite, "failures", number);
  for (const std::string& line : run.unmet) {
    pugi::xml_node node = suite.append_child("testcase");
    set(node, "name", line);
    set(node, "classname", "requirements");
    set(node, "time", seconds(0));
    pugi::xml_node child = node.append_child("failure");
    set(child, "message", line);
    set(child, "type", "unmet");
  }
}

}  // namespace

std::string to_junit(const Run& run) {
  pugi::xml_document document;
  pugi::xml_node root = document.append_child("testsuites");
  for (const Line& line : lines_of(run)) add_suite(root, run, line);
  if (!run.unmet.empty()) add_unmet(root, run);
  std::ostringstream out;
  document.save(out, "  ", pugi::format_default, pugi::encoding_utf8);
  return out.str();
}

}  // namespace assay
