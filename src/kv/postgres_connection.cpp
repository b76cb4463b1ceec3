#include "kv/postgres_connection.hpp"

#include "base/encoding.hpp"

#include <db4/clock.hpp>

#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace db4::kv {
namespace {

constexpr int kBinary = 1;
/// The server's own number of the type bytea.
constexpr std::uint32_t kByteaOid = 17;
constexpr std::uint32_t kInt8Oid = 20;
constexpr std::uint32_t kTextOid = 25;
/// A connection that the network dropped in silence is found out within some 25 seconds, at both ends.
constexpr const char* kKeepalivesIdle = "10";
constexpr const char* kKeepalivesInterval = "5";
constexpr const char* kKeepalivesCount = "3";

void put_network(std::string& out, std::uint32_t value) { put_fixed(out, __builtin_bswap32(value)); }

std::string trimmed(std::string text) {
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

/// Header of a one-dimensional array without NULLs: https://www.postgresql.org/docs/15/xtypes.html has no
/// word on it; it is what array_send and array_recv of the server's sources write and read.
std::string array_header(std::uint32_t type, std::size_t size) {
  std::string out;
  put_network(out, size == 0 ? 0 : 1);  // dimensions
  put_network(out, 0);                  // no NULLs
  put_network(out, type);
  if (size == 0) return out;
  put_network(out, static_cast<std::uint32_t>(size));
  put_network(out, 1);  // the lower bound
  return out;
}

template <typename Value>
std::string array_of_bytes(std::uint32_t type, const std::vector<Value>& values) {
  std::string out = array_header(type, values.size());
  for (const Value& value : values) {
    put_network(out, static_cast<std::uint32_t>(value.size()));
    out.append(value);
  }
  return out;
}

struct StateMeaning {
  std::string_view prefix;
  ErrorCode code;
  std::string_view advice;
};

/// By SQLSTATE, the longest prefix first: https://www.postgresql.org/docs/15/errcodes-appendix.html
constexpr std::array kMeanings = {
    StateMeaning{"25006", ErrorCode::read_only,
                 "hot.url leads to a standby: name the primary, or add target_session_attrs=read-write"},
    StateMeaning{"42501", ErrorCode::permission_denied,
                 "grant the role of hot.url the rights on the schema hot.schema"},
    StateMeaning{"55P03", ErrorCode::deadline_exceeded, "repeat; raise hot.timeout if that happens often"},
    StateMeaning{"57014", ErrorCode::deadline_exceeded, "repeat; raise hot.timeout if that happens often"},
    StateMeaning{"3D000", ErrorCode::invalid_argument, "create the database, or name another in hot.url"},
    StateMeaning{"53300", ErrorCode::unavailable, "lower hot.max_connections, or raise the server's"},
    StateMeaning{"28", ErrorCode::permission_denied, "check the user in hot.url, and hot.password"},
    StateMeaning{"53", ErrorCode::resource_exhausted, "make room at the server, then repeat"},
    StateMeaning{"08", ErrorCode::unavailable, "repeat later"},
    StateMeaning{"57", ErrorCode::unavailable, "repeat later"},
    StateMeaning{"40", ErrorCode::unavailable, "repeat it"},
    StateMeaning{"54", ErrorCode::too_large, "make the document smaller"},
    StateMeaning{"XX", ErrorCode::corrupt, "check the server's log"},
};

/// libpq gives no SQLSTATE for what fails before a session stands, only the server's text.
Error connect_error(const std::string& what, const std::string& place) {
  const auto says = [&](std::string_view part) { return what.find(part) != std::string::npos; };
  if (says("authentication failed") || says("no password supplied") || says("no pg_hba.conf entry") ||
      says("role \"") || says("certificate")) {
    return to_postgres_error("28000", what, place);
  }
  if (says("database \"") && says("does not exist")) return to_postgres_error("3D000", what, place);
  return {ErrorCode::unavailable, "no connection to PostgreSQL at " + place + ": " + what,
          "check hot.url, and that the server runs"};
}

}  // namespace

std::string postgres_int8(std::int64_t value) {
  std::string out;
  put_big_endian(out, static_cast<std::uint64_t>(value));
  return out;
}

std::string postgres_bytea_array(const std::vector<std::string_view>& values) {
  return array_of_bytes(kByteaOid, values);
}

std::string postgres_text_array(const std::vector<std::string>& values) {
  return array_of_bytes(kTextOid, values);
}

std::string postgres_int8_array(const std::vector<std::int64_t>& values) {
  std::string out = array_header(kInt8Oid, values.size());
  for (const std::int64_t value : values) {
    put_network(out, sizeof value);
    put_big_endian(out, static_cast<std::uint64_t>(value));
  }
  return out;
}

PostgresResult::~PostgresResult() { PQclear(result_); }

int PostgresResult::rows() const noexcept { return PQntuples(result_); }

std::uint64_t PostgresResult::affected() const noexcept {
  const std::string_view text = PQcmdTuples(result_);
  std::uint64_t count = 0;
  std::from_chars(text.data(), text.data() + text.size(), count);
  return count;
}

std::string_view PostgresResult::value(int row, int column) const noexcept {
  return {PQgetvalue(result_, row, column), static_cast<std::size_t>(PQgetlength(result_, row, column))};
}

std::int64_t PostgresResult::number(int row, int column) const noexcept {
  const std::string_view bytes = value(row, column);
  return bytes.size() == sizeof(std::int64_t) ? static_cast<std::int64_t>(load_big_endian(bytes.data())) : 0;
}

Error to_postgres_error(std::string_view state, const std::string& what, const std::string& place) {
  const auto* meaning = std::find_if(kMeanings.begin(), kMeanings.end(), [&](const StateMeaning& entry) {
    return state.starts_with(entry.prefix);
  });
  const std::string problem = "PostgreSQL at " + place + ": " + what;
  if (meaning != kMeanings.end()) return {meaning->code, problem, std::string(meaning->advice)};
  return {ErrorCode::internal, problem + " (SQLSTATE " + std::string(state) + ")",
          "check that the server speaks PostgreSQL's SQL of release 12 or later; else report this"};
}

void check_postgres_url(const std::string& url) {
  char* problem = nullptr;
  PQconninfoOption* options = PQconninfoParse(url.c_str(), &problem);
  const std::string text = problem == nullptr ? "" : trimmed(problem);
  PQfreemem(problem);
  if (options == nullptr) {
    throw Error(ErrorCode::invalid_argument, "hot.url cannot be read: " + text,
                "write it as postgresql://user@host:5432/database");
  }
  bool holds_password = false;
  for (const PQconninfoOption* option = options; option->keyword != nullptr; ++option) {
    holds_password |= std::string_view(option->keyword) == "password" && option->val != nullptr;
  }
  PQconninfoFree(options);
  if (!holds_password) return;
  throw Error(ErrorCode::invalid_argument, "hot.url holds a password, which would be shown with it",
              "take it out, and set hot.password");
}

std::string postgres_place(const std::string& url) {
  std::string host;
  std::string port;
  std::string database;
  PQconninfoOption* options = PQconninfoParse(url.c_str(), nullptr);
  for (const PQconninfoOption* option = options; option != nullptr && option->keyword != nullptr; ++option) {
    if (option->val == nullptr) continue;
    const std::string_view keyword(option->keyword);
    if (keyword == "host" || (keyword == "hostaddr" && host.empty())) host = option->val;
    if (keyword == "port") port = option->val;
    if (keyword == "dbname") database = option->val;
  }
  PQconninfoFree(options);
  return host + (port.empty() ? "" : ":" + port) + "/" + database;
}

PostgresConnection::PostgresConnection(const PostgresOptions& options, MonotonicTime deadline, int interrupt)
    : interrupt_(interrupt) {
  try {
    connect(options, deadline);
    adopt_session_settings(options, deadline);
  } catch (...) {
    PQfinish(connection_);
    throw;
  }
}

PostgresConnection::~PostgresConnection() { PQfinish(connection_); }

void PostgresConnection::connect(const PostgresOptions& options, MonotonicTime deadline) {
  const std::string password(options.password.reveal());
  // With expand_dbname the first `dbname` may be a whole url; what stands behind it overrides it.
  std::vector<const char*> names = {"fallback_application_name", "keepalives_idle", "keepalives_interval",
                                    "keepalives_count", "dbname"};
  std::vector<const char*> values = {"db4", kKeepalivesIdle, kKeepalivesInterval, kKeepalivesCount,
                                     options.url.c_str()};
  if (!password.empty()) {
    names.push_back("password");
    values.push_back(password.c_str());
  }
  names.push_back(nullptr);
  values.push_back(nullptr);
  connection_ = PQconnectStartParams(names.data(), values.data(), 1);
  std::string copy = password;  // libpq has its own
  wipe(copy);
  if (connection_ == nullptr) throw std::bad_alloc();
  const auto text = [](const char* value) { return std::string(value == nullptr ? "" : value); };
  place_ = text(PQhost(connection_)) + ":" + text(PQport(connection_)) + "/" + text(PQdb(connection_));
  if (PQstatus(connection_) == CONNECTION_BAD)
    throw connect_error(trimmed(PQerrorMessage(connection_)), place_);
  PostgresPollingStatusType status = PGRES_POLLING_WRITING;
  while (status != PGRES_POLLING_OK) {
    try {
      wait(status == PGRES_POLLING_WRITING, deadline);
    } catch (const PostgresLoss&) {
      throw Error(ErrorCode::unavailable, "PostgreSQL at " + place_ + " did not answer in time",
                  "check hot.url and the network, or raise hot.connect_timeout");
    }
    status = PQconnectPoll(connection_);
    if (status == PGRES_POLLING_FAILED) throw connect_error(trimmed(PQerrorMessage(connection_)), place_);
  }
  place_ = text(PQhost(connection_)) + ":" + text(PQport(connection_)) + "/" + text(PQdb(connection_));
  PQsetNoticeProcessor(
      connection_, [](void*, const char*) {}, nullptr);
  if (PQsetnonblocking(connection_, 1) != 0 || PQenterPipelineMode(connection_) != 1) lost("set up");
}

/// A session whose client has gone must not hold its locks for ever, among others. A server that does not
/// know one of these settings is none the worse for it.
void PostgresConnection::adopt_session_settings(const PostgresOptions& options, MonotonicTime deadline) {
  const std::string timeout_ms = std::to_string(options.timeout.count());
  const std::array settings = {
      PostgresStatement{"", "SET statement_timeout = " + timeout_ms},
      PostgresStatement{"", "SET lock_timeout = " + timeout_ms},
      PostgresStatement{"", "SET idle_in_transaction_session_timeout = " + timeout_ms},
      // All statements are lookups by key and ranges of keys, planned once: a plan that was made while a
      // table was empty must not scan it whole when it is not.
      PostgresStatement{"", "SET enable_seqscan = off"},
      PostgresStatement{"", "SET plan_cache_mode = force_generic_plan"},
  };
  for (const PostgresStatement& setting : settings) {
    try {
      run(setting, {}, deadline);
    } catch (const PostgresRefusal&) {
      continue;
    } catch (const PostgresLoss& loss) {
      throw Error(ErrorCode::unavailable, loss.problem(), "check hot.url and the network");
    }
  }
}

std::size_t PostgresConnection::add(const PostgresStatement& statement, std::vector<std::string> parameters) {
  const bool prepares = !prepared_.contains(statement.name) && !preparing_.contains(statement.name);
  // The nameless one is made anew each time.
  if (prepares && !statement.name.empty()) preparing_.insert(statement.name);
  steps_.push_back({&statement, prepares, std::move(parameters)});
  return steps_.size() - 1;
}

PostgresResult PostgresConnection::run(const PostgresStatement& statement,
                                       std::vector<std::string> parameters, MonotonicTime deadline) {
  add(statement, std::move(parameters));
  return std::move(run(deadline).front());
}

std::vector<PostgresResult> PostgresConnection::run(MonotonicTime deadline) {
  send_steps();
  Answer answer = receive(deadline);
  steps_.clear();
  preparing_.clear();
  if (answer.refusal) {
    if (PQtransactionStatus(connection_) != PQTRANS_IDLE) roll_back(deadline);
    throw PostgresRefusal(*answer.refusal);
  }
  return std::move(answer.results);
}

void PostgresConnection::roll_back(MonotonicTime deadline) {
  static const PostgresStatement rollback{"db4_rollback", "ROLLBACK"};
  add(rollback);
  send_steps();
  const Answer answer = receive(deadline);
  steps_.clear();
  preparing_.clear();
  if (answer.refusal) lost("roll back");
}

void PostgresConnection::send_steps() {
  std::vector<const char*> values;
  std::vector<int> lengths;
  std::vector<int> formats;
  for (const Step& step : steps_) {
    const PostgresStatement& statement = *step.statement;
    if (step.prepares &&
        PQsendPrepare(connection_, statement.name.c_str(), statement.sql.c_str(), 0, nullptr) != 1) {
      lost("send");
    }
    values.clear();
    lengths.clear();
    formats.assign(step.parameters.size(), kBinary);
    for (const std::string& parameter : step.parameters) {
      values.push_back(parameter.data());
      lengths.push_back(static_cast<int>(parameter.size()));
    }
    if (PQsendQueryPrepared(connection_, statement.name.c_str(), static_cast<int>(values.size()),
                            values.data(), lengths.data(), formats.data(), kBinary) != 1) {
      lost("send");
    }
  }
  if (PQpipelineSync(connection_) != 1) lost("send");
}

/// Sends what is left to send while it takes what has come: a server that is not listened to stops listening.
PostgresConnection::Answer PostgresConnection::receive(MonotonicTime deadline) {
  struct Expected {
    const PostgresStatement* statement;
    bool prepares;
  };
  std::vector<Expected> expected;
  for (const Step& step : steps_) {
    if (step.prepares) expected.push_back({step.statement, true});
    expected.push_back({step.statement, false});
  }
  Answer answer;
  std::size_t at = 0;
  int nulls = 1;  // one may be left of the pipeline before
  while (true) {
    const int unsent = PQflush(connection_);
    if (unsent < 0) lost("take what was sent");
    while (PQisBusy(connection_) == 0) {
      PGresult* result = PQgetResult(connection_);
      if (result == nullptr) {  // the end of one statement's results
        if (nulls == 0) ++at;
        if (++nulls > 2) lost("keep to the protocol");
        continue;
      }
      nulls = 0;
      PostgresResult owned(result);
      const ExecStatusType status = PQresultStatus(result);
      if (status == PGRES_PIPELINE_SYNC) return answer;
      if (status == PGRES_PIPELINE_ABORTED) continue;
      if (at >= expected.size()) lost("keep to the protocol");
      if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
        if (!expected[at].prepares) {
          answer.results.push_back(std::move(owned));
        } else if (!expected[at].statement->name.empty()) {
          prepared_.insert(expected[at].statement->name);
        }
        continue;
      }
      const char* field = PQresultErrorField(result, PG_DIAG_SQLSTATE);
      const std::string state = field == nullptr ? "" : field;
      // A server that ends the session says so first.
      if (PQstatus(connection_) == CONNECTION_BAD || state.empty() || state.starts_with("57P")) {
        lost("go on");
      }
      if (!answer.refusal) {
        answer.refusal.emplace(to_postgres_error(state, trimmed(PQresultErrorMessage(result)), place_),
                               state);
      }
    }
    wait(unsent != 0, deadline);
    if (PQconsumeInput(connection_) != 1) lost("answer");
  }
}

