// Names of objects. No name is ever used twice, so nothing depends on what a provider does when one is.
#include "cold/object_names.hpp"

#include "base/hash.hpp"
#include "catalog/keys.hpp"
#include "cold/cold_state.hpp"

#include <algorithm>
#include <charconv>

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

namespace cold {

bool is_hex(std::string_view text, std::size_t digits) noexcept {
  return text.size() == digits &&
         std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

std::optional<DictionaryName> parse_dictionary_name(std::string_view rest) noexcept {
  if (!rest.starts_with(kDictionaryFolder)) return std::nullopt;
  rest.remove_prefix(kDictionaryFolder.size());
  constexpr std::size_t kId = 8;
  constexpr std::size_t kDigest = 64;
  constexpr std::size_t kRandom = 16;
  const bool whole = rest.size() == kId + 1 + kDigest + 1 + kRandom && is_hex(rest.substr(0, kId), kId) &&
                     rest[kId] == '.' && is_hex(rest.substr(kId + 1, kDigest), kDigest) &&
                     rest[kId + 1 + kDigest] == '.' && is_hex(rest.substr(kId + kDigest + 2), kRandom);
  if (!whole) return std::nullopt;
  DictionaryName name{.sha256 = rest.substr(kId + 1, kDigest)};
  std::from_chars(rest.data(), rest.data() + kId, name.id, 16);
  return name;
}

}  // namespace cold

std::string ColdStorage::State::document_object(std::string_view key, Version version) const {
  // The key as the catalogue has it: its collection is length-prefixed, so no two documents hash the same
  // bytes.
  // Where the store is encrypted, whoever guesses a name is not to find it confirmed: nothing but the row
  // needs to find the object.
  std::array<std::byte, 32> digest = sha256(as_bytes(key));
  if (sealer_->seals()) sealer_->random().fill(digest);
  const std::string hash = to_hex(digest);
  std::string name = store_folder() + hash.substr(0, 2) + "/" + hash + "." + hex64(version) + "." +
                     hex64(random_->next_u64());
  if (config_.readable_names) name += "." + readable(key);
  return name;
}

std::string ColdStorage::State::segment_object() const {
  const std::string random = hex64(random_->next_u64()) + hex64(random_->next_u64());
  return store_folder() + random.substr(0, 2) + "/segment." + random;
}

std::string ColdStorage::State::dictionary_object(std::uint32_t id, std::string_view bytes) const {
  // With a digest: a dictionary has no checksum of its own, and whoever rebuilds a catalogue believes it.
  std::string number;
  put_big_endian(number, std::uint64_t{id});
  return store_folder() + std::string(cold::kDictionaryFolder) + to_hex(as_bytes(number)).substr(8) + "." +
         to_hex(sha256(as_bytes(bytes))) + "." + hex64(random_->next_u64());
}

}  // namespace db4
