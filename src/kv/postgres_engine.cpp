// The engine over PostgreSQL: a table for each space, and many processes at once. Reads take a connection of
// a pool each, commits share one.
//
// A commit whose answer was lost may have taken effect or may yet do so. Every transaction therefore moves
// its session's row on by one; to find out, a new connection changes the fence in that row, which waits for a
// transaction that is under way and makes one that comes later fail, and reads how far the row had come.

#include "base/encoding.hpp"
#include "kv/engine_state.hpp"
#include "kv/postgres_group.hpp"
#include "kv/postgres_pool.hpp"

#include <db4/clock.hpp>
#include <db4/random.hpp>

#include <algorithm>
#include <atomic>
#include <mutex>

namespace db4::kv {
namespace {

constexpr std::chrono::milliseconds kFirstPause = 5ms;
constexpr std::chrono::milliseconds kLongestPause = 500ms;

MonotonicTime monotonic() { return system_clock()->monotonic(); }

/// Pauses that grow, each drawn between nothing and its bound: those who stepped on each other's toes do not
/// do so again at the same moment.
class Pauses {
 public:
  /// False where the next one would end after the deadline.
  bool pause(MonotonicTime deadline) {
    const double share = static_cast<double>(system_random()->next_u64() >> 11) * 0x1p-53;
    const auto pause = std::chrono::duration_cast<MonotonicTime>(bound_ * share);
    bound_ = std::min(bound_ * 2, kLongestPause);
    if (monotonic() + pause >= deadline) return false;
    system_clock()->sleep_for(pause);
    return true;
  }

 private:
  std::chrono::milliseconds bound_ = kFirstPause;
};

/// Serialization failures and deadlocks: nothing happened, and the same may succeed now.
bool may_repeat(const PostgresRefusal& refusal) { return refusal.state().starts_with("40"); }

class PostgresEngine final : public Engine {
 public:
  explicit PostgresEngine(const EngineOptions& options)
      : spaces_(options.spaces),
        options_(checked(options.postgres)),
        schema_(spaces_, options_.schema),
        pool_(options_) {
    const MonotonicTime deadline = monotonic() + options_.timeout;
    PostgresPool::Lease connection(pool_, deadline);
    schema_.create(*connection.operator->(), deadline);
    connection->run(schema_.sessions().remove_old, {}, deadline);
    begin_session(*connection.operator->(), deadline);
  }
  ~PostgresEngine() override {
    try {
      PostgresEngine::close();
    } catch (const std::exception&) {
      // Whoever wants to hear of it calls close() first.
    }
  }
  PostgresEngine(const PostgresEngine&) = delete;
  PostgresEngine& operator=(const PostgresEngine&) = delete;

  std::optional<std::string> get(std::uint8_t space, std::string_view key) const override {
    const PostgresResult result = read(schema_.space(space).get, {std::string(key)});
    if (result.rows() == 0) return std::nullopt;
    return from_postgres(spaces_.at(space), result.value(0, 0));
  }

  std::vector<Entry> scan(const ScanRequest& request) const override;
  std::vector<Outcome> commit(std::span<const Batch* const> group, Durability durability) override;
  void sync() override;
  void close() override;

  Durability strongest() const noexcept override { return Durability::disk; }
  EngineStats stats() const override { return state_.stats(); }
  bool shared() const noexcept override { return true; }
  std::optional<TimePoint> server_time() const override {
    return TimePoint{std::chrono::microseconds{read(schema_.server_time(), {}).number(0, 0)}};
  }

 private:
  /// A commit that was sent and not answered.
  struct Unknown {
    std::int64_t commit;
    std::uint64_t next_sequence;
  };
  /// A group on its way, as often as it has to be sent.
  struct Call {
    std::span<const Batch* const> group;
    Durability durability;
    MonotonicTime deadline;
    std::vector<Outcome> outcomes = {};  ///< of what was sent last
  };

