#include "kv/rocksdb_log_file.hpp"

#include "kv/engine_folder.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <string>
#include <utility>

namespace db4::kv {
namespace {

using rocksdb::FileOptions;
using rocksdb::IODebugContext;
using rocksdb::IOOptions;
using rocksdb::IOStatus;

constexpr std::uint64_t kExtension = 512 << 10;
constexpr std::size_t kLargeAppend = 64 << 10;

/// Keeps zeros ahead of what is appended, through a descriptor of its own: RocksDB's writes at its own
/// position and does not know.
class LogFile final : public rocksdb::FSWritableFileOwnerWrapper {
 public:
  LogFile(std::unique_ptr<rocksdb::FSWritableFile> file, FileDescriptor descriptor)
      : FSWritableFileOwnerWrapper(std::move(file)), descriptor_(std::move(descriptor)) {}

  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options, IODebugContext* context) override {
    extend_for(data.size());
    const IOStatus status = FSWritableFileOwnerWrapper::Append(data, options, context);
    if (status.ok()) length_ += data.size();
    return status;
  }
  IOStatus Append(const rocksdb::Slice& data, const IOOptions& options, const rocksdb::DataVerificationInfo&,
                  IODebugContext* context) override {
    return Append(data, options, context);
  }

  // RocksDB would reserve blocks past the end, which does not spare the journal.
  void PrepareWrite(std::size_t, std::size_t, const IOOptions&, IODebugContext*) override {}
  IOStatus Allocate(std::uint64_t, std::uint64_t, const IOOptions&, IODebugContext*) override {
    return IOStatus::OK();
  }

  IOStatus Close(const IOOptions& options, IODebugContext* context) override {
    // What fails here leaves zeros that nobody minds.
    if (extended_ > length_) (void)!::ftruncate(descriptor_.get(), static_cast<off_t>(length_));
    return FSWritableFileOwnerWrapper::Close(options, context);
  }

 private:
  void extend_for(std::size_t bytes) {
    if (bytes >= kLargeAppend || length_ + bytes <= extended_) return;
    static const std::string zeros(kExtension, '\0');
    // A full disk shows at the append itself; without the extension that is only slower to sync.
    const ssize_t written =
        ::pwrite(descriptor_.get(), zeros.data(), zeros.size(), static_cast<off_t>(length_));
    if (written > 0) extended_ = length_ + static_cast<std::uint64_t>(written);
  }

  const FileDescriptor descriptor_;
  std::uint64_t length_ = 0;    ///< appended
  std::uint64_t extended_ = 0;  ///< the file's end
};

class LogExtendingFileSystem final : public rocksdb::FileSystemWrapper {
 public:
  LogExtendingFileSystem() : FileSystemWrapper(rocksdb::FileSystem::Default()) {}
  [[nodiscard]] const char* Name() const override { return "db4.LogExtendingFileSystem"; }

  IOStatus NewWritableFile(const std::string& name, const FileOptions& options,
                           std::unique_ptr<rocksdb::FSWritableFile>* result,
                           IODebugContext* context) override {
    const IOStatus status = FileSystemWrapper::NewWritableFile(name, options, result, context);
    if (!status.ok() || !name.ends_with(".log")) return status;
    if (const int fd = ::open(name.c_str(), O_WRONLY | O_CLOEXEC); fd >= 0) {
      *result = std::make_unique<LogFile>(std::move(*result), FileDescriptor(fd));
    }
    return status;
  }
};

}  // namespace

std::shared_ptr<rocksdb::FileSystem> make_log_extending_file_system() {
  return std::make_shared<LogExtendingFileSystem>();
}

}  // namespace db4::kv
