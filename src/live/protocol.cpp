#include "live/protocol.hpp"

#include "base/encoding.hpp"

#include <nlohmann/json.hpp>

namespace db4::live {
namespace {

constexpr std::string_view kMagic = "DB4L";

std::string frame_head(const Frame& frame) {
  std::string head(kMagic);
  put_fixed(head, kProtocolVersion);
  put_fixed(head, static_cast<std::uint16_t>(frame.kind));
  put_fixed(head, static_cast<std::uint32_t>(frame.json.size()));
  put_fixed(head, static_cast<std::uint32_t>(frame.body.size()));
  return head;
}

[[noreturn]] void not_a_frame() {
  throw Error(ErrorCode::invalid_argument, "the other end does not speak the protocol of db4's live socket",
              "connect with a db4 program, or see docs/live.md");
}

}  // namespace

bool send_frame(const net::LocalSocket& socket, const Frame& frame) {
  return socket.send(frame_head(frame), kFrameTimeout) && socket.send(frame.json, kFrameTimeout) &&
         socket.send(frame.body, kFrameTimeout);
}

std::optional<Frame> receive_frame(const net::LocalSocket& socket, std::uint32_t max_json,
                                   std::chrono::milliseconds timeout) {
  std::string head;
  if (!socket.receive(head, kFrameHeadBytes, timeout)) return std::nullopt;
  Reader in(head);
  if (in.bytes(kMagic.size()) != kMagic) not_a_frame();
  if (const auto version = in.fixed<std::uint16_t>(); version != kProtocolVersion) {
    throw Error(ErrorCode::unsupported,
                "the other end speaks version " + std::to_string(version) +
                    " of the live protocol, this one " + std::to_string(kProtocolVersion),
                "use the db4 program of the same release as the process that holds the store");
  }
  const auto kind = in.fixed<std::uint16_t>();
  const auto json_bytes = in.fixed<std::uint32_t>();
  const auto body_bytes = in.fixed<std::uint32_t>();
  if (kind < 1 || kind > 3) not_a_frame();
  if (json_bytes > max_json || body_bytes > kMaxBodyBytes) {
    throw Error(ErrorCode::too_large, "a message of the live socket is over its limit",
                "ask for less at once, or write the document in the process that holds the store");
  }
  Frame frame{.kind = static_cast<FrameKind>(kind), .json = {}, .body = {}};
  if (!socket.receive(frame.json, json_bytes, kFrameTimeout)) return std::nullopt;
  if (!socket.receive(frame.body, body_bytes, kFrameTimeout)) return std::nullopt;
  return frame;
}

std::string encode_error(const Error& error) {
  return nlohmann::json{{"error",
                         {{"code", to_string(error.code())},
                          {"message", error.what()},
                          {"problem", error.problem()},
                          {"advice", error.advice()},
                          {"current_version", error.current_version()}}}}
      // What is no UTF-8 in a message becomes U+FFFD: an error must always get through.
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Error decode_error(std::string_view json) {
  const auto parsed = nlohmann::json::parse(json, nullptr, false);
  if (!parsed.is_object() || !parsed.contains("error") || !parsed["error"].is_object()) not_a_frame();
  const nlohmann::json& error = parsed["error"];
  const auto text = [&](const char* name) {
    const auto found = error.find(name);
    return found != error.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  // With the operation and the document in front, as it was thrown over there.
  std::string problem = text("message");
  const std::string advice = text("advice");
  if (const std::string end = "; " + advice; !advice.empty() && problem.ends_with(end)) {
    problem.resize(problem.size() - end.size());
  }
  const Error out(error_code_from_string(text("code")).value_or(ErrorCode::internal), std::move(problem),
                  advice);
  if (out.code() != ErrorCode::conflict) return out;
  const auto version = error.find("current_version");
  return out.with_current_version(
      version != error.end() && version->is_number_unsigned() ? version->get<Version>() : 0);
}

}  // namespace db4::live
