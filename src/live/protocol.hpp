#pragma once
// live: a store that a process holds open can be asked from outside, by operations over a unix socket.
// Includes base and net. The protocol is described in docs/live.md.

#include "net/local_socket.hpp"

#include <db4/limits.hpp>
#include <db4/operations.hpp>

#include <cstdint>
#include <optional>
#include <string>

namespace db4::live {

inline constexpr const char* kSocketName = "live.sock";
inline constexpr std::uint16_t kProtocolVersion = 1;
inline constexpr std::size_t kFrameHeadBytes = 16;
inline constexpr std::uint32_t kMaxReplyBytes = 64U << 20;  ///< of a reply's JSON

enum class FrameKind : std::uint16_t { request = 1, reply = 2, error = 3 };

struct Frame {
  FrameKind kind = FrameKind::request;
  std::string json;
  std::string body;
};

/// How long the other end may be silent inside a frame.
inline constexpr std::chrono::milliseconds kFrameTimeout{30'000};
/// How long a connection may wait between requests.
inline constexpr std::chrono::milliseconds kIdleTimeout{300'000};

/// False where the other end is gone.
bool send_frame(const net::LocalSocket& socket, const Frame& frame);
/// nullopt where the other end is gone, or says nothing for `timeout`. Throws unsupported for another version
/// of the protocol, too_large past `max_json` or kMaxBodyBytes, invalid_argument for what is no frame.
std::optional<Frame> receive_frame(const net::LocalSocket& socket, std::uint32_t max_json,
                                   std::chrono::milliseconds timeout);

/// An error as JSON, and back.
std::string encode_error(const Error& error);
Error decode_error(std::string_view json);

}  // namespace db4::live
