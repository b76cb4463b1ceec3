#pragma once
// Plain libpq: one connection, prepared statements, and a pipeline for a write.

#include <string>
#include <string_view>

struct pg_conn;

namespace db4::bench {

/// For one thread. The tables are those of the engine. Throws std::runtime_error.
class RawLibpq {
 public:
  RawLibpq(const std::string& url, const std::string& schema);
  ~RawLibpq();
  RawLibpq(const RawLibpq&) = delete;
  RawLibpq& operator=(const RawLibpq&) = delete;

  std::string get(const std::string& id);
  /// Checks the row, then changes it, two indexes and two counters, in one transaction and one round trip.
  void write(const std::string& id, std::string_view body, std::size_t i, bool synced);

 private:
  void prepare(const char* name, const std::string& sql);
  void send(const char* name, std::initializer_list<std::string_view> parameters);
  [[noreturn]] void fail() const;

  pg_conn* connection_;
  std::string change_key_;
  std::uint64_t changes_ = 0;
};

}  // namespace db4::bench
