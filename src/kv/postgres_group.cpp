#include "kv/postgres_group.hpp"

#include "base/encoding.hpp"

#include <algorithm>

namespace db4::kv {
namespace {

using Key = AssumedReads::Key;

bool same(const Precondition& a, const Precondition& b) {
  return a.kind == b.kind &&
         (a.value == b.value || a.kind == PreconditionKind::absent || a.kind == PreconditionKind::present);
}

}  // namespace

std::string from_postgres(const SpaceSpec& space, std::string_view value) {
  if (space.kind != SpaceKind::counters) return std::string(value);
  std::string out;
  put_fixed(out, load_big_endian(value.data()));
  return out;
}

AssumedReads::AssumedReads(const SpaceTable& spaces, std::span<const Batch* const> group) : spaces_(spaces) {
  for (const Batch* batch : group) {
    for (const Precondition& precondition : batch->preconditions) {
      const auto [at, added] =
          assumptions_.try_emplace({precondition.space, precondition.key}, Assumption{&precondition, true});
      if (!added && !same(*at->second.precondition, precondition)) at->second.same_for_all = false;
    }
  }
}

std::optional<std::string> AssumedReads::read(std::uint8_t space, std::string_view key) {
  const auto found = assumptions_.find({space, key});
  // A counter's sum is asked for, or a precondition on it: neither is known here.
  if (found == assumptions_.end() || spaces_.at(space).kind == SpaceKind::counters) {
    unsound_ = true;
    return std::nullopt;
  }
  const auto& [precondition, same_for_all] = found->second;
  const bool first = read_.try_emplace({space, key}, true).second;
  if (!same_for_all) {
    ambiguous_ = true;
    // The first time it is the first of them that asks, unless a batch before it was refused; see sound().
    if (!first) unsound_ = true;
  }
  if (first) assumed_.push_back(precondition);
  switch (precondition->kind) {
    case PreconditionKind::absent:
      return std::nullopt;
    case PreconditionKind::present:
      return std::string();
    default:
      return precondition->value;
  }
}

bool AssumedReads::sound(const GroupPlan& plan) const noexcept {
  if (unsound_) return false;
  return !ambiguous_ || std::ranges::all_of(plan.outcomes(), &Outcome::committed);
}

LockedReads::LockedReads(const SpaceTable& spaces, std::span<const Batch* const> group) : spaces_(spaces) {
  for (const Batch* batch : group) {
    for (const Precondition& precondition : batch->preconditions) {
      keys_[precondition.space].push_back(precondition.key);
      if (precondition.kind == PreconditionKind::absent)
        to_be_absent_[precondition.space].push_back(precondition.key);
    }
  }
  for (auto* by_space : {&keys_, &to_be_absent_}) {
    for (auto& [space, list] : *by_space) {
      spaces_.check(space);
      std::sort(list.begin(), list.end());
      list.erase(std::unique(list.begin(), list.end()), list.end());
    }
  }
}

void LockedReads::add_statements(PostgresConnection& connection, const PostgresSchema& schema) const {
  for (const auto& [space, list] : to_be_absent_) {
    connection.add(schema.space(space).hold_places, {postgres_bytea_array(list)});
  }
  for (const auto& [space, list] : keys_) {
    connection.add(schema.space(space).read_locked, {postgres_bytea_array(list)});
  }
}

void LockedReads::take(const std::vector<PostgresResult>& results) {
  std::size_t index = results.size() - to_be_absent_.size() - keys_.size();
  for (const auto& [space, list] : to_be_absent_) {
    const PostgresResult& result = results[index++];
    for (int row = 0; row < result.rows(); ++row) {
      // The list's own bytes outlive the result.
      const auto key = std::lower_bound(list.begin(), list.end(), result.value(row, 0));
      held_.emplace_back(space, *key);
    }
  }
  std::sort(held_.begin(), held_.end());
  for (const auto& [space, list] : keys_) {
    const PostgresResult& result = results[index++];
    for (int row = 0; row < result.rows(); ++row) {
      const auto key = std::lower_bound(list.begin(), list.end(), result.value(row, 0));
      values_[{space, *key}] = from_postgres(spaces_.at(space), result.value(row, 1));
    }
  }
  for (const Key& key : held_) values_.erase(key);
}

std::optional<std::string> LockedReads::read(std::uint8_t space, std::string_view key) const {
  const auto found = values_.find({space, key});
  if (found == values_.end()) return std::nullopt;
  return found->second;
}

PostgresGroup::PostgresGroup(const PostgresSchema& schema, const SpaceTable& spaces, const GroupPlan& plan)
    : schema_(schema), spaces_(spaces), stages_(1) {
  for (const PlannedOperation& operation : plan.operations()) {
    if (operation.kind == OperationKind::erase_range) {
      stages_.back().range = Range{operation.space, operation.key, operation.value};
      stages_.emplace_back();
    } else {
      stages_.back().changes.insert_or_assign({operation.space, operation.key},
                                              Change{operation.kind, operation.value});
    }
  }
}

bool PostgresGroup::changes(const Key& key) const {
  return std::ranges::any_of(stages_, [&](const Stage& stage) {
    if (stage.changes.contains(key)) return true;
    return stage.range && stage.range->space == key.first && key.second >= stage.range->begin &&
           (stage.range->end.empty() || key.second < stage.range->end);
  });
}

void PostgresGroup::require(const std::vector<const Precondition*>& preconditions) {
  for (const Precondition* precondition : preconditions) {
    const Key key{precondition->space, precondition->key};
    if (precondition->kind == PreconditionKind::absent) {
      const auto change = stages_.front().changes.find(key);
      if (change != stages_.front().changes.end() && change->second.kind == OperationKind::put) {
        change->second.must_be_new = true;
      } else {
        places_.push_back(key);
      }
      continue;
    }
    const bool whole = precondition->kind == PreconditionKind::equals;
    const std::string_view prefix =
        precondition->kind == PreconditionKind::present ? std::string_view() : precondition->value;
    const Check check{prefix, whole ? static_cast<std::int64_t>(prefix.size()) : -1, changes(key)};
    const auto change = stages_.front().changes.find(key);
    if (change != stages_.front().changes.end() && change->second.kind == OperationKind::put) {
      change->second.replaces = check;
    } else {
      checks_.insert_or_assign(key, check);
    }
  }
  std::sort(places_.begin(), places_.end());
  release(places_);
}

void PostgresGroup::release(const std::vector<Key>& held) {
  for (const Key& key : held) stages_.front().changes.try_emplace(key, Change{OperationKind::erase, {}});
}

void PostgresGroup::add_checks(PostgresConnection& connection) const {
  for (const SpaceSpec& space : spaces_.all()) {
    for (const bool changed : {false, true}) add_check(connection, space.id, changed);
  }
  for (const auto& [space, key] : places_)
    connection.add(schema_.space(space).insert, {std::string(key), {}});
}

void PostgresGroup::add_check(PostgresConnection& connection, std::uint8_t space, bool changes) const {
  std::vector<std::string_view> keys;
  std::vector<std::string_view> prefixes;
  std::vector<std::int64_t> sizes;
  for (const auto& [key, check] : checks_) {
    if (key.first != space || check.changes != changes) continue;
    keys.push_back(key.second);
    prefixes.push_back(check.prefix);
    sizes.push_back(check.size);
  }
  const PostgresSpace& statements = schema_.space(space);
  if (keys.size() == 1) {
    connection.add(changes ? statements.check : statements.check_shared,
                   {std::string(keys[0]), std::string(prefixes[0]), postgres_int8(sizes[0])});
  } else if (keys.size() > 1) {
    connection.add(changes ? statements.check_many : statements.check_many_shared,
                   {postgres_bytea_array(keys), postgres_bytea_array(prefixes), postgres_int8_array(sizes),
                    postgres_int8(static_cast<std::int64_t>(keys.size()))});
  }
}

void PostgresGroup::add_changes(PostgresConnection& connection) const {
  for (const Stage& stage : stages_) add_stage(connection, stage);
}

void PostgresGroup::add_stage(PostgresConnection& connection, const Stage& stage) const {
  for (auto at = stage.changes.begin(); at != stage.changes.end();) {
    const std::uint8_t space = at->first.first;
    add_changes_of(connection, stage, space);
    at = std::find_if(at, stage.changes.end(), [&](const auto& entry) { return entry.first.first != space; });
  }
  if (!stage.range) return;
  const PostgresSpace& statements = schema_.space(stage.range->space);
  if (stage.range->end.empty()) {
    connection.add(statements.erase_to_end, {std::string(stage.range->begin)});
  } else {
    connection.add(statements.erase_range, {std::string(stage.range->begin), std::string(stage.range->end)});
  }
}

void PostgresGroup::add_changes_of(PostgresConnection& connection, const Stage& stage,
                                   std::uint8_t space) const {
  const PostgresSpace& statements = schema_.space(space);
  const bool counters = spaces_.at(space).kind == SpaceKind::counters;
  const auto value_of = [&](std::string_view value) {
    return counters ? postgres_int8(load_fixed<std::int64_t>(value.data())) : std::string(value);
  };
  const auto values_of = [&](const std::vector<std::string_view>& values) {
    if (!counters) return postgres_bytea_array(values);
    std::vector<std::int64_t> numbers;
    numbers.reserve(values.size());
    for (const std::string_view value : values) numbers.push_back(load_fixed<std::int64_t>(value.data()));
    return postgres_int8_array(numbers);
  };
  const auto add = [&](OperationKind kind, bool must_be_new, const PostgresStatement& one,
                       const PostgresStatement& many) {
    std::vector<std::string_view> keys;
    std::vector<std::string_view> values;
    for (auto at = stage.changes.lower_bound({space, {}}); at != stage.changes.end(); ++at) {
      const auto& [key, change] = *at;
      if (key.first != space) break;
      if (change.kind != kind || change.must_be_new != must_be_new || change.replaces) continue;
      keys.push_back(key.second);
      values.push_back(change.value);
    }
    if (keys.empty()) return;
    std::vector<std::string> parameters;
    parameters.push_back(keys.size() == 1 ? std::string(keys[0]) : postgres_bytea_array(keys));
    if (kind != OperationKind::erase)
      parameters.push_back(keys.size() == 1 ? value_of(values[0]) : values_of(values));
    connection.add(keys.size() == 1 ? one : many, std::move(parameters));
  };
  add(OperationKind::erase, false, statements.erase, statements.erase_many);
  add_replacements(connection, stage, space);
  add(OperationKind::put, true, statements.insert, statements.insert_many);
  add(OperationKind::put, false, statements.put, statements.put_many);
  add(OperationKind::add, false, statements.add, statements.add_many);
}

void PostgresGroup::add_replacements(PostgresConnection& connection, const Stage& stage,
                                     std::uint8_t space) const {
  std::vector<std::string_view> keys;
  std::vector<std::string_view> values;
  std::vector<std::string_view> prefixes;
  std::vector<std::int64_t> sizes;
  for (auto at = stage.changes.lower_bound({space, {}}); at != stage.changes.end(); ++at) {
    const auto& [key, change] = *at;
    if (key.first != space) break;
    if (!change.replaces) continue;
    keys.push_back(key.second);
    values.push_back(change.value);
    prefixes.push_back(change.replaces->prefix);
    sizes.push_back(change.replaces->size);
  }
  const PostgresSpace& statements = schema_.space(space);
  if (keys.size() == 1) {
    connection.add(statements.replace, {std::string(keys[0]), std::string(values[0]),
                                        std::string(prefixes[0]), postgres_int8(sizes[0])});
  } else if (keys.size() > 1) {
    connection.add(statements.replace_many,
                   {postgres_bytea_array(keys), postgres_bytea_array(values), postgres_bytea_array(prefixes),
                    postgres_int8_array(sizes), postgres_int8(static_cast<std::int64_t>(keys.size()))});
  }
}

}  // namespace db4::kv
