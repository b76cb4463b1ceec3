// Redis over a unix socket, through hiredis: one command at a time, and batches as one MSET.
#include "peers/peer.hpp"

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
    pointers_.clear();
    lengths_.clear();
    for (const std::string_view word : words) {
      pointers_.push_back(word.data());
      lengths_.push_back(word.size());
    }
    const std::unique_ptr<redisReply, void (*)(redisReply*)> reply(
        static_cast<redisReply*>(
            redisCommandArgv(context_, static_cast<int>(words.size()), pointers_.data(), lengths_.data())),
        [](redisReply* given) { freeReplyObject(given); });
    if (reply == nullptr) throw std::runtime_error(std::string("Redis: ") + context_->errstr);
    if (reply->type == REDIS_REPLY_ERROR) throw std::runtime_error(std::string("Redis: ") + reply->str);
    return read(*reply);
  }

 private:
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

}  // namespace
#endif

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
