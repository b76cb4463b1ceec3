#pragma once
// Uploads in parts of the filesystem object store.

#include <db4/object_store.hpp>
#include <db4/random.hpp>

#include <functional>
#include <map>
#include <memory>
#include <string>

namespace db4::objects {

/// Each upload is a folder `.tmp/up-ID` below the root:
///
///     upload     the part size (decimal), a line feed, the object's name
///     data       the object in the making: part n from (n - 1) * part size on
///     p00001     the receipt of part 1: its size and etag; written when the part is synced
///
/// So completing copies nothing: `data` is cut to its length, renamed, and the folder goes. Thread-safe, also
/// between processes: `data` is locked, shared by writers of parts and alone by the one who completes or
/// aborts. Throws as the object store does.
class FilesystemUploads {
 public:
  /// `root` stays open as long as this lives.
  FilesystemUploads(int root, std::string root_name, std::shared_ptr<RandomSource> random)
      : root_(root), root_name_(std::move(root_name)), random_(std::move(random)) {}

  std::string begin(std::string_view name, std::uint64_t part_size);
  ObjectPart put_part(std::string_view name, std::string_view upload_id, std::uint32_t number, ByteView body);

  /// Checks the parts, then calls `place` with the path of the finished, synced data (relative to the root),
  /// which renames it; then removes what is left of the upload.
  void complete(std::string_view name, std::string_view upload_id, std::span<const ObjectPart> parts,
                const std::function<void(const std::string& path)>& place);
  void abort(std::string_view name, std::string_view upload_id);

  std::optional<ObjectPartPage> list_parts(std::string_view name, std::string_view upload_id,
                                           std::uint32_t after, std::size_t limit);
  PendingUploadPage list(std::string_view prefix, const PendingUpload& after, std::size_t limit);

 private:
  struct Upload {
    std::string folder;
    std::string name;
    std::uint64_t part_size = 0;
    TimePoint started{};
  };
  /// nullopt where there is none of this id (and, unless it is empty, for this name).
  std::optional<Upload> find(std::string_view name, std::string_view upload_id) const;
  Upload require(std::string_view name, std::string_view upload_id) const;
  std::map<std::uint32_t, ObjectPart> receipts(const Upload& upload) const;
  void write_file(const std::string& path, std::string_view text, std::string_view name) const;
  std::string read_file(const std::string& path) const;
  void sync_folder(const std::string& folder, std::string_view name) const;
  void remove_folder(const Upload& upload) const;
  [[noreturn]] void fail(int error, std::string_view action, std::string_view name) const;

  const int root_;
  const std::string root_name_;
  const std::shared_ptr<RandomSource> random_;
};

}  // namespace db4::objects
