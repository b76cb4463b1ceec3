#include "objects/filesystem_uploads.hpp"
#include "objects/object_list.hpp"
#include "objects/object_name.hpp"
#include "objects/part_check.hpp"
#include "objects/posix_files.hpp"

#include <db4/clock.hpp>
#include <db4/error.hpp>
#include <db4/object_stores.hpp>
#include <db4/random.hpp>

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <unordered_set>

namespace db4::objects {
namespace {

constexpr const char* kTemporaryFolder = ".tmp";
constexpr const char* kNamesLock = ".names.lock";
constexpr auto kAbandonedAfter = std::chrono::hours{1};
/// Folders remembered as durable; past this they are forgotten and cost a few syncs again.
constexpr std::size_t kMaxKnownFolders = 4096;

std::string quoted(std::string_view action, std::string_view name) {
  return std::string(action) + " \"" + std::string(name) + "\"";
}

/// Every path is relative to the root's descriptor: it stays short, and moving the root does no harm.
///
/// What a put leaves behind at each moment of a crash: a file in .tmp (removed by a later open), or the whole
/// object. Its bytes are synced before it gets its name, its folder after, and the folders above when they
/// are first used. Open files: two for each call that runs. Folders that become empty stay: removing one
/// would race with the put that is about to use it, and names fan out over few folders.
class FilesystemObjectStore final : public ObjectStore {
 public:
  explicit FilesystemObjectStore(const std::filesystem::path& root);

  PutResult put(std::string_view name, ByteView body, const PutOptions& options) override;
  std::optional<Bytes> get(std::string_view name, std::uint64_t max_bytes, const CallOptions& call) override;
  std::optional<Bytes> get_range(std::string_view name, std::uint64_t offset, std::uint64_t length,
                                 const CallOptions& call) override;
  std::optional<ObjectInfo> head(std::string_view name, const CallOptions& call) override;
  bool remove(std::string_view name, const CallOptions& call) override;
  ObjectPage list(std::string_view prefix, std::string_view after, std::size_t limit,
                  const CallOptions& call) override;

  [[nodiscard]] PartRules part_rules() const override { return kFreePartRules; }
  std::string begin_multipart(std::string_view name, std::uint64_t part_size, const CallOptions&) override {
    return uploads_->begin(name, part_size);
  }
  ObjectPart put_part(std::string_view name, std::string_view upload_id, std::uint32_t number, ByteView body,
                      const CallOptions&) override {
    return uploads_->put_part(name, upload_id, number, body);
  }
  PutResult complete_multipart(std::string_view name, std::string_view upload_id,
                               std::span<const ObjectPart> parts, const CallOptions& call) override;
  void abort_multipart(std::string_view name, std::string_view upload_id, const CallOptions&) override {
    uploads_->abort(name, upload_id);
  }
  std::optional<ObjectPartPage> list_parts(std::string_view name, std::string_view upload_id,
                                           std::uint32_t after, std::size_t limit,
                                           const CallOptions&) override {
    return uploads_->list_parts(name, upload_id, after, limit);
  }
  PendingUploadPage list_multipart(std::string_view prefix, const PendingUpload& after, std::size_t limit,
                                   const CallOptions&) override {
    return uploads_->list(prefix, after, limit);
  }
  [[nodiscard]] std::string part_digest(ByteView body) const override { return crc_etag(body); }

 private:
  struct OpenObject {
    FileDescriptor file;
    std::uint64_t size = 0;
  };
  class TemporaryFile;

  [[noreturn]] void fail(int error, std::string_view action, std::string_view name) const {
    throw_file_error(error, quoted(action, name), root_name_);
  }
  void create_root(const std::filesystem::path& root);
  void remove_abandoned_files();
  std::optional<OpenObject> open_object(std::string_view action, std::string_view name) const;
  Bytes read(const OpenObject& object, std::uint64_t offset, std::uint64_t length,
             std::string_view name) const;
  /// Whether the file at `from` became the object; errno says why not.
  bool place(const std::string& from, const std::string& to, const PutOptions& options,
             std::string_view name) const;
  /// Puts a finished, synced file under the object's name, durably.
  std::string publish(const std::string& from, std::string_view name, const PutOptions& options);
  /// Held as long as the file: see place().
  FileDescriptor lock_names(int kind, std::string_view name) const;
  void ensure_folder(const std::string& folder, std::string_view name);
  void sync_folder(const std::string& folder, std::string_view action, std::string_view name) const;

