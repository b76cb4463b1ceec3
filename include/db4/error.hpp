#pragma once
// Failures. A failure is a thrown db4::Error; an ordinary outcome (a miss, "nothing to move") is a value.

#include <db4/types.hpp>

#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace db4 {

/// Says what the caller should do, not where it happened.
enum class ErrorCode {
  invalid_argument,    ///< the call is wrong: change it
  conflict,            ///< somebody else wrote first: read again and decide
  resource_exhausted,  ///< a limit is reached (hot tier full, disk full): make room or wait, then repeat
  too_large,           ///< over a named limit: make it smaller
  unavailable,         ///< a backend cannot be reached or refuses: repeat later
  deadline_exceeded,   ///< not finished in the time given: repeat with more time
  cancelled,           ///< the caller asked to stop
  corrupt,             ///< stored bytes are damaged and no good copy is left
  locked,              ///< another process holds the store
  permission_denied,   ///< the system refuses access
  key_unavailable,     ///< the encryption key is not at hand
  key_destroyed,       ///< the encryption key is gone for good
  read_only,           ///< the store does not take writes (any more)
  unsupported,         ///< this build or backend cannot do it, or the data is of a newer format
  internal,            ///< a fault in db4: please report it
};

/// The code's name as written above, for logs and JSON.
DB4_API std::string_view to_string(ErrorCode code) noexcept;
/// The code of that name; nullopt for any other text.
DB4_API std::optional<ErrorCode> error_code_from_string(std::string_view name) noexcept;

/// What every failing call of db4 throws. The message names the operation and the document where there is
/// one, says what is wrong, and then what to do about it. Immutable; safe to copy between threads.
class DB4_API Error : public std::runtime_error {
 public:
  /// `problem`: what is wrong. `advice`: what to do, in the imperative ("free space on ..., then repeat").
  Error(ErrorCode code, std::string problem, std::string advice);

  /// The same failure with "operation collection/id: " in front; call it once, where the document is known.
  [[nodiscard]] Error with_context(std::string_view operation, std::string_view collection = {},
                                   std::string_view id = {}) const;

  /// The same failure, of kind `conflict`, with the version that stands now (0: the document is absent).
  [[nodiscard]] Error with_current_version(Version version) const;

  /// The same failure, of the upload with this id (UploadSession).
  [[nodiscard]] Error with_upload_id(std::string_view upload_id) const;

  [[nodiscard]] ErrorCode code() const noexcept { return code_; }

  /// Whether the very same call may succeed later: resource_exhausted, unavailable, deadline_exceeded,
  /// locked.
  [[nodiscard]] bool retryable() const noexcept;

  /// With `conflict` from `if_version`: the version that stands now. 0 where the document is absent, and for
  /// every other code.
  [[nodiscard]] Version current_version() const noexcept { return current_version_; }

  /// Of the upload that broke off and may be resumed; empty for what was no upload.
  [[nodiscard]] const std::string& upload_id() const noexcept { return upload_id_; }

  [[nodiscard]] const std::string& problem() const noexcept { return problem_; }
  [[nodiscard]] const std::string& advice() const noexcept { return advice_; }

 private:
  Error(ErrorCode code, std::string context, std::string problem, std::string advice);

  ErrorCode code_;
  std::string context_;
  std::string problem_;
  std::string advice_;
  std::string upload_id_;
  Version current_version_ = 0;
};

}  // namespace db4
