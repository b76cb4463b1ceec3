#pragma once
// What an object may be called, and where its file lies. Any legal name has a path of its own below the root,
// and no path leads out of it.

#include <db4/types.hpp>

#include <optional>
#include <string>

namespace db4::objects {

/// Whether there is a control character in it: below U+0020, or U+007F.
bool has_control_characters(std::string_view text) noexcept;

/// Whether `name` is 1 to kMaxObjectNameBytes bytes of UTF-8 without control characters.
bool is_object_name(std::string_view name) noexcept;
/// Throws invalid_argument unless it is.
void require_object_name(std::string_view name);

/// Throws invalid_argument unless `limit` is 1 to 1,000.
void require_list_limit(std::size_t limit);

/// Relative to the root; `folder` is empty where the file lies in the root itself, and has no slash at its
/// end.
struct ObjectPath {
  std::string folder;
  std::string file;

  [[nodiscard]] std::string joined() const { return folder.empty() ? file : folder + "/" + file; }
  friend bool operator==(const ObjectPath&, const ObjectPath&) = default;
};

/// The mapping, in short: "a/b c" lies at "a/b%20c.obj".
///
/// A name is split at '/'; all parts but the last are folders, the last is a file. In a part, bytes outside
/// [A-Za-z0-9._-] and a leading '.' become %XX, so "." and ".." cannot occur and names that start with '.'
/// are free for the store itself. An empty part is a lone "%". A part of more than 200 encoded bytes is cut
/// into chunks, each but the last a folder whose name ends in "%" (file systems take 255 bytes at most).
/// Files end in ".obj"; in a folder whose name would end so that dot is %2E, so "a" and "a.obj/b" do not
/// meet. It relies on a file system that tells "A" from "a". On disk: never change it.
ObjectPath object_path(std::string_view name);

/// The folder of the names that start with `name_prefix`, which is empty (the root, "") or ends in '/'.
std::string folder_path(std::string_view name_prefix);

/// One entry of a folder, decoded; nullopt for what no name leads to (a stranger's file).
struct FolderEntry {
  enum class Kind {
    object,  ///< `part` is the last of a name
    folder,  ///< `part` is followed by '/'
    chain,   ///< `part` goes on in this folder
  };
  Kind kind;
  std::string part;
};
std::optional<FolderEntry> decode_entry(std::string_view entry);

}  // namespace db4::objects
