#pragma once
// HotStorage: the hot tier. A cache in memory over bodies in the embedded engine.

#include <db4/document.hpp>
#include <db4/stats.hpp>

#include <memory>
#include <optional>

namespace db4 {

/// The hot tier of a store, to look into. Thread-safe; lives as long as its store.
class DB4_API HotStorage {
 public:
  class DB4_INTERNAL State;
  explicit HotStorage(std::unique_ptr<State> state) noexcept;
  ~HotStorage();
  HotStorage(const HotStorage&) = delete;
  HotStorage& operator=(const HotStorage&) = delete;

  /// Whether a copy of the document is in memory now. Counts as no access.
  [[nodiscard]] bool in_memory(std::string_view collection, std::string_view id) const;
  [[nodiscard]] HotStats stats() const;

  [[nodiscard]] State& state() noexcept { return *state_; }  ///< for db4's own use

 private:
  std::unique_ptr<State> state_;
};

}  // namespace db4
