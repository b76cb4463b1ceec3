#include "net/local_socket.hpp"

#include <db4/error.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

namespace db4::net {
namespace {

constexpr int kBacklog = 16;
constexpr std::size_t kReceiveBytes = 64 << 10;
constexpr int kOutOfDescriptorsMs = 100;

Error socket_error(int error, const std::string& action, const std::filesystem::path& path) {
  const std::string problem = "cannot " + action + " " + path.string() + ": " + std::strerror(error);
  switch (error) {
    case EACCES:
    case EPERM:
      return {
          ErrorCode::permission_denied, problem,
          "run as the user who owns the store, and give that user read, write and search permission there"};
    case EROFS:
      return {ErrorCode::read_only, problem, "mount the file system for writing"};
    case EMFILE:
    case ENFILE:
    case ENOSPC:
    case EDQUOT:
      return {ErrorCode::resource_exhausted, problem, "free space, or raise the limit of open files"};
    default:
      return {ErrorCode::unavailable, problem, "check the folder, or switch live.enabled off"};
  }
}

/// An address has room for 107 bytes, and folders lie deeper: so it is named by the folder's descriptor.
struct Address {
  Address(const FileDescriptor& folder, const std::string& name) {
    const std::string path = "/proc/self/fd/" + std::to_string(folder.get()) + "/" + name;
    value.sun_family = AF_UNIX;
    std::memcpy(value.sun_path, path.c_str(), std::min(path.size() + 1, sizeof value.sun_path));
  }
  [[nodiscard]] const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&value); }
  sockaddr_un value{};
};

FileDescriptor open_folder(const std::filesystem::path& folder) {
  return FileDescriptor(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
}

FileDescriptor make_socket() { return FileDescriptor(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)); }

/// Whether the descriptor is ready for `events` before the time is up.
bool wait_for(int fd, short events, std::chrono::milliseconds timeout) {
  pollfd poll_one{.fd = fd, .events = events, .revents = 0};
  int ready = 0;
  do {
    ready = ::poll(&poll_one, 1, static_cast<int>(timeout.count()));
  } while (ready < 0 && errno == EINTR);
  return ready > 0;
}

std::optional<uid_t> peer_uid(const FileDescriptor& descriptor) noexcept {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (::getsockopt(descriptor.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return std::nullopt;
  return peer.uid;
}

}  // namespace

std::optional<LocalSocket> LocalSocket::connect(const std::filesystem::path& folder,
                                                const std::string& name) {
  const FileDescriptor at = open_folder(folder);
  if (!at.open()) {
    if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
    throw socket_error(errno, "look into", folder);
  }
  FileDescriptor descriptor = make_socket();
  if (!descriptor.open()) throw socket_error(errno, "make a socket for", folder / name);
  const Address address(at, name);
  if (::connect(descriptor.get(), address.get(), sizeof address.value) != 0) {
    if (errno == ENOENT || errno == ECONNREFUSED) return std::nullopt;
    // What must not be looked into looks like a socket that must not be used.
    const int error = errno;
    if (error == EACCES && ::access(folder.c_str(), X_OK) != 0)
      throw socket_error(error, "look into", folder);
    throw socket_error(error, "connect to", folder / name);
  }
  // Whoever put a socket into somebody else's folder must not get our documents.
  struct stat owner {};
  if (::fstat(at.get(), &owner) != 0 || peer_uid(descriptor) != owner.st_uid) {
    throw Error(ErrorCode::permission_denied,
                "who listens at " + (folder / name).string() + " does not own the folder",
                "look who put the socket there, and remove it");
  }
  return LocalSocket(std::move(descriptor));
}

bool LocalSocket::send(std::string_view bytes, std::chrono::milliseconds timeout) const {
  while (!bytes.empty()) {
    if (!wait_for(descriptor_.get(), POLLOUT, timeout)) return false;
    const ssize_t sent = ::send(descriptor_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

bool LocalSocket::receive(std::string& out, std::size_t size, std::chrono::milliseconds timeout) const {
  out.clear();
  std::array<char, kReceiveBytes> buffer;  // NOLINT: filled before it is read
  while (out.size() < size) {
    if (!wait_for(descriptor_.get(), POLLIN, timeout)) return false;
    const std::size_t wanted = std::min(buffer.size(), size - out.size());
    const ssize_t got = ::recv(descriptor_.get(), buffer.data(), wanted, MSG_DONTWAIT);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got <= 0) return false;
    out.append(buffer.data(), static_cast<std::size_t>(got));
  }
  return true;
}

bool LocalSocket::readable(std::chrono::milliseconds timeout) const {
  return wait_for(descriptor_.get(), POLLIN, timeout);
}

void LocalSocket::shut_down() const noexcept { ::shutdown(descriptor_.get(), SHUT_RDWR); }

bool LocalSocket::peer_may_ask() const noexcept {
  const auto uid = peer_uid(descriptor_);
  return uid == ::geteuid() || uid == 0U;
}

LocalListener::LocalListener(const std::filesystem::path& folder, std::string name)
    : folder_(open_folder(folder)), name_(std::move(name)) {
  if (!folder_.open()) throw socket_error(errno, "look into", folder);
  ::unlinkat(folder_.get(), name_.c_str(), 0);
  descriptor_ = make_socket();
  if (!descriptor_.open()) throw socket_error(errno, "make a socket in", folder);
  const Address address(folder_, name_);
  // Between bind and chmod nobody can connect: it does not listen yet.
  if (::bind(descriptor_.get(), address.get(), sizeof address.value) != 0 ||
      ::fchmodat(folder_.get(), name_.c_str(), S_IRUSR | S_IWUSR, 0) != 0 ||
      ::listen(descriptor_.get(), kBacklog) != 0) {
    throw socket_error(errno, "listen at", folder / name_);
  }
}

LocalListener::~LocalListener() { shut_down(); }

std::optional<LocalSocket> LocalListener::accept() {
  while (!shut_down_.load()) {
    const int fd = ::accept4(descriptor_.get(), nullptr, nullptr, SOCK_CLOEXEC);
    if (fd >= 0) return LocalSocket(FileDescriptor(fd));
    if (errno == EINTR || errno == ECONNABORTED) continue;
    if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM) break;
    // Out of descriptors for now: whoever waits finds us again when some are free.
    pollfd none{.fd = -1, .events = 0, .revents = 0};
    ::poll(&none, 1, kOutOfDescriptorsMs);
  }
  return std::nullopt;
}

void LocalListener::shut_down() noexcept {
  if (shut_down_.exchange(true)) return;
  ::shutdown(descriptor_.get(), SHUT_RDWR);
  ::unlinkat(folder_.get(), name_.c_str(), 0);
}

}  // namespace db4::net
