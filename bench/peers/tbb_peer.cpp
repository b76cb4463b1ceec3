#include "peers/peer.hpp"

#ifdef DB4_BENCH_TBB
#include "harness/workload.hpp"

#include <tbb/concurrent_hash_map.h>

#include <stdexcept>
#endif

namespace db4::bench {

#ifdef DB4_BENCH_TBB
namespace {

/// `kCopy`: get() copies the value out and lets go of the lock before it reads, as a caller does who keeps
/// the value. Otherwise it reads while it holds the lock.
template <bool kCopy>
class TbbPeer final : public Peer {
 public:
  explicit TbbPeer(const PeerOptions&) {}
  std::uint64_t get(const std::string& id) override {
    Map::const_accessor found;
    if (!map_.find(found, id)) throw std::runtime_error("the map lacks " + id);
    if constexpr (!kCopy) return read_all(found->second);
    const std::string copy = found->second;
    found.release();
    return read_all(copy);
  }
  void put(const std::string& id, std::string_view body) override {
    Map::accessor found;
    map_.insert(found, id);
    found->second.assign(body);
  }
  void put_batch(std::span<const BatchItem> items) override {
    for (const BatchItem& item : items) put(item.id, item.body);
  }

 private:
  using Map = tbb::concurrent_hash_map<std::string, std::string>;
  Map map_;
};

}  // namespace
#endif

namespace {

template <bool kCopy>
PeerType tbb_type(std::string name) {
  PeerType type{std::move(name), [](Durability durability) { return durability == Durability::none; },
                nullptr, "its headers were not found when db4 was built (libtbb-dev)"};
#ifdef DB4_BENCH_TBB
  type.open = open_as<TbbPeer<kCopy>>;
#endif
  return type;
}

}  // namespace

PeerType tbb_copy_type() { return tbb_type<true>("tbb::concurrent_hash_map, copied"); }
PeerType tbb_locked_type() { return tbb_type<false>("tbb::concurrent_hash_map, locked"); }

}  // namespace db4::bench
