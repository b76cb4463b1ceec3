#include "objects/filesystem_uploads.hpp"

#include "base/encoding.hpp"
#include "base/hash.hpp"
#include "objects/object_list.hpp"
#include "objects/object_name.hpp"
#include "objects/part_check.hpp"
#include "objects/posix_files.hpp"

#include <db4/error.hpp>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <functional>

namespace db4::objects {
namespace {

constexpr std::string_view kFolderStart = ".tmp/up-";
constexpr std::size_t kMaxReceiptBytes = 4096;

std::string part_file(const std::string& folder, std::uint32_t number) {
  const std::string digits = std::to_string(number);
  return folder + "/p" + std::string(5 - std::min<std::size_t>(5, digits.size()), '0') + digits;
}

bool is_upload_id(std::string_view id) {
  return id.size() == 16 &&
         std::ranges::all_of(id, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

/// Waits for the lock; false where it cannot be had (errno says why).
bool lock(int fd, int kind) {
  int result = 0;
  do result = ::flock(fd, kind);
  while (result != 0 && errno == EINTR);
  return result == 0;
}

bool write_at(int fd, ByteView bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    offset += static_cast<std::uint64_t>(written);
  }
  return true;
}

}  // namespace

void FilesystemUploads::fail(int error, std::string_view action, std::string_view name) const {
  throw_file_error(error, std::string(action) + " \"" + std::string(name) + "\"", root_name_);
}

/// Whole or not at all: a temporary name, a sync, a rename. The caller syncs the folder.
void FilesystemUploads::write_file(const std::string& path, std::string_view text,
                                   std::string_view name) const {
  const std::string temporary = path + ".new";
  const FileDescriptor file = open_at(root_, temporary, O_WRONLY | O_CREAT | O_TRUNC, 0666);
  if (!file.open() || !write_all(file.get(), as_bytes(text)) || ::fdatasync(file.get()) != 0 ||
      ::renameat(root_, temporary.c_str(), root_, path.c_str()) != 0) {
    fail(errno, "note the upload of", name);
  }
}

std::string FilesystemUploads::read_file(const std::string& path) const {
  const FileDescriptor file = open_at(root_, path, O_RDONLY | O_NOFOLLOW);
  if (!file.open()) return {};
  Bytes bytes(kMaxReceiptBytes);
  const std::ptrdiff_t got = read_all(file.get(), bytes, 0);
  return got < 0 ? std::string() : std::string(as_text(ByteView(bytes).first(static_cast<std::size_t>(got))));
}

void FilesystemUploads::sync_folder(const std::string& folder, std::string_view name) const {
  const FileDescriptor fd = open_at(root_, folder, O_RDONLY | O_DIRECTORY);
  if (!fd.open() || ::fsync(fd.get()) != 0) fail(errno, "sync the upload of", name);
}

std::string FilesystemUploads::begin(std::string_view name, std::uint64_t part_size) {
  require_object_name(name);
  check_part_size(part_size, kFreePartRules);
  std::string id;
  std::string folder;
  do {
    std::string bits;
    put_big_endian(bits, random_->next_u64());
    id = to_hex(as_bytes(bits));
    folder = std::string(kFolderStart) + id;
    errno = 0;
  } while (::mkdirat(root_, folder.c_str(), 0777) != 0 && errno == EEXIST);
  if (errno != 0) fail(errno, "begin the upload of", name);
  if (!open_at(root_, folder + "/data", O_WRONLY | O_CREAT | O_EXCL, 0666).open()) {
    fail(errno, "begin the upload of", name);
  }
  // Last: an upload whose folder has no such file was never begun.
  write_file(folder + "/upload", std::to_string(part_size) + "\n" + std::string(name), name);
  sync_folder(folder, name);
  sync_folder(".tmp", name);
  return id;
}

std::optional<FilesystemUploads::Upload> FilesystemUploads::find(std::string_view name,
                                                                 std::string_view upload_id) const {
  if (!is_upload_id(upload_id)) return std::nullopt;
  Upload upload;
  upload.folder = std::string(kFolderStart) + std::string(upload_id);
  const std::string text = read_file(upload.folder + "/upload");
  const std::size_t line = text.find('\n');
  if (line == std::string::npos) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + line, upload.part_size);
  if (error != std::errc() || end != text.data() + line) return std::nullopt;
  upload.name = text.substr(line + 1);
  struct stat status {};
  if (::fstatat(root_, (upload.folder + "/upload").c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0) {
    upload.started = modified_time(status);
  }
  if (!name.empty() && upload.name != name) return std::nullopt;
  return upload;
}

FilesystemUploads::Upload FilesystemUploads::require(std::string_view name,
                                                     std::string_view upload_id) const {
  require_object_name(name);
  auto upload = find(name, upload_id);
  if (!upload) throw_no_such_upload(name, upload_id);
  return std::move(*upload);
}

ObjectPart FilesystemUploads::put_part(std::string_view name, std::string_view upload_id,
                                       std::uint32_t number, ByteView body) {
  const Upload upload = require(name, upload_id);
  check_part(number, body.size(), upload.part_size, kFreePartRules);
  const std::string data = upload.folder + "/data";
  const FileDescriptor file = open_at(root_, data, O_WRONLY | O_NOFOLLOW);
  if (!file.open() && errno == ENOENT) throw_no_such_upload(name, upload_id);
  if (!file.open() || !lock(file.get(), LOCK_SH)) fail(errno, "put a part of", name);
  // Completed or aborted while we waited: the file under the lock may be an object by now.
  struct stat status {};
  if (::fstatat(root_, data.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    throw_no_such_upload(name, upload_id);
  }
  // A part that replaces one: for a while there is neither.
  const std::string receipt = part_file(upload.folder, number);
  if (::unlinkat(root_, receipt.c_str(), 0) == 0) sync_folder(upload.folder, name);
  if (!write_at(file.get(), body, (number - 1) * upload.part_size) || ::fdatasync(file.get()) != 0) {
    fail(errno, "put a part of", name);
  }
  ObjectPart part{number, body.size(), crc_etag(body)};
  write_file(receipt, std::to_string(part.size) + " " + part.etag, name);
  sync_folder(upload.folder, name);
  return part;
}

std::map<std::uint32_t, ObjectPart> FilesystemUploads::receipts(const Upload& upload) const {
  std::map<std::uint32_t, ObjectPart> parts;
  for (const std::string& entry : entries_of(root_, upload.folder, root_name_)) {
    ObjectPart part;
    const char* const end = entry.data() + entry.size();
    if (entry.size() < 6 || entry[0] != 'p') continue;
    const auto [stopped, error] = std::from_chars(entry.data() + 1, end, part.number);
    if (error != std::errc() || stopped != end) continue;  // ".new": a receipt in the making
    const std::string text = read_file(upload.folder + "/" + entry);
    const std::size_t space = text.find(' ');
    if (space == std::string::npos) continue;
    std::from_chars(text.data(), text.data() + space, part.size);
    part.etag = text.substr(space + 1);
    parts.emplace(part.number, std::move(part));
  }
  return parts;
}

void FilesystemUploads::complete(std::string_view name, std::string_view upload_id,
                                 std::span<const ObjectPart> parts,
                                 const std::function<void(const std::string& path)>& place) {
  const Upload upload = require(name, upload_id);
  const std::string data = upload.folder + "/data";
  const FileDescriptor file = open_at(root_, data, O_WRONLY | O_NOFOLLOW);
  if (!file.open() && errno == ENOENT) throw_no_such_upload(name, upload_id);
  if (!file.open() || !lock(file.get(), LOCK_EX)) fail(errno, "complete the upload of", name);
  check_completion(parts, receipts(upload), upload.part_size);
  const std::uint64_t size = (parts.size() - 1) * upload.part_size + parts.back().size;
  // A longer part that was replaced by a shorter one, or a part behind the last, may have left bytes.
  if (::ftruncate(file.get(), static_cast<off_t>(size)) != 0 || ::fsync(file.get()) != 0) {
    fail(errno, "complete the upload of", name);
  }
  place(data);
  remove_folder(upload);
}

void FilesystemUploads::abort(std::string_view name, std::string_view upload_id) {
  require_object_name(name);
  const auto upload = find(name, upload_id);
  if (!upload) return;
  const FileDescriptor file = open_at(root_, upload->folder + "/data", O_WRONLY | O_NOFOLLOW);
  if (file.open() && !lock(file.get(), LOCK_EX)) fail(errno, "abort the upload of", name);
  remove_folder(*upload);
}

/// `data` goes before the file that makes the folder an upload, so that nobody finds one without it; what a
/// crash leaves is removed by the next abort.
void FilesystemUploads::remove_folder(const Upload& upload) const {
  for (const std::string& entry : entries_of(root_, upload.folder, root_name_)) {
    if (entry != "upload") ::unlinkat(root_, (upload.folder + "/" + entry).c_str(), 0);
  }
  ::unlinkat(root_, (upload.folder + "/upload").c_str(), 0);
  if (::unlinkat(root_, upload.folder.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) {
    fail(errno, "remove the upload of", upload.name);
  }
}

std::optional<ObjectPartPage> FilesystemUploads::list_parts(std::string_view name, std::string_view upload_id,
                                                            std::uint32_t after, std::size_t limit) {
  require_list_limit(limit);
  require_object_name(name);
  const auto upload = find(name, upload_id);
  if (!upload) return std::nullopt;
  const auto parts = receipts(*upload);
  ObjectPartPage page;
  for (auto part = parts.upper_bound(after); part != parts.end(); ++part) {
    page.more = page.parts.size() == limit;
    if (page.more) break;
    page.parts.push_back(part->second);
  }
  return page;
}

PendingUploadPage FilesystemUploads::list(std::string_view prefix, const PendingUpload& after,
                                          std::size_t limit) {
  require_list_limit(limit);
  std::vector<PendingUpload> found;
  for (const std::string& entry : entries_of(root_, ".tmp", root_name_)) {
    if (!entry.starts_with("up-")) continue;
    const std::string id = entry.substr(3);
    auto upload = find({}, id);
    if (!upload || !upload->name.starts_with(prefix)) continue;
    if (std::tie(upload->name, id) <= std::tie(after.name, after.upload_id)) continue;
    found.push_back({std::move(upload->name), id, upload->started});
  }
  std::ranges::sort(found, {},
                    [](const PendingUpload& upload) { return std::tie(upload.name, upload.upload_id); });
  PendingUploadPage page;
  page.more = found.size() > limit;
  if (page.more) found.resize(limit);
  page.uploads = std::move(found);
  return page;
}

}  // namespace db4::objects
