#include "engine/external/outputs.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace assay::external {
namespace {

/// Closes what it holds.
struct Descriptor {
  int fd = -1;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

Result<const Tensor*> tensor_of(const Safetensors& outputs, std::string_view name, Dtype dtype,
                                const std::string& where) {
  const auto bad = [&](std::string expected, std::string found) {
    return fail({Failure::bad_output, where, std::string(name), std::move(expected), std::move(found)});
  };
  const auto at = outputs.tensors().find(name);
  if (at == outputs.tensors().end()) return bad("it among the outputs", "none of that name");
  if (at->second.dtype != dtype)
    return bad("dtype " + std::string(name_of(dtype)), std::string(name_of(at->second.dtype)));
  return &at->second;
}

}  // namespace

Result<Safetensors> read_outputs(const std::filesystem::path& file, std::int64_t limit, const std::string& where) {
  const auto bad = [&](std::string expected, std::string found) {
    return fail({Failure::bad_output, where, file.filename().string(), std::move(expected), std::move(found)});
  };
  // No links, which may lead anywhere, and no waiting for the other end of a pipe.
  const Descriptor opened{::open(file.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)};
  if (opened.fd < 0)
    return bad("a file of that name in the engine's folder", errno == ELOOP ? "a link" : std::strerror(errno));
  struct stat facts {};
  if (::fstat(opened.fd, &facts) != 0 || !S_ISREG(facts.st_mode)) return bad("a regular file", "something else");
  if (facts.st_size > limit) return bad("at most " + std::to_string(limit) + " bytes", std::to_string(facts.st_size));
  const auto bytes = std::make_shared<std::vector<std::byte>>(std::size_t(facts.st_size));
  for (std::size_t at = 0; at < bytes->size();) {
    const ssize_t got = ::read(opened.fd, bytes->data() + at, bytes->size() - at);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return bad(std::to_string(bytes->size()) + " bytes", "a file that shrinks while it is read");
    at += std::size_t(got);
  }
  auto parsed = Safetensors::parse(*bytes, file.filename().string(), bytes);
  if (!parsed) return bad("safetensors", parsed.error().message());
  return std::move(*parsed);
}

Result<std::vector<float>> floats_of(const Safetensors& outputs, std::string_view name,
                                     const std::vector<std::vector<std::int64_t>>& shapes, const std::string& where) {
  ASSAY_TRY(tensor, tensor_of(outputs, name, Dtype::f32, where));
  if (std::find(shapes.begin(), shapes.end(), tensor->shape) == shapes.end())
    return fail({Failure::bad_output, where, std::string(name), "shape " + shape_text(shapes.front()),
                 shape_text(tensor->shape)});
  return tensor->floats();
}

Result<std::vector<std::int64_t>> integers_of(const Safetensors& outputs, std::string_view name,
                                              std::span<const std::int64_t> shape, const std::string& where) {
  ASSAY_TRY(tensor, tensor_of(outputs, name, Dtype::i64, where));
  if (!std::equal(tensor->shape.begin(), tensor->shape.end(), shape.begin(), shape.end()))
    return fail(
        {Failure::bad_output, where, std::string(name), "shape " + shape_text(shape), shape_text(tensor->shape)});
  return tensor->integers();
}

}  // namespace assay::external
