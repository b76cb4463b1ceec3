#include "store/news.hpp"

#include "base/hash.hpp"
#include "catalog/keys.hpp"

#include <charconv>

namespace db4::store {
namespace {

/// Of entries that were missed so many are read; past it a look at the rows that are asked for is cheaper.
constexpr std::uint64_t kMaxRecovered = 10'000;

std::string to_hex_number(std::uint64_t number) {
  char digits[16];
  const auto end = std::to_chars(digits, digits + sizeof digits, number, 16).ptr;
  return {digits, end};
}

std::optional<std::uint64_t> from_hex_number(const std::string& text) {
  std::uint64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, number, 16);
  return error == std::errc() && stopped == end ? std::optional(number) : std::nullopt;
}

}  // namespace

News::News(catalog::Catalog& catalog, HotStorage::State& hot, std::shared_ptr<Clock> clock,
           std::shared_ptr<RandomSource> random, std::shared_ptr<BroadcastChannel> channel)
    : catalog_(catalog),
      hot_(hot),
      clock_(std::move(clock)),
      random_(std::move(random)),
      node_id_(to_hex_number(catalog.node())),
      channel_(std::move(channel)),
      distrusted_until_ns_(std::numeric_limits<std::int64_t>::min()) {
  connect();
}

News::~News() { close(); }

void News::connect() {
  if (!channel_) return;
  const std::scoped_lock lock(connect_mutex_);
  if (connected_) return;
  try {
    manager().set_broadcast_channel(channel_);
    connected_ = true;
  } catch (const Error& error) {
    // Tried again when this node next looks around; until then copies are as old as they may be without.
    if (error.code() != ErrorCode::unavailable && error.code() != ErrorCode::deadline_exceeded) throw;
  }
}

CacheInvalidationManager& News::manager() {
  const std::scoped_lock lock(mutex_);
  if (owned_) return *owned_;
  // Of its cache nothing is used: memory has one.
  owned_ = std::make_unique<CacheInvalidationManager>(
      CacheInvalidationConfig{.node_id = node_id_, .epoch = catalog_.epoch(), .max_entries = 1}, clock_,
      random_);
  own_ = owned_->subscribe([this](const InvalidationEvent& event) { hear(event); });
  owned_->set_missed_handler([this](const MissedEvents& missed) { return recover(missed); });
  manager_.store(owned_.get(), std::memory_order_release);
  return *owned_;
}

Subscription News::subscribe(CacheInvalidationManager::Callback callback) {
  return manager().subscribe(std::move(callback));
}

void News::on_applied(const catalog::RowChange& change) noexcept {
  CacheInvalidationManager* manager = manager_.load(std::memory_order_acquire);
  if (manager == nullptr) return;
  try {
    manager->announce({.type = InvalidationType::document,
                       .collection = std::string(catalog::collection_of(change.key)),
                       .id = std::string(catalog::id_of(change.key)),
                       .version = change.after ? change.after->version : change.before->version,
                       .sequence = change.sequence});
  } catch (const std::exception&) {
    // The next number tells the others that one is missing, and they read it from the changes space.
  }
}

void News::hear(const InvalidationEvent& event) {
  if (event.node_id == node_id_ && event.type == InvalidationType::document) return;  // memory knows
  if (event.type != InvalidationType::document) {
    distrusts_.fetch_add(1, std::memory_order_relaxed);
    distrusted_until_ns_.store(clock_->monotonic().count(), std::memory_order_release);
    return;
  }
  const std::string key = catalog::document_key(event.collection, event.id);
  const std::uint64_t hash = hash_key(key);
  hot::DocumentCache& cache = hot_.cache();
  // As a change of our own: what was read before it is not filled in after it.
  cache.begin_change(hash);
  const detail::BlockRef held = cache.peek(hash, key);
  if (held && (event.version == 0 || held->version < event.version)) {
    cache.erase(hash, key);
    dropped_copies_.fetch_add(1, std::memory_order_relaxed);
  }
  cache.end_change(hash);
}

bool News::recover(const MissedEvents& missed) {
  const auto node = from_hex_number(missed.node_id);
  if (!node || missed.from == 0 || missed.to < missed.from || missed.to - missed.from >= kMaxRecovered)
    return false;
  std::uint64_t next = missed.from;
  while (next <= missed.to) {
    const auto changes =
        catalog_.changes_of(*node, missed.epoch, next - 1, static_cast<std::size_t>(missed.to - next + 1));
    for (const catalog::ChangeEntry& change : changes) {
      if (change.sequence != next) return false;  // trimmed
      CacheInvalidationManager* manager = manager_.load(std::memory_order_acquire);
      manager->apply({.type = InvalidationType::document,
                      .collection = std::string(catalog::collection_of(change.key)),
                      .id = std::string(catalog::id_of(change.key)),
                      .version = change.version,
                      .node_id = missed.node_id,
                      .epoch = missed.epoch,
                      .sequence = change.sequence});
      if (++next > missed.to) break;
    }
    if (changes.empty()) return false;
  }
  return true;
}

InvalidationStats News::stats() const {
  InvalidationStats out{.channel = channel_ ? channel_->name() : std::string(),
                        .polls = channel_ && channel_->stats().polls,
                        .distrusts = distrusts_.load(std::memory_order_relaxed),
                        .dropped_copies = dropped_copies_.load(std::memory_order_relaxed)};
  const CacheInvalidationManager* manager = manager_.load(std::memory_order_acquire);
  if (manager == nullptr) return out;
  const CacheInvalidationStats stats = manager->stats();
  out.sent = stats.events_sent;
  out.received = stats.events_received;
  out.missed = stats.missed;
  out.recovered = stats.recovered;
  out.failed_sends = stats.failed_sends;
  out.waiting = stats.outgoing_queued;
  out.nodes = stats.nodes;
  return out;
}

void News::close() {
  CacheInvalidationManager* manager = manager_.load(std::memory_order_acquire);
  if (manager != nullptr) manager->close();
}

}  // namespace db4::store
