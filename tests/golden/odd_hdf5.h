// HDF5 files that our writer never makes but others do: narrow, wide and boolean types, compression, both kinds of
// strings, links, values in other files. Written with the library itself.
#pragma once

#include <filesystem>

namespace assay {

/// Group `odd`: int8, uint16, int32, float64, float16 [2, 3] with values 0 to 5; boolean [3] as h5py stores it: 1, 0,
/// 1; packed [64, 8] float32 0 to 511 with shuffle and gzip; scalar int64 7; empty [0, 3]; group `below`. Attributes of
/// `odd`: fixed, padded (strings of fixed length), variable, vector (3 integers), real, flag (boolean).
void write_odd_types(const std::filesystem::path& file);

/// Group `odd` with a dataset `value` that is: compound numbers; a soft link; a link to `other`; external raw data;
/// text; of no extent; larger than memory.
enum class Odd { compound, soft_link, external_link, external_data, text, null, huge };
void write_odd_dataset(const std::filesystem::path& file, Odd odd, const std::filesystem::path& other);

}  // namespace assay
