#include "base/document_block.hpp"

#include "base/hash.hpp"
#include "base/wiping.hpp"

#include <algorithm>
#include <new>

namespace db4::detail {

void retain(DocumentBlock* block) noexcept { block->references.fetch_add(1, std::memory_order_relaxed); }

void release(DocumentBlock* block) noexcept {
  if (block->references.fetch_sub(1, std::memory_order_acq_rel) == 1) {
    release_content(block->mutable_body(), block->body_size);
    block->~DocumentBlock();
    ::operator delete(static_cast<void*>(block));
  }
}

namespace {

// recent: the half window's number in the high half, then the counts of this one and of the one before.
constexpr std::uint32_t kMaxRecent = 0xFFFF;

constexpr std::uint64_t pack_recent(std::uint32_t number, std::uint32_t current,
                                    std::uint32_t previous) noexcept {
  return static_cast<std::uint64_t>(number) << 32 | std::min(current, kMaxRecent) << 16 |
         std::min(previous, kMaxRecent);
}

}  // namespace

std::uint32_t DocumentBlock::count_recent(std::int64_t now_us, std::int64_t half_window_us,
                                          std::uint32_t hits) noexcept {
  const std::uint64_t packed = recent.load(std::memory_order_relaxed);
  const auto number = static_cast<std::uint32_t>(now_us / half_window_us);
  const auto then = static_cast<std::uint32_t>(packed >> 32);
  std::uint32_t current = static_cast<std::uint32_t>(packed >> 16) & kMaxRecent;
  std::uint32_t previous = static_cast<std::uint32_t>(packed) & kMaxRecent;
  if (number != then) {
    previous = number == then + 1 ? current : 0;
    current = 0;
  }
  current += hits;
  recent.store(pack_recent(number, current, previous), std::memory_order_relaxed);
  return current + previous;
}

void DocumentBlock::set_recent(std::int64_t half_window_number, std::uint32_t current,
                               std::uint32_t previous) noexcept {
  recent.store(pack_recent(static_cast<std::uint32_t>(half_window_number), current, previous),
               std::memory_order_relaxed);
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
  out = std::copy(collection.begin(), collection.end(), out);
  out = std::copy(id.begin(), id.end(), out);
  std::copy(content_type.begin(), content_type.end(), out);
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
