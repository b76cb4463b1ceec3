// Any bytes as a message between nodes: refused, or a message that encodes to one that means the same. Tried
// as they are, and with the checksum put right, which a fuzzer cannot guess.

#include "base/hash.hpp"
#include "fuzz_target.hpp"

#include <db4/invalidation_event.hpp>
#include <db4/limits.hpp>

#include <cstring>
#include <string>

namespace {

using namespace db4;

void decode(std::string_view bytes) {
  InvalidationMessage message;
  const auto read = [&] { message = decode_invalidation(bytes); };
  if (!fuzz::succeeds(read, {ErrorCode::corrupt, ErrorCode::unsupported})) return;
  fuzz::require(message.event.node_id.size() <= kMaxNodeIdBytes, "a node's name is bounded");
  fuzz::require(message.event.collection.size() <= kMaxCollectionBytes, "a collection's name is bounded");
  fuzz::require(message.event.id.size() <= kMaxIdBytes, "an id is bounded");
  const std::string again = encode_invalidation(message);
  fuzz::require(again.size() <= bytes.size(), "nothing is shorter than what db4 writes");
  fuzz::require(decode_invalidation(again) == message, "what was read is written and read again");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input = fuzz::as_input(data, size);
  decode(input);
  if (size >= 4) {
    std::string right(input);
    const std::uint32_t crc = crc32c(as_bytes(std::string_view(right).substr(0, size - 4)));
    std::memcpy(right.data() + size - 4, &crc, sizeof crc);
    decode(right);
  }
  return 0;
}
