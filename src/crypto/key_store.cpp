#include "crypto/files.hpp"

#include <db4/error.hpp>
#include <db4/key_store.hpp>

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <cstdio>
#include <system_error>

namespace db4 {
namespace {

using crypto::open_file;
using crypto::throw_file_error;

/// Holds the lock file until it goes. The system lets go of it when the process ends, however it ends.
FileDescriptor lock(const std::string& path) {
  FileDescriptor file = open_file(path, O_RDWR | O_CREAT, 0600);
  if (!file.open()) throw_file_error(errno, "cannot open " + path);
  while (::flock(file.get(), LOCK_EX) != 0) {
    if (errno != EINTR) throw_file_error(errno, "cannot lock " + path);
  }
  return file;
}

std::optional<std::string> read_ring(const std::string& path) {
  const FileDescriptor file = open_file(path, O_RDONLY);
  if (!file.open() && errno == ENOENT) return std::nullopt;
  if (!file.open()) throw_file_error(errno, "cannot open " + path);
  std::string ring(kMaxKeyRingBytes + 1, '\0');
  const std::ptrdiff_t size =
      crypto::read_up_to(file.get(), {reinterpret_cast<std::byte*>(ring.data()), ring.size()});
  if (size < 0) throw_file_error(errno, "cannot read " + path);
  if (static_cast<std::size_t>(size) > kMaxKeyRingBytes) {
    throw Error(ErrorCode::corrupt, path + " is too large to be a key ring", "name the file that holds one");
  }
  ring.resize(static_cast<std::size_t>(size));
  return ring;
}

}  // namespace

std::optional<std::string> InMemoryKeyStore::load() {
  const std::lock_guard lock(mutex_);
  return ring_;
}

bool InMemoryKeyStore::replace(const std::optional<std::string>& expected, std::string_view ring) {
  const std::lock_guard lock(mutex_);
  if (ring_ != expected) return false;
  ring_ = ring;
  return true;
}

FileKeyStore::FileKeyStore(std::filesystem::path path) : path_(std::move(path)) {
  if (!path_.has_filename()) {
    throw Error(ErrorCode::invalid_argument, "a key ring's path that names no file",
                "give the path of a file");
  }
}

std::optional<std::string> FileKeyStore::load() { return read_ring(path_.string()); }

bool FileKeyStore::replace(const std::optional<std::string>& expected, std::string_view ring) {
  const std::lock_guard guard(mutex_);
  const std::string path = path_.string();
  if (path_.has_parent_path()) {
    std::error_code failed;
    std::filesystem::create_directories(path_.parent_path(), failed);
    if (failed) throw_file_error(failed.value(), "cannot create the folder of " + path);
  }
  const FileDescriptor held = lock(path + ".lock");
  if (read_ring(path) != expected) return false;
  const std::string beside = path + ".new";  // one that a killed process left is overwritten
  const FileDescriptor file = open_file(beside, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (!file.open()) throw_file_error(errno, "cannot create " + beside);
  crypto::write_and_sync(file.get(), as_bytes(ring), beside);
  if (std::rename(beside.c_str(), path.c_str()) != 0) throw_file_error(errno, "cannot replace " + path);
  crypto::sync_folder_of(path_);
  return true;
}

}  // namespace db4
