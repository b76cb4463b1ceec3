#include "live/protocol.hpp"

#include <mutex>

namespace db4 {

class LiveClient::State {
 public:
  explicit State(net::LocalSocket socket) noexcept : socket_(std::move(socket)) {}

  OperationReply run(std::string_view request_json, std::string_view body, const std::stop_token& stop) {
    const std::scoped_lock one_at_a_time(mutex_);
    if (request_json.size() > kMaxOperationRequestBytes || body.size() > kMaxBodyBytes) {
      throw Error(ErrorCode::too_large, "the request is over the limits of an operation",
                  "send a smaller one");
    }
    if (broken_) {
      throw Error(ErrorCode::unavailable, "the connection to the process that holds the store broke before",
                  "connect again");
    }
    // Until a whole answer is here: what else came would be taken for the answer to the next request.
    broken_ = true;
    const bool sent = live::send_frame(
        socket_,
        {.kind = live::FrameKind::request, .json = std::string(request_json), .body = std::string(body)});
    if (sent && stop.stop_possible() && !answers(stop)) {
      socket_.shut_down();
      throw Error(ErrorCode::cancelled, "interrupted: the process that holds the store does not answer",
                  "look whether what you asked for was done");
    }
    // Also where sending failed: whoever refused us may have said why.
    auto frame = live::receive_frame(socket_, live::kMaxReplyBytes, sent ? kLongestOperation : kLastWords);
    if (!frame || !sent) socket_.shut_down();
    if (!frame) {
      throw Error(ErrorCode::unavailable, "the process that holds the store closed the connection",
                  "it may be ending: repeat, and look whether what you asked for was done");
    }
    broken_ = !sent;
    if (frame->kind == live::FrameKind::error) throw live::decode_error(frame->json);
    return {.json = std::move(frame->json), .body = std::move(frame->body)};
  }

 private:
  /// False where a stop is asked for and no answer comes in the time that is left to it.
  [[nodiscard]] bool answers(const std::stop_token& stop) const {
    constexpr std::chrono::milliseconds kGlance{100};
    std::chrono::milliseconds waited{0};
    std::chrono::milliseconds since_stop{0};
    while (!socket_.readable(kGlance) && waited < kLongestOperation) {
      waited += kGlance;
      if (stop.stop_requested() && (since_stop += kGlance) > kAnswerAfterStop) return false;
    }
    return true;
  }

  /// Who was stopped still wants to hear what came of it.
  static constexpr std::chrono::milliseconds kAnswerAfterStop{3'000};
  /// A tiering run has bounds of its own; this one is against a holder that hangs.
  static constexpr std::chrono::milliseconds kLongestOperation{3'600'000};
  static constexpr std::chrono::milliseconds kLastWords{1'000};
  std::mutex mutex_;
  net::LocalSocket socket_;
  bool broken_ = false;
};

std::unique_ptr<LiveClient> LiveClient::connect(const std::filesystem::path& hot_path) {
  auto socket = net::LocalSocket::connect(hot_path, live::kSocketName);
  if (!socket) return nullptr;
  return std::unique_ptr<LiveClient>(new LiveClient(std::make_unique<State>(std::move(*socket))));
}

LiveClient::LiveClient(std::unique_ptr<State> state) noexcept : state_(std::move(state)) {}
LiveClient::~LiveClient() = default;

OperationReply LiveClient::run(std::string_view request_json, std::string_view body,
                               const std::stop_token& stop) {
  return state_->run(request_json, body, stop);
}

}  // namespace db4
