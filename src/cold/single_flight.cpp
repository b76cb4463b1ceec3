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

}  // namespace

detail::BlockRef SingleFlight::run(const std::string& key, MonotonicTime deadline,
                                   const std::stop_token& stop,
                                   const std::function<detail::BlockRef()>& fetch) {
  const auto flight = std::make_shared<Flight>();
  std::unique_lock lock(mutex_);
  const auto [place, first] = flights_.try_emplace(key, flight);
  if (!first) return join(std::move(lock), place->second, deadline, stop);
  lock.unlock();

  detail::BlockRef result;
  std::exception_ptr failure;
  try {
    result = fetch();
  } catch (...) {
    failure = std::current_exception();
  }

  lock.lock();
  flight->done = true;
  flight->result = result;
  if (failure) flight->failure = as_error(failure);
  flights_.erase(key);
  flight->landed.notify_all();
  lock.unlock();
  if (failure) std::rethrow_exception(failure);
  return result;
}

detail::BlockRef SingleFlight::join(std::unique_lock<std::mutex> lock, const std::shared_ptr<Flight>& shared,
                                    MonotonicTime deadline, const std::stop_token& stop) {
  // A copy: the table's own reference goes when the flight lands.
  const std::shared_ptr<Flight> flight = shared;
  joined_.add();
  lock.unlock();
  detail::BlockRef result;
  std::optional<Error> failure;
  bool landed = false;
  {
    const std::stop_callback wake(stop, [this, &flight] {
      const std::scoped_lock guard(mutex_);
      flight->landed.notify_all();
    });
    lock.lock();
    clock_->wait_until(lock, flight->landed, deadline, [&] { return flight->done || stop.stop_requested(); });
    landed = flight->done;
    if (landed) {
      result = flight->result;
      if (flight->failure) {
        failure.emplace(flight->failure->code(), flight->failure->problem(), flight->failure->advice());
      }
    }
    lock.unlock();  // before the callback goes: its destructor waits for a callback that wants the mutex
  }
  if (landed && failure) throw Error(*failure);
  if (landed) return result;
  if (stop.stop_requested())
    throw Error(ErrorCode::cancelled, "stopped while waiting for the document", "repeat it");
  throw Error(ErrorCode::deadline_exceeded, "the document was not fetched in the time given",
              "repeat the read with a longer timeout");
}

}  // namespace db4::cold
