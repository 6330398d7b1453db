#include "fetch.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "checksum.h"
#include "http.h"

namespace assay {
namespace fs = std::filesystem;
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t kLongestText = std::int64_t{32} << 20;
constexpr std::int64_t kLongestFile = std::int64_t{1} << 42;
constexpr auto kProgressEvery = std::chrono::milliseconds(100);
constexpr int kLongestDoubling = 5;  // pauses stop growing at 32 times the first

Failure io_failure(const fs::path& path, std::string expected, const std::error_code& error) {
  return {Failure::io, path.string(), "", std::move(expected), error.message()};
}

std::error_code last_error() { return {errno, std::generic_category()}; }

Result<void> make_folder(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return fail(io_failure(folder, "a folder that can be made", error));
  return {};
}

/// Held while one process fetches a blob; huggingface_hub takes the same one.
class Lock {
 public:
  static Result<Lock> take(const fs::path& path) {
    ASSAY_CHECK(make_folder(path.parent_path()));
    const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (file < 0) return fail(io_failure(path, "a lock", last_error()));
    Lock lock(file);
    while (::flock(file, LOCK_EX) != 0)
      if (errno != EINTR) return fail(io_failure(path, "a lock", last_error()));
    return lock;
  }
  ~Lock() {
    if (file_ >= 0) ::close(file_);
  }
  Lock(Lock&& other) noexcept : file_(std::exchange(other.file_, -1)) {}
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;
  Lock& operator=(Lock&&) = delete;

 private:
  explicit Lock(int file) : file_(file) {}
  int file_;
};

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

bool worth_another_try(const HttpReply& reply) {
  return !reply.broken.empty() || reply.status == 408 || reply.status == 429 || reply.status / 100 == 5;
}

Failure refused(const std::string& url, const HttpReply& reply) {
  if (reply.status == 401 || reply.status == 403)
    return {Failure::io, url, "", "leave to read it: HF_TOKEN of someone who may, and the model's terms accepted",
            "status " + std::to_string(reply.status)};
  if (reply.status == 0 || !reply.broken.empty())
    return {Failure::io, url, "", "an answer", reply.broken.empty() ? "none" : reply.broken};
  return {Failure::io, url, "", "status 200", "status " + std::to_string(reply.status)};
}

/// Counts attempts that brought nothing, and waits between them.
class Patience {
 public:
  explicit Patience(const HubOptions& options) : options_(options) {}
  /// False when it is used up.
  bool again(bool came_further) {
    idle_ = came_further ? 1 : idle_ + 1;
    if (idle_ >= options_.attempts) return false;
    std::this_thread::sleep_for(options_.pause * (1 << std::min(idle_ - 1, kLongestDoubling)));
    return true;
  }

 private:
  const HubOptions& options_;
  int idle_ = 0;
};

/// `bytes 100-199/200` begins where it was asked to.
bool begins_at(const HttpReply& reply, std::int64_t from) {
  const auto range = reply.headers.find("content-range");
  return range != reply.headers.end() && range->second.starts_with("bytes " + std::to_string(from) + "-");
}

std::string without_quotes(std::string_view etag) {
  if (etag.starts_with("W/")) etag.remove_prefix(2);
  while (etag.starts_with('"')) etag.remove_prefix(1);
  while (etag.ends_with('"')) etag.remove_suffix(1);
  return std::string(etag);
}

/// A checksum and size that the listing did not give, from the file's own headers.
Result<HubFile> ask_for(const std::string& url, const HubOptions& options) {
  HttpRequest request{.url = url, .token = options.token, .head = true, .stall_seconds = options.stall_seconds};
  Patience patience(options);
  while (true) {
    ASSAY_TRY(reply, http_get(
                         request, [](const HttpReply&) { return true; }, [](std::string_view) { return true; }));
    if (worth_another_try(reply) && patience.again(false)) continue;
    if (!reply.broken.empty() || reply.status / 100 > 3) return fail(refused(url, reply));
    const auto header = [&](const char* name) {
      const auto found = reply.headers.find(name);
      return found == reply.headers.end() ? std::string() : found->second;
    };
    const std::string linked = header("x-linked-etag");
    HubFile file{.checksum = without_quotes(linked.empty() ? header("etag") : linked)};
    if (!is_checksum(file.checksum))
      return fail({Failure::bad_input, url, "etag", "a checksum of 40 or 64 hexadecimal digits",
                   file.checksum.empty() ? "none" : file.checksum});
    const std::string size = header("x-linked-size");
    std::from_chars(size.data(), size.data() + size.size(), file.size);
    return file;
  }
}

/// The bytes of one URL, appended to `part` until they are all there.
class Download {
 public:
  Download(std::string url, std::string name, std::int64_t size, fs::path part, const HubOptions& options)
      : url_(std::move(url)), name_(std::move(name)), size_(size), part_(std::move(part)), options_(options) {}

