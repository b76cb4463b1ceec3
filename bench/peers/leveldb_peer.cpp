#include "peers/peer.hpp"

#ifdef DB4_BENCH_LEVELDB
#include "harness/workload.hpp"

#include <leveldb/cache.h>
#include <leveldb/db.h>
#include <leveldb/filter_policy.h>
#include <leveldb/write_batch.h>

#include <stdexcept>
#endif

namespace db4::bench {

#ifdef DB4_BENCH_LEVELDB
namespace {

constexpr int kBloomBits = 10;

void check(const leveldb::Status& status) {
  if (!status.ok()) throw std::runtime_error("LevelDB: " + status.ToString());
}

class LevelDbPeer final : public Peer {
 public:
  explicit LevelDbPeer(const PeerOptions& options)
      : cache_(leveldb::NewLRUCache(options.cache_bytes)),
        filter_(leveldb::NewBloomFilterPolicy(kBloomBits)) {
    leveldb::Options leveldb_options;
    leveldb_options.create_if_missing = true;
    leveldb_options.block_cache = cache_.get();
    leveldb_options.filter_policy = filter_.get();
    leveldb_options.write_buffer_size = 64 << 20;  // RocksDB's default; LevelDB's own is 4 MiB
    leveldb::DB* db = nullptr;
    check(leveldb::DB::Open(leveldb_options, options.path.string(), &db));
    db_.reset(db);
    write_.sync = options.durability == Durability::disk;
  }
  std::uint64_t get(const std::string& id) override {
    thread_local std::string value;
    check(db_->Get({}, id, &value));
    return read_all(value);
  }
  void put(const std::string& id, std::string_view body) override {
    check(db_->Put(write_, id, leveldb::Slice(body.data(), body.size())));
  }
  void put_batch(std::span<const BatchItem> items) override {
    leveldb::WriteBatch batch;
    for (const BatchItem& item : items) batch.Put(item.id, item.body);
    check(db_->Write(write_, &batch));
  }

 private:
  std::unique_ptr<leveldb::Cache> cache_;
  std::unique_ptr<const leveldb::FilterPolicy> filter_;
  std::unique_ptr<leveldb::DB> db_;
  leveldb::WriteOptions write_;
};

}  // namespace
#endif

PeerType leveldb_type() {
  PeerType type{"LevelDB", [](Durability durability) { return durability != Durability::none; }, nullptr,
                "its headers were not found when db4 was built (libleveldb-dev)"};
#ifdef DB4_BENCH_LEVELDB
  type.open = open_as<LevelDbPeer>;
#endif
  return type;
}

}  // namespace db4::bench
