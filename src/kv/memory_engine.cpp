// The engine that keeps everything in memory: an ordered map for each space.

#include "kv/engine_state.hpp"
#include "kv/group_plan.hpp"

#include <map>
#include <mutex>
#include <shared_mutex>

namespace db4::kv {

namespace {

/// Readers share a lock; a commit is planned without it (nobody else writes) and takes it to apply the plan.
class MemoryEngine final : public Engine {
 public:
  explicit MemoryEngine(const EngineOptions& options)
      : spaces_(options.spaces), maps_(options.spaces.size()) {}

  std::optional<std::string> get(std::uint8_t space, std::string_view key) const override {
    const std::shared_lock lock(mutex_);
    state_.check_open();
    const Map& map = maps_[spaces_.index(space)];
    const auto found = map.find(key);
    if (found == map.end()) return std::nullopt;
    return found->second;
  }

  std::vector<Entry> scan(const ScanRequest& request) const override {
    const std::shared_lock lock(mutex_);
    state_.check_open();
    const Map& map = maps_[spaces_.index(request.space)];
    std::vector<Entry> entries;
    std::uint64_t bytes = 0;
    for (auto at = map.lower_bound(request.begin); at != map.end() && entries.size() < request.limit; ++at) {
      if (!request.end.empty() && at->first >= request.end) break;
      bytes += at->first.size() + (request.keys_only ? 0 : at->second.size());
      if (!entries.empty() && bytes > request.max_bytes) break;
      entries.push_back({at->first, request.keys_only ? std::string() : at->second});
    }
    return entries;
  }

  std::vector<Outcome> commit(std::span<const Batch* const> group, Durability) override {
    const GroupPlan::Read read = [this](std::uint8_t space, std::string_view key) { return get(space, key); };
    const GroupPlan plan(spaces_, group, next_sequence_, read);
    {
      const std::unique_lock lock(mutex_);
      state_.check_open();
      for (const PlannedOperation& operation : plan.operations()) apply(operation);
    }
    next_sequence_ = plan.next_sequence();
    state_.count_commit(group.size());
    run_on_committed(group, plan.outcomes());
    return plan.outcomes();
  }

  void sync() override {
    const std::shared_lock lock(mutex_);
    state_.check_open();
  }

  void close() override {
    const std::unique_lock lock(mutex_);
    if (state_.close()) maps_.clear();
  }

  Durability strongest() const noexcept override { return Durability::none; }

  EngineStats stats() const override { return state_.stats(); }

 private:
  using Map = std::map<std::string, std::string, std::less<>>;

  void apply(const PlannedOperation& operation) {
    Map& map = maps_[spaces_.index(operation.space)];
    const auto at = map.lower_bound(operation.key);
    const bool found = at != map.end() && at->first == operation.key;
    switch (operation.kind) {
      case OperationKind::put:
        if (found) {
          at->second = operation.value;
        } else {
          map.emplace_hint(at, operation.key, operation.value);
        }
        break;
      case OperationKind::erase:
        if (found) map.erase(at);
        break;
      default:  // erase_range: a plan holds nothing else
        map.erase(at, operation.value.empty() ? map.end() : map.lower_bound(operation.value));
    }
  }

  const SpaceTable spaces_;
  mutable std::shared_mutex mutex_;
  std::vector<Map> maps_;
  EngineState state_;
  std::uint64_t next_sequence_ = 1;
};

}  // namespace

std::unique_ptr<Engine> open_memory_engine(const EngineOptions& options) {
  return std::make_unique<MemoryEngine>(options);
}

}  // namespace db4::kv
