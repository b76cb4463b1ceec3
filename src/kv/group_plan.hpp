#pragma once
// What a group of batches comes to: the part of a commit that is the same for every engine.

#include "kv/space_table.hpp"

#include <deque>
#include <span>
#include <unordered_map>

namespace db4::kv {

/// Who adds to a counter.
enum class CounterMode : std::uint8_t {
  settled,  ///< the plan: it reads what is stored, and puts the sum
  added,    ///< the engine: others may add at the same time
};

/// One step for the engine: put, erase or erase_range; with CounterMode::added also add, whose value is the
/// eight bytes of the difference. The views live as long as the plan and its batches.
struct PlannedOperation {
  OperationKind kind;
  std::uint8_t space;
  std::string_view key;
  std::string_view value;
};

/// Checks the preconditions of a group, batch after batch, and turns counters and appends into puts.
///
/// What earlier batches of the group did is not in the engine yet, so it is looked up in an overlay first:
/// the last value of every key written, and the ranges erased (an erased range removes the overlay's keys
/// inside it, so a key found there is always newer than every range). Counters are read once for each key and
/// group, added up here, and put (or added) once, at the end, in the order of their keys. Costs one engine
/// read for a precondition or a counter, and one overlay entry for a written key, the latter only where a
/// later batch has preconditions.
class GroupPlan {
 public:
  using Read = std::function<std::optional<std::string>(std::uint8_t space, std::string_view key)>;

  /// `read` gives what is committed. Throws invalid_argument for an unknown space or an `add` outside the
  /// counters, corrupt for a stored counter that is none, and what `read` throws.
  GroupPlan(const SpaceTable& spaces, std::span<const Batch* const> group, std::uint64_t next_sequence,
            const Read& read, CounterMode counters = CounterMode::settled);
  GroupPlan(const GroupPlan&) = delete;
  GroupPlan& operator=(const GroupPlan&) = delete;

  /// In the order in which they must take effect.
  [[nodiscard]] const std::vector<PlannedOperation>& operations() const noexcept { return operations_; }
  [[nodiscard]] const std::vector<Outcome>& outcomes() const noexcept { return outcomes_; }
  /// The sequence number that the first append of the next group gets, once this group is committed.
  [[nodiscard]] std::uint64_t next_sequence() const noexcept { return next_sequence_; }

 private:
  struct SpaceKey {
    std::uint8_t space;
    std::string_view key;
    friend bool operator==(const SpaceKey&, const SpaceKey&) = default;
  };
  struct SpaceKeyHash {
    std::size_t operator()(const SpaceKey& key) const noexcept;
  };
  struct Range {
    std::uint8_t space;
    std::string_view begin;
    std::string_view end;  ///< empty: to the end of the space
    [[nodiscard]] bool holds(const SpaceKey& key) const noexcept;
  };
  template <typename Value>
  using Overlay = std::unordered_map<SpaceKey, std::optional<Value>, SpaceKeyHash>;

  Outcome check(const Batch& batch) const;
  bool holds(const Precondition& precondition) const;
  void apply(const Batch& batch);
  void write(OperationKind kind, const SpaceKey& key, std::optional<std::string_view> value);
  void erase_range(const Range& range);
  void add(const SpaceKey& key, std::int64_t delta);
  std::int64_t counter(const SpaceKey& key) const;
  void write_counters();
  void write_counter(OperationKind kind, const SpaceKey& key, std::int64_t value);
  [[nodiscard]] bool is_counter(std::uint8_t space) const;
  [[nodiscard]] bool erased_by_range(const SpaceKey& key) const noexcept;

  const SpaceTable& spaces_;
  const Read& read_;
  const CounterMode counter_mode_;
  bool later_preconditions_ = false;
  std::uint64_t next_sequence_;
  std::vector<PlannedOperation> operations_;
  std::vector<Outcome> outcomes_;
  Overlay<std::string_view> written_;
  Overlay<std::int64_t> counters_;
  Overlay<std::int64_t> differences_;  ///< of counters whose value is not known here; never nullopt
  std::vector<Range> ranges_;
  std::deque<std::string> made_;  ///< keys and values that stand in no batch
};

/// Runs on_committed of every batch that committed, in order. A callback that throws ends the process: the
/// batch is durable, and nobody could be told so.
void run_on_committed(std::span<const Batch* const> group, std::span<const Outcome> outcomes) noexcept;

}  // namespace db4::kv
