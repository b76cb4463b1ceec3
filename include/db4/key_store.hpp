#pragma once
// KeyStore: where a key ring is kept. The ring is one small record, of some KiB, that is replaced as a whole.

#include <db4/types.hpp>

#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace db4 {

inline constexpr std::size_t kMaxKeyRingBytes = 1U << 20;  ///< the whole record

/// Keeps one key ring. Derive from it to keep it elsewhere. What it holds is wrapped by the master key and
/// authenticated by it: a store need not be secret, and need not be trusted with more than keeping it. It
/// must not lose it: without its key ring, nothing that was sealed can be opened.
///
/// Thread-safe, and safe between processes where several share it.
class DB4_API KeyStore {
 public:
  virtual ~KeyStore() = default;

  /// The ring as it stands; nullopt where there is none. Throws where that cannot be told.
  [[nodiscard]] virtual std::optional<std::string> load() = 0;

  /// Puts `ring` in the place of `expected` (nullopt: where there is none), as one step that happens or does
  /// not, and is durable when this returns true; false, with nothing changed, where something else stands
  /// there. Throws where it failed; then either stands there, and the next load tells which.
  [[nodiscard]] virtual bool replace(const std::optional<std::string>& expected, std::string_view ring) = 0;
};

/// In memory: for tests, and for what need not be opened after this process.
class DB4_API InMemoryKeyStore final : public KeyStore {
 public:
  [[nodiscard]] std::optional<std::string> load() override;
  [[nodiscard]] bool replace(const std::optional<std::string>& expected, std::string_view ring) override;

 private:
  std::mutex mutex_;
  std::optional<std::string> ring_;
};

/// In a file, which any number of processes of one machine may share. A change is written beside it
/// (`PATH.new`), synced, and renamed over it, under a lock on `PATH.lock`; the folder is created where it is
/// absent. Only this user may read what is created. Errors: permission_denied, resource_exhausted, read_only,
/// unavailable by what the system says, corrupt for a file over kMaxKeyRingBytes.
class DB4_API FileKeyStore final : public KeyStore {
 public:
  /// Touches nothing yet. Throws invalid_argument for an empty path.
  explicit FileKeyStore(std::filesystem::path path);
  [[nodiscard]] std::optional<std::string> load() override;
  [[nodiscard]] bool replace(const std::optional<std::string>& expected, std::string_view ring) override;

 private:
  std::filesystem::path path_;
  std::mutex mutex_;  // a lock on a file does not keep threads apart that share its descriptor
};

}  // namespace db4
