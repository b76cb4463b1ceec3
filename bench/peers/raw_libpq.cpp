#include "peers/raw_libpq.hpp"

#include "base/encoding.hpp"

#include <db4/random.hpp>

#include <libpq-fe.h>

#include <stdexcept>
#include <vector>

namespace db4::bench {
namespace {

constexpr int kBinary = 1;

std::string int8(std::int64_t value) {
  std::string out;
  put_big_endian(out, static_cast<std::uint64_t>(value));
  return out;
}

}  // namespace

RawLibpq::RawLibpq(const std::string& url, const std::string& schema)
    : connection_(PQconnectdb(url.c_str())) {
  if (PQstatus(connection_) != CONNECTION_OK) fail();
  PQclear(PQexec(connection_, ("SET search_path = \"" + schema + "\"").c_str()));
  put_big_endian(change_key_, system_random()->next_u64());
  const auto put = [](const std::string& table, const std::string& type, const std::string& value) {
    return "INSERT INTO " + table + " AS t (key, value) VALUES ($1::bytea, $2::" + type +
           ") ON CONFLICT (key) DO UPDATE SET value = " + value;
  };
  prepare("get", "SELECT value FROM rows WHERE key = $1::bytea");
  prepare("begin", "BEGIN");
  prepare("relax", "SET LOCAL synchronous_commit TO off");
  prepare("check", "SELECT 1 FROM rows WHERE key = $1::bytea FOR UPDATE");
  prepare("row", put("rows", "bytea", "EXCLUDED.value"));
  prepare("due", put("due", "bytea", "EXCLUDED.value"));
  prepare("change", put("changes", "bytea", "EXCLUDED.value"));
  prepare("count", put("counters", "int8", "t.value + EXCLUDED.value"));
  prepare("commit", "COMMIT");
}

RawLibpq::~RawLibpq() { PQfinish(connection_); }

void RawLibpq::prepare(const char* name, const std::string& sql) {
  PGresult* result = PQprepare(connection_, name, sql.c_str(), 0, nullptr);
  const bool prepared = PQresultStatus(result) == PGRES_COMMAND_OK;
  PQclear(result);
  if (!prepared) fail();
}

std::string RawLibpq::get(const std::string& id) {
  const char* const values[] = {id.data()};
  const int lengths[] = {static_cast<int>(id.size())};
  const int formats[] = {kBinary};
  PGresult* result = PQexecPrepared(connection_, "get", 1, values, lengths, formats, kBinary);
  if (PQresultStatus(result) != PGRES_TUPLES_OK || PQntuples(result) != 1) fail();
  std::string value(PQgetvalue(result, 0, 0), static_cast<std::size_t>(PQgetlength(result, 0, 0)));
  PQclear(result);
  return value;
}

void RawLibpq::send(const char* name, std::initializer_list<std::string_view> parameters) {
  std::vector<const char*> values;
  std::vector<int> lengths;
  const std::vector<int> formats(parameters.size(), kBinary);
  for (const std::string_view parameter : parameters) {
    values.push_back(parameter.data());
    lengths.push_back(static_cast<int>(parameter.size()));
  }
  if (PQsendQueryPrepared(connection_, name, static_cast<int>(values.size()), values.data(), lengths.data(),
                          formats.data(), kBinary) != 1) {
    fail();
  }
}

void RawLibpq::write(const std::string& id, std::string_view body, std::size_t i, bool synced) {
  if (PQenterPipelineMode(connection_) != 1) fail();
  const std::string shard = std::to_string(i % 16);
  std::string change = change_key_;
  put_big_endian(change, ++changes_);
  send("begin", {});
  if (!synced) send("relax", {});
  send("check", {id});
  send("row", {id, body});
  send("due", {id, std::string_view("")});
  send("change", {change, id});
  send("count", {"a" + shard, int8(1)});
  send("count", {"b" + shard, int8(1)});
  send("commit", {});
  if (PQpipelineSync(connection_) != 1) fail();
  while (true) {
    PGresult* result = PQgetResult(connection_);
    const ExecStatusType status = result == nullptr ? PGRES_TUPLES_OK : PQresultStatus(result);
    PQclear(result);
    if (status == PGRES_PIPELINE_SYNC) break;
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) fail();
  }
  if (PQexitPipelineMode(connection_) != 1) fail();
}

void RawLibpq::fail() const {
  throw std::runtime_error(std::string("libpq: ") + PQerrorMessage(connection_));
}

}  // namespace db4::bench
