// One client writes, in the threads that publish; the other reads, in a thread of its own that waits in
// XREAD. The reader posts to the receivers' queues and calls nobody, so whoever may wait for it.
#include "invalidation/receivers.hpp"
#include "invalidation/stream_position.hpp"
#include "net/redis_client.hpp"

#include <db4/clock.hpp>
#include <db4/error.hpp>
#include <db4/random.hpp>
#include <db4/redis_channel.hpp>

#include <algorithm>
#include <array>
#include <system_error>
#include <utility>

namespace db4 {
namespace {

using invalidation::EntryId;
using invalidation::Inbox;
using invalidation::StreamBatch;
using invalidation::StreamInfo;
using invalidation::StreamPosition;
using net::RedisError;
using net::RedisFailure;
using net::RedisReply;
using net::RedisWords;

constexpr std::string_view kNames = "RedisChannelOptions::";
constexpr std::size_t kMaxKeyBytes = 256;
constexpr std::uint64_t kMaxLength = 1'000'000'000;
/// Publishers at one moment; the others wait for a free connection.
constexpr std::size_t kPublishingConnections = 4;

/// How long the server holds an XREAD for which there is nothing. It bounds how late a server that hangs, or
/// came back without its data, is noticed.
constexpr std::chrono::milliseconds kBlock{1000};
/// Entries of one read: some 2 MiB at most.
constexpr std::size_t kEntriesPerRead = 1024;
/// Of them to a receiver's queue, before there has to be room again.
constexpr std::size_t kMaxPostedAtOnce = 128;
/// Full queues hold up reading for so long; then they are dropped.
constexpr std::chrono::milliseconds kMaxWaitForRoom{1000};

// Pauses between attempts to reach the server.
constexpr std::chrono::microseconds kFirstPause{50'000};
constexpr std::chrono::microseconds kMaxPause{2'000'000};

void check(const RedisChannelOptions& options) {
  const auto refuse = [](std::string_view name, const std::string& problem, const char* advice) {
    throw Error(ErrorCode::invalid_argument, std::string(kNames) + std::string(name) + " " + problem, advice);
  };
  if (options.key.empty() || options.key.size() > kMaxKeyBytes) {
    refuse("key", "is not of 1 to " + std::to_string(kMaxKeyBytes) + " bytes", "choose another one");
  }
  if (options.max_length == 0 || options.max_length > kMaxLength) {
    refuse("max_length", "is not from 1 to " + std::to_string(kMaxLength), "set it in range");
  }
  if (options.connect_timeout <= options.connect_timeout.zero()) {
    refuse("connect_timeout", "is not above 0", "set it in range");
  }
  if (options.timeout <= options.timeout.zero()) refuse("timeout", "is not above 0", "set it in range");
  if (options.timeout > kMaxPublishWait || options.connect_timeout > kMaxPublishWait ||
      options.connect_timeout + 2 * options.timeout > kMaxPublishWait) {
    refuse("timeout",
           "twice, and connect_timeout, are over the " + std::to_string(kMaxPublishWait.count()) +
               " ms that publishing may take",
           "lower one of them");
  }
  if (options.max_queued == 0) refuse("max_queued", "is 0, so all would be lost", "set it to 1 or more");
}

net::RedisClientOptions client_options(const RedisChannelOptions& options) {
  check(options);
  return {.endpoint = net::read_redis_endpoint({.endpoint = options.endpoint,
                                                .username = options.username,
                                                .password = options.password,
                                                .ca_file = options.ca_file.string(),
                                                .names = std::string(kNames)}),
          .ca_file = options.ca_file.string(),
          .connect_timeout = options.connect_timeout,
          .timeout = options.timeout,
          .max_connections = kPublishingConnections,
          .settings = std::string(kNames)};
}

net::RedisClientOptions reading(net::RedisClientOptions options) {
  options.timeout += kBlock;
  options.max_connections = 1;
  return options;
}

/// A pause below a bound that doubles ("full jitter").
class Backoff {
 public:
  MonotonicTime next() {
    bound_ = std::clamp(bound_ * 2, kFirstPause, kMaxPause);
    const auto most = static_cast<std::uint64_t>(bound_.count());
    return std::chrono::microseconds{system_random()->next_u64() % most + 1};
  }
  void reset() noexcept { bound_ = {}; }

 private:
  std::chrono::microseconds bound_{0};
};

}  // namespace

struct RedisBroadcastChannel::State {
  explicit State(const RedisChannelOptions& options) : State(options, client_options(options)) {}

