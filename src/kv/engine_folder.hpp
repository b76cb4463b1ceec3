#pragma once
// The folder of an engine on disk: who holds it, what is in it, and how far it is known to be synced.
//
//   LOCK     locked while the engine is open; the holder's process id, for people
//   ENGINE   "db4-engine <type> <format>\n": what the rest of the folder is
//   SYNCED   a number that what recovery finds must reach (SyncedMark)

#include "base/file_descriptor.hpp"
#include "kv/engine.hpp"

#include <utility>

namespace db4::kv {

/// What `error` (an errno) means for `operation` on `path`.
Error to_system_error(int error, const std::string& operation, const std::filesystem::path& path);

/// Holds the folder's lock as long as it lives. The lock belongs to the open file, so it goes with the
/// process however that ends, and a second opening in the same process is refused like one in another.
class EngineFolder {
 public:
  /// Creates the folder where it is missing. Throws locked (naming the holder), unsupported for another type
  /// of engine or a newer format, corrupt for an ENGINE file that says neither, and what the system refuses.
  EngineFolder(std::filesystem::path path, std::string type, int format);

  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }
  /// Whether an engine was completely created here before: then its files must be there.
  [[nodiscard]] bool has_engine() const noexcept { return has_engine_; }
  /// Writes ENGINE, synced. Called when the engine's own files stand, so that a crash while they are created
  /// leaves a folder that counts as empty.
  void write_engine_file();
  /// The engine is closed: somebody else may open the folder.
  void unlock() noexcept { lock_ = FileDescriptor(); }

 private:
  void lock();
  void check_engine_file();

  std::filesystem::path path_;
  std::string type_;
  int format_;
  FileDescriptor lock_;
  bool has_engine_ = false;
};

/// A number, kept in the file SYNCED, which says how far the engine's log had been synced.
///
/// Both engines recover from their logs up to the first damaged record: right for one that a power cut tore,
/// but a damaged record further up would silently take every later one with it. So after a sync the log's
/// length is stored here, without a sync of its own: what reaches the disk late is merely lower, and a number
/// that recovery does not reach proves damage. Costs one write into the page cache for each sync.
class SyncedMark {
 public:
  explicit SyncedMark(const std::filesystem::path& folder);
  /// The number stored last; 0 where there is none or it is damaged itself.
  [[nodiscard]] std::uint64_t load() const;
  void store(std::uint64_t number) noexcept;
  /// Stores 0, synced: what the log held is safe elsewhere, and the next log starts from nothing.
  void clear();

 private:
  std::filesystem::path path_;
  FileDescriptor file_;
};

}  // namespace db4::kv
