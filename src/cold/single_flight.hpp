#pragma once
// SingleFlight: of many who want the same thing at the same time, one fetches it and all get it.

#include "base/document_block.hpp"
#include "base/striped_counter.hpp"

#include <db4/clock.hpp>
#include <db4/error.hpp>

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <unordered_map>

namespace db4::cold {

/// Keyed by what is fetched (an object's place), not by who asks: a place is immutable, so whoever joins
/// cannot get anything older than asked for. Thread-safe. A failed fetch fails all who joined, and the next
/// one tries again; but one that ended because its own deadline passed, or its own caller stopped it, fails
/// nobody else: of those who joined one fetches anew.
class SingleFlight {
 public:
  explicit SingleFlight(std::shared_ptr<Clock> clock) : clock_(std::move(clock)) {}

  /// `fetch` keeps to `deadline` and `stop` by itself; who waits for another gives up at his own deadline
  /// (deadline_exceeded) or when stopped (cancelled), however long the other one takes.
  detail::BlockRef run(const std::string& key, MonotonicTime deadline, const std::stop_token& stop,
                       const std::function<detail::BlockRef()>& fetch);

  [[nodiscard]] std::uint64_t joined() const noexcept { return joined_.value(); }

 private:
  struct Flight {
    std::condition_variable landed;
    bool done = false;
    detail::BlockRef result;
    std::optional<Error> failure;
  };
  detail::BlockRef lead(const std::string& key, Flight& flight,
                        const std::function<detail::BlockRef()>& fetch);
  /// Until it has landed.
  void await(Flight& flight, MonotonicTime deadline, const std::stop_token& stop);

  const std::shared_ptr<Clock> clock_;
  std::mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<Flight>> flights_;
  StripedCounter joined_;
};

}  // namespace db4::cold
