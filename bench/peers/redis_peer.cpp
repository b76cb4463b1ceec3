// Redis over a unix socket, through hiredis: one command at a time, and batches as one MSET.
#include "peers/peer.hpp"
#include "peers/raw_redis.hpp"

#ifdef DB4_BENCH_REDIS
#include "harness/workload.hpp"
#include "peers/per_thread.hpp"
#include "peers/redis_server.hpp"

#include <hiredis/hiredis.h>

#include <stdexcept>
#endif

namespace db4::bench {

#ifdef DB4_BENCH_REDIS
namespace {

class Connection {
 public:
  explicit Connection(const std::string& socket) : context_(redisConnectUnix(socket.c_str())) {
    if (context_ == nullptr || context_->err != 0) throw std::runtime_error("cannot connect to Redis");
  }
  ~Connection() { redisFree(context_); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// Gives the reply to `read`, which must throw where it is not what was expected.
  template <typename Read>
  auto command(std::span<const std::string_view> words, const Read& read) {
    lay_out(words);
    return taken(
        redisCommandArgv(context_, static_cast<int>(words.size()), pointers_.data(), lengths_.data()), read);
  }
  /// Sends with the next reply that is asked for.
  void append(std::span<const std::string_view> words) {
    lay_out(words);
    redisAppendCommandArgv(context_, static_cast<int>(words.size()), pointers_.data(), lengths_.data());
  }
  template <typename Read>
  auto next_reply(const Read& read) {
    void* reply = nullptr;
    return taken(redisGetReply(context_, &reply) == REDIS_OK ? reply : nullptr, read);
  }

 private:
  void lay_out(std::span<const std::string_view> words) {
    pointers_.clear();
    lengths_.clear();
    for (const std::string_view word : words) {
      pointers_.push_back(word.data());
      lengths_.push_back(word.size());
    }
  }
  template <typename Read>
  auto taken(void* given, const Read& read) {
    const std::unique_ptr<redisReply, void (*)(redisReply*)> reply(
        static_cast<redisReply*>(given), [](redisReply* freed) { freeReplyObject(freed); });
    if (reply == nullptr) throw std::runtime_error(std::string("Redis: ") + context_->errstr);
    if (reply->type == REDIS_REPLY_ERROR) throw std::runtime_error(std::string("Redis: ") + reply->str);
    return read(*reply);
  }

  redisContext* context_;
  std::vector<const char*> pointers_;
  std::vector<std::size_t> lengths_;
};

class RedisPeer final : public Peer {
 public:
  explicit RedisPeer(const PeerOptions& options) : server_(options.path, options.durability) {}

  std::uint64_t get(const std::string& id) override {
    const std::string_view words[] = {"GET", id};
    return connection().command(words, [&](const redisReply& reply) {
      if (reply.type != REDIS_REPLY_STRING) throw std::runtime_error("Redis lacks " + id);
      return read_all({reply.str, reply.len});
    });
  }
  void put(const std::string& id, std::string_view body) override {
    const std::string_view words[] = {"SET", id, body};
    connection().command(words, [](const redisReply&) { return 0; });
  }
  void put_batch(std::span<const BatchItem> items) override {
    std::vector<std::string_view> words{"MSET"};
    for (const BatchItem& item : items) {
      words.push_back(item.id);
      words.push_back(item.body);
    }
    connection().command(words, [](const redisReply&) { return 0; });
  }

  pid_t process() const override { return server_.pid(); }

 private:
  Connection& connection() {
    return connections_.get([this] { return std::make_unique<Connection>(server_.socket()); });
  }
  RedisServer server_;
  PerThread<Connection> connections_;
};

class HiredisRedis final : public RawRedis {
 public:
  explicit HiredisRedis(std::string socket) : socket_(std::move(socket)) {}

  std::uint64_t get(std::string_view key) override {
    const std::string_view words[] = {"GET", key};
    return connection().command(words, read_text);
  }
  std::uint64_t get_all(std::span<const std::string_view> keys) override {
    Connection& connection = this->connection();
    for (const std::string_view key : keys) {
      const std::string_view words[] = {"GET", key};
      connection.append(words);
    }
    std::uint64_t sum = 0;
    for (std::size_t i = 0; i < keys.size(); ++i) sum += connection.next_reply(read_text);
    return sum;
  }

 private:
  static std::uint64_t read_text(const redisReply& reply) {
    if (reply.type != REDIS_REPLY_STRING) throw std::runtime_error("Redis lacks a key");
    return read_all({reply.str, reply.len});
  }
  Connection& connection() {
    return connections_.get([this] { return std::make_unique<Connection>(socket_); });
  }
  const std::string socket_;
  PerThread<Connection> connections_;
};

}  // namespace
#endif

std::unique_ptr<RawRedis> open_raw_redis([[maybe_unused]] const std::string& socket) {
#ifdef DB4_BENCH_REDIS
  return std::make_unique<HiredisRedis>(socket);
#else
  return nullptr;
#endif
}

PeerType redis_type() {
  PeerType type{"Redis, unix socket", [](Durability) { return true; }, nullptr,
                "hiredis was not found when db4 was built (libhiredis-dev)"};
#ifdef DB4_BENCH_REDIS
  if (RedisServer::find_program().empty()) {
    type.absence = "there is no redis-server in the PATH (Debian: redis-tools or redis-server)";
    return type;
  }
  type.open = open_as<RedisPeer>;
#endif
  return type;
}

}  // namespace db4::bench
