#pragma once
// FramedReader: a large document's object, read in whole frames. Private to the cold tier.

#include "cold/cold_state.hpp"
#include "sealing/framed_record.hpp"

namespace db4 {

/// One framed record in the object store, plain or sealed. Thread-safe.
class ColdStorage::State::FramedReader {
 public:
  /// Of the document `key` in `version`, whose object lies at `place`. Throws conflict where the object is
  /// gone, corrupt, and what opening its header and the object store throw.
  FramedReader(State& state, const catalog::ColdPlace& place, std::string_view key, Version version,
               const CallOptions& call);

  [[nodiscard]] const codec::FramedLayout& layout() const noexcept { return record_.layout(); }

  /// The content of frames [first, last), checked, into `out`, which is exactly as large. Throws the same.
  void read(std::uint64_t first, std::uint64_t last, std::span<std::byte> out, const CallOptions& call) const;

 private:
  [[nodiscard]] sealing::FramedRecord load(std::string_view key, const catalog::ColdPlace& place,
                                           Version version, const CallOptions& call) const;
  [[nodiscard]] Bytes get(std::uint64_t offset, std::uint64_t length, const CallOptions& call) const;

  State& state_;
  const std::string object_;
  const sealing::FramedRecord record_;
};

}  // namespace db4
