#pragma once
// PostgresBroadcastChannel: nodes that have a PostgreSQL database in common tell each other what changed
// through its LISTEN and NOTIFY, or a table that is read at an interval (docs/invalidation.md).
//
//     cache.set_broadcast_channel(std::make_shared<db4::PostgresBroadcastChannel>(
//         db4::PostgresChannelOptions{.url = "postgresql://db4@db.internal/documents", .password = secret}));

#include <db4/broadcast_channel.hpp>
#include <db4/secret.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

namespace db4 {

/// Which server, and which channel there.
struct PostgresChannelOptions {
  /// "postgresql://user@host:5432/database?...", or libpq's "host=... dbname=...", without a password. Of the
  /// primary: a standby neither takes nor gives notifications. A pooler in between must pool sessions, or
  /// `notify` be false.
  std::string url = {};
  Secret password = {};
  /// Of 1 to 63 letters, digits and underscores. Heard by all who name the same database and this.
  std::string channel = "db4_changes";
  std::chrono::milliseconds connect_timeout = std::chrono::seconds{5};  ///< for a connection, above 0
  /// For one statement, above 0. publish() waits for kMaxPublishWait at most, whatever the two say.
  std::chrono::milliseconds timeout = std::chrono::seconds{5};
  /// Messages that wait for one receiver; past it they are dropped as a whole, and on_lost called instead.
  std::size_t max_queued = 8192;
  /// false: the messages stand in a table, which every node reads at an interval. So it is anyway where the
  /// server has no LISTEN. Say the same on all nodes: those that poll and those that are told do not hear
  /// each other.
  bool notify = true;
  /// How long a node that polls waits between two looks, above 0: a message comes so much later at most.
  std::chrono::milliseconds poll_interval{250};
  /// Of the table, which has the name of the channel: an existing schema, of 1 to 63 letters, digits and
  /// underscores. Empty: what the session's search_path says.
  std::string schema = {};
};

/// A message is one notification. All messages of a call, up to kMaxAtOnce, go in one transaction and one
/// round trip: each transaction with a notification takes a lock of the whole server at its commit.
///
/// Owns a connection that publishes, made by the first publish(), and one that listens, with a thread, made
/// by the first subscribe(). One that breaks is made anew, that which listens after pauses that grow to some
/// seconds. PostgreSQL keeps nothing for a session that is not there: after each break every receiver is told
/// by on_lost, once it hears again; so it is after a notification by somebody else that is no message.
/// BroadcastStats::lost counts one for each receiver then. What is published here must be heard here: where
/// it is not within twice `timeout` (and looked for once in a `timeout`), LISTEN was lost in silence, as
/// poolers do, and the connection that listens is made anew, with on_lost.
///
/// **Polling** (BroadcastStats::polls): where the server refuses LISTEN as something it does not have, or
/// takes it without effect, or `notify` is false, a call of publish appends its messages to the table in one
/// transaction and one round trip, and takes the oldest away: kKept stay. They are numbered by a row that the
/// transaction holds, so that numbers are dense and become visible in their order: who reads on from the last
/// number that he has seen misses nothing, and notices what was taken away unread (on_lost). The table is
/// made by the first who finds none.
///
/// Thread rule: as of every channel. Host names are looked up by libpq, which knows no deadline: give an
/// address as `hostaddr=` where the resolver may hang.
class DB4_API PostgresBroadcastChannel final : public BroadcastChannel {
 public:
  /// Messages that one call of publish takes at most.
  static constexpr std::size_t kMaxAtOnce = 512;
  /// Messages that stay in the table of those who poll.
  static constexpr std::int64_t kKept = 10'000;

  /// Connects to nothing yet. Throws invalid_argument for options that make no sense, naming the option.
  explicit PostgresBroadcastChannel(PostgresChannelOptions options);
  ~PostgresBroadcastChannel() override;
  PostgresBroadcastChannel(const PostgresBroadcastChannel&) = delete;
  PostgresBroadcastChannel& operator=(const PostgresBroadcastChannel&) = delete;

  /// Throws also permission_denied (user, password, certificate), invalid_argument (no such database) and
  /// read_only (a standby).
  std::size_t publish(std::span<const std::string> messages) override;
  /// Returns once the server has confirmed LISTEN, or the table is found, within connect_timeout and timeout.
  /// Throws what publish does, and unsupported where something in between gives each statement another
  /// session, so that LISTEN has no effect.
  [[nodiscard]] Subscription subscribe(BroadcastReceiver receiver) override;
  /// "db4_changes at db.internal/documents"
  [[nodiscard]] std::string name() const override;
  [[nodiscard]] BroadcastStats stats() const override;
  /// Calls that run elsewhere end with unavailable.
  void close() override;

 private:
  struct DB4_INTERNAL State;
  std::shared_ptr<State> state_;
};

}  // namespace db4
