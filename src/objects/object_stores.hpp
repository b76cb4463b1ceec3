#pragma once
// objects: object stores and, later, their layers. Includes base only.

#include <db4/object_store.hpp>

#include <filesystem>
#include <memory>

namespace db4::objects {

/// Objects in memory, gone with the store. For tests and for ColdType::memory.
std::shared_ptr<ObjectStore> make_memory_object_store();

/// Objects as files under `root`, which is created. An object is written to a temporary name, synced,
/// renamed, and its folder synced. Throws permission_denied, read_only, unavailable.
std::shared_ptr<ObjectStore> make_filesystem_object_store(const std::filesystem::path& root);

}  // namespace db4::objects
