#pragma once
// Trained zstd dictionaries: what many small documents have in common, told to the compressor beforehand.

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace db4::codec {

/// The largest that is trained: on small JSON a larger one pays no more
/// (docs/decisions/0006-dictionaries.md).
inline constexpr std::size_t kMaxDictionaryBytes = 64ULL << 10;
/// Of a dictionary that is read: zstd itself takes any size.
inline constexpr std::size_t kMaxStoredDictionaryBytes = 4ULL << 20;
/// Bodies from this size on are compressed without: a dictionary helps where a body begins.
inline constexpr std::size_t kMaxDictionaryBody = 16ULL << 10;

/// One dictionary in zstd's own format (RFC 8878, section 5), so that `zstd -D` takes its bytes. Immutable;
/// thread-safe.
class Dictionary {
 public:
  /// For reading; with `level` (zstd 1 to 19, 0: the default) for writing too. Throws corrupt where the bytes
  /// are no dictionary with an id.
  explicit Dictionary(std::string bytes, std::optional<int> level = {});
  ~Dictionary();
  Dictionary(const Dictionary&) = delete;
  Dictionary& operator=(const Dictionary&) = delete;

  /// As its bytes and every frame made with it say; never 0.
  [[nodiscard]] std::uint32_t id() const noexcept { return id_; }
  [[nodiscard]] const std::string& bytes() const noexcept { return bytes_; }

  struct Prepared;  ///< zstd's tables; compress.cpp
  [[nodiscard]] const Prepared& prepared() const noexcept { return *prepared_; }

 private:
  const std::string bytes_;
  std::uint32_t id_ = 0;
  std::unique_ptr<const Prepared> prepared_;
};

/// The bytes of a dictionary made of `samples`, each a whole body; empty where they have too little in
/// common, or are too few, for zstd to make one. Its id is drawn from its content, in the range that RFC 8878
/// leaves to private use. Takes some 100 ms for a megabyte, on the calling thread.
std::string train_dictionary(std::span<const std::string_view> samples);

/// Gives readers the dictionaries that records name.
class DictionarySource {
 public:
  virtual ~DictionarySource() = default;
  /// Null where there is none of that id. Thread-safe.
  [[nodiscard]] virtual std::shared_ptr<const Dictionary> find_dictionary(std::uint32_t id) = 0;
};

}  // namespace db4::codec
