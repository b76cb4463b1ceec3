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

/// What was thrown, as a value: whoever joined throws a copy of his own, which no other thread takes away.
Error error_of_flight(const std::exception_ptr& failure);

/// Keyed by what is fetched (an object's place), not by who asks: a place is immutable, so whoever joins
/// cannot get anything older than asked for. Thread-safe. A failed fetch fails all who joined, and the next
/// one tries again; but one that ended because its own deadline passed, or its own caller stopped it, fails
/// nobody else: of those who joined one fetches anew. `Result`: a value, cheap to copy.
template <typename Result = detail::BlockRef>
class SingleFlight {
 public:
  explicit SingleFlight(std::shared_ptr<Clock> clock) : clock_(std::move(clock)) {}

  /// `fetch` keeps to `deadline` and `stop` by itself; who waits for another gives up at his own deadline
  /// (deadline_exceeded) or when stopped (cancelled), however long the other one takes.
  Result run(const std::string& key, MonotonicTime deadline, const std::stop_token& stop,
             const std::function<Result()>& fetch);

  [[nodiscard]] std::uint64_t joined() const noexcept { return joined_.value(); }

 private:
  struct Flight {
    std::condition_variable landed;
    bool done = false;
    Result result = {};
    std::optional<Error> failure;
  };
  Result lead(const std::string& key, Flight& flight, const std::function<Result()>& fetch);
  /// Until it has landed.
  void await(Flight& flight, MonotonicTime deadline, const std::stop_token& stop);

  const std::shared_ptr<Clock> clock_;
  std::mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<Flight>> flights_;
  StripedCounter joined_;
};

template <typename Result>
Result SingleFlight<Result>::run(const std::string& key, MonotonicTime deadline, const std::stop_token& stop,
                                 const std::function<Result()>& fetch) {
  for (bool waited = false;; waited = true) {
    std::unique_lock lock(mutex_);
    const auto [place, first] = flights_.try_emplace(key);
    if (first) place->second = std::make_shared<Flight>();
    // A copy: the table's own reference goes when the flight lands.
    const std::shared_ptr<Flight> flight = place->second;
    lock.unlock();
    if (first) return lead(key, *flight, fetch);
    if (!waited) joined_.add();
    await(*flight, deadline, stop);
    if (!flight->failure) return flight->result;
    // That the fetcher's own bounds ended it says nothing to those who joined.
    const Error& failure = *flight->failure;
    if (failure.code() != ErrorCode::deadline_exceeded && failure.code() != ErrorCode::cancelled) {
      throw Error(failure.code(), failure.problem(), failure.advice());
    }
  }
}

template <typename Result>
Result SingleFlight<Result>::lead(const std::string& key, Flight& flight,
                                  const std::function<Result()>& fetch) {
  Result result;
  std::exception_ptr failure;
  try {
    result = fetch();
  } catch (...) {
    failure = std::current_exception();
  }
  {
    const std::scoped_lock lock(mutex_);
    flight.done = true;
    flight.result = result;
    if (failure) flight.failure = error_of_flight(failure);
    flights_.erase(key);
    flight.landed.notify_all();
  }
  if (failure) std::rethrow_exception(failure);
  return result;
}

template <typename Result>
void SingleFlight<Result>::await(Flight& flight, MonotonicTime deadline, const std::stop_token& stop) {
  bool landed = false;
  {
    const std::stop_callback wake(stop, [this, &flight] {
      const std::scoped_lock guard(mutex_);
      flight.landed.notify_all();
    });
    std::unique_lock lock(mutex_);
    clock_->wait_until(lock, flight.landed, deadline, [&] { return flight.done || stop.stop_requested(); });
    landed = flight.done;
    lock.unlock();  // before the callback goes: its destructor waits for a callback that wants the mutex
  }
  // Nobody writes to a flight that has landed.
  if (landed) return;
  if (stop.stop_requested())
    throw Error(ErrorCode::cancelled, "stopped while waiting for the document", "repeat it");
  throw Error(ErrorCode::deadline_exceeded, "the document was not fetched in the time given",
              "repeat the read with a longer timeout");
}

}  // namespace db4::cold
