#include "base/thread_pool.hpp"

#include <db4/error.hpp>

#include <utility>

namespace db4 {

ThreadPool::ThreadPool(Options options) : options_(options) {
  if (options_.threads == 0 || options_.max_queued == 0) {
    throw Error(ErrorCode::invalid_argument, "a thread pool without threads or without a queue runs nothing",
                "set threads and max_queued to at least 1");
  }
  try {
    threads_.reserve(options_.threads);
    for (std::size_t n = 0; n < options_.threads; ++n) threads_.emplace_back([this] { run(); });
  } catch (const std::exception& failure) {
    stop();  // join those that started
    throw Error(ErrorCode::resource_exhausted,
                std::string("a thread of the pool could not be started: ") + failure.what(),
                "ask for fewer threads or raise the limit of threads, then repeat");
  }
}

ThreadPool::~ThreadPool() { stop(); }

bool ThreadPool::submit(std::function<void()> task) {
  {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [this] { return stopping_ || queue_.size() < options_.max_queued; });
    if (stopping_) return false;
    queue_.push_back(std::move(task));
  }
  work_.notify_one();
  return true;
}

bool ThreadPool::try_submit(std::function<void()> task) {
  {
    const std::lock_guard guard(mutex_);
    if (stopping_ || queue_.size() >= options_.max_queued) return false;
    queue_.push_back(std::move(task));
  }
  work_.notify_one();
  return true;
}

void ThreadPool::drain() {
  std::unique_lock lock(mutex_);
  idle_.wait(lock, [this] { return queue_.empty() && running_ == 0; });
}

void ThreadPool::stop() {
  {
    const std::lock_guard guard(mutex_);
    stopping_ = true;
  }
  work_.notify_all();
  room_.notify_all();
  // Two that stop at once both return only when the threads are gone.
  std::call_once(joined_, [this] {
    for (std::thread& thread : threads_) thread.join();
  });
}

std::size_t ThreadPool::queued() const {
  const std::lock_guard guard(mutex_);
  return queue_.size();
}

std::size_t ThreadPool::failed_tasks() const {
  const std::lock_guard guard(mutex_);
  return failed_;
}

void ThreadPool::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    work_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (queue_.empty()) return;
    std::function<void()> task = std::move(queue_.front());
    queue_.pop_front();
    ++running_;
    lock.unlock();
    room_.notify_one();
    bool failed = false;
    try {
      task();
    } catch (...) {
      failed = true;
    }
    task = nullptr;  // what it holds is released before drain() returns, and without the lock
    lock.lock();
    --running_;
    if (failed) ++failed_;
    if (queue_.empty() && running_ == 0) idle_.notify_all();
  }
}

}  // namespace db4
