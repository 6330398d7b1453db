// Shorthand of the golden readers: a field that is set, or the error handed up. Not here: anything for other rooms.
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>

namespace assay {

constexpr std::int64_t kMostOfAFact = 1 << 24;  // no width, vocabulary or window of any model comes near

/// Sets a field, or hands the error up.
#define ASSAY_READ_INT(field, object, name, low, high)                                          \
  do {                                                                                          \
    auto assay_read_ = (object).integer(name, low, high);                                       \
    if (!assay_read_) return fail(std::move(assay_read_).error());                              \
    (field) = static_cast<std::remove_reference_t<decltype(field)>>(*assay_read_); /* NOLINT */ \
  } while (false)
#define ASSAY_READ(field, expression)                              \
  do {                                                             \
    auto assay_read_ = (expression);                               \
    if (!assay_read_) return fail(std::move(assay_read_).error()); \
    (field) = *std::move(assay_read_);                             \
  } while (false)

}  // namespace assay
