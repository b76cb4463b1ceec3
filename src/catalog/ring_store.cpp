#include "catalog/ring_store.hpp"

#include "catalog/spaces.hpp"

#include <db4/error.hpp>

#include <cstring>

namespace db4::catalog {
namespace {

constexpr std::string_view kRingKey = "ring";
constexpr std::string_view kMarkKey = "mark";
constexpr std::uint8_t kMarkFormat = 1;

}  // namespace

RingStore::RingStore(kv::Engine& engine)
    : engine_(&engine), commit_([&engine](kv::Batch& batch) {
        const kv::Batch* const one = &batch;
        return engine.commit({&one, 1}, Durability::disk).front().committed();
      }) {}

void RingStore::adopt(Catalog& catalog) {
  const std::lock_guard lock(mutex_);
  commit_ = [&catalog](kv::Batch& batch) { return catalog.commit_keys(batch); };
}

void RingStore::close() {
  const std::lock_guard lock(mutex_);
  engine_ = nullptr;
  commit_ = nullptr;
}

kv::Engine& RingStore::engine() const {
  if (engine_ != nullptr) return *engine_;
  throw Error(ErrorCode::invalid_argument, "the store that holds the key ring is closed", "open it again");
}

bool RingStore::commit(kv::Batch& batch) {
  (void)engine();
  return commit_(batch);
}

std::optional<std::string> RingStore::load() {
  const std::lock_guard lock(mutex_);
  return engine().get(kKeys, kRingKey);
}

bool RingStore::replace(const std::optional<std::string>& expected, std::string_view ring) {
  const std::lock_guard lock(mutex_);
  kv::Batch batch;
  if (expected) {
    batch.require_equals(kKeys, std::string(kRingKey), *expected);
  } else {
    batch.require_absent(kKeys, std::string(kRingKey));
  }
  batch.put(kKeys, std::string(kRingKey), std::string(ring));
  return commit(batch);
}

std::optional<RingMark> RingStore::mark() {
  const std::lock_guard lock(mutex_);
  const auto value = engine().get(kKeys, kMarkKey);
  if (!value) return std::nullopt;
  RingMark mark{};
  if (value->size() != 1 + mark.size() || value->front() != static_cast<char>(kMarkFormat)) {
    throw Error(ErrorCode::corrupt, "the store's note of its key ring is damaged",
                "check the disk, and restore the hot folder from a backup");
  }
  std::memcpy(mark.data(), value->data() + 1, mark.size());
  return mark;
}

void RingStore::set_mark(const RingMark& mark) {
  const std::lock_guard lock(mutex_);
  std::string value(1, static_cast<char>(kMarkFormat));
  value.append(as_text(mark));
  kv::Batch batch;
  batch.put(kKeys, std::string(kMarkKey), std::move(value));
  commit(batch);
}

void RingStore::clear_mark() {
  const std::lock_guard lock(mutex_);
  if (!engine().get(kKeys, kMarkKey)) return;
  kv::Batch batch;
  batch.erase(kKeys, std::string(kMarkKey));
  commit(batch);
}

}  // namespace db4::catalog
