#include "objects/part_check.hpp"

#include "base/encoding.hpp"
#include "base/hash.hpp"

#include <db4/error.hpp>

namespace db4::objects {

void check_part_size(std::uint64_t part_size, const PartRules& rules) {
  if (part_size >= rules.min_part_size && part_size <= rules.max_part_size) return;
  throw Error(ErrorCode::invalid_argument, "a part size of " + std::to_string(part_size) + " bytes",
              "use " + std::to_string(rules.min_part_size) + " to " + std::to_string(rules.max_part_size));
}

void check_part(std::uint32_t number, std::uint64_t size, std::uint64_t part_size, const PartRules& rules) {
  if (number == 0 || number > rules.max_parts) {
    throw Error(ErrorCode::invalid_argument, "part number " + std::to_string(number),
                "number the parts from 1 to " + std::to_string(rules.max_parts));
  }
  if (size == 0 || size > part_size) {
    throw Error(ErrorCode::invalid_argument,
                "part " + std::to_string(number) + " has " + std::to_string(size) + " bytes",
                "send 1 to " + std::to_string(part_size) + " bytes, as the upload was begun");
  }
}

void check_completion(std::span<const ObjectPart> parts, const std::map<std::uint32_t, ObjectPart>& stored,
                      std::uint64_t part_size) {
  if (parts.empty()) {
    throw Error(ErrorCode::invalid_argument, "an upload of no parts cannot be completed", "put a part first");
  }
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const ObjectPart& part = parts[i];
    const auto held = stored.find(part.number);
    const bool last = i + 1 == parts.size();
    if (part.number != i + 1 || held == stored.end() || held->second != part ||
        (!last && part.size != part_size)) {
      throw Error(ErrorCode::invalid_argument,
                  "part " + std::to_string(i + 1) + " is missing, another one, or of another size",
                  "put it again, then complete the upload");
    }
  }
}

void throw_no_such_upload(std::string_view name, std::string_view upload_id) {
  throw Error(ErrorCode::invalid_argument,
              "there is no upload \"" + std::string(upload_id) + "\" of \"" + std::string(name) + "\"",
              "it was completed, aborted or never begun: begin another one");
}

std::string crc_etag(ByteView body) {
  std::string bytes;
  put_big_endian(bytes, crc32c(body));
  return to_hex(as_bytes(bytes)).substr(8);
}

void throw_no_match(std::string_view name) {
  throw Error(ErrorCode::conflict, "the object \"" + std::string(name) + "\" is not the one expected",
              "look at it again, then decide anew");
}

}  // namespace db4::objects
