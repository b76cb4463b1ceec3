#include "crypto/files.hpp"

#include <db4/error.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace db4::crypto {
namespace {

void check_private(int descriptor, const std::string& source) {
  struct stat found {};
  if (::fstat(descriptor, &found) != 0) throw_file_error(errno, "cannot look at " + source);
  const bool ours = found.st_uid == ::geteuid() || found.st_uid == 0;
  if (S_ISREG(found.st_mode) && ours && (found.st_mode & (S_IRWXG | S_IRWXO)) == 0) return;
  throw Error(ErrorCode::permission_denied,
              source + " is open to others, or is another user's, or is no file",
              "make it a file of the user that db4 runs as, with mode 600 (chmod 600)");
}

}  // namespace

FileDescriptor open_file(const std::string& path, int flags, unsigned mode) {
  int fd = -1;
  do {
    fd = ::open(path.c_str(), flags | O_CLOEXEC, mode);
  } while (fd < 0 && errno == EINTR);
  return FileDescriptor(fd);
}

std::ptrdiff_t read_up_to(int descriptor, std::span<std::byte> out) {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = ::read(descriptor, out.data() + done, out.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -1;
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return static_cast<std::ptrdiff_t>(done);
}

FileDescriptor open_private_file(const std::string& path, const std::string& source) {
  // Without waiting: what is there might be a pipe.
  FileDescriptor file = open_file(path, O_RDONLY | O_NONBLOCK);
  if (!file.open() && errno == ENOENT) {
    throw Error(ErrorCode::key_unavailable, source + " is not there", "put it there, or name the right file");
  }
  if (!file.open()) throw_file_error(errno, "cannot open " + source);
  check_private(file.get(), source);
  return file;
}

void write_and_sync(int descriptor, ByteView bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw_file_error(errno, "cannot write " + path);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  if (::fsync(descriptor) != 0) throw_file_error(errno, "cannot sync " + path);
}

void sync_folder_of(const std::filesystem::path& path) {
  const std::string folder = path.has_parent_path() ? path.parent_path().string() : ".";
  const FileDescriptor descriptor = open_file(folder, O_RDONLY | O_DIRECTORY);
  if (!descriptor.open() || ::fsync(descriptor.get()) != 0) throw_file_error(errno, "cannot sync " + folder);
}

void create_private_file(const std::filesystem::path& path, ByteView bytes) {
  const FileDescriptor file = open_file(path.string(), O_WRONLY | O_CREAT | O_EXCL, 0600);
  if (!file.open() && errno == EEXIST) {
    throw Error(ErrorCode::conflict, "the file " + path.string() + " exists",
                "name one that does not, or move it away");
  }
  if (!file.open()) throw_file_error(errno, "cannot create " + path.string());
  try {
    write_and_sync(file.get(), bytes, path.string());
    sync_folder_of(path);
  } catch (...) {
    ::unlink(path.c_str());
    throw;
  }
}

void throw_file_error(int error, std::string problem) {
  problem.append(": ").append(std::generic_category().message(error));
  switch (error) {
    case ENOSPC:
    case EDQUOT:
      throw Error(ErrorCode::resource_exhausted, std::move(problem),
                  "free space on its file system, then repeat");
    case EMFILE:
    case ENFILE:
      throw Error(ErrorCode::resource_exhausted, std::move(problem),
                  "raise the limit on open files (ulimit -n), then repeat");
    case EROFS:
      throw Error(ErrorCode::read_only, std::move(problem), "remount its file system writable");
    case EACCES:
    case EPERM:
      throw Error(ErrorCode::permission_denied, std::move(problem),
                  "give this process's user permission on it and on its folder");
    default:
      throw Error(ErrorCode::unavailable, std::move(problem),
                  "check that its folder is there and mounted, then repeat");
  }
}

}  // namespace db4::crypto
