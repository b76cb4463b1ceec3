#include "net/redis_client.hpp"

#include "base/hash.hpp"
#include "net/address_lookup.hpp"
#include "net/byte_stream.hpp"

#include <db4/clock.hpp>

#include <openssl/evp.h>

#include <algorithm>
#include <array>

namespace db4::net {
namespace {

constexpr std::size_t kReceiveBytes = 64 << 10;
constexpr std::size_t kFedBytes = 8 << 10;
constexpr MonotonicTime kTrustedFor = std::chrono::milliseconds{1};
/// What a connection keeps for the next command.
constexpr std::size_t kKeptCommandBytes = 256 << 10;
/// Of what the server says, in messages.
constexpr std::size_t kMaxQuotedBytes = 200;

MonotonicTime now() { return system_clock()->monotonic(); }

/// A server's words may be anything.
std::string quoted(std::string_view text) {
  std::string out(text.substr(0, kMaxQuotedBytes));
  for (char& c : out) {
    if (c < ' ' || c >= 0x7F) c = '?';
  }
  return out;
}

/// Names in the settings: what advice is about.
enum class Subject { none, endpoint, password };

struct Refusal {
  std::string_view begins;
  ErrorCode code;
  Subject subject;
  std::string_view advice;  ///< after the setting's name, where there is one
};

/// What servers answer, by how it begins. The first that fits counts.
constexpr std::array kRefusals{
    Refusal{"WRONGPASS", ErrorCode::permission_denied, Subject::password,
            "set it (and the user's name) right"},
    Refusal{"NOAUTH", ErrorCode::permission_denied, Subject::password, "set it: this server asks for one"},
    Refusal{"NOPERM", ErrorCode::permission_denied, Subject::none,
            "give the user the commands and keys that docs/redis.md lists"},
    Refusal{"ERR invalid password", ErrorCode::permission_denied, Subject::password, "set it right"},
    Refusal{"ERR AUTH", ErrorCode::permission_denied, Subject::password,
            "leave it empty: this server knows no password"},
    Refusal{"ERR Client sent AUTH", ErrorCode::permission_denied, Subject::password,
            "leave it empty: this server knows no password"},
    Refusal{"DENIED", ErrorCode::permission_denied, Subject::none,
            "give the server a password, or let it listen on a unix socket or the loopback address alone"},
    Refusal{"OOM", ErrorCode::resource_exhausted, Subject::none,
            "raise the server's maxmemory, or set its maxmemory-policy to allkeys-lfu"},
    Refusal{"LOADING", ErrorCode::unavailable, Subject::none, "wait until the server has loaded its data"},
    Refusal{"BUSY", ErrorCode::unavailable, Subject::none, "wait until the script that it runs has ended"},
    Refusal{"READONLY", ErrorCode::read_only, Subject::endpoint, "name the primary: this is a replica"},
    Refusal{"MISCONF", ErrorCode::resource_exhausted, Subject::none,
            "let the server save its data again, or switch saving off: it refuses writes until then"},
    Refusal{"MASTERDOWN", ErrorCode::unavailable, Subject::endpoint, "name the primary: this is a replica"},
    Refusal{"MOVED", ErrorCode::unsupported, Subject::endpoint, "name a server that is in no cluster"},
    Refusal{"ASK", ErrorCode::unsupported, Subject::endpoint, "name a server that is in no cluster"},
    Refusal{"CROSSSLOT", ErrorCode::unsupported, Subject::endpoint, "name a server that is in no cluster"},
    Refusal{"CLUSTERDOWN", ErrorCode::unsupported, Subject::endpoint, "name a server that is in no cluster"},
    Refusal{"ERR DB index", ErrorCode::invalid_argument, Subject::endpoint,
            "end it with the number of a database that the server has"},
    Refusal{"ERR max number of clients", ErrorCode::unavailable, Subject::none,
            "raise the server's maxclients, or use fewer connections"},
    Refusal{"ERR unknown command", ErrorCode::unsupported, Subject::none,
            "use a server with the commands that docs/redis.md lists"},
};
constexpr Refusal kOtherRefusal{"", ErrorCode::unsupported, Subject::none,
                                "see what docs/redis.md asks of a server"};

std::string sha1_hex(std::string_view text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (::EVP_Digest(text.data(), text.size(), digest.data(), &size, ::EVP_sha1(), nullptr) != 1) {
    throw Error(ErrorCode::unsupported, "OpenSSL computes no SHA-1, by which Redis names scripts",
                "allow it (here it is a name, and protects nothing)");
  }
  return to_hex(std::as_bytes(std::span(digest).first(size)));
}

}  // namespace

RedisScript::RedisScript(std::string text) : text_(std::move(text)), digest_(sha1_hex(text_)) {}

/// Commands out, replies in. After it threw it is of no more use.
class RedisClient::Connection {
 public:
  Connection(const StreamTarget& target, AddressLookup& lookup, std::size_t max_reply_bytes,
             MonotonicTime deadline)
      : stream_(target, lookup, deadline),
        reader_(max_reply_bytes),
        received_(std::make_unique_for_overwrite<char[]>(kReceiveBytes)) {}

