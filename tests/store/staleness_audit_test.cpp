// Several processes read, write and move the documents of one store over PostgreSQL, and write down when;
// then the histories are judged together: with max_stale 0 every read is linearizable, with more it is never
// older than that. While servers are killed and restarted, a node is killed and clocks differ by an hour,
// too; and while messages between the nodes are dropped, doubled and late. Once that has an end, no old copy
// stays, however old a reader lets it be.
#include "kv/child_process.hpp"
#include "support/audit.hpp"
#include "support/faulty_broadcast_channel.hpp"
#include "support/postgres_server.hpp"
#include "support/redis_server.hpp"
#include "support/temporary_folder.hpp"
#include "support/thread_sanitizer.hpp"

#include <db4/object_stores.hpp>
#include <db4/postgres_channel.hpp>
#include <db4/redis_channel.hpp>
#include <db4/storage.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <map>
#include <random>
#include <sstream>
#include <thread>

namespace db4::testing {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using kv::testing::ChildProcess;

constexpr int kNodes = 4;
/// Half of all calls are about the few, so that they meet; the many rest long enough for copies to grow old.
constexpr int kFewKeys = 12;
constexpr int kManyKeys = 150;
constexpr std::chrono::milliseconds kMaxStale = 20ms;
/// What befalls messages where the channels are faulty: nearly half of them something.
constexpr ChannelFaults kFaults{
    .drop = 0.12, .duplicate = 0.1, .delay = 0.12, .reorder = 0.1, .max_delay = 500ms};
/// Nodes find out within silence_after and heartbeat_interval (12 s) what they missed; on a machine that is
/// busy with other things a test waits for longer.
constexpr std::chrono::seconds kConverges = 90s;

// What a node tells its parent.
enum Told : std::uint8_t { kRan = 1, kFilled, kWritten, kCounted, kClosed };
// What a parent tells its nodes, by a file of that name.
constexpr const char* kFill = "fill";
constexpr const char* kWriteAll = "write";
constexpr const char* kNewest = "newest";  ///< which version of each document is the newest

/// Seconds of each history. DB4_TEST_AUDIT_SECONDS overrides it, DB4_TEST_SEED the seed.
std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

/// A clock whose wall time is off, as those of machines are.
class ShiftedClock final : public Clock {
 public:
  explicit ShiftedClock(std::chrono::microseconds shift) : shift_(shift) {}
  [[nodiscard]] TimePoint now() const override { return system_clock()->now() + shift_; }
  [[nodiscard]] MonotonicTime monotonic() const override { return system_clock()->monotonic(); }
  bool wait_until(std::unique_lock<std::mutex>& lock, std::condition_variable& condition,
                  MonotonicTime deadline, const std::function<bool()>& ready) override {
    return system_clock()->wait_until(lock, condition, deadline, ready);
  }

 private:
  const std::chrono::microseconds shift_;
};

/// What a node is told.
struct Node {
  int number = 0;
  std::uint64_t seed = 0;
  std::uint64_t milliseconds = 0;
  int clock_shift_hours = 0;
  bool faulty = false;  ///< every node has a channel, and a bad one
  std::string schema;
  fs::path folder;
  std::string url;
  std::string redis = "-";  ///< where warm copies and news are; "-": in memory, and over the database

