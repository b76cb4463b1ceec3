// From the news of a change to the copy of another node that is gone: over Redis against plain hiredis at the
// same server, over PostgreSQL against plain LISTEN and NOTIFY by libpq. Wants a redis-server, and
// DB4_TEST_POSTGRES_URL, which scripts/bench.sh sets; what is not there is left out.
#include "base/base64.hpp"
#include "base/document_block.hpp"
#include "base/hash.hpp"
#include "harness/report.hpp"
#include "harness/workload.hpp"
#include "peers/raw_channels.hpp"
#include "peers/redis_server.hpp"

#include <db4/storage.hpp>

#include <algorithm>
#include <atomic>
#include <semaphore>
#include <stdexcept>
#include <thread>

namespace db4::bench {
namespace {

using Moment = std::chrono::steady_clock::time_point;

/// When the one who waited for it noticed; handed from thread to thread.
class Arrival {
 public:
  void notice() {
    at_ = std::chrono::steady_clock::now();
    arrived_.release();
  }
  Moment await() {
    if (!arrived_.try_acquire_for(std::chrono::seconds{30})) {
      throw std::runtime_error("a message did not arrive");
    }
    return at_;
  }

 private:
  Moment at_{};
  std::counting_semaphore<> arrived_{0};
};

Document make_document(const std::string& id) {
  const std::string_view body = "{}";
  detail::BlockRef block = detail::DocumentBlock::create("c", id, "application/json", body.size());
  std::ranges::copy(body, block->mutable_body());
  block->hash = hash_key(block->key());
  block->version = 1;
  return Document(std::move(block), StorageTier::hot, StorageTier::hot, TimePoint{}, 0, 0, {});
}

InvalidationEvent event_of(const std::string& id) {
  return {.type = InvalidationType::document, .collection = "c", .id = id, .version = 2};
}

/// Two nodes, each with a channel of its own.
class Nodes {
 public:
  Nodes(std::shared_ptr<BroadcastChannel> writers, std::shared_ptr<BroadcastChannel> readers)
      : told_(reader_.subscribe([this](const InvalidationEvent& event) {
          if (event.type == InvalidationType::document) arrival_.notice();
        })) {
    reader_.set_broadcast_channel(std::move(readers));
    writer_.set_broadcast_channel(std::move(writers));
  }
  /// Microseconds until the copy is gone and a subscriber knows it.
  double drop_one() {
    const std::string id = "id-" + std::to_string(next_++);
    const FillMark mark = reader_.begin_fill("c", id);
    if (!reader_.set("c", id, make_document(id), {}, mark)) throw std::runtime_error("no copy was kept");
    const Moment start = std::chrono::steady_clock::now();
    writer_.announce(event_of(id));
    const Moment end = arrival_.await();
    if (reader_.get("c", id).value) throw std::runtime_error("the copy is still there");
    return std::chrono::duration<double, std::micro>(end - start).count();
  }

