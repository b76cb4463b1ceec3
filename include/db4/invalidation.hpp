#pragma once
// CacheInvalidationManager: copies of documents that know when they are outdated, and the news of it between
// the parts of a program and between nodes.
//
//     db4::CacheInvalidationManager cache({.default_ttl = 1min});
//     cache.set_broadcast_channel(std::make_shared<db4::InMemoryBroadcastChannel>("documents"));
//     const db4::FillMark mark = cache.begin_fill("users", "user-1");   // before reading what will be kept
//     if (const auto document = store.read("users", "user-1")) cache.set("users", "user-1", *document, {},
//     mark); const db4::CacheLookup found = cache.get("users", "user-1"); cache.invalidate("users",
//     "user-1");                              // here, and on every other node
//
// The manager owns its copies, a thread for each subscriber, and with a channel one that sends. Everything in
// it is bounded by a limit of CacheInvalidationConfig. docs/invalidation.md tells what it promises.

#include <db4/broadcast_channel.hpp>
#include <db4/clock.hpp>
#include <db4/document.hpp>
#include <db4/invalidation_event.hpp>
#include <db4/random.hpp>
#include <db4/subscription.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace db4 {

/// How copies grow old, who is told of changes, and how much memory that may take.
struct CacheInvalidationConfig {
  /// A set without a mark is a write: subscribers and other nodes are told of its version.
  bool invalidate_on_write = true;
  /// Versions are compared: older copies never replace newer ones, and an event drops only what is older.
  /// Without it versions are not looked at, `expected_version` neither, and every event drops what is held.
  bool version_based_invalidation = true;
  std::chrono::milliseconds default_ttl = std::chrono::minutes{5};  ///< above 0
  /// Past its TTL a copy is still given for so long, marked stale; then it is gone.
  std::chrono::milliseconds stale_while_revalidate{0};
  /// TTLs are shortened by up to this share (below 1) at random, so that what was stored together does not
  /// expire together.
  double ttl_jitter = 0.1;
  bool broadcast_enabled = true;  ///< without it a channel is neither sent to nor listened to
  std::string node_id = {};  ///< of 1 to kMaxNodeIdBytes bytes, no two nodes the same; empty: drawn at random
  std::uint64_t epoch = 0;   ///< of this life of the node, never used before; 0: drawn at random

  std::uint64_t max_entries = 65'536;     ///< copies held
  std::uint64_t max_bytes = 64ULL << 20;  ///< what they take, keys and overhead included
  std::size_t max_remembered_versions =
      65'536;                               ///< newest versions known of documents not held; 24 bytes each
  std::size_t max_subscribers = 64;         ///< each has a thread
  std::size_t max_queued_events = 1'024;    ///< for one subscriber; past it they become one flush
  std::size_t max_outgoing_events = 8'192;  ///< not yet taken by the channel; past it they become one flush
  std::size_t max_nodes = 1'024;  ///< whose sequence numbers are followed; past it the longest unheard goes

  /// A node that has nothing to say says so this often; 0: never, and silence means nothing.
  std::chrono::milliseconds heartbeat_interval = std::chrono::seconds{2};
  /// A node that was not heard for so long may have been missed; at least twice heartbeat_interval.
  std::chrono::milliseconds silence_after = std::chrono::seconds{10};
  /// What the channel did not take is tried again after a pause drawn between 0 and a bound that doubles.
  std::chrono::milliseconds retry_base_delay{50};
  std::chrono::milliseconds retry_max_delay = std::chrono::seconds{5};
};

/// What a lookup found.
struct CacheLookup {
  /// The copy. It shares the body with all others.
  std::optional<Document> value = {};
  /// A copy is held, but an older one than expected; it is not given.
  bool version_mismatch = false;
  /// The copy is past its TTL: given within stale_while_revalidate, and not after that.
  bool stale = false;
  /// Time since it was set, by the monotonic clock.
  std::chrono::milliseconds age{0};
};

