// Names of objects. No name is ever used twice, so nothing depends on what a provider does when one is.
#include "base/hash.hpp"
#include "catalog/keys.hpp"
#include "cold/cold_state.hpp"

#include <algorithm>

namespace db4 {
namespace {

constexpr std::size_t kReadableBytes = 64;

std::string hex64(std::uint64_t value) {
  std::string bytes;
  put_big_endian(bytes, value);
  return to_hex(as_bytes(bytes));
}

/// Collection and id as far as letters, digits, '-' and '_' go; the rest as '-'. For eyes only: nothing reads
/// it back.
std::string readable(std::string_view key) {
  std::string out(catalog::collection_of(key));
  out.push_back('.');
  out.append(catalog::id_of(key));
  out.resize(std::min(out.size(), kReadableBytes));
  for (char& c : out) {
    const bool plain =
        (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.';
    if (!plain) c = '-';
  }
  return out;
}

}  // namespace

std::string ColdStorage::State::document_object(std::string_view key, Version version) const {
  // The key as the catalogue has it: its collection is length-prefixed, so no two documents hash the same
  // bytes.
  const auto digest = sha256(as_bytes(key));
  const std::string hash = to_hex(digest);
  std::string name = config_.prefix + catalog_.store_id() + "/" + hash.substr(0, 2) + "/" + hash + "." +
                     hex64(version) + "." + hex64(random_->next_u64());
  if (config_.readable_names) name += "." + readable(key);
  return name;
}

std::string ColdStorage::State::segment_object() const {
  const std::string random = hex64(random_->next_u64()) + hex64(random_->next_u64());
  return config_.prefix + catalog_.store_id() + "/" + random.substr(0, 2) + "/segment." + random;
}

}  // namespace db4