  [[nodiscard]] std::string to_text() const {
    std::ostringstream out;
    out << number << ' ' << seed << ' ' << milliseconds << ' ' << clock_shift_hours << ' ' << faulty << ' '
        << schema << ' ' << folder.string() << ' ' << url << ' ' << redis;
    return out.str();
  }
  static Node from_text(const std::string& text) {
    std::istringstream in(text);
    Node node;
    std::string folder;
    in >> node.number >> node.seed >> node.milliseconds >> node.clock_shift_hours >> node.faulty >>
        node.schema >> folder >> node.url >> node.redis;
    node.folder = folder;
    return node;
  }
  [[nodiscard]] fs::path history() const { return folder / ("history-" + std::to_string(number)); }
  /// How many old copies were left by messages that were lost.
  [[nodiscard]] fs::path stale() const { return folder / ("stale-" + std::to_string(number)); }
  [[nodiscard]] std::shared_ptr<FaultyBroadcastChannel> faulty_channel() const {
    std::shared_ptr<BroadcastChannel> channel;
    if (redis == "-") {
      channel = std::make_shared<PostgresBroadcastChannel>(
          PostgresChannelOptions{.url = url, .channel = schema + "_faulty"});
    } else {
      channel = std::make_shared<RedisBroadcastChannel>(
          RedisChannelOptions{.endpoint = redis, .key = schema + ":faulty"});
    }
    return std::make_shared<FaultyBroadcastChannel>(
        std::move(channel), kFaults, seed + static_cast<std::uint64_t>(number), system_clock());
  }
  [[nodiscard]] TieredStoreConfig config() const {
    TieredStoreConfig config{.hot = {.type = HotType::postgres,
                                     .durability = Durability::disk,
                                     .url = url,
                                     .schema = schema,
                                     .timeout = 20s},
                             .cold = {.path = folder / "cold", .garbage_grace = 2s},
                             .tiering = {.hot_threshold = 300ms,
                                         .warm_threshold = 600ms,
                                         .access_count_threshold = 1000,
                                         .promote_on_read = PromoteOnRead::second_read,
                                         .interval = 0ms,
                                         .claim_lease = 1s},
                             .consistency = {.broadcast = BroadcastType::postgres}};
    if (redis != "-") {
      config.warm.type = WarmType::redis;
      config.warm.endpoint = redis;
      config.consistency.broadcast = BroadcastType::redis;
    }
    // Half of the nodes hear nothing: the age of their copies alone keeps them to the promise.
    if (number % 2 == 1) config.consistency.broadcast = BroadcastType::none;
    return config;
  }
};

// Single letters: what a line of a history is about.
constexpr char kWrite =
    'w';                     // key, start, end, version, body; version 0: whether it took effect is not known
constexpr char kRead = 'r';  // key, start, end, version, body
constexpr char kOldRead = 'o';  // the same, with kMaxStale

class Recorder {
 public:
  explicit Recorder(const Node& node)
      : node_(node),
        random_(node.seed * 31 + static_cast<std::uint64_t>(node.number)),
        out_(node.history()) {}

  void run() {
    Components components{.clock =
                              std::make_shared<ShiftedClock>(std::chrono::hours{node_.clock_shift_hours})};
    if (node_.faulty) components.broadcast_channel = channel_ = node_.faulty_channel();
    store_ = std::make_unique<TieredStore>(node_.config(), components);
    make_history();
    ChildProcess::tell_parent(kRan);
    if (node_.faulty) come_to_agree();
    store_->close();
    ChildProcess::tell_parent(kClosed);
  }

 private:
  static MonotonicTime now() { return system_clock()->monotonic(); }

  void make_history() {
    std::atomic<bool> stop{false};
    std::thread mover([&] {
      while (!stop) {
        try {
          store_->run_tiering({.max_operations = 50});
        } catch (const Error&) {
          continue;  // the server is away
        }
        system_clock()->sleep_for(30ms);
      }
    });
    const MonotonicTime end = now() + std::chrono::milliseconds{node_.milliseconds};
    while (now() < end) step();
    stop = true;
    mover.join();
  }

  /// Copies of everything, then changes of everything that nobody hears of; and then the network is well
  /// again, and no copy stays old, whatever its age: by messages alone, since for a copy no row is looked at.
  void come_to_agree() {
    await(kFill);
    for (int i = 0; i < 3 * kManyKeys; ++i) attempt([&] { store_->read("c", key_of(i % kManyKeys)); });
    ChildProcess::tell_parent(kFilled);
    await(kWriteAll);
    channel_->set_faults({.drop = 1});
    for (int i = node_.number; i < kManyKeys; i += kNodes) attempt([&] { write(key_of(i)); });
    ChildProcess::tell_parent(kWritten);
    await(kNewest);
    std::map<std::string, Version> old;
    std::ifstream in(node_.folder / kNewest);
    std::string key;
    for (Version version = 0; in >> key >> version;) old.emplace(key, version);
    drop_newest(old);
    std::ofstream(node_.stale()) << old.size() << std::flush;
    ChildProcess::tell_parent(kCounted);
    channel_->set_faults({});
    attempt([&] { channel_->deliver_all(); });
    const MonotonicTime deadline = now() + kConverges;
    while (!old.empty() && now() < deadline) {
      system_clock()->sleep_for(10ms);
      drop_newest(old);
    }
    for (const auto& [id, version] : old) {
      out_ << "! an old copy of " << id << " stays, while version " << version << " is the newest"
           << std::endl;
    }
  }

