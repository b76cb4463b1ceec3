#include "kv/engine_folder.hpp"

#include "base/encoding.hpp"
#include "base/hash.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

namespace db4::kv {

namespace {

constexpr std::size_t kMaxSmallFile = 256;

FileDescriptor open_file(const std::filesystem::path& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
  if (fd < 0) throw to_system_error(errno, "open", path);
  return FileDescriptor(fd);
}

std::string read_start(const FileDescriptor& file, const std::filesystem::path& path) {
  std::string text(kMaxSmallFile, '\0');
  const ssize_t got = ::pread(file.get(), text.data(), text.size(), 0);
  if (got < 0) throw to_system_error(errno, "read", path);
  text.resize(static_cast<std::size_t>(got));
  return text;
}

void write_whole(const FileDescriptor& file, const std::filesystem::path& path, std::string_view text) {
  const ssize_t put = ::pwrite(file.get(), text.data(), text.size(), 0);
  if (put < 0) throw to_system_error(errno, "write", path);
  if (static_cast<std::size_t>(put) != text.size()) throw to_system_error(ENOSPC, "write", path);
}

void sync_file(const FileDescriptor& file, const std::filesystem::path& path) {
  if (::fsync(file.get()) != 0) throw to_system_error(errno, "sync", path);
}

}  // namespace

Error to_system_error(int error, const std::string& operation, const std::filesystem::path& path) {
  const std::string problem = "cannot " + operation + " " + path.string() + ": " + std::strerror(error);
  switch (error) {
    case EACCES:
    case EPERM:
      return {ErrorCode::permission_denied, problem,
              "give the user of this process read and write access to the folder"};
    case EROFS:
      return {ErrorCode::read_only, problem, "choose a folder on a file system mounted for writing"};
    case ENOSPC:
    case EDQUOT:
      return {ErrorCode::resource_exhausted, problem, "free space on that disk, then repeat"};
    case EMFILE:
    case ENFILE:
      return {ErrorCode::resource_exhausted, problem, "raise the limit of open files, then repeat"};
    case EEXIST:
    case ENOTDIR:
    case EISDIR:
    case ENAMETOOLONG:
      return {ErrorCode::invalid_argument, problem, "name a folder as the path"};
    default:
      return {ErrorCode::unavailable, problem, "check the disk, then repeat"};
  }
}

EngineFolder::EngineFolder(std::filesystem::path path, std::string type, int format)
    : path_(std::move(path)), type_(std::move(type)), format_(format) {
  if (path_.empty()) {
    throw Error(ErrorCode::invalid_argument, "the " + type_ + " engine has no path",
                "set the path to a folder of its own");
  }
  std::error_code failed;
  std::filesystem::create_directories(path_, failed);
  if (failed) throw to_system_error(failed.value(), "create", path_);
  lock();
  check_engine_file();
}

void EngineFolder::lock() {
  const auto name = path_ / "LOCK";
  lock_ = open_file(name, O_RDWR | O_CREAT);
  struct flock whole_file = {};
  whole_file.l_type = F_WRLCK;
  whole_file.l_whence = SEEK_SET;
  if (::fcntl(lock_.get(), F_OFD_SETLK, &whole_file) != 0) {
    if (errno != EAGAIN && errno != EACCES) throw to_system_error(errno, "lock", name);
    std::string holder = read_start(lock_, name);
    holder.resize(std::min(holder.find('\n'), holder.size()));
    const bool ours = holder == std::to_string(::getpid());
    throw Error(ErrorCode::locked,
                path_.string() + " is open in " + (ours ? "this process, " : "process ") + holder,
                ours ? "close the store that has it open first"
                     : "stop that process, or give this store a folder of its own");
  }
  if (::ftruncate(lock_.get(), 0) != 0) throw to_system_error(errno, "write", name);
  write_whole(lock_, name, std::to_string(::getpid()) + "\n");
}

void EngineFolder::check_engine_file() {
  const auto name = path_ / "ENGINE";
  if (!std::filesystem::exists(name)) return;
  const std::string text = read_start(open_file(name, O_RDONLY), name);
  std::string type(kMaxSmallFile, '\0');
  int format = 0;
  if (std::sscanf(text.c_str(), "db4-engine %255s %d", type.data(), &format) != 2) {
    throw Error(ErrorCode::corrupt, name.string() + " is not readable",
                "restore it from a backup; for a store of this release it says 'db4-engine " + type_ + " " +
                    std::to_string(format_) + "'");
  }
  type.resize(std::strlen(type.c_str()));
  if (type != type_) {
    throw Error(ErrorCode::unsupported, path_.string() + " holds a store of type " + type + ", not " + type_,
                "open it as " + type + ", or give this store a folder of its own");
  }
  if (format > format_) {
    throw Error(ErrorCode::unsupported,
                path_.string() + " is of format " + std::to_string(format) + "; this build reads up to " +
                    std::to_string(format_),
                "open it with the newer db4 that wrote it");
  }
  has_engine_ = true;
}

void EngineFolder::write_engine_file() {
  if (has_engine_) return;
  const auto name = path_ / "ENGINE";
  const auto temporary = path_ / "ENGINE.new";
  {
    const FileDescriptor file = open_file(temporary, O_WRONLY | O_CREAT | O_TRUNC);
    write_whole(file, temporary, "db4-engine " + type_ + " " + std::to_string(format_) + "\n");
    sync_file(file, temporary);
  }
  std::error_code failed;
  std::filesystem::rename(temporary, name, failed);
  if (failed) throw to_system_error(failed.value(), "rename", temporary);
  sync_file(open_file(path_, O_RDONLY | O_DIRECTORY), path_);
  has_engine_ = true;
}

SyncedMark::SyncedMark(const std::filesystem::path& folder)
    : path_(folder / "SYNCED"), file_(open_file(path_, O_RDWR | O_CREAT)) {}

std::uint64_t SyncedMark::load() const {
  const std::string text = read_start(file_, path_);
  Reader reader(text);
  const std::string_view number = reader.bytes(sizeof(std::uint64_t));
  const auto checksum = reader.fixed<std::uint32_t>();
  if (!reader.done() || checksum != crc32c(as_bytes(number))) return 0;
  return load_fixed<std::uint64_t>(number.data());
}

void SyncedMark::store(std::uint64_t number) noexcept {
  char bytes[sizeof(std::uint64_t) + sizeof(std::uint32_t)];
  std::memcpy(bytes, &number, sizeof number);
  const std::uint32_t checksum = crc32c(as_bytes({bytes, sizeof number}));
  std::memcpy(bytes + sizeof number, &checksum, sizeof checksum);
  // A mark that could not be written stays lower than it might be, and the commit it stands for is durable
  // all the same: nothing to report.
  [[maybe_unused]] const ssize_t put = ::pwrite(file_.get(), bytes, sizeof bytes, 0);
}

void SyncedMark::clear() {
  store(0);
  sync_file(file_, path_);
}

}  // namespace db4::kv
