#include "peers/peer.hpp"

#ifdef DB4_BENCH_LMDB
#include "harness/workload.hpp"
#include "peers/per_thread.hpp"

#include <lmdb.h>

#include <stdexcept>
#endif

namespace db4::bench {

#ifdef DB4_BENCH_LMDB
namespace {

void check(int code) {
  if (code != 0) throw std::runtime_error(std::string("LMDB: ") + mdb_strerror(code));
}

MDB_val value_of(std::string_view text) { return {text.size(), const_cast<char*>(text.data())}; }

/// A value is read in place, inside a transaction of its own.
class LmdbPeer final : public Peer {
 public:
  explicit LmdbPeer(const PeerOptions& options) {
    constexpr std::size_t kMapBytes = 64ULL << 30;  // address space, not memory
    std::filesystem::create_directories(options.path);
    check(mdb_env_create(&env_));
    check(mdb_env_set_mapsize(env_, kMapBytes));
    // NOSYNC still writes every page to the file: it outlives the process, not a power cut.
    const unsigned flags = MDB_NOTLS | (options.durability == Durability::disk ? 0U : MDB_NOSYNC);
    check(mdb_env_open(env_, options.path.c_str(), flags, 0644));
    MDB_txn* transaction = nullptr;
    check(mdb_txn_begin(env_, nullptr, 0, &transaction));
    check(mdb_dbi_open(transaction, nullptr, 0, &database_));
    check(mdb_txn_commit(transaction));
  }
  ~LmdbPeer() override { mdb_env_close(env_); }

  std::uint64_t get(const std::string& id) override {
    const Reader& reader = readers_.get([this] { return std::make_unique<Reader>(env_); });
    check(mdb_txn_renew(reader.transaction));
    MDB_val key = value_of(id);
    MDB_val value;
    const int code = mdb_get(reader.transaction, database_, &key, &value);
    const std::uint64_t sum =
        code == 0 ? read_all({static_cast<const char*>(value.mv_data), value.mv_size}) : 0;
    mdb_txn_reset(reader.transaction);
    check(code);
    return sum;
  }
  void put(const std::string& id, std::string_view body) override {
    Writer writer(env_);
    writer.put(database_, id, body);
    writer.commit();
  }
  void put_batch(std::span<const BatchItem> items) override {
    Writer writer(env_);
    for (const BatchItem& item : items) writer.put(database_, item.id, item.body);
    writer.commit();
  }

 private:
  /// Renewed for every read, so that its slot among the readers is taken once.
  struct Reader {
    explicit Reader(MDB_env* env) {
      check(mdb_txn_begin(env, nullptr, MDB_RDONLY, &transaction));
      mdb_txn_reset(transaction);
    }
    ~Reader() { mdb_txn_abort(transaction); }
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;
    MDB_txn* transaction = nullptr;
  };
  struct Writer {
    explicit Writer(MDB_env* env) { check(mdb_txn_begin(env, nullptr, 0, &transaction)); }
    ~Writer() {
      if (transaction != nullptr) mdb_txn_abort(transaction);
    }
    Writer(const Writer&) = delete;
    Writer& operator=(const Writer&) = delete;
    void put(MDB_dbi database, std::string_view id, std::string_view body) const {
      MDB_val key = value_of(id);
      MDB_val value = value_of(body);
      check(mdb_put(transaction, database, &key, &value, 0));
    }
    void commit() { check(mdb_txn_commit(std::exchange(transaction, nullptr))); }
    MDB_txn* transaction = nullptr;
  };

  MDB_env* env_ = nullptr;
  MDB_dbi database_ = 0;
  PerThread<Reader> readers_;
};

}  // namespace
#endif

PeerType lmdb_type() {
  PeerType type{"LMDB", [](Durability durability) { return durability != Durability::none; }, nullptr,
                "its headers were not found when db4 was built (liblmdb-dev)"};
#ifdef DB4_BENCH_LMDB
  type.open = open_as<LmdbPeer>;
#endif
  return type;
}

}  // namespace db4::bench