  RedisReply exchange(RedisWords words, MonotonicTime deadline) {
    command_.clear();
    append_command(command_, words);
    stream_.send(command_, deadline);
    if (command_.capacity() > kKeptCommandBytes) command_ = {};
    return receive(deadline);
  }

  std::vector<RedisReply> exchange_all(std::span<const RedisWords> commands, MonotonicTime deadline) {
    std::vector<RedisReply> replies;
    replies.reserve(commands.size());
    while (!commands.empty()) {
      const auto some = commands.first(std::min(commands.size(), kMaxPipelined));
      command_.clear();
      for (const RedisWords words : some) append_command(command_, words);
      stream_.send(command_, deadline);
      if (command_.capacity() > kKeptCommandBytes) command_ = {};
      for (std::size_t i = 0; i < some.size(); ++i) replies.push_back(receive(deadline));
      commands = commands.subspan(some.size());
    }
    return replies;
  }

  void expect_timeout(std::chrono::nanoseconds timeout) noexcept { stream_.expect_timeout(timeout); }

  /// A password stays in no buffer.
  RedisReply log_in(RedisWords words, MonotonicTime deadline) {
    append_command(command_, words);
    try {
      stream_.send(command_, deadline);
    } catch (...) {
      wipe(command_);
      throw;
    }
    wipe(command_);
    return receive(deadline);
  }

  /// Whether it can be used again. The socket is looked at unless it was used a moment ago: that costs a
  /// system call, and what was closed within that moment fails one call.
  [[nodiscard]] bool usable(MonotonicTime at) const noexcept {
    return waiting_.empty() && reader_.empty() && (at - used_at_ < kTrustedFor || stream_.quiet());
  }
  void used(MonotonicTime at) noexcept { used_at_ = at; }
  void interrupt() const noexcept { stream_.interrupt(); }

 private:
  RedisReply receive(MonotonicTime deadline) {
    for (;;) {
      if (std::optional<RedisReply> reply = reader_.next()) return std::move(*reply);
      if (waiting_.empty()) {
        waiting_ = {received_.get(), stream_.receive(received_.get(), kReceiveBytes, deadline)};
      }
      // In pieces: hiredis moves what it has not read yet after every reply.
      const std::string_view piece = waiting_.substr(0, kFedBytes);
      reader_.feed(piece);
      waiting_.remove_prefix(piece.size());
    }
  }

  ByteStream stream_;
  ReplyReader reader_;
  std::string command_;
  std::unique_ptr<char[]> received_;
  std::string_view waiting_;  ///< of received_, not fed yet
  MonotonicTime used_at_{0};  ///< when the last exchange began
};

/// Gives a connection's place back, and the connection too unless its use failed.
class RedisClient::Lease {
 public:
  Lease(RedisClient& client, std::unique_ptr<Connection> connection)
      : client_(client), connection_(std::move(connection)) {}
  ~Lease() { client_.release(std::move(connection_), good_); }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

  /// A new one is made here, outside of the lock; then `at` is set to when it was there.
  Connection& connection(MonotonicTime& at) {
    if (connection_ != nullptr && !connection_->usable(at)) {
      client_.strike(*connection_);
      connection_.reset();
    }
    if (connection_ == nullptr) {
      std::unique_ptr<Connection> made = client_.connect();
      client_.enlist(*made);
      connection_ = std::move(made);
      at = now();
    }
    connection_->used(at);
    return *connection_;
  }
  void keep() noexcept { good_ = true; }