  Result<void> run() {
    file_.reset(std::fopen(part_.c_str(), "ab"));
    if (file_ == nullptr) return fail(io_failure(part_, "a file that can be written", last_error()));
    std::error_code error;
    done_ = std::int64_t(fs::file_size(part_, error));
    if (size_ >= 0 && done_ > size_) ASSAY_CHECK(restart());
    Patience patience(options_);
    std::int64_t furthest = done_;  // beginning again is no progress until it passes what was reached before
    while (size_ < 0 || done_ < size_) {
      ASSAY_TRY(reply, attempt());
      if (failure_) return fail(*failure_);
      if (reply.too_long) return fail({Failure::bad_input, url_, "size", std::to_string(size_) + " bytes", "more"});
      const bool whole = reply.status / 100 == 2 && reply.broken.empty() && !odd_range_;
      if (whole && (size_ < 0 || done_ == size_)) break;
      if (reply.status == 416 || odd_range_) ASSAY_CHECK(restart());
      if (!whole && !worth_another_try(reply) && reply.status != 416 && !odd_range_) return fail(refused(url_, reply));
      if (!patience.again(std::exchange(furthest, std::max(furthest, done_)) < done_)) {
        if (whole) return fail({Failure::io, url_, "size", std::to_string(size_) + " bytes", std::to_string(done_)});
        return fail(refused(url_, reply));
      }
    }
    if (std::fflush(file_.get()) != 0 || ::fsync(::fileno(file_.get())) != 0)
      return fail(io_failure(part_, "space for " + name_, last_error()));
    file_.reset();
    if (size_ == 0) show(true);
    return {};
  }

 private:
  Result<HttpReply> attempt() {
    odd_range_ = false;
    const HttpRequest request{.url = url_,
                              .token = options_.token,
                              .from = done_,
                              .most = (size_ < 0 ? kLongestFile : size_) - done_,
                              .stall_seconds = options_.stall_seconds};
    const std::int64_t from = done_;
    return http_get(
        request,
        [&](const HttpReply& reply) {
          if (from == 0) return true;
          if (reply.status == 206) {
            odd_range_ = !begins_at(reply, from);
            return !odd_range_;
          }
          odd_range_ = true;  // the server sends the whole: begin again, with a request that says so
          return false;
        },
        [&](std::string_view bytes) {
          if (std::fwrite(bytes.data(), 1, bytes.size(), file_.get()) != bytes.size()) {
            failure_ = io_failure(part_, "space for " + name_, last_error());
            return false;
          }
          done_ += std::int64_t(bytes.size());
          show(done_ == size_);
          return true;
        });
  }

  Result<void> restart() {
    std::fflush(file_.get());
    if (::ftruncate(::fileno(file_.get()), 0) != 0)
      return fail(io_failure(part_, "a file that can be emptied", last_error()));
    done_ = 0;
    return {};
  }

