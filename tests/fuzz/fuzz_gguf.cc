// Any bytes as a GGUF file: refused, or every tensor's bytes lie inside and are as many as its shape says, every value
// can be asked for, and a model in it has a plan as long as its layers.
#include <cstdint>
#include <cstdlib>

#include "model/gguf/gguf_model.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const std::byte> bytes = std::as_bytes(std::span(data, size));
  const auto file = assay::Gguf::parse(bytes, "fuzz");
  if (!file) {
    if (file.error().message().empty()) std::abort();
    return 0;
  }
  for (const auto& [key, value] : file->metadata()) {
    if (value.what().empty()) std::abort();
    static_cast<void>(value.integer());
    static_cast<void>(value.real());
    static_cast<void>(value.flag());
    static_cast<void>(value.text());
    if (const auto all = value.integers(); all && all->size() != value.count) std::abort();
    if (const auto all = value.reals(); all && all->size() != value.count) std::abort();
    if (const auto all = value.texts(); all && all->size() != value.count) std::abort();
  }
  for (const auto& [name, found] : file->tensors()) {
    if (!found.other_type.empty()) continue;
    const assay::Tensor& tensor = found.tensor;
    const assay::Packing packing = assay::packing_of(tensor.dtype);
    if (std::int64_t(tensor.bytes.size()) != tensor.elements() / packing.elements * packing.bytes) std::abort();
    if (const auto values = tensor.floats(); values && std::int64_t(values->size()) != tensor.elements()) std::abort();
  }
  const auto model = assay::read_gguf_model(*file);
  if (model && std::int64_t(model->plan.layers.size()) != model->config.num_hidden_layers) std::abort();
  if (!model && model.error().message().empty()) std::abort();
  return 0;
}