 private:
  RedisClient& client_;
  std::unique_ptr<Connection> connection_;
  bool good_ = false;
};

RedisClient::RedisClient(RedisClientOptions options)
    : options_(std::move(options)),
      server_("Redis at " + options_.endpoint.shown()),
      lookup_(std::make_unique<AddressLookup>()) {
  if (options_.max_connections == 0 || options_.max_connections > kMaxRedisConnections) {
    throw Error(ErrorCode::invalid_argument,
                setting("max_connections") + " is not from 1 to " + std::to_string(kMaxRedisConnections),
                "set it in range");
  }
  if (options_.endpoint.tls) {
    try {
      tls_ = std::make_unique<TlsContext>(options_.ca_file);
    } catch (const StreamError& error) {
      throw Error(error.code(), error.problem(), "check " + setting("ca_file"));
    }
  }
  idle_.reserve(options_.max_connections);
  used_.reserve(options_.max_connections);
}

RedisClient::~RedisClient() = default;

std::unique_ptr<RedisClient::Connection> RedisClient::acquire() {
  std::unique_lock lock(mutex_);
  const auto may_go_on = [&] { return closed_ || lent_ < options_.max_connections; };
  if (!may_go_on()) {
    const auto clock = system_clock();
    clock->wait_until(lock, freed_, clock->monotonic() + options_.timeout, may_go_on);
  }
  if (closed_) fail_closed();
  if (!may_go_on()) {
    throw RedisError(RedisFailure::busy, ErrorCode::resource_exhausted,
                     server_ + ": none of " + std::to_string(options_.max_connections) +
                         " connections became free in time",
                     "raise " + setting("max_connections") + ", or look why the server is slow");
  }
  ++lent_;
  if (idle_.empty()) return nullptr;
  std::unique_ptr<Connection> connection = std::move(idle_.back());
  idle_.pop_back();
  used_.push_back(connection.get());
  return connection;
}

void RedisClient::release(std::unique_ptr<Connection> used, bool good) noexcept {
  const std::lock_guard lock(mutex_);
  --lent_;
  std::erase(used_, used.get());
  if (good && used != nullptr && !closed_) idle_.push_back(std::move(used));
  freed_.notify_one();
}

void RedisClient::enlist(Connection& connection) {
  const std::lock_guard lock(mutex_);
  if (closed_) fail_closed();
  used_.push_back(&connection);
}

void RedisClient::strike(const Connection& connection) noexcept {
  const std::lock_guard lock(mutex_);
  std::erase(used_, &connection);
}

void RedisClient::fail_closed() const {
  throw RedisError(RedisFailure::busy, ErrorCode::cancelled, server_ + ": the client was closed",
                   "call nothing after close()");
}

std::unique_ptr<RedisClient::Connection> RedisClient::connect() {
  const MonotonicTime deadline = now() + options_.connect_timeout;
  const RedisEndpoint& endpoint = options_.endpoint;
  auto connection = std::make_unique<Connection>(StreamTarget{.host = endpoint.host,
                                                              .port = endpoint.port,
                                                              .socket_path = endpoint.socket_path,
                                                              .tls = tls_.get()},
                                                 *lookup_, options_.max_reply_bytes, deadline);
  const auto log_in = [&](std::initializer_list<std::string_view> words) {
    const RedisReply reply = connection->log_in({words.begin(), words.size()}, deadline);
    if (reply.is(RedisReply::Type::error)) throw refusal(reply, /*logging_in=*/true);
  };
  if (!endpoint.username.empty()) {
    log_in({"AUTH", endpoint.username, endpoint.password.reveal()});
  } else if (!endpoint.password.empty()) {
    log_in({"AUTH", endpoint.password.reveal()});
  }
  if (endpoint.database != 0) log_in({"SELECT", std::to_string(endpoint.database)});
  connection->expect_timeout(options_.timeout);
  return connection;
}

template <typename Exchange>
auto RedisClient::with_connection(const Exchange& exchange) {
  Lease lease(*this, acquire());
  try {
    MonotonicTime start = now();
    Connection& connection = lease.connection(start);
    auto result = exchange(connection, start + options_.timeout);
    lease.keep();
    return result;
  } catch (const RedisError&) {
    throw;
  } catch (const Error&) {
    rethrow_stream_error();
  }
}

/// Of what the stream and the reader throw.
void RedisClient::rethrow_stream_error() const {
  try {
    throw;
  } catch (const StreamError& error) {
    const std::string problem = server_ + ": " + error.problem();
    const auto fail = [&](RedisFailure failure, const std::string& advice) {
      throw RedisError(failure, error.code(), problem, advice);
    };
    switch (error.failure()) {
      case StreamFailure::connect:
        fail(RedisFailure::unreachable, "start the server, or check " + setting("endpoint"));
        break;
      case StreamFailure::tls:
        fail(RedisFailure::unreachable, "check in " + setting("endpoint") + " that this port speaks TLS");
        break;
      case StreamFailure::certificate:
      case StreamFailure::ca_file:
        fail(RedisFailure::unreachable, "name in " + setting("ca_file") +
                                            " the certificate that signed the server's, and in " +
                                            setting("endpoint") + " the host that it was made for");
        break;
      case StreamFailure::timeout:
        fail(RedisFailure::timeout, "look whether the server hangs, or raise " + setting("timeout") + " or " +
                                        setting("connect_timeout"));
        break;
      case StreamFailure::broken:
        break;
    }
    fail(RedisFailure::broken, "look why the server ends connections, and that " + setting("endpoint") +
                                   " has rediss:// where it speaks TLS");
  } catch (const Error& error) {
    const bool large = error.code() == ErrorCode::too_large;
    throw RedisError(large ? RedisFailure::too_large : RedisFailure::broken, error.code(),
                     server_ + ": " + error.problem(),
                     large ? "look what else writes keys of db4" : "check " + setting("endpoint"));
  }
  throw Error(ErrorCode::internal, "no failure of the stream", "report this");
}

RedisError RedisClient::refusal(const RedisReply& reply, bool logging_in) const {
  const auto fits = [&](const Refusal& one) { return reply.text.starts_with(one.begins); };
  const auto* const found = std::ranges::find_if(kRefusals, fits);
  const Refusal& why = found == kRefusals.end() ? kOtherRefusal : *found;
  std::string advice(why.advice);
  if (why.subject == Subject::endpoint) advice = "check " + setting("endpoint") + ": " + advice;
  if (why.subject == Subject::password) advice = "check " + setting("password") + ": " + advice;
  // A server that does not know AUTH repeats what it was sent.
  const bool repeats = logging_in && why.begins.starts_with("ERR unknown");
  const std::string said = repeats ? "ERR unknown command" : quoted(reply.text);
  const bool away = logging_in || why.code == ErrorCode::permission_denied;
  return {away ? RedisFailure::log_in : RedisFailure::refused, why.code, server_ + " refuses: " + said,
          std::move(advice)};
}

void RedisClient::check(const RedisReply& reply) const {
  if (reply.is(RedisReply::Type::error)) throw refusal(reply, /*logging_in=*/false);
}

RedisReply RedisClient::command(RedisWords words) {
  RedisReply reply = with_connection(
      [&](Connection& connection, MonotonicTime deadline) { return connection.exchange(words, deadline); });
  check(reply);
  return reply;
}

std::vector<RedisReply> RedisClient::pipeline(std::span<const RedisWords> commands) {
  return with_connection([&](Connection& connection, MonotonicTime deadline) {
    return connection.exchange_all(commands, deadline);
  });
}

RedisReply RedisClient::eval(const RedisScript& script, RedisWords keys, RedisWords arguments) {
  const std::string count = std::to_string(keys.size());
  std::vector<std::string_view> words{"EVALSHA", script.digest(), count};
  words.insert(words.end(), keys.begin(), keys.end());
  words.insert(words.end(), arguments.begin(), arguments.end());
  RedisReply reply = with_connection([&](Connection& connection, MonotonicTime deadline) {
    RedisReply first = connection.exchange(words, deadline);
    if (!first.is(RedisReply::Type::error) || !first.text.starts_with("NOSCRIPT")) return first;
    words[0] = "EVAL";
    words[1] = script.text();
    return connection.exchange(words, deadline);
  });
  check(reply);
  return reply;
}

std::size_t RedisClient::connections() const {
  const std::lock_guard lock(mutex_);
  return idle_.size() + lent_;
}

void RedisClient::close() noexcept {
  std::vector<std::unique_ptr<Connection>> idle;
  const std::lock_guard lock(mutex_);
  closed_ = true;
  idle.swap(idle_);
  freed_.notify_all();
}

void RedisClient::interrupt() noexcept {
  close();
  const std::lock_guard lock(mutex_);
  for (const Connection* const connection : used_) connection->interrupt();
}

}  // namespace db4::net