  const std::string root_name_;
  const std::shared_ptr<RandomSource> random_ = system_random();
  FileDescriptor root_;
  std::optional<FilesystemUploads> uploads_;
  std::mutex folders_mutex_;
  std::unordered_set<std::string> known_folders_;  ///< exist, and would after a power cut
};

/// A new file in .tmp, removed with this unless it was renamed. It is locked while its writer lives, which is
/// how an abandoned one is told from one that takes long.
class FilesystemObjectStore::TemporaryFile {
 public:
  TemporaryFile(const FilesystemObjectStore& store, std::string_view name) : root_(store.root_.get()) {
    do {  // a forked process may draw the same bits
      const std::uint64_t bits = store.random_->next_u64();
      path_ = std::string(kTemporaryFolder) + "/" + to_name(bits);
      file_ = open_at(root_, path_, O_WRONLY | O_CREAT | O_EXCL, 0666);
    } while (!file_.open() && errno == EEXIST);
    if (!file_.open()) store.fail(errno, "create a temporary file for", name);
    // A file system without locks keeps abandoned files: a cost, not a fault.
    ::flock(file_.get(), LOCK_EX | LOCK_NB);
  }
  ~TemporaryFile() {
    if (!path_.empty()) ::unlinkat(root_, path_.c_str(), 0);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  [[nodiscard]] int fd() const noexcept { return file_.get(); }
  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  void renamed() noexcept { path_.clear(); }

 private:
  static std::string to_name(std::uint64_t bits) {
    std::string name(16, '0');
    for (char& c : name) {
      c = "0123456789abcdef"[bits & 15];
      bits >>= 4;
    }
    return name;
  }

  const int root_;
  std::string path_;
  FileDescriptor file_;
};

FilesystemObjectStore::FilesystemObjectStore(const std::filesystem::path& root)
    : root_name_(root.lexically_normal().string()) {
  if (root.empty()) {
    throw Error(ErrorCode::invalid_argument, "no folder is given for the objects", "set cold.path");
  }
  create_root(root);
  root_ = open_at(AT_FDCWD, root.string(), O_RDONLY | O_DIRECTORY);
  if (!root_.open()) throw_file_error(errno, "open the object store", root_name_);
  if (::mkdirat(root_.get(), kTemporaryFolder, 0777) != 0 && errno != EEXIST) {
    throw_file_error(errno, "create the .tmp folder", root_name_);
  }
  remove_abandoned_files();
  uploads_.emplace(root_.get(), root_name_, random_);
}

/// Creates what is missing of the root, each folder synced into the one above.
void FilesystemObjectStore::create_root(const std::filesystem::path& root) {
  std::vector<std::filesystem::path> missing;
  std::error_code ignored;  // what cannot be looked at cannot be created either, and that error is reported
  std::filesystem::path folder = std::filesystem::absolute(root).lexically_normal();
  if (!folder.has_filename()) folder = folder.parent_path();
  for (; !std::filesystem::exists(folder, ignored) && folder.has_relative_path();
       folder = folder.parent_path()) {
    missing.push_back(folder);
  }
  for (auto next = missing.rbegin(); next != missing.rend(); ++next) {
    if (::mkdir(next->c_str(), 0777) != 0 && errno != EEXIST) {
      throw_file_error(errno, "create the object store's folder", root_name_);
    }
    const FileDescriptor parent = open_at(AT_FDCWD, next->parent_path().string(), O_RDONLY | O_DIRECTORY);
    if (!parent.open() || ::fsync(parent.get()) != 0) {
      throw_file_error(errno, "sync the object store's folder", root_name_);
    }
  }
}

/// Removes temporary files whose writer died: old, and locked by nobody.
void FilesystemObjectStore::remove_abandoned_files() {
  const TimePoint now = system_clock()->now();
  for (const std::string& name : entries_of(root_.get(), kTemporaryFolder, root_name_)) {
    const std::string path = std::string(kTemporaryFolder) + "/" + name;
    const FileDescriptor file = open_at(root_.get(), path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
    struct stat status {};
    if (!file.open() || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) continue;
    if (now - modified_time(status) < kAbandonedAfter) continue;
    if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0) ::unlinkat(root_.get(), path.c_str(), 0);
  }
}

PutResult FilesystemObjectStore::put(std::string_view name, ByteView body, const PutOptions& options) {
  require_object_name(name);
  TemporaryFile temporary(*this, name);
  if (!write_all(temporary.fd(), body)) fail(errno, "put", name);
  if (::fdatasync(temporary.fd()) != 0) fail(errno, "sync", name);
  PutResult result{.etag = publish(temporary.path(), name, options)};
  if (!options.only_if_absent) temporary.renamed();
  return result;
}

std::string FilesystemObjectStore::publish(const std::string& from, std::string_view name,
                                           const PutOptions& options) {
  const ObjectPath path = object_path(name);
  struct stat status {};
  if (::fstatat(root_.get(), from.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) fail(errno, "put", name);
  ensure_folder(path.folder, name);
  bool placed = place(from, path.joined(), options, name);
  if (!placed && errno == ENOENT) {  // somebody removed the folder behind our back
    {
      const std::lock_guard lock(folders_mutex_);
      known_folders_.clear();
    }
    ensure_folder(path.folder, name);
    placed = place(from, path.joined(), options, name);
  }
  if (!placed && errno == EEXIST && options.only_if_absent) {
    throw Error(ErrorCode::conflict, quoted("the object", name) + " exists already", "use another name");
  }
  if (!placed) fail(errno, "put", name);
  sync_folder(path.folder, "sync the folder of", name);
  return etag_of(status);
}

/// A link fails where the name exists; a rename replaces it. Both are atomic. What compares an etag needs the
/// name to itself: it locks out whoever else would replace or remove an object, here and in other processes.
bool FilesystemObjectStore::place(const std::string& from, const std::string& to, const PutOptions& options,
                                  std::string_view name) const {
  const int root = root_.get();
  if (options.only_if_absent) return ::linkat(root, from.c_str(), root, to.c_str(), 0) == 0;
  const FileDescriptor names = lock_names(options.if_match.empty() ? LOCK_SH : LOCK_EX, name);
  if (!options.if_match.empty()) {
    struct stat held {};
    const bool exists = ::fstatat(root, to.c_str(), &held, AT_SYMLINK_NOFOLLOW) == 0;
    if (!exists || etag_of(held) != options.if_match) throw_no_match(name);
  }
  return ::renameat(root, from.c_str(), root, to.c_str()) == 0;
}

FileDescriptor FilesystemObjectStore::lock_names(int kind, std::string_view name) const {
  FileDescriptor file = open_at(root_.get(), kNamesLock, O_RDONLY | O_CREAT, 0666);
  int locked = -1;
  do locked = file.open() ? ::flock(file.get(), kind) : -1;
  while (locked != 0 && errno == EINTR);
  // Without locks (a file system that has none) only conditions cannot be kept.
  if (locked != 0 && kind == LOCK_EX) fail(errno, "lock the names for", name);
  return file;
}

PutResult FilesystemObjectStore::complete_multipart(std::string_view name, std::string_view upload_id,
                                                    std::span<const ObjectPart> parts,
                                                    const CallOptions& /*call*/) {
  PutResult result;
  uploads_->complete(name, upload_id, parts,
                     [&](const std::string& path) { result.etag = publish(path, name, {}); });
  return result;
}

/// Creates the folder and those above it, and syncs each into its parent, also where it exists already:
/// another thread or process may have made it and not come to its sync yet.
void FilesystemObjectStore::ensure_folder(const std::string& folder, std::string_view name) {
  if (folder.empty()) return;
  {
    const std::lock_guard lock(folders_mutex_);
    if (known_folders_.contains(folder)) return;
  }
  const std::size_t slash = folder.rfind('/');
  const std::string parent = slash == std::string::npos ? std::string() : folder.substr(0, slash);
  ensure_folder(parent, name);
  if (::mkdirat(root_.get(), folder.c_str(), 0777) != 0 && errno != EEXIST) {
    fail(errno, "create the folder of", name);
  }
  sync_folder(parent, "sync the folder above", name);
  const std::lock_guard lock(folders_mutex_);
  if (known_folders_.size() >= kMaxKnownFolders) known_folders_.clear();
  known_folders_.insert(folder);
}

/// Never repeated where it fails: the kernel may have dropped the pages and say yes the second time.
void FilesystemObjectStore::sync_folder(const std::string& folder, std::string_view action,
                                        std::string_view name) const {
  const FileDescriptor fd = open_at(root_.get(), folder.empty() ? "." : folder, O_RDONLY | O_DIRECTORY);
  if (!fd.open() || ::fsync(fd.get()) != 0) fail(errno, action, name);
}

std::optional<FilesystemObjectStore::OpenObject> FilesystemObjectStore::open_object(
    std::string_view action, std::string_view name) const {
  require_object_name(name);
  OpenObject object;
  object.file = open_at(root_.get(), object_path(name).joined(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!object.file.open() && errno == ENOENT) return std::nullopt;
  struct stat status {};
  if (!object.file.open() || ::fstat(object.file.get(), &status) != 0) fail(errno, action, name);
  if (!S_ISREG(status.st_mode)) fail(EISDIR, action, name);
  object.size = static_cast<std::uint64_t>(status.st_size);
  return object;
}

Bytes FilesystemObjectStore::read(const OpenObject& object, std::uint64_t offset, std::uint64_t length,
                                  std::string_view name) const {
  Bytes bytes(length);
  const std::ptrdiff_t got = read_all(object.file.get(), bytes, offset);
  if (got < 0) fail(errno, "get", name);
  // Objects never change in place, so an object that ends early was cut by somebody else.
  if (static_cast<std::uint64_t>(got) != length) fail(EIO, "get", name);
  return bytes;
}

std::optional<Bytes> FilesystemObjectStore::get(std::string_view name, std::uint64_t max_bytes,
                                                const CallOptions& /*call*/) {
  const auto object = open_object("get", name);
  if (!object) return std::nullopt;
  if (object->size > max_bytes) {
    throw Error(ErrorCode::too_large,
                quoted("the object", name) + " has " + std::to_string(object->size) + " bytes, over the " +
                    std::to_string(max_bytes) + " that were allowed",
                "read it in ranges or allow more");
  }
  return read(*object, 0, object->size, name);
}

std::optional<Bytes> FilesystemObjectStore::get_range(std::string_view name, std::uint64_t offset,
                                                      std::uint64_t length, const CallOptions& /*call*/) {
  const auto object = open_object("get a range of", name);
  if (!object) return std::nullopt;
  const std::uint64_t begin = std::min(offset, object->size);
  return read(*object, begin, std::min(length, object->size - begin), name);
}

std::optional<ObjectInfo> FilesystemObjectStore::head(std::string_view name, const CallOptions& /*call*/) {
  require_object_name(name);
  struct stat status {};
  if (::fstatat(root_.get(), object_path(name).joined().c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return std::nullopt;
    fail(errno, "look at", name);
  }
  return ObjectInfo{std::string(name), static_cast<std::uint64_t>(status.st_size), modified_time(status),
                    etag_of(status)};
}

bool FilesystemObjectStore::remove(std::string_view name, const CallOptions& /*call*/) {
  require_object_name(name);
  const ObjectPath path = object_path(name);
  const FileDescriptor names = lock_names(LOCK_SH, name);
  const bool removed = ::unlinkat(root_.get(), path.joined().c_str(), 0) == 0;
  if (!removed && errno != ENOENT) fail(errno, "remove", name);
  // Also where there was nothing: a remove that was cut off may have come before this one.
  const FileDescriptor folder =
      open_at(root_.get(), path.folder.empty() ? "." : path.folder, O_RDONLY | O_DIRECTORY);
  if (!folder.open() && errno == ENOENT) return removed;
  if (!folder.open() || ::fsync(folder.get()) != 0) fail(errno, "sync the folder of", name);
  return removed;
}

ObjectPage FilesystemObjectStore::list(std::string_view prefix, std::string_view after, std::size_t limit,
                                       const CallOptions& /*call*/) {
  require_list_limit(limit);
  return list_objects(root_.get(), root_name_, prefix, after, limit);
}

}  // namespace

}  // namespace db4::objects

namespace db4 {

std::shared_ptr<ObjectStore> make_filesystem_object_store(const std::filesystem::path& root) {
  return std::make_shared<objects::FilesystemObjectStore>(root);
}

}  // namespace db4
