#include "harness/verify/journal.h"

#include <cerrno>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/files.h"
#include "harness/verify/about.h"
#include "reports/json.h"

namespace assay {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kSchema = 1;

std::string first_line(const Facts& about) {
  Json facts = Json::object();
  for (const auto& [name, value] : about) facts[name] = value;
  return Json{{"journal", kSchema}, {"about", std::move(facts)}}.dump();
}

/// Why a journal that begins like this is none of this run's; empty if it is.
std::string stranger(const std::string& line, const Facts& about) {
  const Json json = Json::parse(line, nullptr, false);
  const bool journal = json.is_object() && json.contains("journal") && json.contains("about") &&
                       json["journal"] == kSchema && json["about"].is_object();
  if (!journal) return "it is no journal";
  Facts found;
  for (const auto& [name, value] : json["about"].items())
    if (value.is_string()) found.emplace_back(name, value.get<std::string>());
  return difference(about, found);
}

std::optional<std::pair<std::string, std::vector<PathResult>>> parse_line(const std::string& line) {
  const Json json = Json::parse(line, nullptr, false);
  if (!json.is_object() || !json.contains("unit") || !json["unit"].is_string() || !json.contains("results") ||
      !json["results"].is_array())
    return std::nullopt;
  std::vector<PathResult> results;
  for (const Json& one : json["results"]) {
    auto result = path_result_from_json(one.dump(), "");
    if (!result) return std::nullopt;
    results.push_back(*std::move(result));
  }
  return std::pair(json["unit"].get<std::string>(), std::move(results));
}

Failure io_failure(const std::filesystem::path& file, std::string what) {
  return {Failure::io, file, "", std::move(what), std::strerror(errno)};
}

}  // namespace

Journal::Journal(Journal&& other) noexcept
    : file_(std::move(other.file_)),
      fd_(std::exchange(other.fd_, -1)),
      done_(std::move(other.done_)),
      word_(std::move(other.word_)) {}

Journal::~Journal() {
  if (fd_ >= 0) ::close(fd_);
}

std::size_t Journal::read(const std::string& text, const Facts& about) {
  std::size_t good = 0;
  for (std::size_t end = 0; (end = text.find('\n', good)) != std::string::npos; good = end + 1) {
    const std::string line = text.substr(good, end - good);
    if (good == 0) {
      word_ = stranger(line, about);
      if (!word_.empty()) return 0;
    } else if (auto unit = parse_line(line)) {
      done_.insert_or_assign(std::move(unit->first), std::move(unit->second));
    } else {
      break;
    }
  }
  return good;
}

Result<Journal> Journal::open(const std::filesystem::path& file, const Facts& about) {
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return fail(io_failure(file, "a journal that can be written"));
  Journal journal(file, fd);
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0)
    return fail({Failure::bad_input, file, "", "a journal of its own", "another process is writing it"});
  ASSAY_TRY(text, read_file(file, std::numeric_limits<std::size_t>::max()));
  const std::size_t good = journal.read(text, about);
  if (!text.empty() && good == 0 && journal.word_.empty()) journal.word_ = "it ends within its first line";
  if (::ftruncate(fd, off_t(good)) != 0 || ::lseek(fd, 0, SEEK_END) < 0)
    return fail(io_failure(file, "a journal that can be written"));
  if (good == 0) ASSAY_CHECK(journal.write_line(first_line(about)));
  return journal;
}

const std::vector<PathResult>* Journal::find(const std::string& unit) const {
  const auto found = done_.find(unit);
  return found == done_.end() ? nullptr : &found->second;
}

Result<void> Journal::write_line(const std::string& line) {
  const std::string bytes = line + "\n";
  for (std::size_t at = 0; at < bytes.size();) {
    const ssize_t written = ::write(fd_, bytes.data() + at, bytes.size() - at);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return fail(io_failure(file_, "a line written"));
    at += std::size_t(written);
  }
  if (::fdatasync(fd_) != 0 && errno != EINVAL && errno != EROFS) return fail(io_failure(file_, "a line on the disk"));
  return {};
}

Result<void> Journal::add(const std::string& unit, std::span<const PathResult> results) {
  std::string line = fmt::format("{{\"unit\":{},\"results\":[", Json(unit).dump());
  for (std::size_t i = 0; i < results.size(); ++i) line += (i == 0 ? "" : ",") + to_json(results[i]);
  return write_line(line + "]}");
}

void Journal::remove() {
  std::error_code ignored;
  std::filesystem::remove(file_, ignored);
}

}  // namespace assay
