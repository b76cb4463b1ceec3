#include "net/address_lookup.hpp"

#include <db4/clock.hpp>
#include <db4/error.hpp>

#include <algorithm>
#include <cstring>
#include <new>

namespace db4::net {

/// One question, and its answer; shared by the thread that asks and the callers that wait.
struct AddressLookup::Request {
  std::string host;
  std::string port;
  int error = 0;
  std::vector<SocketAddress> found = {};
};

namespace {

/// 0, or what getaddrinfo says.
int ask(const std::string& host, const std::string& port, int flags, std::vector<SocketAddress>& out) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags;
  addrinfo* found = nullptr;
  if (const int error = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found); error != 0) return error;
  for (const addrinfo* one = found; one != nullptr; one = one->ai_next) {
    SocketAddress& address = out.emplace_back();
    address.family = one->ai_family;
    address.size = std::min<socklen_t>(one->ai_addrlen, sizeof address.storage);
    std::memcpy(&address.storage, one->ai_addr, address.size);
  }
  ::freeaddrinfo(found);
  return 0;
}

}  // namespace

AddressLookup::AddressLookup() = default;
AddressLookup::~AddressLookup() = default;  // the thread is joined first

std::vector<SocketAddress> AddressLookup::find(const std::string& host, const std::string& port,
                                               MonotonicTime deadline) {
  std::vector<SocketAddress> numeric;
  if (ask(host, port, AI_NUMERICHOST | AI_NUMERICSERV, numeric) == 0) return numeric;
  const auto clock = system_clock();
  const auto no_answer = [&] {
    return Error(ErrorCode::deadline_exceeded, "no name server told the address of " + host + " in time",
                 "check this machine's network");
  };
  std::unique_lock lock(mutex_);
  if (!clock->wait_until(lock, changed_, deadline, [&] { return running_ == nullptr; })) throw no_answer();
  const auto request = std::make_shared<Request>(Request{.host = host, .port = port});
  running_ = request;
  try {
    // The thread before has nothing left to do but to end.
    thread_ = std::jthread([this, request] {
      std::vector<SocketAddress> found;
      int error = EAI_MEMORY;
      try {
        error = ask(request->host, request->port, 0, found);
      } catch (const std::bad_alloc&) {
        found.clear();
      }
      const std::lock_guard done(mutex_);
      request->error = error;
      request->found = std::move(found);
      running_.reset();
      changed_.notify_all();
    });
  } catch (...) {
    running_.reset();
    throw;
  }
  if (!clock->wait_until(lock, changed_, deadline, [&] { return running_ != request; })) throw no_answer();
  if (request->error != 0) {
    throw Error(ErrorCode::unavailable,
                "the host " + host + " has no address (" + ::gai_strerror(request->error) + ")",
                "check the name, and this machine's network");
  }
  return request->found;
}

}  // namespace db4::net
