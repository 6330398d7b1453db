#include "checksum.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <memory>

#include <openssl/evp.h>

#include "base/sha256.h"

namespace assay {
namespace {

constexpr std::size_t kSha1Digits = 40, kSha256Digits = 64;

struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

/// SHA-1 of `blob SIZE\0` and the bytes, as git has it.
Result<std::string> git_blob(const std::filesystem::path& path) {
  std::error_code error;
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  std::ifstream file(path, std::ios::binary);
  if (error || !file) return fail({Failure::io, path.string(), "", "a readable file", error.message()});
  const std::unique_ptr<EVP_MD_CTX, FreeContext> context(EVP_MD_CTX_new());
  const std::string head = "blob " + std::to_string(size);
  EVP_DigestInit_ex(context.get(), EVP_sha1(), nullptr);
  EVP_DigestUpdate(context.get(), head.c_str(), head.size() + 1);
  std::array<char, 1 << 16> buffer{};
  while (file.read(buffer.data(), buffer.size()) || file.gcount() > 0)
    EVP_DigestUpdate(context.get(), buffer.data(), std::size_t(file.gcount()));
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  EVP_DigestFinal_ex(context.get(), digest.data(), &length);
  std::string hex;
  for (unsigned i = 0; i < length; ++i)
    for (const int half : {digest[i] >> 4, digest[i] & 15}) hex += "0123456789abcdef"[half];
  return hex;
}

}  // namespace

bool is_checksum(std::string_view text) {
  return (text.size() == kSha1Digits || text.size() == kSha256Digits) &&
         text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

Result<std::string> checksum_of(const std::filesystem::path& path, std::string_view like) {
  return like.size() == kSha256Digits ? sha256_file(path) : git_blob(path);
}

}  // namespace assay
