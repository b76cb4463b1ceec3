#include "objects/posix_files.hpp"

#include <db4/error.hpp>

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace db4::objects {

FileDescriptor open_at(int folder, const std::string& path, int flags, unsigned mode) {
  int fd = -1;
  do {
    fd = ::openat(folder, path.c_str(), flags | O_CLOEXEC, mode);
  } while (fd < 0 && errno == EINTR);
  return FileDescriptor(fd);
}

bool write_all(int fd, ByteView bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return true;
}

std::ptrdiff_t read_all(int fd, std::span<std::byte> out, std::uint64_t offset) {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = ::pread(fd, out.data() + done, out.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -1;
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return static_cast<std::ptrdiff_t>(done);
}

void throw_file_error(int error, std::string_view action, const std::string& root) {
  std::string problem = "cannot ";
  problem.append(action).append(" below ").append(root).append(": ");
  problem.append(std::generic_category().message(error));
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      throw Error(ErrorCode::resource_exhausted, std::move(problem),
                  "free space (or inodes, or quota) on the file system of " + root + ", then repeat");
    case EFBIG:
      throw Error(ErrorCode::resource_exhausted, std::move(problem),
                  "raise the process's limit on file sizes (ulimit -f), then repeat");
    case EMFILE:
    case ENFILE:
      throw Error(ErrorCode::resource_exhausted, std::move(problem),
                  "raise the limit on open files (ulimit -n), then repeat");
    case ENOMEM:
      throw Error(ErrorCode::resource_exhausted, std::move(problem), "free memory, then repeat");
    case EROFS:
      throw Error(ErrorCode::read_only, std::move(problem),
                  "remount the file system of " + root + " writable");
    case EACCES:
    case EPERM:
      throw Error(
          ErrorCode::permission_denied, std::move(problem),
          "give this process's user read, write and search permission on " + root + " and all below it");
    case EIO:
      throw Error(ErrorCode::unavailable, std::move(problem),
                  "check the disk under " + root + " (dmesg), then repeat");
    default:
      throw Error(ErrorCode::unavailable, std::move(problem),
                  "check that " + root + " and its .tmp folder are there and mounted, then repeat");
  }
}

}  // namespace db4::objects