  void await(const char* name) const {
    while (!fs::exists(node_.folder / name)) system_clock()->sleep_for(5ms);
  }
  static std::string key_of(int number) { return "k" + std::to_string(number); }
  /// Where the server is away still, it does not happen.
  template <typename Call>
  static void attempt(const Call& call) {
    try {
      call();
    } catch (const Error&) {
      return;
    }
  }

  /// Of the documents of which the newest version is read.
  void drop_newest(std::map<std::string, Version>& old) {
    std::erase_if(old, [&](const auto& entry) {
      Version version = 0;
      attempt([&] {
        const auto document = store_->read("c", entry.first, {.promote = false, .max_stale = 24h});
        if (document) version = document->meta().version;
      });
      return version == entry.second;
    });
  }

  void step() {
    const std::string key = "k" + std::to_string(random_() % (random_() % 2 == 0 ? kFewKeys : kManyKeys));
    const std::uint64_t draw = random_() % 10;
    try {
      if (draw < 3) {
        write(key);
      } else {
        read(key, draw < 7 ? kRead : kOldRead);
      }
    } catch (const Error& error) {
      // Reads that failed say nothing.
      if (error.code() != ErrorCode::unavailable && error.code() != ErrorCode::deadline_exceeded) {
        out_ << "! " << error.what() << std::endl;
      }
    }
  }

  void write(const std::string& key) {
    // Some larger than what a row holds.
    std::string body = std::to_string(node_.number) + ":" + std::to_string(++writes_);
    const std::string name = body;
    if (random_() % 4 == 0) body += std::string(3000, '.');
    const MonotonicTime start = now();
    try {
      const WriteResult result = store_->write_bytes("c", key, as_bytes(body));
      note(kWrite, key, start, result.version, name);
    } catch (const Error&) {
      note(kWrite, key, start, 0, name);
      throw;
    }
  }

  void read(const std::string& key, char kind) {
    ReadOptions options;
    if (kind == kOldRead) options.max_stale = kMaxStale;
    const MonotonicTime start = now();
    const auto document = store_->read("c", key, options);
    std::string name = document ? std::string(document->text().substr(0, document->text().find('.'))) : "-";
    note(kind, key, start, document ? document->meta().version : 0, name);
  }

  void note(char kind, const std::string& key, MonotonicTime start, Version version,
            const std::string& body) {
    // The end of the line tells that it was written whole, should this process be killed.
    out_ << kind << ' ' << key << ' ' << start.count() << ' ' << now().count() << ' ' << version << ' '
         << body << " ;" << std::endl;
  }

  const Node node_;
  std::mt19937_64 random_;
  std::ofstream out_;
  std::shared_ptr<FaultyBroadcastChannel> channel_;  ///< null: another one
  std::unique_ptr<TieredStore> store_;
  std::uint64_t writes_ = 0;
};

TEST(StalenessChild, DISABLED_Runs) {
  const char* argument = ChildProcess::argument();
  if (argument == nullptr) GTEST_SKIP() << "runs as a child";
  Recorder(Node::from_text(argument)).run();
  ChildProcess::wait_to_be_killed();
}

struct Entry {
  char kind;
  std::int64_t start;
  std::int64_t end;
  Version version;
  std::string body;
};

class StalenessAudit : public ::testing::Test {
 protected:
  void SetUp() override {
    if (kThreadSanitizer) GTEST_SKIP() << "the processes write down their histories, and no memory is shared";
    try {
      server_ = std::make_unique<PostgresServer>(PostgresServer::Options{});
    } catch (const std::runtime_error& error) {
      GTEST_SKIP() << error.what();
    }
    node_.schema = "audit";
    node_.folder = folder_.path();
    node_.url = server_->url();
    node_.seed = from_environment("DB4_TEST_SEED", 20'261'127);
    node_.milliseconds = 1000 * from_environment("DB4_TEST_AUDIT_SECONDS", 6);
    RecordProperty("seed", std::to_string(node_.seed));
  }