/// A moment in the life of a document's copies, taken by begin_fill(). A default one is always overtaken.
struct FillMark {
  std::uint64_t document = 0;
  std::uint64_t collection = 0;
};

/// Why something may have been missed.
enum class MissedReason : std::uint8_t {
  gap,           ///< sequence numbers are missing
  first_sight,   ///< a node that was not known is past its first event
  new_epoch,     ///< a node began a new life without a farewell: the end of the old one is unknown
  silence,       ///< nothing was heard for silence_after, or the node is no longer followed
  channel_loss,  ///< the channel says that it lost something
  undecodable,   ///< a message was damaged, or is of a newer release
};

/// "gap", "first_sight" and so on.
DB4_API std::string_view to_string(MissedReason reason) noexcept;

/// Events of a node that may not have arrived: numbers `from` to `to`, both included.
struct MissedEvents {
  std::string node_id = {};  ///< empty: any node
  std::uint64_t epoch = 0;
  std::uint64_t from = 0;
  std::uint64_t to = 0;  ///< 0: unknown, whatever came after
  MissedReason reason = MissedReason::gap;

  friend bool operator==(const MissedEvents&, const MissedEvents&) = default;
};

/// What the manager holds and has done.
struct CacheInvalidationStats {
  std::uint64_t hits = 0;  ///< fresh
  std::uint64_t stale_hits = 0;
  std::uint64_t misses = 0;  ///< absent or expired
  std::uint64_t version_mismatches = 0;
  std::uint64_t sets = 0;             ///< copies stored
  std::uint64_t refused_older = 0;    ///< not stored: a newer version is known
  std::uint64_t overtaken_fills = 0;  ///< not stored: invalidated since begin_fill
  std::uint64_t refused_large = 0;    ///< not stored: too large to be kept
  std::uint64_t evictions = 0;
  std::uint64_t entries = 0;  ///< held now
  std::uint64_t bytes = 0;

  std::uint64_t events_sent = 0;  ///< taken by the channel
  std::uint64_t heartbeats_sent = 0;
  std::uint64_t failed_sends = 0;        ///< calls of the channel that threw; tried again
  std::uint64_t collapsed_outgoing = 0;  ///< events that went out as a flush
  std::uint64_t outgoing_queued = 0;     ///< now

  std::uint64_t events_received = 0;   ///< of other nodes
  std::uint64_t ignored_own = 0;       ///< came back
  std::uint64_t ignored_repeated = 0;  ///< came before
  std::uint64_t ignored_old = 0;       ///< of a version that was known
  std::uint64_t undecodable = 0;
  std::uint64_t missed = 0;     ///< ranges of events that may have been missed
  std::uint64_t recovered = 0;  ///< of them, by the handler
  std::uint64_t flushes = 0;    ///< of all that is held here, because something may have been missed
  std::uint64_t nodes = 0;      ///< followed now

  std::uint64_t subscribers = 0;        ///< now
  std::uint64_t subscriber_queued = 0;  ///< events that wait for them now
  std::uint64_t subscriber_errors = 0;  ///< exceptions that came out of them
  std::uint64_t collapsed_events = 0;   ///< events that a subscriber got as a flush
};

/// Thread-safe; every call may be made inside a subscriber too. Calls about a document throw invalid_argument
/// for an illegal collection or id. Nothing here waits for a channel or a subscriber but what says so.
class DB4_API CacheInvalidationManager {
 public:
  using Callback = std::function<void(const InvalidationEvent&)>;
  /// Whether what was missed is dealt with: each event found in the record was given to apply().
  using MissedHandler = std::function<bool(const MissedEvents&)>;

  /// Throws invalid_argument for times or limits that make no sense.
  explicit CacheInvalidationManager(CacheInvalidationConfig config = {},
                                    std::shared_ptr<Clock> clock = system_clock(),
                                    std::shared_ptr<RandomSource> random = system_random());
  /// As close().
  ~CacheInvalidationManager();
  CacheInvalidationManager(const CacheInvalidationManager&) = delete;
  CacheInvalidationManager& operator=(const CacheInvalidationManager&) = delete;

