// The key ring of a store that nobody has open.
#include "crypto/key_ring.hpp"

#include "catalog/ring_store.hpp"
#include "store/impl.hpp"

#include <db4/key_recovery.hpp>

namespace db4 {
namespace {

/// Keeps the database open for as long as the ring is worked on.
class ClosedStoreRing final : public KeyStore {
 public:
  explicit ClosedStoreRing(std::unique_ptr<kv::Engine> engine)
      : engine_(std::move(engine)), ring_(*engine_) {}
  [[nodiscard]] std::optional<std::string> load() override { return ring_.load(); }
  [[nodiscard]] bool replace(const std::optional<std::string>& expected, std::string_view ring) override {
    const auto mark = ring_.mark();
    if (mark && *mark != crypto::parse_key_ring(ring).id) {
      throw Error(ErrorCode::conflict, "the store was encrypted with another key ring",
                  "put back a copy of its own: this one is another store's, and opens none of its documents");
    }
    return ring_.replace(expected, ring);
  }

 private:
  std::unique_ptr<kv::Engine> engine_;
  catalog::RingStore ring_;
};

void require_store(const HotConfig& config) {
  if (config.type == HotType::postgres) return;
  std::error_code unknown;
  const bool there = !config.path.empty() && std::filesystem::exists(config.path, unknown);
  if (there && config.type != HotType::memory) return;
  throw Error(ErrorCode::invalid_argument, "there is no store's database in " + config.path.string(),
              "name the store's hot.path; of one whose hot folder is lost, rebuild it first");
}

}  // namespace

std::shared_ptr<KeyStore> open_key_ring(const TieredStoreConfig& config) {
  try {
    require_store(config.hot);
    kv::EngineOptions options = store::engine_options(config.hot);
    options.durability = Durability::disk;
    return std::make_shared<ClosedStoreRing>(kv::open_engine(config.hot.type, options));
  } catch (const Error& error) {
    throw error.with_context("key ring");
  }
}

}  // namespace db4