  static PostgresOptions checked(PostgresOptions options);
  PostgresResult read(const PostgresStatement& statement, const std::vector<std::string>& parameters) const;
  bool ready_writer(MonotonicTime deadline);
  void begin_session(PostgresConnection& connection, MonotonicTime deadline);
  void begin_transaction(PostgresConnection& connection, Durability durability) const;
  std::size_t add_mark(PostgresConnection& connection) const;
  void run_commit(PostgresConnection& connection, std::uint64_t next_sequence,
                  std::optional<std::size_t> mark, MonotonicTime deadline);
  bool commit_in_one_trip(Call& call);
  void commit_in_two_trips(Call& call);
  template <typename Try>
  void until_settled(MonotonicTime deadline, const Try& attempt);

  const SpaceTable spaces_;
  const PostgresOptions options_;
  const PostgresSchema schema_;
  mutable PostgresPool pool_;
  /// Whether the last call found no server for all of its time: then the next ones try once.
  mutable std::atomic<bool> away_{false};
  EngineState state_;

  std::mutex write_mutex_;  ///< guards what follows
  std::unique_ptr<PostgresConnection> writer_;
  std::string session_;       ///< empty: a new one is to be made
  std::int64_t commits_ = 0;  ///< of the session, that took effect
  std::int64_t fence_ = 0;
  std::optional<Unknown> unknown_;
  std::uint64_t next_sequence_ = 1;
  bool unsynced_ = false;
};

PostgresOptions PostgresEngine::checked(PostgresOptions options) {
  const auto refuse = [](const char* problem, const char* advice) {
    throw Error(ErrorCode::invalid_argument, problem, advice);
  };
  if (options.url.empty()) refuse("hot.url is empty", "write it as postgresql://user@host:5432/database");
  check_postgres_url(options.url);
  if (options.timeout <= 0ms || options.connect_timeout <= 0ms)
    refuse("hot.timeout or hot.connect_timeout is not positive", "set them above 0");
  if (options.max_connections == 0) refuse("hot.max_connections is 0", "set it to 1 or more");
  return options;
}

/// A read changes nothing, so it may be repeated whatever became of it.
PostgresResult PostgresEngine::read(const PostgresStatement& statement,
                                    const std::vector<std::string>& parameters) const {
  state_.check_open();
  const MonotonicTime deadline = monotonic() + options_.timeout;
  Pauses pauses;
  while (true) {
    try {
      PostgresPool::Lease connection(pool_, deadline);
      try {
        PostgresResult result = connection->run(statement, parameters, deadline);
        away_.store(false, std::memory_order_relaxed);
        return result;
      } catch (const PostgresLoss&) {
        connection.discard();
        pool_.clear();  // what broke one broke all of them, most often
        throw;
      }
    } catch (const PostgresRefusal& refusal) {
      if (!may_repeat(refusal) || !pauses.pause(deadline)) throw;
    } catch (const Error& error) {
      if (error.code() != ErrorCode::unavailable) throw;
      if (!away_.load(std::memory_order_relaxed) && pauses.pause(deadline)) continue;
      away_.store(true, std::memory_order_relaxed);
      throw;
    }
  }
}

std::vector<Entry> PostgresEngine::scan(const ScanRequest& request) const {
  const SpaceSpec& space = spaces_.at(request.space);
  state_.check_open();
  if (request.limit == 0) return {};
  const PostgresSpace& statements = schema_.space(request.space);
  const bool to_end = request.end.empty();
  std::vector<std::string> parameters = {request.begin};
  if (!to_end) parameters.push_back(request.end);
  constexpr auto kMost = static_cast<std::size_t>(std::numeric_limits<std::int64_t>::max());
  parameters.push_back(postgres_int8(static_cast<std::int64_t>(std::min(request.limit, kMost))));
  if (space.kind == SpaceKind::bodies && !request.keys_only) {
    parameters.push_back(
        postgres_int8(static_cast<std::int64_t>(std::min<std::uint64_t>(request.max_bytes, kMost))));
  }
  const PostgresStatement& pairs = to_end ? statements.scan_to_end : statements.scan;
  const PostgresStatement& keys = to_end ? statements.scan_keys_to_end : statements.scan_keys;
  const PostgresResult result = read(request.keys_only ? keys : pairs, parameters);
  std::vector<Entry> entries;
  std::uint64_t bytes = 0;
  for (int row = 0; row < result.rows(); ++row) {
    Entry entry{.key = std::string(result.value(row, 0)), .value = {}};
    if (!request.keys_only) entry.value = from_postgres(space, result.value(row, 1));
    bytes += entry.key.size() + entry.value.size();
    if (!entries.empty() && bytes > request.max_bytes) break;
    entries.push_back(std::move(entry));
  }
  return entries;
}

/// Sees to the connection that commits. Where the outcome of a commit is unknown, finds it out: whether that
/// one took effect.
bool PostgresEngine::ready_writer(MonotonicTime deadline) {
  if (!writer_) writer_ = std::make_unique<PostgresConnection>(options_, pool_.connect_deadline(deadline));
  if (session_.empty()) begin_session(*writer_, deadline);
  if (!unknown_) return false;
  const std::int64_t fence = fence_ + 1;
  const PostgresResult row =
      writer_->run(schema_.sessions().fence, {session_, postgres_int8(fence)}, deadline);
  if (row.rows() == 0) {
    state_.poison("the row of its session is gone from the table db4_sessions");
    state_.check_writable();
  }
  fence_ = fence;
  commits_ = row.number(0, 0);
  const bool took_effect = commits_ == unknown_->commit;
  if (took_effect) next_sequence_ = unknown_->next_sequence;
  unknown_.reset();
  return took_effect;
}

void PostgresEngine::begin_session(PostgresConnection& connection, MonotonicTime deadline) {
  std::string id;
  for (int i = 0; i < 2; ++i) put_fixed(id, system_random()->next_u64());
  connection.run(schema_.sessions().create, {id}, deadline);
  session_ = id;
  commits_ = 0;
  fence_ = 0;
}

void PostgresEngine::begin_transaction(PostgresConnection& connection, Durability durability) const {
  connection.add(schema_.begin());
  // What is not synced here is lost with the server's process, not only with its machine.
  if (durability == Durability::none) connection.add(schema_.relax());
}

/// Gives the place of its result.
std::size_t PostgresEngine::add_mark(PostgresConnection& connection) const {
  return connection.add(schema_.sessions().mark, {session_, postgres_int8(commits_),
                                                  postgres_int8(commits_ + 1), postgres_int8(fence_)});
}

/// Runs the pipeline, whose last statement commits. While it is under way its outcome is unknown, but where
/// it changes nothing and has no mark.
void PostgresEngine::run_commit(PostgresConnection& connection, std::uint64_t next_sequence,
                                std::optional<std::size_t> mark, MonotonicTime deadline) {
  connection.add(schema_.commit());
  if (!mark) {
    connection.run(deadline);
    return;
  }
  unknown_ = Unknown{commits_ + 1, next_sequence};
  std::vector<PostgresResult> results;
  try {
    results = connection.run(deadline);
  } catch (const PostgresRefusal&) {
    unknown_.reset();  // nothing took effect
    throw;
  }
  unknown_.reset();
  ++commits_;
  next_sequence_ = next_sequence;
  // It took effect, unmarked: the session wrote nothing for so long that others removed it.
  if (results[*mark].affected() == 0) session_.clear();
}

/// False where a precondition does not hold, or cannot be judged this way.
bool PostgresEngine::commit_in_one_trip(Call& call) {
  AssumedReads reads(spaces_, call.group);
  const GroupPlan::Read read = [&](std::uint8_t space, std::string_view key) {
    return reads.read(space, key);
  };
  const GroupPlan plan(spaces_, call.group, next_sequence_, read, CounterMode::added);
  if (!reads.sound(plan)) return false;
  call.outcomes = plan.outcomes();
  const bool changes = !plan.operations().empty();
  if (!changes && reads.assumed().empty()) return true;
  PostgresGroup statements(schema_, spaces_, plan);
  statements.require(reads.assumed());
  PostgresConnection& connection = *writer_;
  begin_transaction(connection, call.durability);
  std::optional<std::size_t> mark;
  if (changes) mark = add_mark(connection);
  statements.add_checks(connection);
  statements.add_changes(connection);
  try {
    run_commit(connection, plan.next_sequence(), mark, call.deadline);
    return true;
  } catch (const PostgresRefusal& refusal) {
    const bool refused =
        refusal.state() == PostgresSchema::kCheckFailed || refusal.state() == PostgresSchema::kInsertFailed;
    if (!refused) throw;
    return false;
  }
}

void PostgresEngine::commit_in_two_trips(Call& call) {
  PostgresConnection& connection = *writer_;
  begin_transaction(connection, call.durability);
  LockedReads reads(spaces_, call.group);
  reads.add_statements(connection, schema_);
  reads.take(connection.run(call.deadline));
  const GroupPlan::Read read = [&](std::uint8_t space, std::string_view key) {
    return reads.read(space, key);
  };
  const GroupPlan plan(spaces_, call.group, next_sequence_, read, CounterMode::added);
  call.outcomes = plan.outcomes();
  PostgresGroup statements(schema_, spaces_, plan);
  statements.release(reads.held());
  const bool changes = !plan.operations().empty();
  std::optional<std::size_t> mark;
  if (changes) mark = add_mark(connection);
  statements.add_changes(connection);
  run_commit(connection, plan.next_sequence(), mark, call.deadline);
}

/// Repeats a call until it is clear what became of it: a lost connection is made anew, and says whether the
/// commit that was under way had taken effect.
template <typename Try>
void PostgresEngine::until_settled(MonotonicTime deadline, const Try& attempt) {
  Pauses pauses;
  while (true) {
    try {
      attempt();
      away_.store(false, std::memory_order_relaxed);
      return;
    } catch (const PostgresRefusal& refusal) {
      if (!may_repeat(refusal) || !pauses.pause(deadline)) throw;
    } catch (const Error& error) {
      if (error.code() != ErrorCode::unavailable) {
        writer_.reset();  // a half-filled pipeline is nobody's
        throw;
      }
      writer_.reset();
      if (!away_.load(std::memory_order_relaxed) && pauses.pause(deadline)) continue;
      away_.store(true, std::memory_order_relaxed);
      if (!unknown_) throw;
      throw Error(ErrorCode::unavailable, error.problem() + "; whether the change took effect is not known",
                  "read what it was about, then decide whether to repeat it");
    }
  }
}

std::vector<Outcome> PostgresEngine::commit(std::span<const Batch* const> group, Durability durability) {
  const std::lock_guard lock(write_mutex_);
  state_.check_writable();
  Call call{.group = group, .durability = durability, .deadline = monotonic() + options_.timeout};
  bool one_trip = true;
  until_settled(call.deadline, [&] {
    const bool sent = !call.outcomes.empty();
    if (ready_writer(call.deadline) && sent) return;
    if (one_trip && commit_in_one_trip(call)) return;
    one_trip = false;
    commit_in_two_trips(call);
  });
  unsynced_ = durability == Durability::none;
  if (durability == Durability::disk) state_.count_sync();
  state_.count_commit(group.size());
  run_on_committed(group, call.outcomes);
  return std::move(call.outcomes);
}

/// One durable commit puts everything before it on the disk as well: the server's log is one.
void PostgresEngine::sync() {
  const std::lock_guard lock(write_mutex_);
  state_.check_writable();
  if (!unsynced_) return;
  const MonotonicTime deadline = monotonic() + options_.timeout;
  until_settled(deadline, [&] {
    ready_writer(deadline);
    begin_transaction(*writer_, Durability::disk);
    const std::size_t mark = add_mark(*writer_);
    run_commit(*writer_, next_sequence_, mark, deadline);
  });
  unsynced_ = false;
  state_.count_sync();
}

void PostgresEngine::close() {
  const std::lock_guard lock(write_mutex_);
  if (!state_.close()) return;
  if (writer_ && !unknown_) {
    try {
      writer_->run(schema_.sessions().remove, {session_}, monotonic() + options_.connect_timeout);
    } catch (const Error&) {
      // It is removed when it is old.
    }
  }
  writer_.reset();
  pool_.clear();
}

}  // namespace

std::unique_ptr<Engine> open_postgres_engine(const EngineOptions& options) {
  return std::make_unique<PostgresEngine>(options);
}

}  // namespace db4::kv
