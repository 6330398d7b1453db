#include "base/files.h"

#include <cstdint>
#include <fstream>
#include <system_error>

#include <unistd.h>

namespace assay {

namespace fs = std::filesystem;

Result<std::string> read_file(const fs::path& path, std::size_t limit) {
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) return fail({Failure::io, path.string(), "", "a file", "none"});
  if (!fs::is_regular_file(status))
    return fail({Failure::bad_input, path.string(), "", "a regular file", "something else"});
  const std::uintmax_t size = fs::file_size(path, error);
  if (error) return fail({Failure::io, path.string(), "", "", error.message()});
  if (size > limit)
    return fail({Failure::bad_input, path.string(), "size", "at most " + std::to_string(limit) + " bytes",
                 std::to_string(size)});
  std::ifstream file(path, std::ios::binary);
  std::string bytes(size, '\0');
  file.read(bytes.data(), std::streamsize(size));
  if (!file) return fail({Failure::io, path.string(), "", std::to_string(size) + " readable bytes", "fewer"});
  return bytes;
}

Result<void> write_beside(const fs::path& path, const std::function<Result<void>(const fs::path&)>& write) {
  fs::path temporary = path;
  temporary += ".tmp" + std::to_string(::getpid());
  std::error_code ignored;
  if (auto written = write(temporary); !written) {
    fs::remove(temporary, ignored);
    return written;
  }
  std::error_code error;
  fs::rename(temporary, path, error);
  if (error) {
    fs::remove(temporary, ignored);
    return fail({Failure::io, path.string(), "", "a writable place", error.message()});
  }
  return {};
}

Result<void> write_file(const fs::path& path, std::string_view bytes) {
  return write_beside(path, [&](const fs::path& temporary) -> Result<void> {
    std::ofstream file(temporary, std::ios::binary | std::ios::trunc);
    file.write(bytes.data(), std::streamsize(bytes.size()));
    file.flush();
    if (!file) return fail({Failure::io, path.string(), "", "a writable place", "a failed write"});
    return {};
  });
}

}  // namespace assay
