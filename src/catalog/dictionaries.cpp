// Trained dictionaries: their bytes by id, and the id with which a collection's new records are compressed.
// The objects in cold are for whoever rebuilds a catalogue, or reads the records without db4.
#include "base/encoding.hpp"
#include "base/hash.hpp"
#include "catalog/catalog.hpp"
#include "catalog/garbage.hpp"
#include "catalog/spaces.hpp"

namespace db4::catalog {
namespace {

constexpr std::uint8_t kFormat = 1;
constexpr char kById = 'D';
constexpr char kOfCollection = 'C';

std::string id_key(std::uint32_t id) {
  std::string key(1, kById);
  put_big_endian(key, std::uint64_t{id});
  return key;
}

std::string collection_key(std::string_view collection) {
  return std::string(1, kOfCollection).append(collection);
}

std::string id_value(std::uint32_t id) {
  std::string value;
  put_fixed(value, id);
  return value;
}

std::string encode(const StoredDictionary& dictionary) {
  std::string out;
  out.push_back(static_cast<char>(kFormat));
  put_sized(out, dictionary.object);
  put_sized(out, dictionary.bytes);
  put_fixed<std::uint32_t>(out, crc32c(as_bytes(out)));
  return out;
}

StoredDictionary decode(std::uint32_t id, std::string_view value) {
  constexpr std::size_t kChecksumBytes = 4;
  const std::string_view covered = value.substr(0, value.size() - std::min(value.size(), kChecksumBytes));
  Reader in(covered);
  const auto format = in.fixed<std::uint8_t>();
  StoredDictionary out{.id = id, .object = std::string(in.sized()), .bytes = std::string(in.sized())};
  if (!in.done() || format != kFormat ||
      crc32c(as_bytes(covered)) != load_fixed<std::uint32_t>(value.data() + covered.size())) {
    throw Error(ErrorCode::corrupt,
                "the catalogue's entry of dictionary " + std::to_string(id) + " is damaged",
                "check the disk; restore the hot folder from a backup, or rebuild it from the cold tier");
  }
  return out;
}

}  // namespace

std::optional<StoredDictionary> Catalog::find_dictionary(std::uint32_t id) const {
  const auto value = engine_->get(kDictionaries, id_key(id));
  if (!value) return std::nullopt;
  return decode(id, *value);
}

std::uint32_t Catalog::dictionary_of(std::string_view collection) const {
  const auto value = engine_->get(kDictionaries, collection_key(collection));
  return value && value->size() == sizeof(std::uint32_t) ? load_fixed<std::uint32_t>(value->data()) : 0;
}

bool Catalog::add_dictionary(const StoredDictionary& dictionary, std::string_view collection) {
  kv::Batch batch;
  const std::string key = id_key(dictionary.id);
  batch.require_absent(kDictionaries, key);
  batch.require_present(kIntents, dictionary.object);
  batch.erase(kIntents, dictionary.object);
  batch.put(kDictionaries, key, encode(dictionary));
  batch.add(kCounters, total_key(Metric::objects, 0), 1);
  batch.add(kCounters, total_key(Metric::object_bytes, 0),
            static_cast<std::int64_t>(dictionary.bytes.size()));
  // In one batch: of one that nobody names nobody would ever hear again.
  if (!collection.empty()) batch.put(kDictionaries, collection_key(collection), id_value(dictionary.id));
  // Synced whatever the durability: records that need it may be synced by others a moment later.
  return queue_.commit(batch, Durability::disk).committed();
}

void Catalog::use_dictionary(std::string_view collection, std::uint32_t id) {
  kv::Batch batch;
  batch.put(kDictionaries, collection_key(collection), id_value(id));
  queue_.commit(batch, Durability::disk);
}

std::vector<StoredDictionary> Catalog::dictionaries() const {
  std::vector<StoredDictionary> out;
  // One at a time: each is some 64 KiB.
  for (std::string begin(1, kById);;) {
    const auto page =
        engine_->scan({.space = kDictionaries, .begin = begin, .end = std::string(1, kById + 1), .limit = 1});
    if (page.empty()) return out;
    const std::string& key = page.front().key;
    out.push_back(decode(static_cast<std::uint32_t>(load_big_endian(key.data() + 1)), page.front().value));
    begin = key + '\0';
  }
}

void Catalog::remove_dictionaries() {
  // Asked in every run: mostly there are none.
  if (engine_->scan({.space = kDictionaries, .limit = 1, .keys_only = true}).empty()) return;
  for (const StoredDictionary& dictionary : dictionaries()) {
    const std::int64_t due_us = now_us() + options_.garbage_grace.count();
    const std::uint64_t bytes = dictionary.bytes.size();
    kv::Batch batch;
    batch.require_present(kDictionaries, id_key(dictionary.id));
    batch.erase(kDictionaries, id_key(dictionary.id));
    batch.put(kGarbage, timed_key(due_us, dictionary.object), encode_garbage(GarbageKind::object, bytes));
    batch.add(kCounters, total_key(Metric::objects, 0), -1);
    batch.add(kCounters, total_key(Metric::object_bytes, 0), -static_cast<std::int64_t>(bytes));
    queue_.commit(batch, Durability::disk);
  }
  kv::Batch batch;
  batch.erase_range(kDictionaries, std::string(1, kOfCollection), std::string(1, kOfCollection + 1));
  queue_.commit(batch, Durability::disk);
}

}  // namespace db4::catalog