  std::size_t publish(std::span<const std::string> messages);
  Subscription subscribe(const std::shared_ptr<State>& self, BroadcastReceiver receiver);
  void close();
  /// Of what a client throws.
  [[noreturn]] void rethrow() const;
  void require_open() {
    const std::lock_guard lock(mutex);
    if (closed) fail_closed();
  }
  [[noreturn]] void fail_closed() const {
    throw Error(ErrorCode::unavailable, "the channel " + name + " is closed", "open another one");
  }

  const std::string key;
  const std::string name;
  const std::string max_length;
  const std::size_t max_queued;
  const std::shared_ptr<Clock> clock = system_clock();
  invalidation::Receivers receivers;
  std::atomic<std::uint64_t> published = 0;
  std::atomic<std::uint64_t> refused = 0;

  std::mutex subscribing;  ///< held while the server is asked where its stream ends; taken before `mutex`
  mutable std::mutex mutex;
  std::condition_variable changed;
  bool closed = false;
  bool reading_on = false;  ///< the reader follows the stream; set by subscribe(), unset by the reader
  std::string last_error;
  StreamPosition position;  ///< the reader's while reading_on, of subscribe() while not
  /// The connection broke before there was an entry: whether the stream is a new one, nothing tells.
  bool came_back_blind = false;  ///< the reader's
  std::once_flag ended;
  std::thread reader;

  net::RedisClient publishing;
  net::RedisClient reading;

 private:
  State(const RedisChannelOptions& options, const net::RedisClientOptions& client)
      : key(options.key),
        name(client.endpoint.shown() + " " + key),
        max_length(std::to_string(options.max_length)),
        max_queued(options.max_queued),
        receivers(max_queued),
        publishing(client),
        reading(db4::reading(client)) {}

