#include "catalog/pins.hpp"

#include "base/encoding.hpp"
#include "base/hash.hpp"
#include "catalog/keys.hpp"

#include <db4/error.hpp>

namespace db4 {

std::string_view to_string(PinScope scope) noexcept {
  switch (scope) {
    case PinScope::document:
      return "document";
    case PinScope::prefix:
      return "prefix";
    case PinScope::collection:
      return "collection";
  }
  return "unknown";
}

std::optional<PinScope> pin_scope_from_string(std::string_view name) noexcept {
  for (const PinScope scope : {PinScope::document, PinScope::prefix, PinScope::collection}) {
    if (name == to_string(scope)) return scope;
  }
  return std::nullopt;
}

}  // namespace db4

namespace db4::catalog {
namespace {

constexpr std::uint8_t kPinFormat = 1;

[[noreturn]] void damaged() {
  throw Error(ErrorCode::corrupt, "an entry of the catalogue's pins is damaged",
              "check the disk, and restore the hot folder from a backup");
}

}  // namespace

std::string pin_key(std::string_view collection, PinScope scope, std::string_view id) {
  return std::string(1, static_cast<char>(scope)) + document_key(collection, id);
}

std::string encode_pin(const StoredPin& stored) {
  std::string out(1, static_cast<char>(kPinFormat));
  out.push_back(static_cast<char>(stored.pin.tier));
  put_fixed(out, static_cast<std::int64_t>(stored.pin.since.time_since_epoch().count()));
  out.push_back(stored.applied_to ? 1 : 0);
  if (stored.applied_to) out.append(*stored.applied_to);
  return out;
}

StoredPin decode_pin(std::string_view key, std::string_view value) {
  if (key.size() < 2 || key.size() < 2U + static_cast<unsigned char>(key[1])) damaged();
  const auto scope = static_cast<PinScope>(key[0]);
  if (scope < PinScope::document || scope > PinScope::collection) damaged();
  Reader in(value);
  if (in.fixed<std::uint8_t>() != kPinFormat) {
    throw Error(ErrorCode::unsupported, "a pin of the catalogue has a format that this db4 does not know",
                "open the store with the newer db4 that wrote it");
  }
  StoredPin out{.pin = {.collection = std::string(collection_of(key.substr(1))),
                        .scope = scope,
                        .id = std::string(id_of(key.substr(1)))},
                .applied_to = {}};
  const auto tier = in.fixed<std::uint8_t>();
  out.pin.since = TimePoint{std::chrono::microseconds{in.fixed<std::int64_t>()}};
  const bool applying = in.fixed<std::uint8_t>() != 0;
  if (!in.ok() || tier > static_cast<std::uint8_t>(StorageTier::hot)) damaged();
  out.pin.tier = static_cast<StorageTier>(tier);
  if (applying) out.applied_to = std::string(in.rest());
  return out;
}

PinTable::PinTable(std::vector<StoredPin> pins) : pins_(std::move(pins)) {
  for (const StoredPin& stored : pins_) {
    Collection& collection = collections_[stored.pin.collection];
    switch (stored.pin.scope) {
      case PinScope::document:
        collection.documents[stored.pin.id] = &stored.pin;
        break;
      case PinScope::prefix:
        collection.prefixes[stored.pin.id] = &stored.pin;
        break;
      case PinScope::collection:
        collection.whole = &stored.pin;
        break;
    }
  }
}

const Pin* PinTable::find(std::string_view key) const {
  if (pins_.empty()) return nullptr;
  const auto collection = collections_.find(collection_of(key));
  if (collection == collections_.end()) return nullptr;
  const Collection& of = collection->second;
  const std::string_view id = id_of(key);
  if (const auto found = of.documents.find(id); found != of.documents.end()) return found->second;
  // A prefix of the id sorts before or at the id, and of two prefixes the longer sorts later. What lies
  // between and is no prefix shares a shorter start with the id: the search goes on from there, so it takes
  // at most as many steps as there are different lengths of shared starts.
  std::string_view bound = id;
  while (!of.prefixes.empty()) {
    auto at = of.prefixes.upper_bound(bound);
    if (at == of.prefixes.begin()) break;
    --at;
    if (id.starts_with(at->first)) return at->second;
    std::size_t shared = 0;
    while (shared < at->first.size() && shared < id.size() && at->first[shared] == id[shared]) ++shared;
    bound = id.substr(0, shared);
  }
  return of.whole;
}

}  // namespace db4::catalog
