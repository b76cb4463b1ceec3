#include "objects/object_list.hpp"

#include "objects/object_name.hpp"
#include "objects/posix_files.hpp"

#include <dirent.h>
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <memory>

namespace db4::objects {
namespace {

/// Entries of one folder that are kept in memory at a time.
constexpr std::size_t kLevelEntries = 1024;

/// Calls `visit` with each entry's name, "." and ".." left out.
void for_each_entry(int root_fd, const std::string& folder, const std::string& root_name,
                    const std::function<void(std::string_view)>& visit) {
  const auto fail = [&](int error) { throw_file_error(error, "list \"" + folder + "\"", root_name); };
  FileDescriptor fd = open_at(root_fd, folder.empty() ? "." : folder, O_RDONLY | O_DIRECTORY);
  if (!fd.open()) {
    if (errno == ENOENT || errno == ENOTDIR) return;  // nothing was ever put there, or a stranger's file
    fail(errno);
  }
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(fd.get()), &::closedir);
  if (!stream) fail(errno);
  fd.release();  // closedir closes it
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(stream.get());
    if (entry == nullptr && errno != 0) fail(errno);
    if (entry == nullptr) return;
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") visit(name);
  }
}

/// One page in the making: a walk through the folders in name order.
class Walk {
 public:
  Walk(int root_fd, const std::string& root_name, std::string_view prefix, std::string_view after,
       std::size_t limit)
      : root_fd_(root_fd), root_name_(root_name), prefix_(prefix), after_(after), limit_(limit) {}

  /// Visits a folder whose names all start with `names`. Returns once the page has one more than it needs.
  void visit(const std::string& folder, const std::string& names) {
    std::string cursor;
    for (;;) {
      Level level{.cursor = cursor, .entries = {}};
      gather(folder, names, level);
      std::sort_heap(level.entries.begin(), level.entries.end());
      for (const Entry& entry : level.entries) {
        if (page_.objects.size() > limit_) return;
        if (entry.object) {
          add(entry);
        } else {
          visit(entry.path, entry.name);
        }
      }
      if (level.entries.size() < kLevelEntries) return;
      cursor = level.entries.back().name;
    }
  }

  ObjectPage finish() {
    if (page_.objects.size() > limit_) {
      page_.objects.pop_back();
      page_.more = true;
    }
    return std::move(page_);
  }

 private:
  struct Entry {
    std::string name;  ///< an object's, or what all names in a folder start with
    std::string path;
    bool object = false;
    friend bool operator<(const Entry& a, const Entry& b) noexcept { return a.name < b.name; }
  };
  /// The first entries after the cursor, as a heap with the last on top.
  struct Level {
    std::string cursor;
    std::vector<Entry> entries;
  };

  /// Whether a name that starts with `start` may be asked for.
  bool may_hold(std::string_view start) const {
    const bool has_prefix = start.starts_with(prefix_) || prefix_.starts_with(start);
    return has_prefix && (start > after_ || after_.starts_with(start));
  }

  /// Collects a folder's entries. The chunks of a long part lie in folders of their own but belong here:
  /// their names stand among the others of this folder.
  void gather(const std::string& folder, const std::string& names, Level& level) const {
    for_each_entry(root_fd_, folder, root_name_, [&](std::string_view name) {
      auto decoded = decode_entry(name);
      if (!decoded) return;
      const bool object = decoded->kind == FolderEntry::Kind::object;
      Entry entry{names + decoded->part, folder, object};
      if (!folder.empty()) entry.path += '/';
      entry.path += name;
      if (decoded->kind == FolderEntry::Kind::chain) {
        if (may_hold(entry.name)) gather(entry.path, entry.name, level);
        return;
      }
      if (!object) entry.name += '/';
      if (object ? entry.name.starts_with(prefix_) && entry.name > after_ : may_hold(entry.name)) {
        keep(level, std::move(entry));
      }
    });
  }

  static void keep(Level& level, Entry entry) {
    if (entry.name <= level.cursor) return;
    level.entries.push_back(std::move(entry));
    std::push_heap(level.entries.begin(), level.entries.end());
    if (level.entries.size() <= kLevelEntries) return;
    std::pop_heap(level.entries.begin(), level.entries.end());
    level.entries.pop_back();
  }

  void add(const Entry& entry) {
    // A stranger's file may decode to a name that lives elsewhere; only what get() would find is listed.
    if (object_path(entry.name).joined() != entry.path) return;
    struct stat status {};
    if (::fstatat(root_fd_, entry.path.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
      if (errno == ENOENT) return;  // removed since the folder was read
      throw_file_error(errno, "list \"" + entry.name + "\"", root_name_);
    }
    if (!S_ISREG(status.st_mode)) return;
    page_.objects.push_back(
        {entry.name, static_cast<std::uint64_t>(status.st_size), modified_time(status), etag_of(status)});
  }

  const int root_fd_;
  const std::string& root_name_;
  const std::string_view prefix_;
  const std::string_view after_;
  const std::size_t limit_;
  ObjectPage page_;
};

}  // namespace

TimePoint modified_time(const struct stat& status) noexcept {
  const auto since =
      std::chrono::seconds{status.st_mtim.tv_sec} + std::chrono::nanoseconds{status.st_mtim.tv_nsec};
  return TimePoint{std::chrono::duration_cast<std::chrono::microseconds>(since)};
}

std::string etag_of(const struct stat& status) {
  const std::uint64_t modified = static_cast<std::uint64_t>(status.st_mtim.tv_sec) * 1'000'000'000U +
                                 static_cast<std::uint64_t>(status.st_mtim.tv_nsec);
  return std::to_string(status.st_ino) + "-" + std::to_string(modified) + "-" +
         std::to_string(status.st_size);
}

std::vector<std::string> entries_of(int root_fd, const std::string& folder, const std::string& root_name) {
  std::vector<std::string> names;
  for_each_entry(root_fd, folder, root_name, [&](std::string_view name) { names.emplace_back(name); });
  return names;
}

ObjectPage list_objects(int root_fd, const std::string& root_name, std::string_view prefix,
                        std::string_view after, std::size_t limit) {
  const std::size_t slash = prefix.rfind('/');
  const std::string names(prefix.substr(0, slash == std::string_view::npos ? 0 : slash + 1));
  Walk walk(root_fd, root_name, prefix, after, limit);
  walk.visit(folder_path(names), names);
  return walk.finish();
}

}  // namespace db4::objects
