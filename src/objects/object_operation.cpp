#include <db4/object_operation.hpp>

#include <array>

namespace db4 {

std::string_view to_string(ObjectOperation operation) noexcept {
  static constexpr std::array<std::string_view, kObjectOperations> kNames{"put",
                                                                          "get",
                                                                          "get_range",
                                                                          "head",
                                                                          "remove",
                                                                          "remove_many",
                                                                          "list",
                                                                          "begin_multipart",
                                                                          "put_part",
                                                                          "complete_multipart",
                                                                          "abort_multipart",
                                                                          "list_parts",
                                                                          "list_multipart"};
  const auto index = static_cast<std::size_t>(operation);
  return index < kNames.size() ? kNames[index] : std::string_view("unknown");
}

}  // namespace db4