  std::unique_ptr<ChildProcess> start(int number, int clock_shift_hours) {
    Node node = node_;
    node.number = number;
    node.clock_shift_hours = clock_shift_hours;
    histories_.push_back(node.history());
    return std::make_unique<ChildProcess>("StalenessChild.DISABLED_Runs", node.to_text());
  }

  void end_all(std::vector<std::unique_ptr<ChildProcess>>& nodes) {
    const auto all_tell = [&](Told told) {
      for (const auto& node : nodes) EXPECT_EQ(node->read(), told) << "a node ended early";
    };
    all_tell(kRan);
    if (node_.faulty) {
      std::ofstream(node_.folder / kFill).flush();
      all_tell(kFilled);
      const MonotonicTime start = system_clock()->monotonic();
      std::ofstream(node_.folder / kWriteAll).flush();
      all_tell(kWritten);
      tell_newest();
      all_tell(kCounted);
      const std::size_t stale = stale_copies();
      std::cout << stale << " old copies were left by lost messages\n";
      // By then nodes that are not heard of are silent, and no copy is trusted any more.
      const MonotonicTime silent = start + CacheInvalidationConfig{}.silence_after / 2;
      EXPECT_TRUE(stale > 0 || system_clock()->monotonic() > silent) << "nothing had to be found out";
    }
    all_tell(kClosed);
    nodes.clear();
  }

  [[nodiscard]] std::size_t stale_copies() const {
    std::size_t sum = 0;
    for (int number = 0; number < kNodes; ++number) {
      Node node = node_;
      node.number = number;
      std::size_t count = 0;
      if (std::ifstream(node.stale()) >> count) sum += count;
    }
    return sum;
  }

  void tell_newest() {
    Node reader = node_;
    reader.number = 1;  // one that listens to nobody
    TieredStore store(reader.config());
    const fs::path made = node_.folder / "newest.new";
    std::ofstream out(made);
    for (int key = 0; key < kManyKeys; ++key) {
      const std::string id = "k" + std::to_string(key);
      if (const auto document = store.read("c", id, {.promote = false})) {
        out << id << ' ' << document->meta().version << '\n';
      }
    }
    out.close();
    store.close();
    fs::rename(made, node_.folder / kNewest);
  }

  void read_histories() {
    for (const fs::path& path : histories_) {
      std::ifstream in(path);
      std::string line;
      while (std::getline(in, line)) {
        if (line.starts_with("!")) ADD_FAILURE() << line;
        std::istringstream words(line);
        Entry entry{};
        std::string key;
        std::string last;
        words >> entry.kind >> key >> entry.start >> entry.end >> entry.version >> entry.body >> last;
        if (last == ";") by_key_[key].push_back(std::move(entry));
      }
    }
  }

