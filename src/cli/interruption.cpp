#include "interruption.hpp"

#include <pthread.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <thread>

namespace db4::cli {
namespace {

sigset_t ending_signals() {
  sigset_t set{};
  sigemptyset(&set);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGTERM);
  return set;
}

}  // namespace

/// The signals are blocked in every thread and taken by this one: a handler could not request a stop, which
/// takes locks.
class Interruption::Listener {
 public:
  explicit Listener(std::stop_source& source)
      : thread_([this, &source] {
          const sigset_t set = ending_signals();
          for (bool first = true;; first = false) {
            int signal = 0;
            if (sigwait(&set, &signal) != 0) continue;
            if (ending_) return;
            if (!first) ::_exit(128 + signal);
            source.request_stop();
          }
        }) {}

  ~Listener() {
    ending_ = true;
    ::pthread_kill(thread_.native_handle(), SIGTERM);
    thread_.join();
  }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

 private:
  std::atomic<bool> ending_ = false;
  std::thread thread_;
};

Interruption::Interruption() {
  const sigset_t set = ending_signals();
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  // Writing to a reader that went away fails as a write does; it does not kill in the middle of a commit.
  std::signal(SIGPIPE, SIG_IGN);  // NOLINT(cert-err33-c): it cannot fail for this signal
  listener_ = std::make_unique<Listener>(source_);
}

Interruption::~Interruption() = default;

}  // namespace db4::cli
