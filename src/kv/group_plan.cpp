#include "kv/group_plan.hpp"

#include "base/encoding.hpp"

#include <algorithm>
#include <tuple>

namespace db4::kv {
namespace {

/// An overflow wraps around instead of being undefined.
std::int64_t wrapping_sum(std::int64_t a, std::int64_t b) noexcept {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(a) + static_cast<std::uint64_t>(b));
}

}  // namespace

std::size_t GroupPlan::SpaceKeyHash::operator()(const SpaceKey& key) const noexcept {
  return std::hash<std::string_view>{}(key.key) * 31 + key.space;
}

bool GroupPlan::Range::holds(const SpaceKey& key) const noexcept {
  return key.space == space && key.key >= begin && (end.empty() || key.key < end);
}

GroupPlan::GroupPlan(const SpaceTable& spaces, std::span<const Batch* const> group,
                     std::uint64_t next_sequence, const Read& read, CounterMode counters)
    : spaces_(spaces), read_(read), counter_mode_(counters), next_sequence_(next_sequence) {
  later_preconditions_ =
      group.size() > 1 && std::any_of(group.begin() + 1, group.end(),
                                      [](const Batch* batch) { return !batch->preconditions.empty(); });
  outcomes_.reserve(group.size());
  for (const Batch* batch : group) {
    outcomes_.push_back(check(*batch));
    outcomes_.back().first_sequence = next_sequence_;
    if (outcomes_.back().committed()) apply(*batch);
  }
  write_counters();
}

Outcome GroupPlan::check(const Batch& batch) const {
  for (std::size_t i = 0; i < batch.preconditions.size(); ++i) {
    if (!holds(batch.preconditions[i])) return {.failed_precondition = i};
  }
  return {};
}

bool GroupPlan::holds(const Precondition& precondition) const {
  const SpaceKey key{precondition.space, precondition.key};
  const auto compare = [&](std::optional<std::string_view> value) {
    switch (precondition.kind) {
      case PreconditionKind::absent:
        return !value;
      case PreconditionKind::present:
        return value.has_value();
      case PreconditionKind::prefix:
        return value && value->starts_with(precondition.value);
      case PreconditionKind::equals:
        return value && *value == precondition.value;
    }
    return false;
  };
  if (is_counter(key.space)) {
    const auto found = counters_.find(key);
    if (found != counters_.end() && !found->second) return compare(std::nullopt);
    if (found != counters_.end() || differences_.contains(key)) {
      std::string bytes;
      put_fixed(bytes, counter(key));
      return compare(bytes);
    }
  } else if (const auto found = written_.find(key); found != written_.end()) {
    return compare(found->second);
  }
  if (erased_by_range(key)) return compare(std::nullopt);
  const auto stored = read_(key.space, key.key);
  return compare(stored ? std::optional<std::string_view>(*stored) : std::nullopt);
}

void GroupPlan::apply(const Batch& batch) {
  for (const Operation& operation : batch.operations) {
    const SpaceKey key{operation.space, operation.key};
    switch (operation.kind) {
      case OperationKind::put:
        write(OperationKind::put, key, operation.value);
        break;
      case OperationKind::erase:
        write(OperationKind::erase, key, std::nullopt);
        break;
      case OperationKind::erase_range:
        erase_range({operation.space, operation.key, operation.value});
        break;
      case OperationKind::add:
        if (!is_counter(key.space)) {
          throw Error(ErrorCode::invalid_argument,
                      "add to space '" + spaces_.at(key.space).name + "', which holds no counters",
                      "add only in a space of kind counters");
        }
        add(key, operation.delta);
        break;
      case OperationKind::append:
        std::string& made = made_.emplace_back(operation.key);
        put_big_endian(made, next_sequence_++);
        write(OperationKind::put, {operation.space, made}, operation.value);
        break;
    }
  }
}

