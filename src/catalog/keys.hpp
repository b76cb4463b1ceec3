#pragma once
// Keys of the catalogue's spaces.

#include "base/encoding.hpp"

#include <db4/limits.hpp>
#include <db4/types.hpp>

#include <string>
#include <string_view>

namespace db4::catalog {

/// A document's key: one byte of length, the collection, the id. Within a collection byte order is the ids'
/// order, and no two documents share a key.
inline std::string document_key(std::string_view collection, std::string_view id) {
  std::string key;
  key.reserve(1 + collection.size() + id.size());
  key.push_back(static_cast<char>(collection.size()));
  key.append(collection);
  key.append(id);
  return key;
}

/// The same without an allocation, for the read path. Not copyable: the view points inside.
class KeyBuffer {
 public:
  KeyBuffer(std::string_view collection, std::string_view id) noexcept
      : size_(1 + collection.size() + id.size()) {
    bytes_[0] = static_cast<char>(collection.size());
    std::memcpy(bytes_ + 1, collection.data(), collection.size());
    std::memcpy(bytes_ + 1 + collection.size(), id.data(), id.size());
  }
  KeyBuffer(const KeyBuffer&) = delete;
  KeyBuffer& operator=(const KeyBuffer&) = delete;
  [[nodiscard]] std::string_view view() const noexcept { return {bytes_, size_}; }

 private:
  std::size_t size_;
  char bytes_[1 + kMaxCollectionBytes + kMaxIdBytes];
};

inline std::string_view collection_of(std::string_view key) noexcept {
  return key.substr(1, static_cast<unsigned char>(key[0]));
}
inline std::string_view id_of(std::string_view key) noexcept {
  return key.substr(1 + static_cast<std::size_t>(static_cast<unsigned char>(key[0])));
}

/// A time in front of a key: the order of the due index and of the garbage. Negative times do not occur.
inline std::string timed_key(std::int64_t time_us, std::string_view key) {
  std::string out;
  out.reserve(8 + key.size());
  put_big_endian(out, static_cast<std::uint64_t>(time_us));
  out.append(key);
  return out;
}
inline std::int64_t time_of(std::string_view timed) noexcept {
  return static_cast<std::int64_t>(load_big_endian(timed.data()));
}
inline std::string_view key_of(std::string_view timed) noexcept { return timed.substr(8); }

/// Receipts of an upload's parts stand between these. Ids have no NUL, so no id's parts are among another
/// one's.
inline std::string upload_parts_begin(const std::string& id) { return id + '\0'; }
inline std::string upload_parts_end(const std::string& id) { return id + '\1'; }

/// The first key after every key that starts with `prefix`; empty where there is none (the end of the space).
inline std::string prefix_end(std::string prefix) {
  while (!prefix.empty()) {
    if (static_cast<unsigned char>(prefix.back()) != 0xFF) {
      prefix.back() = static_cast<char>(prefix.back() + 1);
      return prefix;
    }
    prefix.pop_back();
  }
  return prefix;
}

}  // namespace db4::catalog
