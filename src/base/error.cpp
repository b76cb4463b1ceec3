#include <db4/error.hpp>

#include <utility>

namespace db4 {

namespace {

// Names come from users: a line break in an id must not forge a line of somebody's log.
void append_escaped(std::string& out, std::string_view name) {
  constexpr std::string_view kHexDigits = "0123456789abcdef";
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7F) {
      out += c;
    } else {
      out += "\\x";
      out += kHexDigits[byte >> 4];
      out += kHexDigits[byte & 0xF];
    }
  }
}

std::string compose(const std::string& context, const std::string& problem, const std::string& advice) {
  std::string out = context + problem;
  if (!advice.empty()) out += "; " + advice;
  return out;
}

}  // namespace

std::string_view to_string(ErrorCode code) noexcept {
  switch (code) {
    case ErrorCode::invalid_argument:
      return "invalid_argument";
    case ErrorCode::conflict:
      return "conflict";
    case ErrorCode::resource_exhausted:
      return "resource_exhausted";
    case ErrorCode::too_large:
      return "too_large";
    case ErrorCode::unavailable:
      return "unavailable";
    case ErrorCode::deadline_exceeded:
      return "deadline_exceeded";
    case ErrorCode::cancelled:
      return "cancelled";
    case ErrorCode::corrupt:
      return "corrupt";
    case ErrorCode::locked:
      return "locked";
    case ErrorCode::permission_denied:
      return "permission_denied";
    case ErrorCode::key_unavailable:
      return "key_unavailable";
    case ErrorCode::key_destroyed:
      return "key_destroyed";
    case ErrorCode::read_only:
      return "read_only";
    case ErrorCode::unsupported:
      return "unsupported";
    case ErrorCode::internal:
      return "internal";
  }
  return "unknown";
}

std::optional<ErrorCode> error_code_from_string(std::string_view name) noexcept {
  for (int value = 0; value <= static_cast<int>(ErrorCode::internal); ++value) {
    const auto code = static_cast<ErrorCode>(value);
    if (name == to_string(code)) return code;
  }
  return std::nullopt;
}

Error::Error(ErrorCode code, std::string problem, std::string advice)
    : Error(code, {}, std::move(problem), std::move(advice)) {}

Error::Error(ErrorCode code, std::string context, std::string problem, std::string advice)
    : std::runtime_error(compose(context, problem, advice)),
      code_(code),
      context_(std::move(context)),
      problem_(std::move(problem)),
      advice_(std::move(advice)) {}

Error Error::with_context(std::string_view operation, std::string_view collection,
                          std::string_view id) const {
  std::string context(operation);
  if (!collection.empty() || !id.empty()) {
    context += ' ';
    append_escaped(context, collection);
  }
  if (!id.empty()) {
    context += '/';
    append_escaped(context, id);
  }
  Error out(code_, context + ": " + context_, problem_, advice_);
  out.upload_id_ = upload_id_;
  out.current_version_ = current_version_;
  return out;
}

Error Error::with_current_version(Version version) const {
  Error out(ErrorCode::conflict, context_, problem_, advice_);
  out.upload_id_ = upload_id_;
  out.current_version_ = version;
  return out;
}

Error Error::with_upload_id(std::string_view upload_id) const {
  Error out = *this;
  out.upload_id_ = upload_id;
  return out;
}

bool Error::retryable() const noexcept {
  return code_ == ErrorCode::resource_exhausted || code_ == ErrorCode::unavailable ||
         code_ == ErrorCode::deadline_exceeded || code_ == ErrorCode::locked;
}

}  // namespace db4