void GroupPlan::add(const SpaceKey& key, std::int64_t delta) {
  if (counter_mode_ == CounterMode::added && !counters_.contains(key) && !erased_by_range(key)) {
    std::optional<std::int64_t>& difference = differences_[key];
    difference = wrapping_sum(difference.value_or(0), delta);
  } else {
    counters_[key] = wrapping_sum(counter(key), delta);
  }
}

void GroupPlan::write(OperationKind kind, const SpaceKey& key, std::optional<std::string_view> value) {
  if (is_counter(key.space)) {
    if (value && value->size() != sizeof(std::int64_t)) {
      throw Error(ErrorCode::invalid_argument,
                  "put of " + std::to_string(value->size()) + " bytes into the counters '" +
                      spaces_.at(key.space).name + "'",
                  "use add, or put eight bytes");
    }
    differences_.erase(key);
    counters_[key] = value ? std::optional(load_fixed<std::int64_t>(value->data())) : std::nullopt;
    return;
  }
  operations_.push_back({kind, key.space, key.key, value.value_or(std::string_view{})});
  if (later_preconditions_) written_[key] = value;
}

void GroupPlan::erase_range(const Range& range) {
  if (!range.end.empty() && range.begin >= range.end) return;
  const auto inside = [&](const auto& entry) { return range.holds(entry.first); };
  if (is_counter(range.space)) {
    std::erase_if(counters_, inside);
    std::erase_if(differences_, inside);
  } else {
    std::erase_if(written_, inside);
  }
  ranges_.push_back(range);
  operations_.push_back({OperationKind::erase_range, range.space, range.begin, range.end});
}

std::int64_t GroupPlan::counter(const SpaceKey& key) const {
  if (const auto found = counters_.find(key); found != counters_.end()) return found->second.value_or(0);
  if (erased_by_range(key)) return 0;
  const auto difference = differences_.find(key);
  const std::int64_t added = difference == differences_.end() ? 0 : difference->second.value_or(0);
  const auto stored = read_(key.space, key.key);
  if (!stored) return added;
  if (stored->size() != sizeof(std::int64_t)) {
    throw Error(ErrorCode::corrupt,
                "a counter in '" + spaces_.at(key.space).name + "' has " + std::to_string(stored->size()) +
                    " bytes instead of 8",
                "restore the store from a backup");
  }
  return wrapping_sum(load_fixed<std::int64_t>(stored->data()), added);
}

void GroupPlan::write_counters() {
  const std::size_t first = operations_.size();
  for (const auto& [key, value] : counters_) {
    if (value) {
      write_counter(OperationKind::put, key, *value);
    } else {
      operations_.push_back({OperationKind::erase, key.space, key.key, {}});
    }
  }
  for (const auto& [key, difference] : differences_) {
    write_counter(OperationKind::add, key, difference.value_or(0));
  }
  // In one order wherever it is planned: who changes rows in two orders may wait for another for ever.
  std::sort(operations_.begin() + static_cast<std::ptrdiff_t>(first), operations_.end(),
            [](const PlannedOperation& a, const PlannedOperation& b) {
              return std::tie(a.space, a.key) < std::tie(b.space, b.key);
            });
}

void GroupPlan::write_counter(OperationKind kind, const SpaceKey& key, std::int64_t value) {
  std::string& made = made_.emplace_back();
  put_fixed(made, value);
  operations_.push_back({kind, key.space, key.key, made});
}

bool GroupPlan::is_counter(std::uint8_t space) const { return spaces_.at(space).kind == SpaceKind::counters; }

bool GroupPlan::erased_by_range(const SpaceKey& key) const noexcept {
  return std::ranges::any_of(ranges_, [&](const Range& range) { return range.holds(key); });
}

void run_on_committed(std::span<const Batch* const> group, std::span<const Outcome> outcomes) noexcept {
  for (std::size_t i = 0; i < group.size(); ++i) {
    if (outcomes[i].committed() && group[i]->on_committed) group[i]->on_committed(outcomes[i]);
  }
}

}  // namespace db4::kv