  void show(bool now) {
    if (!options_.progress || (!now && Clock::now() - shown_ < kProgressEvery)) return;
    shown_ = Clock::now();
    options_.progress({name_, done_, size_});
  }

  std::string url_, name_;
  std::int64_t size_, done_ = 0;
  fs::path part_;
  const HubOptions& options_;
  File file_;
  std::optional<Failure> failure_;
  bool odd_range_ = false;
  Clock::time_point shown_{};
};

/// The blob, with the checksum that it is called by. What was left of an earlier download may be of another time: if
/// it does not fit, it is fetched once more from its beginning.
Result<void> fetch_blob(const std::string& url, const std::string& name, const HubFile& file, const fs::path& blob,
                        const HubOptions& options) {
  fs::path part = blob;
  part += ".incomplete";
  std::error_code error;
  bool resumed = fs::exists(part, error) && fs::file_size(part, error) > 0;
  while (true) {
    ASSAY_CHECK(Download(url, name, file.size, part, options).run());
    ASSAY_TRY(found, checksum_of(part, file.checksum));
    if (found == file.checksum) break;
    fs::remove(part, error);
    if (!resumed) return fail({Failure::bad_input, url, "checksum", file.checksum, found});
    resumed = false;
  }
  fs::rename(part, blob, error);
  if (error) return fail(io_failure(blob, "a place for " + name, error));
  return {};
}

/// snapshots/COMMIT/NAME -> ../../blobs/CHECKSUM, replaced in one step.
Result<void> link_to(const fs::path& blob, const fs::path& pointer) {
  ASSAY_CHECK(make_folder(pointer.parent_path()));
  fs::path temporary = pointer;
  temporary += ".tmp" + std::to_string(::getpid());
  std::error_code error;
  fs::remove(temporary, error);
  fs::create_symlink(fs::path("..") / ".." / "blobs" / blob.filename(), temporary, error);
  if (!error) fs::rename(temporary, pointer, error);
  if (error) return fail(io_failure(pointer, "a link that can be made", error));
  return {};
}

}  // namespace

Result<std::string> fetch_text(const std::string& url, const HubOptions& options) {
  const HttpRequest request{
      .url = url, .token = options.token, .most = kLongestText, .stall_seconds = options.stall_seconds};
  Patience patience(options);
  while (true) {
    std::string text;
    ASSAY_TRY(reply, http_get(
                         request, [](const HttpReply&) { return true; },
                         [&](std::string_view bytes) {
                           text += bytes;
                           return true;
                         }));
    if (reply.too_long)
      return fail({Failure::bad_input, url, "", "at most " + std::to_string(kLongestText) + " bytes", "more"});
    if (reply.status / 100 == 2 && reply.broken.empty()) return text;
    if (!worth_another_try(reply) || !patience.again(false)) return fail(refused(url, reply));
  }
}

Result<void> fetch_file(const HubId& id, const std::string& commit, const std::string& name, HubFile file,
                        const HubOptions& options) {
  const fs::path folder = options.cache / id.folder();
  const fs::path pointer = folder / "snapshots" / commit / name;
  std::error_code error;
  if (fs::exists(pointer, error)) return {};
  const std::string url =
      options.endpoint + "/" + url_escaped(id.repo(), false) + "/resolve/" + commit + "/" + url_escaped(name, true);
  if (file.checksum.empty()) {
    const std::int64_t listed = file.size;
    ASSAY_TRY(asked, ask_for(url, options));
    file = asked;
    if (listed >= 0) file.size = listed;
  }
  ASSAY_TRY(lock, Lock::take(options.cache / ".locks" / id.folder() / (file.checksum + ".lock")));
  const fs::path blob = folder / "blobs" / file.checksum;
  ASSAY_CHECK(make_folder(blob.parent_path()));
  if (!fs::exists(blob, error)) ASSAY_CHECK(fetch_blob(url, name, file, blob, options));
  return link_to(blob, pointer);
}

}  // namespace assay
