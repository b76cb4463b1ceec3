#pragma once
// A sequence point: threads that come to it wait there until the test opens it.

#include <condition_variable>
#include <cstddef>
#include <mutex>

namespace db4::testing {

class SequencePoint {
 public:
  /// In the thread under test: waits until open().
  void arrive() {
    std::unique_lock lock(mutex_);
    ++arrived_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return open_; });
  }
  /// In the test: waits until so many have arrived, in all.
  void wait_for(std::size_t arrivals) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return arrived_ >= arrivals; });
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t arrived_ = 0;
  bool open_ = false;
};

}  // namespace db4::testing
