#include "peers/raw_channels.hpp"

#include <libpq-fe.h>
#include <poll.h>

#include <array>
#include <stdexcept>

#ifdef DB4_BENCH_REDIS
#include <hiredis/hiredis.h>
#endif

namespace db4::bench {
namespace {

#ifdef DB4_BENCH_REDIS
class RawStream final : public RawChannel {
 public:
  RawStream(const std::string& socket, std::string key)
      : key_(std::move(key)), sending_(connect(socket)), receiving_(connect(socket)) {
    // The stream must be there before it is read, or "0" would be its beginning and its end.
    last_ = command(*sending_, {"XADD", key_, "*", "m", "first"})->str;
  }
  void send(std::string_view message) override {
    command(*sending_, {"XADD", key_, "MAXLEN", "~", "100000", "*", "m", message});
  }
  std::string receive() override {
    // [[key, [[id, [field, value]]]]]
    const Reply reply = command(*receiving_, {"XREAD", "COUNT", "1", "BLOCK", "0", "STREAMS", key_, last_});
    const redisReply& entry = *reply->element[0]->element[1]->element[0];
    last_ = entry.element[0]->str;
    const redisReply& value = *entry.element[1]->element[1];
    return {value.str, value.len};
  }

 private:
  using Context = std::unique_ptr<redisContext, void (*)(redisContext*)>;
  using Reply = std::unique_ptr<redisReply, void (*)(redisReply*)>;

  static Context connect(const std::string& socket) {
    Context context(redisConnectUnix(socket.c_str()), &redisFree);
    if (context == nullptr || context->err != 0) throw std::runtime_error("cannot connect to Redis");
    return context;
  }
  static Reply command(redisContext& context, std::initializer_list<std::string_view> words) {
    std::array<const char*, 8> pointers{};
    std::array<std::size_t, 8> lengths{};
    std::size_t count = 0;
    for (const std::string_view word : words) {
      pointers.at(count) = word.data();
      lengths.at(count++) = word.size();
    }
    Reply reply(static_cast<redisReply*>(
                    redisCommandArgv(&context, static_cast<int>(count), pointers.data(), lengths.data())),
                [](redisReply* freed) { freeReplyObject(freed); });
    if (reply == nullptr) throw std::runtime_error(std::string("Redis: ") + context.errstr);
    if (reply->type == REDIS_REPLY_ERROR) throw std::runtime_error(std::string("Redis: ") + reply->str);
    return reply;
  }

  const std::string key_;
  const Context sending_;
  const Context receiving_;
  std::string last_;
};
#endif

class RawNotify final : public RawChannel {
 public:
  RawNotify(const std::string& url, std::string channel)
      : channel_(std::move(channel)), sending_(connect(url)), receiving_(connect(url)) {
    take(*sending_, PQprepare(sending_.get(), "notify", "SELECT pg_notify($1, $2)", 0, nullptr));
    take(*receiving_, PQexec(receiving_.get(), ("LISTEN " + channel_).c_str()));
  }
  void send(std::string_view message) override {
    const std::string text(message);
    const std::array<const char*, 2> values = {channel_.c_str(), text.c_str()};
    take(*sending_, PQexecPrepared(sending_.get(), "notify", 2, values.data(), nullptr, nullptr, /*text*/ 0));
  }
  std::string receive() override {
    while (true) {
      if (PGnotify* notification = PQnotifies(receiving_.get())) {
        std::string message = notification->extra;
        PQfreemem(notification);
        return message;
      }
      pollfd socket{.fd = PQsocket(receiving_.get()), .events = POLLIN, .revents = 0};
      ::poll(&socket, 1, -1);
      if (PQconsumeInput(receiving_.get()) != 1) fail(*receiving_);
    }
  }

 private:
  using Connection = std::unique_ptr<PGconn, void (*)(PGconn*)>;

  static Connection connect(const std::string& url) {
    Connection connection(PQconnectdb(url.c_str()), &PQfinish);
    if (PQstatus(connection.get()) != CONNECTION_OK) fail(*connection);
    return connection;
  }
  static void take(PGconn& connection, PGresult* result) {
    const ExecStatusType status = PQresultStatus(result);
    PQclear(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) fail(connection);
  }
  [[noreturn]] static void fail(PGconn& connection) {
    throw std::runtime_error(std::string("libpq: ") + PQerrorMessage(&connection));
  }

  const std::string channel_;
  const Connection sending_;
  const Connection receiving_;
};

}  // namespace

std::unique_ptr<RawChannel> open_raw_stream([[maybe_unused]] const std::string& socket,
                                            [[maybe_unused]] const std::string& key) {
#ifdef DB4_BENCH_REDIS
  return std::make_unique<RawStream>(socket, key);
#else
  return nullptr;
#endif
}

std::unique_ptr<RawChannel> open_raw_notify(const std::string& url, const std::string& channel) {
  return std::make_unique<RawNotify>(url, channel);
}

}  // namespace db4::bench
