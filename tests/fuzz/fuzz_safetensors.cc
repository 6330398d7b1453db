// Any bytes as a safetensors file: refused, or every tensor's bytes lie inside and are as many as its shape says.
#include <cstdint>
#include <cstdlib>

#include "model/safetensors.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const std::byte> bytes = std::as_bytes(std::span(data, size));
  const auto file = assay::Safetensors::parse(bytes, "fuzz");
  if (!file) {
    if (file.error().message().empty()) std::abort();
    return 0;
  }
  for (const auto& [name, tensor] : file->tensors()) {
    if (tensor.bytes.size() != std::size_t(tensor.elements()) * std::size_t(assay::size_of(tensor.dtype))) std::abort();
    if (const auto values = tensor.floats(); values && std::int64_t(values->size()) != tensor.elements()) std::abort();
    if (const auto values = tensor.integers(); values && std::int64_t(values->size()) != tensor.elements())
      std::abort();
  }
  return 0;
}
