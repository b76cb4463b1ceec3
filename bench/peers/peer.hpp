#pragma once
// peers: one small interface over everything that is compared, db4 among them, so that all are driven alike.
// A peer that CMake did not find says so instead of being made.

#include <db4/config.hpp>
#include <db4/tiered_store.hpp>

#include <sys/types.h>

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace db4::bench {

struct PeerOptions {
  std::filesystem::path path = {};  ///< a folder of its own; created
  Durability durability = Durability::process;
  std::uint64_t cache_bytes = 1ULL << 30;  ///< of the peer's own cache, where it has one
};

/// Any call from any thread. Throws std::exception where the peer fails.
class Peer {
 public:
  virtual ~Peer() = default;
  /// Finds the value and reads all of it (read_all). Throws where it is not there.
  virtual std::uint64_t get(const std::string& id) = 0;
  /// Returns when the write is as durable as PeerOptions said.
  virtual void put(const std::string& id, std::string_view body) = 0;
  /// All or nothing where the peer can; one sync at most.
  virtual void put_batch(std::span<const BatchItem> items) = 0;
  /// The process that holds its memory; 0: this one.
  [[nodiscard]] virtual pid_t process() const { return 0; }
};

struct PeerType {
  std::string name = {};
  /// Whether it can promise that, as a mode of its own.
  bool (*supports)(Durability durability) = nullptr;
  /// Null where it was not found when db4 was built, or cannot run here: `absence` says why.
  std::unique_ptr<Peer> (*open)(const PeerOptions& options) = nullptr;
  std::string absence = {};
};

/// For PeerType::open.
template <typename T>
std::unique_ptr<Peer> open_as(const PeerOptions& options) {
  return std::make_unique<T>(options);
}

/// db4 over either engine: the whole TieredStore, its warm tier off, without background tiering.
PeerType db4_type(HotType engine);
PeerType rocksdb_type();
PeerType leveldb_type();
PeerType lmdb_type();
PeerType sqlite_type();
PeerType redis_type();
/// A file that is overwritten and synced, and can find nothing: the floor under a synced write.
PeerType raw_file_type();
/// Maps in memory: the value copied out, and read while the accessor holds its lock.
PeerType tbb_copy_type();
PeerType tbb_locked_type();

/// Those that keep what they are given.
std::vector<PeerType> durable_peers();

}  // namespace db4::bench
