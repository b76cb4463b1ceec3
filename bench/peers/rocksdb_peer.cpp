// RocksDB as its own examples use it, with the block cache and the bloom filter that every guide advises.
#include "harness/workload.hpp"
#include "peers/peer.hpp"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include <stdexcept>

namespace db4::bench {
namespace {

constexpr double kBloomBits = 10;

void check(const rocksdb::Status& status) {
  if (!status.ok()) throw std::runtime_error("RocksDB: " + status.ToString());
}

class RocksDbPeer final : public Peer {
 public:
  explicit RocksDbPeer(const PeerOptions& options) {
    rocksdb::BlockBasedTableOptions table;
    table.block_cache = rocksdb::NewLRUCache(options.cache_bytes);
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(kBloomBits));
    rocksdb::Options rocksdb_options;
    rocksdb_options.create_if_missing = true;
    rocksdb_options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
    rocksdb::DB* db = nullptr;
    check(rocksdb::DB::Open(rocksdb_options, options.path.string(), &db));
    db_.reset(db);
    write_.sync = options.durability == Durability::disk;
    write_.disableWAL = options.durability == Durability::none;
  }
  std::uint64_t get(const std::string& id) override {
    rocksdb::PinnableSlice value;
    check(db_->Get({}, db_->DefaultColumnFamily(), id, &value));
    return read_all(value.ToStringView());
  }
  void put(const std::string& id, std::string_view body) override {
    check(db_->Put(write_, id, rocksdb::Slice(body.data(), body.size())));
  }
  void put_batch(std::span<const BatchItem> items) override {
    rocksdb::WriteBatch batch;
    for (const BatchItem& item : items) check(batch.Put(item.id, item.body));
    check(db_->Write(write_, &batch));
  }

 private:
  std::unique_ptr<rocksdb::DB> db_;
  rocksdb::WriteOptions write_;
};

}  // namespace

PeerType rocksdb_type() {
  return {"RocksDB", [](Durability) { return true; }, open_as<RocksDbPeer>, {}};
}

}  // namespace db4::bench
