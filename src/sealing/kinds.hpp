#pragma once
// What sealed bytes are: SealContext::codec of all that a store seals, so that nothing is taken for something
// else. docs/formats/sealed.md lists them.

#include <cstdint>

namespace db4::sealing {

/// On disk: never renumber.
enum class Kind : std::uint8_t {
  body = 0x10,            ///< of a hot document, in its row or beside it
  record_header = 0x20,   ///< of a record in the cold tier
  record_payload = 0x21,  ///< not compressed; gzip and zstd follow
  segment_index = 0x28,
  frame = 0x29,  ///< of a large record
  warm_record = 0x30,
};

}  // namespace db4::sealing
