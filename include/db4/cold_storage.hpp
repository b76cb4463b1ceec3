#pragma once
// ColdStorage: the cold tier. Documents as immutable objects, small ones packed into segments.

#include <db4/stats.hpp>

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
  [[nodiscard]] ColdStats stats() const;

  [[nodiscard]] State& state() noexcept { return *state_; }  ///< for db4's own use

 private:
  std::unique_ptr<State> state_;
};

}  // namespace db4
