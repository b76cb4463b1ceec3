#pragma once
// objects: object stores and their layers. Includes base and net only.
//
// The stores themselves are public (<db4/object_stores.hpp>); here they go by the folder's namespace too.

#include <db4/object_stores.hpp>

namespace db4::objects {

using db4::make_filesystem_object_store;
using db4::make_memory_object_store;

}  // namespace db4::objects
