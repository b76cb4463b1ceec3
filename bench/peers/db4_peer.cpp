#include "harness/workload.hpp"
#include "peers/peer.hpp"

#include <stdexcept>

namespace db4::bench {
namespace {

constexpr std::string_view kCollection = "docs";

class Db4Peer final : public Peer {
 public:
  Db4Peer(HotType engine, const PeerOptions& options)
      : store_({.hot = {.type = engine,
                        .path = options.path / "hot",
                        .cache_size = options.cache_bytes,
                        .durability = options.durability},
                .warm = {.max_size = 0},
                .cold = {.path = options.path / "cold"},
                .tiering = {.interval = 0ms}}) {}

  std::uint64_t get(const std::string& id) override {
    const std::optional<Document> document = store_.read(kCollection, id);
    if (!document) throw std::runtime_error("db4 lacks " + id);
    return read_all(document->text());
  }
  void put(const std::string& id, std::string_view body) override {
    store_.write_bytes(kCollection, id, as_bytes(body));
  }
  void put_batch(std::span<const BatchItem> items) override { store_.write_batch(kCollection, items); }

 private:
  TieredStore store_;
};

bool supports_any(Durability) { return true; }

template <HotType engine>
std::unique_ptr<Peer> open_db4(const PeerOptions& options) {
  return std::make_unique<Db4Peer>(engine, options);
}

}  // namespace

PeerType db4_type(HotType engine) {
  if (engine == HotType::sqlite) return {"db4 over SQLite", supports_any, open_db4<HotType::sqlite>, {}};
  return {"db4", supports_any, open_db4<HotType::rocksdb>, {}};
}

std::vector<PeerType> durable_peers() {
  return {rocksdb_type(), leveldb_type(), lmdb_type(), sqlite_type(), redis_type()};
}

}  // namespace db4::bench
