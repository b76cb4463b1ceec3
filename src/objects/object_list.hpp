#pragma once
// Listing a tree of object files in byte order of the objects' names.

#include <db4/object_store.hpp>

#include <sys/stat.h>

namespace db4::objects {

TimePoint modified_time(const struct stat& status) noexcept;
/// Tells the file from every other one that had its name: files never change in place, and what replaces one
/// is another inode, or the same one later.
std::string etag_of(const struct stat& status);

/// The names in a folder (relative to `root_fd`) but "." and "..", in no order; none where it does not exist.
/// Throws as throw_file_error.
std::vector<std::string> entries_of(int root_fd, const std::string& folder, const std::string& root_name);

/// ObjectStore::list over the paths of object_name.hpp. The encoding does not keep the order of names, so
/// each folder is read whole and sorted by decoded names, of which the first thousand or so are kept at a
/// time; folders that cannot hold a name that was asked for are not read. Cost of a page: the entries of the
/// folders on its way.
ObjectPage list_objects(int root_fd, const std::string& root_name, std::string_view prefix,
                        std::string_view after, std::size_t limit);

}  // namespace db4::objects
