#pragma once
// One connection to a server that speaks PostgreSQL's protocol: prepared statements, sent in pipelines, with
// a deadline for everything.

#include "kv/engine.hpp"

#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

struct pg_conn;
struct pg_result;

namespace db4::kv {

/// A statement that connections prepare once, on its first use. The name is its identity.
struct PostgresStatement {
  std::string name;
  std::string sql;  ///< parameters are $1, $2, ...; all of them in binary form
};

/// Parameters in PostgreSQL's binary form.
std::string postgres_int8(std::int64_t value);
/// bytea[]; the views need not outlive the call.
std::string postgres_bytea_array(const std::vector<std::string_view>& values);
/// text[]; the values must be text that every encoding has in common, ASCII.
std::string postgres_text_array(const std::vector<std::string>& values);
/// int8[]
std::string postgres_int8_array(const std::vector<std::int64_t>& values);

/// What one statement of a pipeline gave. Values are in binary form.
class PostgresResult {
 public:
  explicit PostgresResult(pg_result* result) noexcept : result_(result) {}
  PostgresResult(PostgresResult&& other) noexcept : result_(std::exchange(other.result_, nullptr)) {}
  PostgresResult& operator=(PostgresResult&& other) noexcept {
    std::swap(result_, other.result_);
    return *this;
  }
  PostgresResult(const PostgresResult&) = delete;
  PostgresResult& operator=(const PostgresResult&) = delete;
  ~PostgresResult();

  [[nodiscard]] int rows() const noexcept;
  /// How many rows the statement changed.
  [[nodiscard]] std::uint64_t affected() const noexcept;
  /// Valid as long as the result.
  [[nodiscard]] std::string_view value(int row, int column) const noexcept;
  [[nodiscard]] std::int64_t number(int row, int column) const noexcept;

 private:
  pg_result* result_;
};

/// A statement was refused; the connection is as good as before, outside of any transaction.
class PostgresRefusal : public Error {
 public:
  PostgresRefusal(const Error& error, std::string state) : Error(error), state_(std::move(state)) {}
  /// SQLSTATE, five characters.
  [[nodiscard]] const std::string& state() const noexcept { return state_; }

 private:
  std::string state_;
};

/// The connection broke, or its deadline passed: whether what was sent took effect is not known.
class PostgresLoss : public Error {
 public:
  using Error::Error;
};

/// Calls from one thread at a time. After a PostgresLoss only the destructor may follow.
class PostgresConnection {
 public:
  /// Connects until `deadline`. Throws unavailable, permission_denied (user, password, certificate),
  /// invalid_argument (no such database, a url that is none). Once the descriptor `interrupt` is readable all
  /// waits end at once, as at their deadline; it must outlive the connection. -1: never.
  PostgresConnection(const PostgresOptions& options, MonotonicTime deadline, int interrupt = -1);
  ~PostgresConnection();
  PostgresConnection(const PostgresConnection&) = delete;
  PostgresConnection& operator=(const PostgresConnection&) = delete;

  /// Adds a statement to the pipeline. `statement` must outlive the connection.
  /// Gives the place of its result.
  std::size_t add(const PostgresStatement& statement, std::vector<std::string> parameters = {});
  /// Sends the pipeline and gives one result for each statement. Stops at the first one that is refused: what
  /// stands behind it is not executed, an open transaction is rolled back, and PostgresRefusal is thrown.
  /// Throws PostgresLoss.
  std::vector<PostgresResult> run(MonotonicTime deadline);
  /// The same for a single statement.
  PostgresResult run(const PostgresStatement& statement, std::vector<std::string> parameters,
                     MonotonicTime deadline);

  /// Notifications that have come, by LISTEN; `socket` becomes readable when more do. Throws PostgresLoss.
  std::vector<std::string> take_notifications();
  [[nodiscard]] int socket() const noexcept;
  /// Whether nothing was heard of its end.
  [[nodiscard]] bool healthy() const noexcept;

 private:
  struct Step {
    const PostgresStatement* statement;
    bool prepares;
    std::vector<std::string> parameters;
  };
  struct Answer {
    std::vector<PostgresResult> results;
    std::optional<PostgresRefusal> refusal;
  };
  void connect(const PostgresOptions& options, MonotonicTime deadline);
  void adopt_session_settings(const PostgresOptions& options, MonotonicTime deadline);
  void send_steps();
  Answer receive(MonotonicTime deadline);
  void wait(bool for_writing, MonotonicTime deadline);
  void roll_back(MonotonicTime deadline);
  [[noreturn]] void lost(const std::string& what) const;

  pg_conn* connection_ = nullptr;
  const int interrupt_;
  std::string place_;  ///< host and database, for messages
  std::vector<Step> steps_;
  std::set<std::string, std::less<>> prepared_;
  std::set<std::string, std::less<>> preparing_;
};

/// Throws invalid_argument where it cannot be read, or holds a password: a url is shown to people.
void check_postgres_url(const std::string& url);

/// Host, port and database in a url that can be read, for people.
std::string postgres_place(const std::string& url);

/// What a failure of the server means; `what` is the server's own text.
Error to_postgres_error(std::string_view state, const std::string& what, const std::string& place);

}  // namespace db4::kv