  void judge() {
    std::size_t reads = 0;
    for (auto& [key, entries] : by_key_) {
      SCOPED_TRACE(key);
      std::map<Version, std::string> written;
      std::vector<std::string> unknown;
      for (const Entry& entry : entries) {
        if (entry.kind != kWrite) continue;
        if (entry.version == 0) {
          unknown.push_back(entry.body);
        } else {
          EXPECT_TRUE(written.emplace(entry.version, entry.body).second)
              << "version " << entry.version << " twice";
        }
      }
      // By their ends: what is known to be there at a moment.
      std::vector<std::pair<std::int64_t, Version>> known;
      std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.end < b.end; });
      Version newest = 0;
      for (const Entry& entry : entries) {
        newest = std::max(newest, entry.kind == kOldRead ? Version{0} : entry.version);
        known.emplace_back(entry.end, newest);
      }
      const auto known_before = [&](std::int64_t moment) {
        const auto after = std::lower_bound(known.begin(), known.end(), std::pair{moment, Version{0}});
        return after == known.begin() ? Version{0} : std::prev(after)->second;
      };
      for (const Entry& entry : entries) {
        if (entry.kind == kWrite) {
          if (entry.version != 0) {
            EXPECT_GT(entry.version, known_before(entry.start)) << "a write behind one that was over";
          }
          continue;
        }
        ++reads;
        const std::int64_t allowed = entry.kind == kOldRead ? std::chrono::nanoseconds(kMaxStale).count() : 0;
        EXPECT_GE(entry.version, known_before(entry.start - allowed))
            << (entry.kind == kRead ? "a read of" : "an old read of") << " version " << entry.version;
        if (entry.version == 0) continue;
        const auto writer = written.find(entry.version);
        // Of one that was killed the last write may have taken effect and not been written down.
        const bool by_dead = !killed_.empty() && entry.body.starts_with(killed_);
        const bool by_unknown =
            by_dead || std::find(unknown.begin(), unknown.end(), entry.body) != unknown.end();
        EXPECT_TRUE(by_unknown || (writer != written.end() && writer->second == entry.body))
            << "version " << entry.version << " has the body " << entry.body;
      }
    }
    EXPECT_GT(reads, 100U);
    std::cout << reads << " reads judged\n";
  }

  void go_through_restarts() {
    std::unique_ptr<RedisServer> redis;
    if (RedisServer::absence().empty()) {
      redis = std::make_unique<RedisServer>();
      node_.redis = redis->endpoint();
    }
    std::vector<std::unique_ptr<ChildProcess>> nodes;
    for (int i = 0; i < kNodes; ++i) nodes.push_back(start(i, i == 1 ? 1 : i == 2 ? -1 : 0));
    const auto pause = std::chrono::milliseconds{node_.milliseconds / 5};
    system_clock()->sleep_for(pause);
    server_->restart(SIGINT);
    if (redis) redis->kill();  // with all that it held
    system_clock()->sleep_for(pause);
    if (redis) redis->start();
    nodes.back()->kill();
    killed_ = std::to_string(kNodes - 1) + ":";
    nodes.pop_back();
    system_clock()->sleep_for(pause);
    server_->restart(SIGQUIT);
    end_all(nodes);
    read_histories();
    judge();
    // What the dead one left under way becomes garbage; then everything adds up.
    {
      TieredStoreConfig config = node_.config();
      config.cold.intent_deadline = 1ms;
      TieredStore store(config);
      for (const auto& [key, entries] : by_key_) EXPECT_TRUE(store.read("c", key));
      store.close();
    }
    const auto objects = make_filesystem_object_store(node_.folder / "cold");
    const AuditReport report =
        audit_closed_store(HotType::postgres, {}, *objects, {.url = node_.url, .schema = node_.schema});
    EXPECT_TRUE(report.clean()) << report;
  }

  TemporaryFolder folder_;
  std::unique_ptr<PostgresServer> server_;
  Node node_;
  std::vector<fs::path> histories_;
  std::string killed_;  ///< how bodies begin that the node wrote which was killed
  std::map<std::string, std::vector<Entry>> by_key_;
};

TEST_F(StalenessAudit, FourProcessesAgree) {
  std::vector<std::unique_ptr<ChildProcess>> nodes;
  for (int i = 0; i < kNodes; ++i) nodes.push_back(start(i, 0));
  end_all(nodes);
  read_histories();
  judge();
}

TEST_F(StalenessAudit, FourProcessesAgreeThroughRestartsAKillAndWrongClocks) { go_through_restarts(); }

TEST_F(StalenessAudit, FourProcessesAgreeWhileMessagesAreDroppedDoubledAndLate) {
  node_.faulty = true;
  std::vector<std::unique_ptr<ChildProcess>> nodes;
  for (int i = 0; i < kNodes; ++i) nodes.push_back(start(i, 0));
  end_all(nodes);
  read_histories();
  judge();
}

TEST_F(StalenessAudit, FourProcessesAgreeThroughAllOfThatAtOnce) {
  node_.faulty = true;
  go_through_restarts();
}

}  // namespace
}  // namespace db4::testing
