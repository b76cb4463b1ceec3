#pragma once
// net: talking to other processes. Includes base only.
//
// Unix sockets in a folder: for the owner of the folder alone, and wherever the folder's path may lie.

#include "base/file_descriptor.hpp"

#include <db4/types.hpp>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace db4::net {

/// One end of a connection. Calls from one thread at a time, but for shut_down(), which may come from any.
class LocalSocket {
 public:
  explicit LocalSocket(FileDescriptor descriptor) noexcept : descriptor_(std::move(descriptor)) {}

  /// Connects to the socket of that name in a folder; nullopt where nobody listens there. Throws
  /// permission_denied (also where who listens does not own the folder), unavailable.
  static std::optional<LocalSocket> connect(const std::filesystem::path& folder, const std::string& name);

  /// All of it, or false where the other end is gone or takes nothing for `timeout`.
  bool send(std::string_view bytes, std::chrono::milliseconds timeout) const;
  /// Exactly `size` bytes into `out`, or false where the other end is gone or sends nothing for `timeout`.
  /// `out` is grown as the bytes come, so that an announced length alone takes no memory.
  bool receive(std::string& out, std::size_t size, std::chrono::milliseconds timeout) const;
  /// Whether there is something to receive, the other end's going included, before the time is up.
  [[nodiscard]] bool readable(std::chrono::milliseconds timeout) const;
  /// Makes every call return, here and at the other end.
  void shut_down() const noexcept;
  /// Whether the process at the other end runs as this user, or as root.
  [[nodiscard]] bool peer_may_ask() const noexcept;

 private:
  FileDescriptor descriptor_;
};

/// Listens; the socket's file goes when it does.
class LocalListener {
 public:
  /// Makes the socket, readable and writable for its owner only. One that is left over is replaced: the
  /// caller holds the folder's lock. Throws unavailable, permission_denied, resource_exhausted, read_only.
  LocalListener(const std::filesystem::path& folder, std::string name);
  ~LocalListener();
  LocalListener(const LocalListener&) = delete;
  LocalListener& operator=(const LocalListener&) = delete;

  /// The next connection; nullopt once shut_down() was called.
  std::optional<LocalSocket> accept();
  /// Takes no more, and removes the socket's file: before the folder's lock goes, since the next holder makes
  /// one of the same name. May be called twice.
  void shut_down() noexcept;
  /// After accept() gave nullopt: hangs up on those who connected and were never accepted, and would else
  /// wait for an answer for as long as this lives.
  void close() noexcept { descriptor_ = {}; }

 private:
  FileDescriptor folder_;
  std::string name_;
  FileDescriptor descriptor_;
  std::atomic<bool> shut_down_{false};
};

}  // namespace db4::net
