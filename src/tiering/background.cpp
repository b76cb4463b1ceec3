#include "tiering/background.hpp"

#include <utility>

namespace db4::tiering {

Background::Background(std::shared_ptr<Clock> clock, std::chrono::milliseconds interval, Jobs jobs)
    : clock_(std::move(clock)), interval_(interval), jobs_(std::move(jobs)) {}

Background::~Background() { stop(); }

void Background::start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

void Background::hurry() {
  const std::scoped_lock lock(mutex_);
  hurried_ = true;
  wake_.notify_all();
}

void Background::ask_to_stop() {
  thread_.request_stop();
  const std::scoped_lock lock(mutex_);
  stopping_ = true;
  wake_.notify_all();
}

void Background::stop() {
  ask_to_stop();
  if (thread_.joinable()) thread_.join();
}

std::string Background::last_error() const {
  const std::scoped_lock lock(mutex_);
  return last_error_;
}

void Background::run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  MonotonicTime next = interval_.count() == 0 ? MonotonicTime::max() : clock_->monotonic() + interval_;
  while (!stopping_) {
    clock_->wait_until(lock, wake_, next, [this] { return stopping_ || hurried_; });
    if (stopping_) return;
    const bool hurried = std::exchange(hurried_, false);
    const bool due = clock_->monotonic() >= next;
    lock.unlock();
    if (hurried) run_job(jobs_.pressure, stop);
    if (due) {
      run_job(jobs_.scheduled, stop);
      next = clock_->monotonic() + interval_;
    }
    lock.lock();
  }
}

void Background::run_job(const std::function<void(const std::stop_token&)>& job,
                         const std::stop_token& stop) {
  std::string error;
  try {
    job(stop);
  } catch (const std::exception& failure) {
    error = failure.what();
  }
  if (error.empty()) return;
  const std::scoped_lock lock(mutex_);
  last_error_ = std::move(error);
}

}  // namespace db4::tiering
