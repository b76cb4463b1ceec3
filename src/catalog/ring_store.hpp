#pragma once
// RingStore: the key ring in the store's own database (space kKeys), and what the database remembers of being
// encrypted.

#include "catalog/catalog.hpp"

#include <db4/key_store.hpp>

#include <array>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

namespace db4::catalog {

/// Which key ring a store was encrypted with.
using RingMark = std::array<std::byte, 16>;

/// Works on an engine before the catalogue has it, since nothing may be written unless the master key is
/// right; then on the catalogue; and on nothing once it is closed. Thread-safe.
class RingStore final : public KeyStore {
 public:
  explicit RingStore(kv::Engine& engine);
  /// From now on it writes through the catalogue, which owns the engine and closes first.
  void adopt(Catalog& catalog);
  void close();

  // KeyStore: throws invalid_argument after close().
  [[nodiscard]] std::optional<std::string> load() override;
  [[nodiscard]] bool replace(const std::optional<std::string>& expected, std::string_view ring) override;

  /// Set as long as anything in the store may be sealed.
  [[nodiscard]] std::optional<RingMark> mark();
  void set_mark(const RingMark& mark);
  void clear_mark();

 private:
  /// Called with the lock held.
  [[nodiscard]] kv::Engine& engine() const;
  bool commit(kv::Batch& batch);

  std::mutex mutex_;
  kv::Engine* engine_;
  std::function<bool(kv::Batch&)> commit_;
};

}  // namespace db4::catalog