void PostgresConnection::wait(bool for_writing, MonotonicTime deadline) {
  // A negative descriptor is passed over.
  std::array<pollfd, 2> descriptors = {{{.fd = PQsocket(connection_), .events = POLLIN, .revents = 0},
                                        {.fd = interrupt_, .events = POLLIN, .revents = 0}}};
  if (for_writing) descriptors[0].events |= POLLOUT;
  while (true) {
    const MonotonicTime left = deadline - system_clock()->monotonic();
    if (left <= MonotonicTime{0}) lost("answer within the time given");
    // A millisecond more, so that it is not asked again and again for the last part of one.
    const auto left_ms = std::chrono::duration_cast<std::chrono::milliseconds>(left).count() + 1;
    const int ready = ::poll(descriptors.data(), descriptors.size(),
                             static_cast<int>(std::min<std::int64_t>(left_ms, 1'000'000)));
    if (descriptors[1].revents != 0) lost("answer before it was given up");
    if (ready > 0) return;
    if (ready < 0 && errno != EINTR) lost("wait");
  }
}

std::vector<std::string> PostgresConnection::take_notifications() {
  if (PQconsumeInput(connection_) != 1) lost("receive");
  // The end of the pipeline before, which libpq wants to be taken: until then it leaves all that a server
  // says unasked but notifications, and what is behind that, where it is.
  PQclear(PQgetResult(connection_));
  std::vector<std::string> out;
  while (PGnotify* notification = PQnotifies(connection_)) {
    out.emplace_back(notification->extra);
    PQfreemem(notification);
  }
  return out;
}

int PostgresConnection::socket() const noexcept { return PQsocket(connection_); }

bool PostgresConnection::healthy() const noexcept { return PQstatus(connection_) == CONNECTION_OK; }

void PostgresConnection::lost(const std::string& what) const {
  const std::string text = trimmed(PQerrorMessage(connection_));
  throw PostgresLoss(ErrorCode::unavailable,
                     "PostgreSQL at " + place_ + " did not " + what + (text.empty() ? "" : ": " + text),
                     "repeat later");
}

}  // namespace db4::kv