 private:
  Arrival arrival_;
  CacheInvalidationManager reader_{{.node_id = "reader"}};
  CacheInvalidationManager writer_{{.node_id = "writer"}};
  Subscription told_;
  std::uint64_t next_ = 0;
};

/// A thread that receives, and one that sends.
class Pair {
 public:
  Pair(std::unique_ptr<RawChannel> channel, std::string message)
      : channel_(std::move(channel)), message_(std::move(message)), receiver_([this] {
          while (channel_->receive() != kEnd) arrival_.notice();
        }) {}
  ~Pair() {
    try {
      channel_->send(kEnd);
    } catch (const std::exception&) {
      std::terminate();  // the thread would wait for ever
    }
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;
  double send_one() {
    const Moment start = std::chrono::steady_clock::now();
    channel_->send(message_);
    return std::chrono::duration<double, std::micro>(arrival_.await() - start).count();
  }

 private:
  static constexpr std::string_view kEnd = "end";
  const std::unique_ptr<RawChannel> channel_;
  const std::string message_;
  Arrival arrival_;
  std::jthread receiver_;
};

struct Latencies {
  std::vector<double> p50;  ///< of each round
  std::vector<double> p99;
};

void add_round(Latencies& out, std::size_t messages, const std::function<double()>& one) {
  std::vector<double> values;
  values.reserve(messages);
  for (std::size_t i = 0; i < messages; ++i) values.push_back(one());
  std::sort(values.begin(), values.end());
  out.p50.push_back(values[values.size() / 2]);
  out.p99.push_back(values[values.size() * 99 / 100]);
}

Comparison compare(const std::vector<double>& ours, const std::vector<double>& peers) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < ours.size(); ++i) ratios.push_back(peers[i] / ours[i]);
  return {.ours = summarize(ours), .peers = summarize(peers), .ratio = summarize(ratios)};
}

void measure(const Options& options, Report& report, const std::string& subject, const std::string& peer,
             Nodes& nodes, Pair& pair) {
  const std::size_t messages = options.pick<std::size_t>(20, 300, 2'000);
  const auto ours = [&] { return nodes.drop_one(); };
  const auto theirs = [&] { return pair.send_one(); };
  Latencies warm_up;
  add_round(warm_up, messages / 10, ours);
  add_round(warm_up, messages / 10, theirs);
  Latencies our_rounds;
  Latencies peer_rounds;
  for (int round = 0; round < options.rounds(); ++round) {
    if (round % 2 == 1) add_round(peer_rounds, messages, theirs);
    add_round(our_rounds, messages, ours);
    if (round % 2 == 0) add_round(peer_rounds, messages, theirs);
  }
  const auto row = [&](const std::string& what, const std::vector<double>& our_values,
                       const std::vector<double>& peer_values) {
    report.row({.what = what, .unit = "us", .better = Better::less, .subject = subject, .peer = peer},
               compare(our_values, peer_values));
  };
  row("change told to copy gone, p50", our_rounds.p50, peer_rounds.p50);
  row("change told to copy gone, p99", our_rounds.p99, peer_rounds.p99);
}

constexpr const char* kEqual =
    "one server, messages of one size, one at a time, two connections; a thread waits for each";
constexpr const char* kUnequal =
    "db4 hands each message to a thread that sends it, numbers and checks it, drops the copy and tells a "
    "subscriber in another thread; the peer's time ends where its reader has the message";

/// What travels for a change.
std::string message_of_size() {
  InvalidationEvent event = event_of("id-1000");
  event.node_id = "writer";
  event.epoch = std::uint64_t{1} << 63;  // as most that are drawn at random
  event.sequence = 1000;
  return encode_invalidation({.kind = InvalidationMessageKind::event, .event = event});
}

void over_redis(const Options& options, Report& report) {
  if (RedisServer::find_program().empty()) {
    report.skip("hiredis", "there is no redis-server in the PATH (Debian: redis-tools or redis-server)");
    return;
  }
  const Folder folder(options.dir());
  const RedisServer server(folder.path() / "redis", Durability::none);
  auto raw = open_raw_stream(server.socket(), "raw");
  if (!raw) {
    report.skip("hiredis", "it was not found when the benchmarks were built (libhiredis-dev)");
    return;
  }
  const auto channel = [&] {
    return std::make_shared<RedisBroadcastChannel>(
        RedisChannelOptions{.endpoint = "unix://" + server.socket()});
  };
  report.section("Invalidations over Redis", std::string(kEqual) + "; XADD, and XREAD that blocks", kUnequal);
  Nodes nodes(channel(), channel());
  Pair pair(std::move(raw), message_of_size());
  measure(options, report, "RedisBroadcastChannel", "hiredis", nodes, pair);
}

void over_postgres(const Options& options, Report& report) {
  const char* url = std::getenv("DB4_TEST_POSTGRES_URL");
  if (url == nullptr) {
    report.skip("libpq", "DB4_TEST_POSTGRES_URL names no server");
    return;
  }
  const auto channel = [&] {
    return std::make_shared<PostgresBroadcastChannel>(
        PostgresChannelOptions{.url = url, .channel = "bench_news"});
  };
  report.section("Invalidations over PostgreSQL", std::string(kEqual) + "; pg_notify, and LISTEN", kUnequal);
  const std::string message = message_of_size();
  Nodes nodes(channel(), channel());
  Pair pair(open_raw_notify(url, "bench_raw"), "1 0 " + to_base64(std::as_bytes(std::span(message))));
  measure(options, report, "PostgresBroadcastChannel", "libpq", nodes, pair);
}

void run(const Options& options, Report& report) {
  over_redis(options, report);
  over_postgres(options, report);
}

}  // namespace
}  // namespace db4::bench

int main(int argc, char** argv) {
  return db4::bench::run_program("invalidation", argc, argv, db4::bench::run);
}