  /// Keeps a copy; whether it did. It does not where a newer version of the document is held or known, where
  /// it is too large (a quarter of what max_bytes gives a shard: see docs/invalidation.md), or where the
  /// document was invalidated, or set by others without a mark, since `mark` was taken. With a mark it is a
  /// fill, and nobody is told; without one a write (see invalidate_on_write). `ttl`: above 0, by the
  /// monotonic clock; without it default_ttl. Throws invalid_argument where `document` is another one than
  /// named.
  bool set(std::string_view collection, std::string_view id, const Document& document,
           std::optional<std::chrono::milliseconds> ttl = {}, std::optional<FillMark> mark = {});
  /// To be taken before reading, from wherever, what will be set: so a copy that was read before an
  /// invalidation is not stored after it.
  [[nodiscard]] FillMark begin_fill(std::string_view collection, std::string_view id) const;
  /// The copy held. `expected_version`: at least this one. Never asks anybody else.
  [[nodiscard]] CacheLookup get(std::string_view collection, std::string_view id,
                                std::optional<Version> expected_version = {});

  /// Drops what is held of a document, whatever its version, and tells subscribers and other nodes; whether
  /// something was held. `tier`: only copies in that tier are meant (those of the manager count as hot).
  bool invalidate(std::string_view collection, std::string_view id, std::optional<StorageTier> tier = {});
  /// The same for all documents of a collection; how many were held. Looks at each copy of the cache.
  std::uint64_t invalidate_collection(std::string_view collection);
  /// The same for everything.
  std::uint64_t invalidate_all();
  /// An event of this node in full, with the version that is the newest now. Node and epoch are filled in. A
  /// sequence of 0 is the next number; another must be above all before it: for those whose events are
  /// numbered by a record of their own (each number that is left out looks like a lost event to the others).
  /// Throws invalid_argument for fields that do not fit the type.
  void announce(InvalidationEvent event);
  /// An event that happened elsewhere and came on another way than the channel (out of the record of changes,
  /// after something was missed): drops copies and tells subscribers, and no other node.
  void apply(const InvalidationEvent& event);

  /// Calls `callback` for every event, of this node and of others, in a thread of its own and without a lock
  /// held. One that does not keep up gets a flush for what it could not be told. Throws resource_exhausted
  /// past max_subscribers.
  [[nodiscard]] Subscription subscribe(Callback callback);
  /// Sends events to this channel and hears those of others from it; nullptr: to none. The channel before is
  /// told farewell, which may wait for it (twice kMaxPublishWait). What is held is flushed, here alone:
  /// nobody told of its changes until now. Throws what the channel's subscribe throws, and then has none.
  void set_broadcast_channel(std::shared_ptr<BroadcastChannel> channel);
  /// Who is asked when events may have been missed, in a thread of its own. What it does not deal with
  /// (false, an exception), and everything where there is none, is flushed. nullptr: none. Waits for the
  /// handler before, if it runs, unless it is called inside it.
  void set_missed_handler(MissedHandler handler);

  /// Whether everything that other nodes say is heard, as far as can be known: there is a channel, and no
  /// node that was heard is silent. Where it does not hold, copies may be old without anybody noticing.
  [[nodiscard]] bool hears_all() const;
  /// Waits until all that was published is sent and all subscribers are told; false where `timeout` came
  /// first. Not inside a subscriber.
  bool drain(std::chrono::milliseconds timeout);

  [[nodiscard]] CacheInvalidationStats stats() const;
  [[nodiscard]] const std::string& node_id() const noexcept;
  [[nodiscard]] std::uint64_t epoch() const noexcept;
  /// Tries once more to send what waits, says farewell (together at most a few times kMaxPublishWait), ends
  /// all threads but the one it is called in. Copies can still be set and got. May be called twice.
  void close();

 private:
  struct DB4_INTERNAL State;
  std::shared_ptr<State> state_;
};

}  // namespace db4
