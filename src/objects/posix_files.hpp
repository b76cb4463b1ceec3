#pragma once
// File descriptors that close themselves, and what errno means to a caller.

#include <db4/types.hpp>

#include <string>
#include <string_view>

namespace db4::objects {

/// Owns one descriptor. Move-only.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  explicit FileDescriptor(int fd) noexcept : fd_(fd) {}
  FileDescriptor(FileDescriptor&& other) noexcept : fd_(other.release()) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept;
  ~FileDescriptor();

  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] bool open() const noexcept { return fd_ >= 0; }
  int release() noexcept {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }

 private:
  int fd_ = -1;
};

/// openat with O_CLOEXEC, repeated where a signal interrupts it; not open() where it failed (errno says why).
FileDescriptor open_at(int folder, const std::string& path, int flags, unsigned mode = 0);

/// Whether all of it was written (errno says why not).
bool write_all(int fd, ByteView bytes);

/// Reads up to `out.size()` bytes from `offset`; how many came (fewer at the end of the file), or -1.
std::ptrdiff_t read_all(int fd, std::span<std::byte> out, std::uint64_t offset);

/// Throws the Error that `error` (an errno) means: `action` says what was tried ("put \"a/b\""), `root` is
/// the folder that the advice names.
[[noreturn]] void throw_file_error(int error, std::string_view action, const std::string& root);

}  // namespace db4::objects
