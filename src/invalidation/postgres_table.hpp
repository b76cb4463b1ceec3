#pragma once
// PostgresMessageTable: messages between nodes in a table, for databases that have no LISTEN and NOTIFY.

#include "kv/postgres_connection.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace db4::invalidation {

/// Row 0 holds the highest number given out (`head`); every other row is a message under its number. Whoever
/// appends changes row 0 first, in the same transaction: the lock on it makes him the only one until his
/// commit. So numbers are dense, and become visible in their order: what was seen up to a number is all that
/// there ever was up to it. A number drawn from a sequence would not do: the transaction that drew the lower
/// one may commit later, and be passed over.
///
/// Statements have no names, so that poolers which give each transaction another session keep up. Immutable;
/// each connection is used by one thread at a time. Calls throw kv::PostgresRefusal and kv::PostgresLoss.
class PostgresMessageTable {
 public:
  /// Messages of one read, at most.
  static constexpr std::size_t kPage = 512;

  /// Of `schema`, or the session's where that is empty, and `name`; both of letters, digits and underscores.
  /// `kept`: messages that stay when more are appended.
  PostgresMessageTable(const std::string& schema, const std::string& name, std::int64_t kept);
  PostgresMessageTable(const PostgresMessageTable&) = delete;
  PostgresMessageTable& operator=(const PostgresMessageTable&) = delete;

  /// In one transaction, in this order; takes the oldest away. Makes the table where there is none.
  void append(kv::PostgresConnection& connection, std::span<const std::string> messages,
              MonotonicTime deadline) const;
  /// The number of the newest message, 0: none yet. Makes the table where there is none.
  [[nodiscard]] std::int64_t newest(kv::PostgresConnection& connection, MonotonicTime deadline) const;

  struct Page {
    /// Something between the position and the first message was taken away unread, or the table is not the
    /// one that the position is of.
    bool lost = false;
    std::vector<std::string> messages = {};
    bool more = false;  ///< behind these
  };
  /// What stands behind `position`, which goes on.
  [[nodiscard]] Page read(kv::PostgresConnection& connection, std::int64_t& position,
                          MonotonicTime deadline) const;

 private:
  bool try_append(kv::PostgresConnection& connection, std::span<const std::string> messages,
                  MonotonicTime deadline) const;
  void create(kv::PostgresConnection& connection, MonotonicTime deadline) const;

  const std::int64_t kept_;
  const kv::PostgresStatement begin_{"", "BEGIN ISOLATION LEVEL READ COMMITTED"};
  const kv::PostgresStatement commit_{"", "COMMIT"};
  const kv::PostgresStatement create_;
  const kv::PostgresStatement create_head_;
  const kv::PostgresStatement advance_;  ///< how many
  const kv::PostgresStatement insert_;   ///< messages, how many; gives a row for each
  const kv::PostgresStatement trim_;     ///< how many stay
  const kv::PostgresStatement newest_;   ///< gives the head
  const kv::PostgresStatement read_;  ///< position, limit; gives head, number and message, or head and NULLs
};

}  // namespace db4::invalidation
