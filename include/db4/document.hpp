#pragma once
// A document as it is read: shared, immutable, cheap to copy.

#include <db4/error.hpp>
#include <db4/tier.hpp>
#include <db4/types.hpp>

#include <nlohmann/json.hpp>

#include <atomic>
#include <string>
#include <utility>

namespace db4 {

/// What is known of a document besides its body.
struct DocumentMeta {
  Version version = 0;
  StorageTier tier = StorageTier::cold;
  std::uint64_t size = 0;  ///< bytes of the body as it was written
  std::string content_type = {};
  TimePoint created_at{};
  TimePoint updated_at{};
  TimePoint accessed_at{};         ///< the last read or write
  std::uint64_t access_count = 0;  ///< reads, since the document was created
  std::uint32_t recent_access_count =
      0;  ///< reads within access_window (two buckets of half of it; never more)
};

namespace detail {

struct DocumentBlock;
DB4_API void retain(DocumentBlock* block) noexcept;
DB4_API void release(DocumentBlock* block) noexcept;

/// A counted reference to a DocumentBlock, the one allocation that holds a document in memory.
class BlockRef {
 public:
  BlockRef() noexcept = default;
  /// Takes over a reference that is already counted.
  static BlockRef adopt(DocumentBlock* block) noexcept { return BlockRef(block); }
  static BlockRef share(DocumentBlock* block) noexcept {
    if (block != nullptr) retain(block);
    return BlockRef(block);
  }
  BlockRef(const BlockRef& other) noexcept : block_(other.block_) {
    if (block_ != nullptr) retain(block_);
  }
  BlockRef(BlockRef&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  BlockRef& operator=(BlockRef other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~BlockRef() {
    if (block_ != nullptr) release(block_);
  }
  [[nodiscard]] DocumentBlock* get() const noexcept { return block_; }
  DocumentBlock* operator->() const noexcept { return block_; }
  DocumentBlock& operator*() const noexcept { return *block_; }
  explicit operator bool() const noexcept { return block_ != nullptr; }
  /// Gives the counted reference away.
  [[nodiscard]] DocumentBlock* detach() noexcept { return std::exchange(block_, nullptr); }

 private:
  explicit BlockRef(DocumentBlock* block) noexcept : block_(block) {}
  DocumentBlock* block_ = nullptr;
};

}  // namespace detail

/// One version of a document. Copies share the body; views from text() and bytes() live as long as any copy
/// does. Safe to read from many threads.
class DB4_API Document {
 public:
  [[nodiscard]] std::string_view collection() const noexcept;
  [[nodiscard]] std::string_view id() const noexcept;
  [[nodiscard]] Version version() const noexcept;
  /// Bytes of the body.
  [[nodiscard]] std::uint64_t size() const noexcept;
  /// The figures as they stood when the document was read.
  [[nodiscard]] DocumentMeta meta() const;

  /// The body, without copying. Not on a temporary: the view would outlive it.
  [[nodiscard]] ByteView bytes() const& noexcept;
  ByteView bytes() const&& = delete;
  [[nodiscard]] std::string_view text() const& noexcept;
  std::string_view text() const&& = delete;

  /// The body parsed as JSON. Throws unsupported where the document is not JSON (see content_type).
  [[nodiscard]] nlohmann::json json() const {
    const std::string_view body = text();
    nlohmann::json parsed = nlohmann::json::parse(body, nullptr, /*allow_exceptions=*/false);
    if (parsed.is_discarded()) {
      throw Error(ErrorCode::unsupported, "the document's body is not JSON", "read it with bytes() or text()")
          .with_context("json", collection(), id());
    }
    return parsed;
  }

  /// Time since this version was last confirmed to be the newest: 0 for an answer of the catalogue, more only
  /// where max_stale let a copy answer.
  [[nodiscard]] std::chrono::milliseconds age() const noexcept { return age_; }

  /// The tier whose copy gave the bytes.
  [[nodiscard]] StorageTier served_from() const noexcept { return served_from_; }

  // For db4's own use.
  Document(detail::BlockRef block, StorageTier tier, StorageTier served_from, TimePoint accessed_at,
           std::uint64_t access_count, std::uint32_t recent_access_count,
           std::chrono::milliseconds age) noexcept
      : block_(std::move(block)),
        accessed_at_(accessed_at),
        access_count_(access_count),
        age_(age),
        recent_access_count_(recent_access_count),
        tier_(tier),
        served_from_(served_from) {}

 private:
  detail::BlockRef block_;
  TimePoint accessed_at_;
  std::uint64_t access_count_;
  std::chrono::milliseconds age_;
  std::uint32_t recent_access_count_;
  StorageTier tier_;
  StorageTier served_from_;
};

/// The document for people: the members of its JSON object (or the body under "body"), with `id`, `tier` and
/// `_meta`.
inline nlohmann::json to_json(const Document& document) {
  const DocumentMeta meta = document.meta();
  nlohmann::json out = nlohmann::json::parse(document.text(), nullptr, false);
  if (out.is_discarded()) {
    out = nlohmann::json{{"body_bytes", document.size()}};
  } else if (!out.is_object()) {
    out = nlohmann::json{{"body", std::move(out)}};
  }
  out["id"] = std::string(document.id());
  out["tier"] = std::string(to_string(meta.tier));
  out["_meta"] = {{"collection", std::string(document.collection())},
                  {"version", meta.version},
                  {"size", meta.size},
                  {"content_type", meta.content_type},
                  {"created_at", meta.created_at.time_since_epoch().count()},
                  {"updated_at", meta.updated_at.time_since_epoch().count()},
                  {"accessed_at", meta.accessed_at.time_since_epoch().count()},
                  {"access_count", meta.access_count},
                  {"recent_access_count", meta.recent_access_count},
                  {"served_from", std::string(to_string(document.served_from()))}};
  return out;
}

}  // namespace db4
