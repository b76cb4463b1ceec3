#pragma once
// A group of batches as the statements of one transaction.
//
// The usual way takes one round trip: the preconditions are taken to hold, what the group then comes to is
// planned here, and the server checks them before it changes anything; where one fails, so does the whole
// transaction. Then, and where preconditions cannot be judged without knowing values, the group is sent in
// two: the first locks and reads what the preconditions are about, the second changes.

#include "kv/group_plan.hpp"
#include "kv/postgres_schema.hpp"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace db4::kv {

/// What GroupPlan may read when every precondition is taken to hold: for each key the value that its
/// precondition asks for.
class AssumedReads {
 public:
  struct Assumption {
    const Precondition* precondition;
    bool same_for_all;  ///< the group has no other precondition on this key
  };
  using Key = std::pair<std::uint8_t, std::string_view>;

  AssumedReads(const SpaceTable& spaces, std::span<const Batch* const> group);
  std::optional<std::string> read(std::uint8_t space, std::string_view key);

  /// What must hold for the plan to be right.
  [[nodiscard]] const std::vector<const Precondition*>& assumed() const noexcept { return assumed_; }
  /// Whether the plan may be right: it is not where one key was judged by the precondition of another batch.
  [[nodiscard]] bool sound(const GroupPlan& plan) const noexcept;

 private:
  const SpaceTable& spaces_;
  std::map<Key, Assumption> assumptions_;
  std::map<Key, bool> read_;
  std::vector<const Precondition*> assumed_;
  bool ambiguous_ = false;  ///< a key with different preconditions was read
  bool unsound_ = false;
};

/// What GroupPlan may read when all that the group's preconditions are about is locked and read first.
class LockedReads {
 public:
  LockedReads(const SpaceTable& spaces, std::span<const Batch* const> group);
  void add_statements(PostgresConnection& connection, const PostgresSchema& schema) const;
  /// The results of the whole pipeline, of which those of add_statements are the last.
  void take(const std::vector<PostgresResult>& results);
  [[nodiscard]] std::optional<std::string> read(std::uint8_t space, std::string_view key) const;
  /// Keys that were absent, and are held by a row with an empty value.
  [[nodiscard]] const std::vector<AssumedReads::Key>& held() const noexcept { return held_; }

 private:
  const SpaceTable& spaces_;
  std::map<std::uint8_t, std::vector<std::string_view>> keys_;
  std::map<std::uint8_t, std::vector<std::string_view>> to_be_absent_;
  std::map<AssumedReads::Key, std::string> values_;
  std::vector<AssumedReads::Key> held_;
};

/// Adds the statements of a plan to a connection's pipeline, each space's rows in the order of their keys:
/// transactions that lock the same rows lock them in the same order. The plan and its batches outlive it.
class PostgresGroup {
 public:
  PostgresGroup(const PostgresSchema& schema, const SpaceTable& spaces, const GroupPlan& plan);

  /// Have the server check them: before it changes anything, or where it changes the very row.
  void require(const std::vector<const Precondition*>& preconditions);
  /// Keys that hold_places holds with an empty value: what the plan does not put there is taken away again.
  void release(const std::vector<AssumedReads::Key>& held);

  void add_checks(PostgresConnection& connection) const;
  void add_changes(PostgresConnection& connection) const;

 private:
  /// What a row must be.
  struct Check {
    std::string_view prefix;
    std::int64_t size;  ///< of the whole value; -1: any
    bool changes;       ///< the plan changes the row, by another statement
  };
  struct Change {
    OperationKind kind;  ///< put, erase or add
    std::string_view value;
    bool must_be_new = false;
    std::optional<Check> replaces = {};  ///< the row that is put over
  };
  struct Range {
    std::uint8_t space;
    std::string_view begin;
    std::string_view end;
  };
  /// What takes effect together, then one range that is erased.
  struct Stage {
    std::map<AssumedReads::Key, Change> changes;
    std::optional<Range> range;
  };
  [[nodiscard]] bool changes(const AssumedReads::Key& key) const;
  void add_check(PostgresConnection& connection, std::uint8_t space, bool changes) const;
  void add_stage(PostgresConnection& connection, const Stage& stage) const;
  void add_changes_of(PostgresConnection& connection, const Stage& stage, std::uint8_t space) const;
  void add_replacements(PostgresConnection& connection, const Stage& stage, std::uint8_t space) const;

  const PostgresSchema& schema_;
  const SpaceTable& spaces_;
  std::vector<Stage> stages_;
  std::map<AssumedReads::Key, Check> checks_;
  std::vector<AssumedReads::Key> places_;  ///< must be absent, and the first stage puts nothing there
};

/// A value of a space as the engine's users see it: counters are eight little-endian bytes.
std::string from_postgres(const SpaceSpec& space, std::string_view value);

}  // namespace db4::kv
