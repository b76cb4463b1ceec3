#include "base/document_block.hpp"

#include "base/hash.hpp"

#include <new>

namespace db4::detail {

void retain(DocumentBlock* block) noexcept { block->references.fetch_add(1, std::memory_order_relaxed); }

void release(DocumentBlock* block) noexcept {
  if (block->references.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    block->~DocumentBlock();
    ::operator delete(static_cast<void*>(block));
  }
}

BlockRef DocumentBlock::create(std::string_view collection, std::string_view id,
                               std::string_view content_type, std::size_t body_size) {
  const std::size_t key_size = 1 + collection.size() + id.size();
  void* memory = ::operator new(allocation_size(key_size, content_type.size(), body_size));
  auto* block = new (memory) DocumentBlock;
  block->collection_size = static_cast<std::uint8_t>(collection.size());
  block->id_size = static_cast<std::uint16_t>(id.size());
  block->content_type_size = static_cast<std::uint8_t>(content_type.size());
  block->body_size = static_cast<std::uint32_t>(body_size);
  char* out = reinterpret_cast<char*>(block + 1);
  *out++ = static_cast<char>(collection.size());
  out = static_cast<char*>(std::memcpy(out, collection.data(), collection.size())) + collection.size();
  out = static_cast<char*>(std::memcpy(out, id.data(), id.size())) + id.size();
  std::memcpy(out, content_type.data(), content_type.size());
  block->hash = hash_key(block->key());
  return BlockRef::adopt(block);
}

}  // namespace db4::detail

namespace db4 {

std::string_view Document::collection() const noexcept { return block_->collection(); }
std::string_view Document::id() const noexcept { return block_->id(); }
Version Document::version() const noexcept { return block_->version; }
std::uint64_t Document::size() const noexcept { return block_->body_size; }
ByteView Document::bytes() const& noexcept { return as_bytes(block_->body()); }
std::string_view Document::text() const& noexcept { return block_->body(); }

DocumentMeta Document::meta() const {
  return {.version = block_->version,
          .tier = tier_,
          .size = block_->body_size,
          .content_type = std::string(block_->content_type()),
          .created_at = TimePoint{std::chrono::microseconds{block_->created_at_us}},
          .updated_at = TimePoint{std::chrono::microseconds{block_->updated_at_us}},
          .accessed_at = accessed_at_,
          .access_count = access_count_,
          .recent_access_count = recent_access_count_};
}

}  // namespace db4
