#pragma once
// A connection, cursor or transaction for each thread of a peer, as these libraries want it.

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace db4::bench {

/// Made on a thread's first call and gone with the thread. A T that needs the peer to end it must belong to a
/// thread that ends before the peer does, as those of measure_rate do.
template <typename T>
class PerThread {
 public:
  template <typename Make>
  T& get(const Make& make) {
    thread_local std::vector<std::pair<std::uint64_t, std::unique_ptr<T>>> mine;
    for (const auto& [owner, value] : mine) {
      if (owner == owner_) return *value;
    }
    mine.emplace_back(owner_, make());
    return *mine.back().second;
  }

 private:
  static std::uint64_t next_owner() {
    static std::atomic<std::uint64_t> owners{0};
    return ++owners;
  }
  const std::uint64_t owner_ = next_owner();
};

}  // namespace db4::bench
