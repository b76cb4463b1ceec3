#pragma once
// RedisBroadcastChannel: tells nodes on many machines what changed, over a stream in a Redis server.
//
//     cache.set_broadcast_channel(std::make_shared<db4::RedisBroadcastChannel>(
//         db4::RedisChannelOptions{.endpoint = "rediss://cache.example.com:6380",
//                                  .password = std::getenv("SHOP_REDIS_PASSWORD")}));
//
// The channel owns its connections, a thread that reads, and one for each subscription. docs/invalidation.md
// tells what it promises, docs/redis.md what it asks of the server.

#include <db4/broadcast_channel.hpp>
#include <db4/secret.hpp>

#include <filesystem>

namespace db4 {

/// Where the stream is, and how long to wait for it.
struct RedisChannelOptions {
  /// `redis://[user:password@]host[:port][/database]`, the same with `rediss://` for TLS,
  /// `unix:///path[?db=database]` or an absolute path.
  std::string endpoint = {};
  std::string username = {};
  Secret password = {};
  /// Certificates to trust, in PEM format; empty: those of the system. With rediss:// only.
  std::filesystem::path ca_file = {};
  /// The stream's key, of 1 to 256 bytes: channels of one key reach each other.
  std::string key = "db4:changes";
  /// Messages that the stream keeps at least, for those who were away; 1 to 1,000,000,000. The server may
  /// keep some hundred more. Some 100 bytes each, and their own.
  std::uint64_t max_length = 100'000;
  /// Of making a connection: finding the address, TLS and logging in included. Above 0.
  std::chrono::milliseconds connect_timeout{400};
  /// Of one exchange with the server, and of the wait for a free connection. Above 0; twice this and
  /// connect_timeout are together kMaxPublishWait at most.
  std::chrono::milliseconds timeout{250};
  /// Messages that wait for one receiver, above 0; past it they are dropped as a whole, and on_lost called.
  std::size_t max_queued = 8192;
};

/// Messages are entries of a stream, and each channel reads on from the last entry that it has seen. So
/// nothing is lost while a connection is away: it is made anew, after a pause drawn below a bound that
/// doubles from 50 ms to 2 s, and what came meanwhile is read then. What cannot be read any more is noticed,
/// and told by on_lost: entries that were trimmed away unread, and a server that came back without its data
/// or with older data.
///
/// publish() takes at most 64 messages in a call. Where it throws, some of them may arrive all the same, and
/// twice after a repetition. The codes: unavailable where the server is away or does not answer in time;
/// permission_denied, resource_exhausted (out of memory), read_only, unsupported where it answers and
/// refuses.
///
/// subscribe() asks the server for the stream's end where no other receiver is subscribed, and throws what
/// publish() would; else it asks nobody. A receiver may get some messages from before it subscribed. One that
/// is slow may hold up reading for a second, before its queue is dropped.
///
/// close() ends exchanges that run, and waits for connect_timeout at most, and for receivers that run.
class DB4_API RedisBroadcastChannel final : public BroadcastChannel {
 public:
  /// Connects to nobody yet. Throws invalid_argument, with the option's name, where one is out of range or
  /// the ca_file cannot be read.
  explicit RedisBroadcastChannel(const RedisChannelOptions& options);
  ~RedisBroadcastChannel() override;
  RedisBroadcastChannel(const RedisBroadcastChannel&) = delete;
  RedisBroadcastChannel& operator=(const RedisBroadcastChannel&) = delete;

  std::size_t publish(std::span<const std::string> messages) override;
  [[nodiscard]] Subscription subscribe(BroadcastReceiver receiver) override;
  [[nodiscard]] std::string name() const override;
  /// `lost` counts each gap in the stream as one message, since nobody knows how many there were.
  [[nodiscard]] BroadcastStats stats() const override;
  /// Why the stream cannot be read now; empty where it can, or nobody is subscribed.
  [[nodiscard]] std::string last_error() const;
  void close() override;

 private:
  struct DB4_INTERNAL State;
  std::shared_ptr<State> state_;
};

}  // namespace db4
