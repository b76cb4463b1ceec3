#pragma once
// A port for a server that a test starts.

#include <db4/random.hpp>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stdexcept>

namespace db4::testing {

/// Nobody listens at it on the loopback. Below those that the system gives to outgoing connections, one of
/// which could otherwise have it while a server is restarted. Throws std::runtime_error.
inline int free_port() {
  constexpr int kFirst = 12'000;
  constexpr int kPorts = 18'000;
  constexpr int kAttempts = 100;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    const int port = kFirst + static_cast<int>(system_random()->next_u64() % kPorts);
    const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    const bool bound = ::bind(descriptor, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    ::close(descriptor);
    if (bound) return port;
  }
  throw std::runtime_error("there is no free port");
}

}  // namespace db4::testing
