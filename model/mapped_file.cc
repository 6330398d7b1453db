#include "model/mapped_file.h"

#include <cerrno>
#include <cstring>
#include <string>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace assay {
namespace {

Failure refused_by_system(const std::filesystem::path& file) {
  return {Failure::io, file.string(), "", "a readable file", std::strerror(errno)};
}

}  // namespace

MappedFile::~MappedFile() { ::munmap(data_, size_); }

Result<std::shared_ptr<const MappedFile>> MappedFile::open(const std::filesystem::path& file, std::size_t least) {
  const int descriptor = ::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);  // does not wait on a pipe
  if (descriptor < 0) return fail(refused_by_system(file));
  const std::shared_ptr<const void> closer(nullptr, [descriptor](auto) { ::close(descriptor); });
  struct stat status {};
  if (::fstat(descriptor, &status) != 0) return fail(refused_by_system(file));
  if (!S_ISREG(status.st_mode))
    return fail({Failure::bad_input, file.string(), "", "a regular file", "something else"});
  const auto size = std::size_t(status.st_size);
  if (size < least)
    return fail(
        {Failure::bad_input, file.string(), "", "at least " + std::to_string(least) + " bytes", std::to_string(size)});
  void* data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  if (data == MAP_FAILED) return fail(refused_by_system(file));
  return std::make_shared<const MappedFile>(data, size);
}

}  // namespace assay
