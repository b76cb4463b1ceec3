#pragma once
// WarmStorage: the warm tier. TTL, stale-while-revalidate and one refresh at a time over a WarmCache.

#include <db4/clock.hpp>
#include <db4/config.hpp>
#include <db4/warm_cache.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

namespace db4 {

/// What the warm tier holds and has served.
struct WarmStats {
  std::uint64_t hits = 0;        ///< fresh
  std::uint64_t stale_hits = 0;  ///< served while a refresh runs
  std::uint64_t misses = 0;      ///< absent, expired or of another version
  std::uint64_t expired = 0;     ///< of the misses: a copy was there, past its time
  std::uint64_t refreshes = 0;   ///< background refreshes that ran
  std::uint64_t failed_refreshes = 0;
  std::uint64_t refused_refreshes = 0;  ///< left to another process, which had the lease
  std::uint64_t waits = 0;              ///< fetches put off while another process fetched the same
  std::uint64_t shared_fills = 0;       ///< fetches that another process's copy made needless
  std::uint64_t lost_leases = 0;        ///< fetched and not stored: changed elsewhere, or the lease was over
  std::uint64_t cache_errors = 0;       ///< a failing backend; the reader went past it
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;
  std::uint64_t evictions = 0;
  std::uint64_t unreadable = 0;  ///< copies that could not be unsealed, and were removed
  std::string last_error = {};   ///< of cache_errors: what the last one said; empty: there was none
};

/// Within its TTL, or past it and served while it is refreshed.
enum class Freshness { fresh, stale };

/// A copy that the warm tier gave.
struct WarmHit {
  Version version = 0;
  Freshness freshness = Freshness::fresh;
  std::shared_ptr<const std::string> record;
};

/// Thread-safe. Copies here are extra: whatever happens to them costs time, never data.
class DB4_API WarmStorage {
 public:
  /// Gives a fresh record of a key (at least of the version asked), nullopt where there is none any more.
  using Loader = std::function<std::optional<WarmEntry>()>;
  /// Runs a refresh elsewhere (a thread pool); false where it cannot take one now.
  using Executor = std::function<bool(std::function<void()>)>;

  /// `jitter`: TTLs are shortened by up to this share at random, so that what was stored together does not
  /// expire together. `lease`: a refresh that takes longer than this loses its turn and another may try.
  /// `shared`: other processes fill the cache too, with copies of the same documents; where it keeps leases
  /// (WarmCache::leases), one of them fetches a key at a time: a refresh for `lease`, a reader for
  /// `fill_lease`.
  struct Options {
    std::chrono::milliseconds ttl = 1h;
    std::chrono::milliseconds stale_while_revalidate = 5min;
    std::chrono::milliseconds lease = 30s;
    std::chrono::milliseconds fill_lease = 5s;
    double jitter = 0.0;
    bool shared = false;
  };

  /// A key's lease over all processes, or none. Given up by the destructor. One thread; must not outlive the
  /// call of the store that it is for.
  class FillLease {
   public:
    FillLease() noexcept;
    FillLease(FillLease&& other) noexcept;
    FillLease& operator=(FillLease&& other) noexcept;
    ~FillLease();
    [[nodiscard]] bool held() const noexcept { return held_ != nullptr; }

   private:
    friend class WarmStorage;
    struct DB4_INTERNAL Held;
    std::unique_ptr<Held> held_;
  };
  /// What await_turn() ends with: another process's copy, else a lease, else neither.
  struct Turn {
    std::optional<WarmHit> hit = {};
    FillLease lease = {};
  };

  WarmStorage(std::shared_ptr<WarmCache> cache, std::shared_ptr<Clock> clock, Options options,
              Executor executor);
  ~WarmStorage();
  WarmStorage(const WarmStorage&) = delete;
  WarmStorage& operator=(const WarmStorage&) = delete;

  /// The copy of exactly `version` where it is fresh, or stale but within stale_while_revalidate; then
  /// `refresh` (where given) is run by the executor, once for a key at a time, and its result stored unless
  /// the key was changed or removed after it began. Expired copies and other versions are misses. Never
  /// throws for a failing backend.
  [[nodiscard]] std::optional<WarmHit> get(std::string_view key, Version version, const Loader& refresh = {});

  /// A mark to take before reading what will be put; see put_if_unchanged.
  [[nodiscard]] std::uint64_t begin_fill(std::string_view key) const;
  /// Stores a copy unless the key was put or removed since the mark; whether it did. Its TTL starts now.
  bool put_if_unchanged(std::string_view key, std::uint64_t mark, Version version,
                        std::shared_ptr<const std::string> record);

  /// Whether fetching a record of that size is agreed upon with other processes (Options::shared): by
  /// await_turn() or try_lease(), and put_leased(). put_if_unchanged() is for all other caches and records.
  [[nodiscard]] bool shares_fills(std::uint64_t record_bytes) const noexcept;
  /// Whether await_turn() would wait for another process: not where the deadline is nearer than fill_lease,
  /// so that one that hangs never costs a reader the time in which it would have got the document itself.
  [[nodiscard]] bool may_wait(MonotonicTime deadline) const noexcept;
  /// For who missed a copy of `version` and is about to fetch it. While another process has the lease, waits
  /// in short steps for its copy: for fill_lease at most, until stopped, and only where may_wait(). Neither
  /// hit nor lease says: fetch it, and leave storing it to others. That is the answer where the cache fails,
  /// too. Never throws for a failing backend.
  [[nodiscard]] Turn await_turn(std::string_view key, Version version, MonotonicTime deadline,
                                const std::stop_token& stop);
  /// The key's lease, where it is free.
  [[nodiscard]] FillLease try_lease(std::string_view key);
  /// put_if_unchanged(), unless the lease has ended meanwhile: by its time, or because any process changed
  /// the key. Whoever takes a lease makes sure afterwards that what he fetches is not outdated already. Gives
  /// up the lease.
  bool put_leased(FillLease lease, std::string_view key, std::uint64_t mark, Version version,
                  std::shared_ptr<const std::string> record);

  /// Stores a copy; its TTL starts now.
  void put(std::string_view key, Version version, std::shared_ptr<const std::string> record);
  void remove(std::string_view key);
  void clear();

  /// Whether an unexpired copy of that version is held; not a use of it.
  [[nodiscard]] bool contains(std::string_view key, Version version) const;
  [[nodiscard]] WarmStats stats() const;
  /// Waits for refreshes that run, starts no more, closes the cache.
  void close();

 private:
  struct DB4_INTERNAL State;
  std::shared_ptr<State> state_;
};

}  // namespace db4
