#pragma once
// Whose an upload is, where several nodes share the catalogue.
//
// A session that a node works on names the node and until when it has it. The node renews that every
// kUploadRenewal; one that died, or cannot reach the catalogue, loses it after kUploadLease, and another may
// take the session over. Every change that a node makes of a session, of its receipts, and the commit of the
// document itself, requires that the session still begins as this node's: so one that was taken for dead and
// comes back changes nothing any more, whatever the clocks say. At the object store it may still do what the
// new owner does too (send a part, complete the object); who names the object in a row is one of them.

#include <db4/error.hpp>
#include <db4/multipart.hpp>

#include <chrono>
#include <string>

namespace db4::cold {

inline constexpr std::chrono::minutes kUploadLease{1};
inline constexpr std::chrono::seconds kUploadRenewal{15};

/// Thrown into whatever works on a session that another node has by now: nothing of it is this node's to
/// touch any more. Code: conflict.
class LostUpload final : public Error {
 public:
  explicit LostUpload(const std::string& upload_id);
};

/// What who wants the session is told while its owner lives. Code: conflict.
Error owned_elsewhere(const UploadSession& session);

/// A node's number as it is shown: hexadecimal digits, as in InvalidationEvent::node_id.
std::string node_name(std::uint64_t node);

}  // namespace db4::cold
