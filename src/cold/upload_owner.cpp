#include "cold/upload_owner.hpp"

#include <array>
#include <charconv>
#include <ctime>

namespace db4::cold {
namespace {

/// "2026-01-31 23:59:59 UTC".
std::string utc_text(TimePoint when) {
  const std::time_t seconds =
      std::chrono::duration_cast<std::chrono::seconds>(when.time_since_epoch()).count();
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  std::array<char, 64> text{};
  std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S UTC", &parts);
  return text.data();
}

}  // namespace

LostUpload::LostUpload(const std::string& upload_id)
    : Error(Error(ErrorCode::conflict,
                  "another node took the upload \"" + upload_id + "\" over, since this one was not heard of",
                  "list the uploads to see which one works on it, or how it ended")
                .with_upload_id(upload_id)) {}

Error owned_elsewhere(const UploadSession& session) {
  return Error(ErrorCode::conflict,
               "the upload \"" + session.upload_id + "\" is being sent by node " + node_name(session.owner) +
                   ", which has it until " + utc_text(session.owned_until),
               "wait for it, or stop it there; should that node be dead, repeat the call after that time")
      .with_upload_id(session.upload_id);
}

std::string node_name(std::uint64_t node) {
  char digits[16];
  const auto end = std::to_chars(digits, digits + sizeof digits, node, 16).ptr;
  return {digits, end};
}

}  // namespace db4::cold
