#include "cold/single_flight.hpp"

#include <db4/error.hpp>

namespace db4::cold {
namespace {

/// What was thrown, as a value: whoever joined throws a copy of his own, which no other thread takes away.
Error as_error(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const Error& error) {
    return {error.code(), error.problem(), error.advice()};
  } catch (const std::exception& error) {
    return {ErrorCode::internal, error.what(), "report this"};
  }
}

/// The fetcher's own bounds ended it: that says nothing to those who joined.
bool is_the_fetchers_own(const Error& failure) {
  return failure.code() == ErrorCode::deadline_exceeded || failure.code() == ErrorCode::cancelled;
}

}  // namespace

detail::BlockRef SingleFlight::run(const std::string& key, MonotonicTime deadline,
                                   const std::stop_token& stop,
                                   const std::function<detail::BlockRef()>& fetch) {
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
    const Error& failure = *flight->failure;
    if (!is_the_fetchers_own(failure)) throw Error(failure.code(), failure.problem(), failure.advice());
  }
}

detail::BlockRef SingleFlight::lead(const std::string& key, Flight& flight,
                                    const std::function<detail::BlockRef()>& fetch) {
  detail::BlockRef result;
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
    if (failure) flight.failure = as_error(failure);
    flights_.erase(key);
    flight.landed.notify_all();
  }
  if (failure) std::rethrow_exception(failure);
  return result;
}

void SingleFlight::await(Flight& flight, MonotonicTime deadline, const std::stop_token& stop) {
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
