#pragma once
// Every fixed limit of db4 in one place. What can be configured is in config.hpp.

#include <cstddef>
#include <cstdint>

namespace db4 {

inline constexpr std::size_t kMaxCollectionBytes = 255;       ///< a collection's name, UTF-8 without NUL
inline constexpr std::size_t kMaxIdBytes = 1024;              ///< a document's id, UTF-8 without NUL
inline constexpr std::size_t kMaxContentTypeBytes = 255;      ///< printable ASCII
inline constexpr std::uint64_t kMaxBodyBytes = 64ULL << 20;   ///< one document's body
inline constexpr std::size_t kMaxJsonDepth = 128;             ///< nesting of arrays and objects
inline constexpr std::size_t kMaxBatchItems = 10'000;         ///< documents in one write_batch or read_batch
inline constexpr std::uint64_t kMaxBatchBytes = 64ULL << 20;  ///< bodies of one write_batch together
inline constexpr std::size_t kMaxScanLimit = 10'000;          ///< documents in one page of a scan
inline constexpr std::size_t kMaxObjectNameBytes = 1024;      ///< an object's name, as S3 has it

}  // namespace db4
