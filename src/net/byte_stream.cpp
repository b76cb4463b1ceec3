#include "net/byte_stream.hpp"

#include "net/address_lookup.hpp"

#include <db4/clock.hpp>

#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <limits>

namespace db4::net {
namespace {

// A peer that vanished without a word is noticed after about a minute, where no call waits for it.
constexpr int kKeepAliveIdleSeconds = 30;
constexpr int kKeepAliveIntervalSeconds = 10;
constexpr int kKeepAliveProbes = 3;
/// While the listener's queue is full; there is nothing to wait on.
constexpr MonotonicTime kQueueFullPause = std::chrono::milliseconds{2};

MonotonicTime now() { return system_clock()->monotonic(); }

[[noreturn]] void broken(const std::string& why) {
  throw StreamError(StreamFailure::broken, ErrorCode::unavailable, "the connection broke off (" + why + ")");
}
[[noreturn]] void timed_out(const char* doing) {
  throw StreamError(StreamFailure::timeout, ErrorCode::deadline_exceeded,
                    std::string("no answer in time while ") + doing);
}
[[noreturn]] void not_connected(int error) {
  throw StreamError(StreamFailure::connect, ErrorCode::unavailable, std::strerror(error));
}

/// False: the deadline passed.
bool wait_until_ready(int fd, short events, MonotonicTime deadline) {
  for (;;) {
    const MonotonicTime left = std::max(deadline - now(), MonotonicTime{0});
    const timespec timeout{.tv_sec = static_cast<time_t>(left.count() / 1'000'000'000),
                           .tv_nsec = static_cast<long>(left.count() % 1'000'000'000)};
    pollfd poll_one{.fd = fd, .events = events, .revents = 0};
    const int ready = ::ppoll(&poll_one, 1, &timeout, nullptr);
    if (ready > 0) return true;
    if (ready == 0) return false;
    if (errno != EINTR) broken(std::strerror(errno));
  }
}

FileDescriptor make_socket(int family) {
  FileDescriptor made(::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!made.open()) {
    const bool full = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
    throw StreamError(StreamFailure::connect, full ? ErrorCode::resource_exhausted : ErrorCode::unavailable,
                      std::string("no socket can be made: ") + std::strerror(errno));
  }
  return made;
}

/// 0, or what went wrong; ETIMEDOUT at the deadline.
int connect_socket(int fd, const sockaddr* address, socklen_t size, MonotonicTime deadline) {
  while (::connect(fd, address, size) != 0) {
    if (errno == EINTR) continue;
    if (errno == EAGAIN) {  // a unix socket whose queue is full
      if (now() >= deadline) return ETIMEDOUT;
      (void)wait_until_ready(-1, 0, std::min(deadline, now() + kQueueFullPause));
      continue;
    }
    if (errno == EISCONN) return 0;
    if (errno != EINPROGRESS && errno != EALREADY) return errno;
    if (!wait_until_ready(fd, POLLOUT, deadline)) return ETIMEDOUT;
    int error = 0;
    socklen_t error_size = sizeof error;
    if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_size) != 0) return errno;
    return error;
  }
  return 0;
}

void set_option(int fd, int level, int option, int value) noexcept {
  (void)::setsockopt(fd, level, option, &value, sizeof value);  // a hint: it works without
}

// A BIO over our socket, because OpenSSL's own writes in a way that raises SIGPIPE where the peer is gone.
int bio_write(BIO* bio, const char* data, int size) {
  BIO_clear_retry_flags(bio);
  const int fd = static_cast<int>(reinterpret_cast<std::intptr_t>(BIO_get_data(bio)));
  const ssize_t sent = ::send(fd, data, static_cast<std::size_t>(size), MSG_NOSIGNAL);
  if (sent < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_write(bio);
  return static_cast<int>(sent);
}
int bio_read(BIO* bio, char* out, int size) {
  BIO_clear_retry_flags(bio);
  const int fd = static_cast<int>(reinterpret_cast<std::intptr_t>(BIO_get_data(bio)));
  const ssize_t got = ::recv(fd, out, static_cast<std::size_t>(size), 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) BIO_set_retry_read(bio);
  return static_cast<int>(got);
}
long bio_control(BIO* /*bio*/, int command, long /*number*/, void* /*pointer*/) {
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

/// OpenSSL has some hundred of these for the whole process, so one is drawn for all of ours.
int bio_type() {
  static const int type = ::BIO_get_new_index() | BIO_TYPE_SOURCE_SINK;
  return type;
}

std::string openssl_reason() {
  const unsigned long error = ::ERR_peek_last_error();
  const char* const reason = error == 0 ? nullptr : ::ERR_reason_error_string(error);
  return reason == nullptr ? "no reason given" : reason;
}

}  // namespace

TlsContext::TlsContext(const std::string& ca_file)
    : context_(::SSL_CTX_new(::TLS_client_method())), method_(::BIO_meth_new(bio_type(), "db4 socket")) {
  bool ready = context_ != nullptr && method_ != nullptr;
  if (ready) {
    ::SSL_CTX_set_verify(context_, SSL_VERIFY_PEER, nullptr);
    ::SSL_CTX_set_mode(context_, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                     SSL_MODE_AUTO_RETRY | SSL_MODE_RELEASE_BUFFERS);
    ready = ::SSL_CTX_set_min_proto_version(context_, TLS1_2_VERSION) == 1 &&
            ::BIO_meth_set_write(method_, bio_write) == 1 && ::BIO_meth_set_read(method_, bio_read) == 1 &&
            ::BIO_meth_set_ctrl(method_, bio_control) == 1;
  }
  const bool trusted =
      ready && (ca_file.empty() ? ::SSL_CTX_set_default_verify_paths(context_) == 1
                                : ::SSL_CTX_load_verify_locations(context_, ca_file.c_str(), nullptr) == 1);
  if (trusted) return;
  const std::string reason = openssl_reason();
  ::ERR_clear_error();
  ::SSL_CTX_free(context_);
  ::BIO_meth_free(method_);
  if (!ready)
    throw StreamError(StreamFailure::tls, ErrorCode::internal, "OpenSSL cannot be set up: " + reason);
  throw StreamError(StreamFailure::ca_file, ErrorCode::invalid_argument,
                    "the certificates in " + (ca_file.empty() ? "the system's folder" : ca_file) +
                        " cannot be read: " + reason);
}

TlsContext::~TlsContext() {
  ::SSL_CTX_free(context_);
  ::BIO_meth_free(method_);
}

ByteStream::ByteStream(const StreamTarget& target, AddressLookup& lookup, MonotonicTime deadline) {
  if (target.socket_path.empty()) {
    connect_host(target, lookup, deadline);
  } else {
    connect_path(target.socket_path, deadline);
  }
  if (target.tls == nullptr) return;
  try {
    start_tls(target, deadline);
  } catch (...) {
    ::SSL_free(ssl_);
    throw;
  }
}

ByteStream::ByteStream(ByteStream&& other) noexcept
    : socket_(std::move(other.socket_)),
      ssl_(std::exchange(other.ssl_, nullptr)),
      usual_timeout_(other.usual_timeout_) {}

ByteStream::~ByteStream() {
  // No close_notify: whoever is at the other end counts replies, not bytes.
  ::SSL_free(ssl_);
}

void ByteStream::connect_path(const std::string& path, MonotonicTime deadline) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  FileDescriptor folder;
  std::string short_path = path;
  if (path.size() >= sizeof address.sun_path) {
    // An address has room for 107 bytes, and folders lie deeper: so it is named by the folder's descriptor.
    const std::filesystem::path whole(path);
    folder = FileDescriptor(::open(whole.parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!folder.open()) not_connected(errno);
    short_path = "/proc/self/fd/" + std::to_string(folder.get()) + "/" + whole.filename().string();
    if (short_path.size() >= sizeof address.sun_path) not_connected(ENAMETOOLONG);
  }
  std::memcpy(address.sun_path, short_path.c_str(), short_path.size() + 1);
  socket_ = make_socket(AF_UNIX);
  const int error =
      connect_socket(socket_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address, deadline);
  if (error == ETIMEDOUT) timed_out("connecting");
  if (error != 0) not_connected(error);
}

void ByteStream::connect_host(const StreamTarget& target, AddressLookup& lookup, MonotonicTime deadline) {
  std::vector<SocketAddress> addresses;
  try {
    addresses = lookup.find(target.host, target.port, deadline);
  } catch (const StreamError&) {
    throw;
  } catch (const Error& error) {
    const bool late = error.code() == ErrorCode::deadline_exceeded;
    throw StreamError(late ? StreamFailure::timeout : StreamFailure::connect, error.code(), error.problem());
  }
  int error = ECONNREFUSED;
  for (std::size_t i = 0; i < addresses.size(); ++i) {
    // Each of those that are left gets the same share of the time, so that one that swallows all does not
    // keep the next from being tried.
    const MonotonicTime start = now();
    const auto share = (deadline - start) / static_cast<std::int64_t>(addresses.size() - i);
    socket_ = make_socket(addresses[i].family);
    error = connect_socket(socket_.get(), reinterpret_cast<const sockaddr*>(&addresses[i].storage),
                           addresses[i].size, start + share);
    if (error == 0) break;
  }
  if (error == ETIMEDOUT) timed_out("connecting");
  if (error != 0) not_connected(error);
  const int fd = socket_.get();
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, kKeepAliveIdleSeconds);
  set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, kKeepAliveIntervalSeconds);
  set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, kKeepAliveProbes);
}

void ByteStream::start_tls(const StreamTarget& target, MonotonicTime deadline) {
  ::ERR_clear_error();
  ssl_ = ::SSL_new(target.tls->context_);
  BIO* const bio = ssl_ == nullptr ? nullptr : ::BIO_new(target.tls->method_);
  if (bio == nullptr) {
    throw StreamError(StreamFailure::tls, ErrorCode::resource_exhausted, "there is no memory for TLS");
  }
  ::BIO_set_data(bio, reinterpret_cast<void*>(static_cast<std::intptr_t>(socket_.get())));
  ::BIO_set_init(bio, 1);
  ::SSL_set_bio(ssl_, bio, bio);
  // A numeric address is looked for among the certificate's addresses, and is no name to announce.
  const bool numeric = ::X509_VERIFY_PARAM_set1_ip_asc(::SSL_get0_param(ssl_), target.host.c_str()) == 1;
  ::ERR_clear_error();
  if (!numeric) {
    ::SSL_set_hostflags(ssl_, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    if (::SSL_set1_host(ssl_, target.host.c_str()) != 1 ||
        ::SSL_set_tlsext_host_name(ssl_, target.host.c_str()) != 1) {
      throw StreamError(StreamFailure::tls, ErrorCode::invalid_argument, "the host's name is none for TLS");
    }
  }
  for (;;) {
    const int result = ::SSL_connect(ssl_);
    if (result == 1) return;
    const int error = ::SSL_get_error(ssl_, result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
      wait_for_tls(result, deadline);
      continue;
    }
    const long verdict = ::SSL_get_verify_result(ssl_);
    const std::string reason = openssl_reason();
    ::ERR_clear_error();
    if (verdict != X509_V_OK) {
      throw StreamError(
          StreamFailure::certificate, ErrorCode::permission_denied,
          std::string("its certificate is not trusted (") + ::X509_verify_cert_error_string(verdict) + ")");
    }
    throw StreamError(StreamFailure::tls, ErrorCode::unavailable,
                      "no TLS connection comes about (" + reason + ")");
  }
}

void ByteStream::wait_for_tls(int result, MonotonicTime deadline) {
  const int error = ::SSL_get_error(ssl_, result);
  if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) {
    if (!wait_until_ready(socket_.get(), error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, deadline)) {
      timed_out("waiting for the server");
    }
    return;
  }
  const std::string reason =
      error == SSL_ERROR_ZERO_RETURN || error == SSL_ERROR_SYSCALL ? "the server hung up" : openssl_reason();
  ::ERR_clear_error();
  broken(reason);
}

void ByteStream::expect_timeout(std::chrono::nanoseconds timeout) noexcept {
  if (ssl_ != nullptr) return;
  const timeval value{.tv_sec = static_cast<time_t>(timeout.count() / 1'000'000'000),
                      .tv_usec = static_cast<suseconds_t>(timeout.count() % 1'000'000'000 / 1000)};
  const int flags = ::fcntl(socket_.get(), F_GETFL);
  if (flags < 0 || ::setsockopt(socket_.get(), SOL_SOCKET, SO_RCVTIMEO, &value, sizeof value) != 0) return;
  if (::fcntl(socket_.get(), F_SETFL, flags & ~O_NONBLOCK) == 0) usual_timeout_ = timeout;
}

void ByteStream::send(std::string_view bytes, MonotonicTime deadline) {
  constexpr std::size_t kMaxPiece = std::numeric_limits<int>::max() / 2;
  while (!bytes.empty()) {
    const std::size_t piece = std::min(bytes.size(), kMaxPiece);
    if (ssl_ != nullptr) {
      ::ERR_clear_error();
      const int sent = ::SSL_write(ssl_, bytes.data(), static_cast<int>(piece));
      if (sent > 0) {
        bytes.remove_prefix(static_cast<std::size_t>(sent));
      } else {
        wait_for_tls(sent, deadline);
      }
      continue;
    }
    const ssize_t sent = ::send(socket_.get(), bytes.data(), piece, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    } else if (errno == EAGAIN) {
      if (!wait_until_ready(socket_.get(), POLLOUT, deadline)) timed_out("sending");
    } else if (errno != EINTR) {
      broken(std::strerror(errno));
    }
  }
}

std::size_t ByteStream::receive(char* out, std::size_t size, MonotonicTime deadline) {
  for (;;) {
    if (ssl_ != nullptr) {
      ::ERR_clear_error();
      const int got = ::SSL_read(ssl_, out, static_cast<int>(size));
      if (got > 0) return static_cast<std::size_t>(got);
      wait_for_tls(got, deadline);
      continue;
    }
    // The answer is hardly ever there yet. Either the socket waits for it by itself, or it is waited for
    // first.
    const bool waits = usual_timeout_ > MonotonicTime{0} && deadline - now() >= usual_timeout_ / 20 * 19;
    if (!waits && !wait_until_ready(socket_.get(), POLLIN, deadline)) timed_out("waiting for the server");
    const ssize_t got = ::recv(socket_.get(), out, size, waits ? 0 : MSG_DONTWAIT);
    if (got > 0) return static_cast<std::size_t>(got);
    if (got == 0) broken("the server hung up");
    if (errno == EAGAIN && waits) timed_out("waiting for the server");
    if (errno != EAGAIN && errno != EINTR) broken(std::strerror(errno));
  }
}

bool ByteStream::quiet() const noexcept {
  char byte = 0;
  return ::recv(socket_.get(), &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

void ByteStream::interrupt() const noexcept { (void)::shutdown(socket_.get(), SHUT_RDWR); }

}  // namespace db4::net
