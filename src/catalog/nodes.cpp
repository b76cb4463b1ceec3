// Nodes: processes that have one catalogue open at once.
//
// In kMeta "node/", then the node's number, holds when it last said that it lives; "lease/", then the name of
// a piece of work, holds the node that has it and until when. Times are those of the server's clock as far as
// a node knows it, so the bounds are generous: a node that is taken for dead wrongly is merely registered
// anew, and a lease keeps work from being done twice, never from being done right.
#include "catalog/catalog.hpp"
#include "catalog/keys.hpp"
#include "catalog/meta.hpp"

namespace db4::catalog {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::minutes kRegisterEvery = 1min;
constexpr std::chrono::hours kLookForDeadEvery = 1h;
/// Far over any pause of a process, and any difference between clocks.
constexpr std::chrono::microseconds kDeadAfter = 24h;
/// Who closed in good order has said what there was to say: his changes are kept for this long, for those who
/// may have missed some.
constexpr std::chrono::microseconds kKeptAfterClosing = 1h;
constexpr std::size_t kMaxNodes = 10'000;
constexpr std::string_view kNode = "node/";
constexpr std::string_view kLease = "lease/";

std::string node_key(std::uint64_t node) {
  std::string key(kNode);
  put_big_endian(key, node);
  return key;
}

struct Lease {
  std::uint64_t node = 0;
  std::int64_t until_us = 0;
};

std::string encode_lease(const Lease& lease) {
  std::string out;
  put_fixed(out, lease.node);
  put_fixed(out, lease.until_us);
  return out;
}

/// One that cannot be read has run out.
Lease decode_lease(std::string_view value) {
  Reader in(value);
  Lease lease{.node = in.fixed<std::uint64_t>(), .until_us = in.fixed<std::int64_t>()};
  return in.done() ? lease : Lease{};
}

}  // namespace

std::vector<ChangeEntry> Catalog::changes_of(std::uint64_t node, std::uint64_t epoch, std::uint64_t after,
                                             std::size_t limit) const {
  const std::string prefix = change_key_prefix(node, epoch);
  std::string begin = prefix;
  put_big_endian(begin, after + 1);
  std::vector<ChangeEntry> out;
  for (const kv::Entry& entry :
       engine_->scan({.space = kChanges, .begin = begin, .end = prefix_end(prefix), .limit = limit})) {
    if (entry.key.size() != prefix.size() + 8) continue;
    Reader in(entry.value);
    ChangeEntry change{.sequence = load_big_endian(entry.key.data() + prefix.size()),
                       .key = std::string(in.sized())};
    change.version = in.varint();
    change.revision = in.varint();
    in.fixed<std::uint8_t>();
    if (!in.done()) {
      throw Error(ErrorCode::corrupt, "an entry of the catalogue's changes is damaged",
                  "check the disk, and restore the hot folder from a backup");
    }
    out.push_back(std::move(change));
  }
  return out;
}

void Catalog::look_around() {
  if (!shared_) return;
  const std::scoped_lock lock(nodes_mutex_);
  refresh_floor();
  {
    const std::scoped_lock one_at_a_time(pins_commit_mutex_);
    load_pins();
  }
  const MonotonicTime now = clock_->monotonic();
  if (now - registered_at_ >= kRegisterEvery) register_node();
  if (now - looked_for_dead_at_ >= kLookForDeadEvery) {
    looked_for_dead_at_ = now;
    remove_dead_nodes();
  }
}

void Catalog::say_alive() {
  if (!shared_) return;
  const std::scoped_lock lock(nodes_mutex_);
  if (clock_->monotonic() - registered_at_ >= kRegisterEvery) register_node();
}

bool Catalog::registered(std::uint64_t node) const { return engine_->get(kMeta, node_key(node)).has_value(); }

void Catalog::register_node() {
  registered_at_ = clock_->monotonic();
  kv::Batch batch;
  batch.put(kMeta, node_key(node_), encoded(now_us()));
  queue_.commit(batch, std::min(options_.durability, Durability::process));
}

void Catalog::remove_dead_nodes() {
  for (const kv::Entry& entry : engine_->scan({.space = kMeta,
                                .begin = std::string(kNode),
                                .end = prefix_end(std::string(kNode)),
                                .limit = kMaxNodes})) {
    if (entry.key.size() != kNode.size() + 8 || entry.value.size() != sizeof(std::int64_t)) continue;
    const std::string number = entry.key.substr(kNode.size());
    const auto seen_us = load_fixed<std::int64_t>(entry.value.data());
    if (load_big_endian(number.data()) == node_ || seen_us + kDeadAfter.count() > now_us()) continue;
    kv::Batch batch;
    batch.require_equals(kMeta, entry.key, entry.value);
    batch.erase(kMeta, entry.key);
    batch.erase_range(kChanges, number, prefix_end(number));
    queue_.commit(batch, std::min(options_.durability, Durability::process));
  }
}

void Catalog::sign_off() {
  const auto changes = engine_->scan({.space = kChanges,
                                      .begin = change_prefix_,
                                      .end = prefix_end(change_prefix_),
                                      .limit = 1,
                                      .keys_only = true});
  kv::Batch batch;
  if (changes.empty()) {
    batch.erase(kMeta, node_key(node_));  // who changed nothing has said nothing that others may have missed
  } else {
    batch.put(kMeta, node_key(node_), encoded(now_us() - (kDeadAfter - kKeptAfterClosing).count()));
  }
  queue_.commit(batch, std::min(options_.durability, Durability::process));
}

void Catalog::close() {
  if (shared_) {
    try {
      sign_off();
    } catch (const Error&) {
      // Then it goes as one that died does. A store that is closed twice says it once.
    }
  }
  engine_->close();
}

bool Catalog::take_lease(std::string_view work, std::chrono::microseconds duration) {
  if (!shared_) return true;
  const std::string key = std::string(kLease) + std::string(work);
  const auto stored = engine_->get(kMeta, key);
  kv::Batch batch;
  if (stored) {
    const Lease lease = decode_lease(*stored);
    if (lease.node != node_ && lease.until_us > now_us()) return false;
    batch.require_equals(kMeta, key, *stored);
  } else {
    batch.require_absent(kMeta, key);
  }
  batch.put(kMeta, key, encode_lease({.node = node_, .until_us = now_us() + duration.count()}));
  return queue_.commit(batch, std::min(options_.durability, Durability::process)).committed();
}

void Catalog::drop_lease(std::string_view work) noexcept {
  if (!shared_) return;
  try {
    const std::string key = std::string(kLease) + std::string(work);
    const auto stored = engine_->get(kMeta, key);
    if (!stored || decode_lease(*stored).node != node_) return;
    kv::Batch batch;
    batch.require_equals(kMeta, key, *stored);
    batch.erase(kMeta, key);
    queue_.commit(batch, std::min(options_.durability, Durability::process));
  } catch (const std::exception&) {
  }
}

}  // namespace db4::catalog
