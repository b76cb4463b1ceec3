#pragma once
// What uploads in parts must keep to, for the stores that check it themselves.

#include <db4/object_store.hpp>

#include <map>

namespace db4::objects {

/// What a store without rules of a provider allows: any size of parts, S3's number of them.
inline constexpr PartRules kFreePartRules{
    .min_part_size = 1, .max_part_size = 5ULL << 30, .max_parts = 10'000, .max_object_size = 1ULL << 53};

/// Throws invalid_argument where `part_size` is outside of the rules.
void check_part_size(std::uint64_t part_size, const PartRules& rules);
/// Throws invalid_argument where the number, or the size of the part, is.
void check_part(std::uint32_t number, std::uint64_t size, std::uint64_t part_size, const PartRules& rules);
/// Throws invalid_argument unless `parts` are the stored ones, numbered 1 to n, all but the last of
/// `part_size`.
void check_completion(std::span<const ObjectPart> parts, const std::map<std::uint32_t, ObjectPart>& stored,
                      std::uint64_t part_size);
[[noreturn]] void throw_no_such_upload(std::string_view name, std::string_view upload_id);
/// The etag of a part: its CRC32C.
std::string crc_etag(ByteView body);
[[noreturn]] void throw_no_match(std::string_view name);

}  // namespace db4::objects
