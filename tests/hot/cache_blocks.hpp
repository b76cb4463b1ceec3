#pragma once
// Blocks for the tests of the document cache.

#include "base/document_block.hpp"

#include <algorithm>
#include <string>

namespace db4::hot {

inline detail::BlockRef make_block(std::string_view id, Version version, std::size_t body_size = 100) {
  detail::BlockRef block = detail::DocumentBlock::create("things", id, "application/json", body_size);
  std::fill_n(block->mutable_body(), body_size, static_cast<char>('a' + version % 26));
  block->version = version;
  return block;
}

/// The same with a hash of the test's choice.
inline detail::BlockRef make_block_with_hash(std::string_view id, Version version, std::uint64_t hash) {
  detail::BlockRef block = make_block(id, version);
  block->hash = hash;
  return block;
}

}  // namespace db4::hot
