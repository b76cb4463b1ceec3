#pragma once
// What is sealed with a document, and how: the words that everything about encryption shares.

#include <db4/types.hpp>

#include <optional>
#include <string_view>

namespace db4 {

inline constexpr std::size_t kMaxStoreIdBytes = 255;                 ///< in a SealContext
inline constexpr std::uint64_t kMaxSealedMessageBytes = 1ULL << 30;  ///< larger ones are sealed as streams

/// Who sealed bytes are. It is not stored with them: whoever opens them says it again, and gets an error
/// where anything differs. So bytes cannot be passed off as another document's, nor an old version as a new
/// one. The views are used during the call only.
struct SealContext {
  std::string_view store_id = {};                   ///< at most kMaxStoreIdBytes
  std::optional<std::string_view> collection = {};  ///< at most kMaxCollectionBytes; nullopt: not bound
  std::optional<std::string_view> id = {};          ///< at most kMaxIdBytes; nullopt: not bound
  Version version = 0;
  std::uint8_t codec = 0;  ///< how the plaintext is encoded: the caller's own number
};

/// Whether the length of sealed bytes shows that of the plaintext.
enum class Padding : std::uint8_t {
  none,   ///< it does, to the byte
  padme,  ///< to some bits: at least 256 bytes, else rounded up by at most 12 %
};

}  // namespace db4
