#pragma once
// The addresses of a host, found within a deadline.

#include <db4/types.hpp>

#include <netdb.h>
#include <sys/socket.h>

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace db4::net {

struct SocketAddress {
  int family = AF_UNSPEC;
  socklen_t size = 0;
  sockaddr_storage storage{};
};

/// getaddrinfo has no deadline, and a name server that is away holds it for half a minute. So it runs in a
/// thread of its own, and a caller who has waited long enough leaves it there. Not more than one stays
/// behind: while it does, others are not begun. (glibc's getaddrinfo_a would do the same, but sanitizers do
/// not know its threads.)
///
/// Thread-safe. The destructor waits for what stayed behind.
class AddressLookup {
 public:
  AddressLookup();
  ~AddressLookup();
  AddressLookup(const AddressLookup&) = delete;
  AddressLookup& operator=(const AddressLookup&) = delete;

  /// In the order in which they are to be tried; at least one. Throws Error with unavailable (no such name,
  /// or nobody said) and deadline_exceeded.
  std::vector<SocketAddress> find(const std::string& host, const std::string& port, MonotonicTime deadline);

 private:
  struct Request;

  std::mutex mutex_;
  std::condition_variable changed_;
  std::shared_ptr<Request> running_;  ///< null: none
  std::jthread thread_;               ///< of the last one
};

}  // namespace db4::net
