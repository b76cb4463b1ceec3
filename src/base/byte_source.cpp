#include "base/file_descriptor.hpp"

#include <db4/byte_source.hpp>
#include <db4/error.hpp>

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

namespace db4 {
namespace {

[[noreturn]] void cannot(const std::string& action, const std::filesystem::path& path, int error) {
  const auto code = error == EACCES || error == EPERM ? ErrorCode::permission_denied : ErrorCode::unavailable;
  throw Error(code, "cannot " + action + " " + path.string() + ": " + std::generic_category().message(error),
              code == ErrorCode::permission_denied ? "give this process's user permission to read it"
                                                   : "check that the file is there, then repeat");
}

class FileReader final : public ByteSource::Reader {
 public:
  explicit FileReader(std::filesystem::path path) : path_(std::move(path)) {
    // O_NONBLOCK: opening a pipe must not wait for somebody who writes.
    file_ = FileDescriptor(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    struct stat status {};
    if (!file_.open() || ::fstat(file_.get(), &status) != 0) cannot("read", path_, errno);
    if (!S_ISREG(status.st_mode)) {
      throw Error(ErrorCode::invalid_argument, path_.string() + " is no regular file",
                  "write what it gives into a file first: an upload reads its source more than once");
    }
    size_ = static_cast<std::uint64_t>(status.st_size);
    modified_ = TimePoint{std::chrono::duration_cast<std::chrono::microseconds>(
        std::chrono::seconds{status.st_mtim.tv_sec} + std::chrono::nanoseconds{status.st_mtim.tv_nsec})};
  }

  std::uint64_t size() const override { return size_; }
  std::optional<TimePoint> modified() const override { return modified_; }
  void read_at(std::uint64_t offset, std::span<std::byte> out) const override {
    while (!out.empty()) {
      const ssize_t got = ::pread(file_.get(), out.data(), out.size(), static_cast<off_t>(offset));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) cannot("read", path_, errno);
      if (got == 0) {
        throw Error(ErrorCode::unavailable,
                    path_.string() + " ends before its " + std::to_string(size_) + " bytes",
                    "leave the file as it is until it is uploaded");
      }
      out = out.subspan(static_cast<std::size_t>(got));
      offset += static_cast<std::uint64_t>(got);
    }
  }

 private:
  const std::filesystem::path path_;
  FileDescriptor file_;
  std::uint64_t size_ = 0;
  TimePoint modified_{};
};

/// Bytes in memory, its own or somebody else's.
class MemoryReader final : public ByteSource::Reader {
 public:
  explicit MemoryReader(ByteView view) : view_(view) {}
  explicit MemoryReader(Bytes bytes) : owned_(std::move(bytes)), view_(owned_) {}

  std::uint64_t size() const override { return view_.size(); }
  void read_at(std::uint64_t offset, std::span<std::byte> out) const override {
    std::ranges::copy(view_.subspan(offset, out.size()), out.begin());
  }

 private:
  const Bytes owned_;
  const ByteView view_;
};

}  // namespace

ByteSource ByteSource::file(const std::filesystem::path& path) {
  return ByteSource(std::make_shared<FileReader>(path));
}
ByteSource ByteSource::bytes(ByteView bytes) { return ByteSource(std::make_shared<MemoryReader>(bytes)); }
ByteSource ByteSource::owned(Bytes bytes) {
  return ByteSource(std::make_shared<MemoryReader>(std::move(bytes)));
}

}  // namespace db4
