#pragma once
// A bounded pool of threads that stops cleanly.

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace db4 {

/// A fixed number of threads over a bounded queue. Thread-safe, except that the destructor must not run on
/// one of its own threads, and that a task must not wait for its own pool (submit on a full queue, drain,
/// stop). A task must not throw: one that does is counted and dropped.
class ThreadPool {
 public:
  struct Options {
    std::size_t threads = 2;
    std::size_t max_queued = 1024;
  };

  explicit ThreadPool(Options options);
  ~ThreadPool();  ///< as stop()
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  /// Queues a task, waiting for room; false (and the task is not run) once the pool is stopping.
  bool submit(std::function<void()> task);
  /// Queues a task if there is room now; false where there is none or the pool is stopping.
  bool try_submit(std::function<void()> task);
  /// Waits until the queue is empty and no task runs.
  void drain();
  /// Takes no new task, runs those that are queued, joins the threads. May be called twice.
  void stop();

  [[nodiscard]] std::size_t queued() const;
  [[nodiscard]] std::size_t failed_tasks() const;

 private:
  void run();

  const Options options_;
  mutable std::mutex mutex_;
  std::condition_variable work_;
  std::condition_variable room_;
  std::condition_variable idle_;
  std::deque<std::function<void()>> queue_;
  std::size_t running_ = 0;
  std::size_t failed_ = 0;
  bool stopping_ = false;
  std::once_flag joined_;
  std::vector<std::thread> threads_;
};

}  // namespace db4
