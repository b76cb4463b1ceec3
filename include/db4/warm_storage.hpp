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
  std::uint64_t refreshes = 0;   ///< background refreshes that ran
  std::uint64_t failed_refreshes = 0;
  std::uint64_t cache_errors = 0;  ///< a failing backend; the reader went past it
  std::uint64_t entries = 0;
  std::uint64_t bytes = 0;
  std::uint64_t evictions = 0;
  std::string last_error = {};  ///< of cache_errors: what the last one said; empty: there was none
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
  struct Options {
    std::chrono::milliseconds ttl = 1h;
    std::chrono::milliseconds stale_while_revalidate = 5min;
    std::chrono::milliseconds lease = 30s;
    double jitter = 0.0;
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