  StreamInfo ask_where_it_ends();
  void start_reading(const std::shared_ptr<Inbox>& inbox);
  void read();
  /// False: nobody is subscribed, or the channel is closed.
  bool read_on();
  void read_once();
  void deliver(std::span<const std::string> messages);
  void read_failed(const std::string& why, MonotonicTime pause);
};

std::size_t RedisBroadcastChannel::State::publish(std::span<const std::string> messages) {
  for (const std::string& message : messages) invalidation::require_message(message);
  require_open();
  // One round trip: if it fails, all of it may be repeated.
  messages = messages.first(std::min(messages.size(), net::kMaxPipelined));
  std::vector<std::array<std::string_view, 8>> commands;
  commands.reserve(messages.size());
  for (const std::string& message : messages) {
    commands.push_back({"XADD", key, "MAXLEN", "~", max_length, "*", invalidation::kMessageField, message});
  }
  const std::vector<RedisWords> words(commands.begin(), commands.end());
  try {
    const std::vector<RedisReply> replies = publishing.pipeline(words);
    const auto failed = std::ranges::find_if(
        replies, [](const RedisReply& reply) { return reply.is(RedisReply::Type::error); });
    const auto taken = static_cast<std::size_t>(failed - replies.begin());
    // What follows a refusal may have been taken after all, as when memory became free: it comes twice then.
    if (taken == 0 && failed != replies.end()) publishing.check(*failed);
    published += taken;
    return taken;
  } catch (const RedisError&) {
    rethrow();
  }
}

void RedisBroadcastChannel::State::rethrow() const {
  try {
    throw;
  } catch (const RedisError& error) {
    if (error.code() == ErrorCode::cancelled) fail_closed();
    const bool passes = error.failure() == RedisFailure::timeout || error.failure() == RedisFailure::broken ||
                        error.failure() == RedisFailure::busy || error.code() == ErrorCode::deadline_exceeded;
    throw Error(passes ? ErrorCode::unavailable : error.code(), error.problem(), error.advice());
  }
}

StreamInfo RedisBroadcastChannel::State::ask_where_it_ends() {
  const std::array<std::string_view, 3> words{"XINFO", "STREAM", key};
  const RedisWords commands[] = {words};
  try {
    const std::vector<RedisReply> replies = publishing.pipeline(commands);
    if (!invalidation::says_no_stream(replies[0])) publishing.check(replies[0]);
    return invalidation::stream_info(replies[0]);
  } catch (const RedisError&) {
    rethrow();
  }
}

Subscription RedisBroadcastChannel::State::subscribe(const std::shared_ptr<State>& self,
                                                     BroadcastReceiver receiver) {
  require_open();
  const std::shared_ptr<Inbox> inbox = receivers.make(std::move(receiver));
  const std::lock_guard one_at_a_time(subscribing);
  std::unique_lock lock(mutex);
  if (!reading_on && !closed) {
    lock.unlock();
    const StreamInfo info = ask_where_it_ends();
    lock.lock();
    position = StreamPosition(info);
  }
  if (closed) fail_closed();
  start_reading(inbox);
  return Subscription([self, inbox] { self->receivers.end(inbox); });
}

/// With the mutex held. The reader looks for receivers under it: as long as there is one, it goes on from its
/// position, so that one who comes later misses nothing either.
void RedisBroadcastChannel::State::start_reading(const std::shared_ptr<Inbox>& inbox) {
  if (!reader.joinable()) {
    try {
      reader = std::thread([this] { read(); });
    } catch (const std::system_error&) {
      throw Error(ErrorCode::resource_exhausted, "no thread could be started to read " + name,
                  "raise the limit of threads, then repeat");
    }
  }
  receivers.add(inbox);
  reading_on = true;
  changed.notify_all();
}

bool RedisBroadcastChannel::State::read_on() {
  std::unique_lock lock(mutex);
  if (receivers.empty()) {
    reading_on = false;
    last_error.clear();
  }
  clock->wait_until(lock, changed, MonotonicTime::max(), [this] { return closed || reading_on; });
  return !closed;
}

void RedisBroadcastChannel::State::read() {
  Backoff backoff;
  while (read_on()) {
    try {
      read_once();
      backoff.reset();
    } catch (const std::exception& error) {
      if (position.last() == EntryId{}) came_back_blind = true;
      read_failed(error.what(), backoff.next());
    }
  }
}

void RedisBroadcastChannel::State::read_failed(const std::string& why, MonotonicTime pause) {
  std::unique_lock lock(mutex);
  last_error = why;
  clock->wait_until(lock, changed, clock->monotonic() + pause, [this] { return closed; });
}

void RedisBroadcastChannel::State::read_once() {
  const std::string count = std::to_string(kEntriesPerRead);
  const std::string block = std::to_string(kBlock.count());
  const std::string from = to_string(position.last());
  const std::array<std::string_view, 8> read{"XREAD", "COUNT", count, "BLOCK", block, "STREAMS", key, from};
  const std::array<std::string_view, 3> describe{"XINFO", "STREAM", key};
  const RedisWords commands[] = {read, describe};
  const std::vector<RedisReply> replies = reading.pipeline(commands);
  reading.check(replies[0]);
  if (!invalidation::says_no_stream(replies[1])) reading.check(replies[1]);
  const StreamBatch batch = invalidation::stream_batch(replies[0]);
  const bool lost = position.advance(batch, invalidation::stream_info(replies[1]));
  {
    const std::lock_guard lock(mutex);
    last_error.clear();
  }
  if (lost || std::exchange(came_back_blind, false)) receivers.post_lost();
  deliver(batch.messages);
}

/// Who was away reads much at once: rather than drop what the stream still has, receivers get time for it.
void RedisBroadcastChannel::State::deliver(std::span<const std::string> messages) {
  const MonotonicTime deadline = clock->monotonic() + kMaxWaitForRoom;
  while (!messages.empty()) {
    const auto some = messages.first(std::min({messages.size(), max_queued, kMaxPostedAtOnce}));
    for (const auto& inbox : receivers.all()) inbox->wait_room(*clock, deadline, some.size());
    receivers.post(some);
    messages = messages.subspan(some.size());
  }
}

void RedisBroadcastChannel::State::close() {
  {
    const std::lock_guard lock(mutex);
    closed = true;
    changed.notify_all();
  }
  publishing.interrupt();
  reading.interrupt();
  for (const auto& inbox : receivers.all()) receivers.end(inbox);
  std::call_once(ended, [this] {
    if (reader.joinable()) reader.join();  // nobody starts it any more
  });
}

RedisBroadcastChannel::RedisBroadcastChannel(const RedisChannelOptions& options)
    : state_(std::make_shared<State>(options)) {}

RedisBroadcastChannel::~RedisBroadcastChannel() { close(); }

std::size_t RedisBroadcastChannel::publish(std::span<const std::string> messages) {
  try {
    return state_->publish(messages);
  } catch (const Error&) {
    ++state_->refused;
    throw;
  }
}

Subscription RedisBroadcastChannel::subscribe(BroadcastReceiver receiver) {
  return state_->subscribe(state_, std::move(receiver));
}

std::string RedisBroadcastChannel::name() const { return state_->name; }

BroadcastStats RedisBroadcastChannel::stats() const {
  BroadcastStats stats{.published = state_->published, .refused = state_->refused};
  state_->receivers.count(stats);
  return stats;
}

std::string RedisBroadcastChannel::last_error() const {
  const std::lock_guard lock(state_->mutex);
  return state_->last_error;
}

void RedisBroadcastChannel::close() { state_->close(); }

}  // namespace db4
