#pragma once
// ObjectOperation: the kinds of requests to an object store, as layers and figures name them.

#include <db4/types.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace db4 {

/// The calls of ObjectStore that reach the provider.
enum class ObjectOperation : std::uint8_t {
  put,
  get,
  get_range,
  head,
  remove,
  remove_many,
  list,
  begin_multipart,
  put_part,
  complete_multipart,
  abort_multipart,
  list_parts,
  list_multipart,
};
inline constexpr std::size_t kObjectOperations = 13;

/// As written above.
DB4_API std::string_view to_string(ObjectOperation operation) noexcept;

}  // namespace db4
