// The catalogue's pins: few, so all are in memory, and each change makes a new table.
#include "catalog/catalog.hpp"
#include "catalog/keys.hpp"
#include "catalog/spaces.hpp"

#include <algorithm>

namespace db4::catalog {
namespace {

auto same_target(std::string_view collection, PinScope scope, std::string_view id) {
  return [=](const StoredPin& stored) {
    return stored.pin.collection == collection && stored.pin.scope == scope && stored.pin.id == id;
  };
}

/// Whether documents of that id or prefix are among those the pin is about.
bool covers(const Pin& pin, std::string_view collection, std::string_view id) {
  if (pin.collection != collection || pin.scope == PinScope::document) return false;
  return pin.scope == PinScope::collection || id.starts_with(pin.id);
}

}  // namespace

void Catalog::load_pins() {
  std::vector<StoredPin> pins;
  for (const kv::Entry& entry :
       engine_->scan({.space = kPins, .begin = {}, .end = {}, .limit = kMaxPins, .max_bytes = 1ULL << 30})) {
    pins.push_back(decode_pin(entry.key, entry.value));
  }
  const std::scoped_lock lock(pins_mutex_);
  has_pins_ = !pins.empty();
  pins_ = std::make_shared<const PinTable>(std::move(pins));
}

std::shared_ptr<const PinTable> Catalog::pins() const {
  const std::scoped_lock lock(pins_mutex_);
  return pins_;
}

std::optional<StorageTier> Catalog::pinned_tier(std::string_view key) const {
  if (!has_pins_.load(std::memory_order_acquire)) return std::nullopt;
  const auto table = pins();
  const Pin* pin = table->find(key);
  return pin == nullptr ? std::nullopt : std::optional(pin->tier);
}

void Catalog::put_pin(Pin pin) {
  const std::scoped_lock one_at_a_time(pins_commit_mutex_);
  if (shared_) load_pins();
  std::vector<StoredPin> all = pins()->all();
  std::erase_if(all, same_target(pin.collection, pin.scope, pin.id));
  if (all.size() >= kMaxPins) {
    throw Error(ErrorCode::resource_exhausted,
                "there are " + std::to_string(all.size()) + " pins, which is the limit",
                "unpin some, or pin a prefix or a collection instead of single documents");
  }
  pin.since = clock_->now();
  const StoredPin stored{.pin = std::move(pin), .applied_to = ""};
  kv::Batch batch;
  batch.put(kPins, pin_key(stored.pin.collection, stored.pin.scope, stored.pin.id), encode_pin(stored));
  all.push_back(stored);
  commit_pins(batch, std::move(all));
}

bool Catalog::remove_pin(std::string_view collection, PinScope scope, std::string_view id) {
  const std::scoped_lock one_at_a_time(pins_commit_mutex_);
  if (shared_) load_pins();
  std::vector<StoredPin> all = pins()->all();
  if (std::erase_if(all, same_target(collection, scope, id)) == 0) return false;
  kv::Batch batch;
  batch.erase(kPins, pin_key(collection, scope, id));
  // Documents that it held may be a broader pin's now, which has gone by them.
  for (StoredPin& stored : all) {
    if (!covers(stored.pin, collection, id)) continue;
    stored.applied_to = "";
    stored.pin.since = clock_->now();
    batch.put(kPins, pin_key(stored.pin.collection, stored.pin.scope, stored.pin.id), encode_pin(stored));
  }
  commit_pins(batch, std::move(all));
  return true;
}

void Catalog::note_applied(std::span<const StoredPin> progress) {
  if (progress.empty()) return;
  const std::scoped_lock one_at_a_time(pins_commit_mutex_);
  if (shared_) load_pins();
  std::vector<StoredPin> all = pins()->all();
  kv::Batch batch;
  for (const StoredPin& made : progress) {
    const Pin& pin = made.pin;
    const auto found = std::ranges::find_if(all, same_target(pin.collection, pin.scope, pin.id));
    // One that was set anew, or is to be applied anew, is not done.
    if (found == all.end() || found->pin.since != pin.since || found->pin.tier != pin.tier) continue;
    found->applied_to = made.applied_to;
    batch.put(kPins, pin_key(pin.collection, pin.scope, pin.id), encode_pin(*found));
  }
  if (!batch.empty()) commit_pins(batch, std::move(all));
}

void Catalog::commit_pins(kv::Batch& batch, std::vector<StoredPin> pins) {
  // Ordered as they are stored, so that a reopened store lists them alike.
  std::ranges::sort(pins, {}, [](const StoredPin& stored) {
    return pin_key(stored.pin.collection, stored.pin.scope, stored.pin.id);
  });
  auto table = std::make_shared<const PinTable>(std::move(pins));
  queue_.commit(batch, options_.durability);
  const std::scoped_lock lock(pins_mutex_);
  has_pins_.store(!table->empty(), std::memory_order_release);
  pins_ = std::move(table);
}

}  // namespace db4::catalog
