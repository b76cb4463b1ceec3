#pragma once
// ColdStorage: the cold tier. Documents as immutable objects, small ones packed into segments.

#include <db4/stats.hpp>

#include <chrono>
#include <memory>
#include <stop_token>
#include <string>

namespace db4 {

/// Bounds of one collection of garbage.
struct GarbageOptions {
  std::size_t max_objects = 10'000;
  std::stop_token stop = {};
};

/// What a collection of garbage did.
struct GarbageResult {
  std::size_t deleted_objects = 0;
  std::uint64_t deleted_bytes = 0;
  std::size_t expired_intents = 0;
  std::size_t failed_objects = 0;  ///< that could not be deleted; they are tried again later
  std::string first_error = {};    ///< of those
  bool more = false;
};

/// Bounds of one compaction. The first segment is always rewritten, unless max_segments is 0.
struct CompactOptions {
  std::size_t max_segments = 1000;
  std::size_t max_records = 1'000'000;                                ///< copied
  std::uint64_t max_bytes = 1ULL << 30;                               ///< of records copied
  std::chrono::milliseconds max_duration = std::chrono::minutes{10};  ///< begun nothing new after this
  std::stop_token stop = {};
};

/// What a compaction did.
struct CompactResult {
  std::size_t segments = 0;      ///< whose living records were copied
  std::size_t new_segments = 0;  ///< into which
  std::size_t records = 0;       ///< copied
  std::uint64_t bytes = 0;       ///< of these
  /// Of the segments that were rewritten: deleted by collect_garbage, once twice garbage_grace has passed.
  std::uint64_t freed_bytes = 0;
  std::size_t damaged_records = 0;  ///< left where they are, and their segments with them
  std::string first_error = {};     ///< of what ended it, or of a damaged index; empty: none
  bool more = false;
};

/// The cold tier of a store. Thread-safe; lives as long as its store.
class DB4_API ColdStorage {
 public:
  class DB4_INTERNAL State;
  explicit ColdStorage(std::unique_ptr<State> state) noexcept;
  ~ColdStorage();
  ColdStorage(const ColdStorage&) = delete;
  ColdStorage& operator=(const ColdStorage&) = delete;

  /// Deletes objects that were freed at least garbage_grace ago, and those that were announced and never
  /// named. Runs in every background tiering run too.
  GarbageResult collect_garbage(const GarbageOptions& options = {});
  /// Rewrites segments of which less than half is alive: copies the records that rows name into new segments
  /// and leaves the old ones to collect_garbage. Runs in every background tiering run too. May be stopped
  /// anywhere and run again; reads never wait for it. One at a time: a second caller waits.
  CompactResult compact(const CompactOptions& options = {});
  [[nodiscard]] ColdStats stats() const;

  [[nodiscard]] State& state() noexcept { return *state_; }  ///< for db4's own use

 private:
  std::unique_ptr<State> state_;
};

}  // namespace db4
