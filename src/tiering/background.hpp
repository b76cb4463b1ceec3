#pragma once
// Background: the one thread that runs tiering by itself: at each interval, and at once when hot fills up.

#include <db4/clock.hpp>

#include <condition_variable>
#include <functional>
#include <mutex>
#include <stop_token>
#include <string>
#include <thread>

namespace db4::tiering {

class Background {
 public:
  struct Jobs {
    std::function<void(const std::stop_token&)> scheduled;  ///< at each interval
    std::function<void(const std::stop_token&)> pressure;   ///< when hurry() was called
  };

  /// `interval` 0: only when hurried. A job that throws is remembered by last_error() and run again at its
  /// next turn.
  Background(std::shared_ptr<Clock> clock, std::chrono::milliseconds interval, Jobs jobs);
  ~Background();  ///< as stop()
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  /// Starts the thread; what hurried before that is done then.
  void start();
  /// Asks for the pressure job now. Thread-safe, never waits for it.
  void hurry();
  /// Tells a job that runs to stop, and no other begins.
  void ask_to_stop();
  /// Stops the running job and joins. May be called twice.
  void stop();
  [[nodiscard]] std::string last_error() const;

 private:
  void run(const std::stop_token& stop);
  void run_job(const std::function<void(const std::stop_token&)>& job, const std::stop_token& stop);

  const std::shared_ptr<Clock> clock_;
  const MonotonicTime interval_;
  const Jobs jobs_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  bool hurried_ = false;
  bool stopping_ = false;
  std::string last_error_;
  std::jthread thread_;
};

}  // namespace db4::tiering
