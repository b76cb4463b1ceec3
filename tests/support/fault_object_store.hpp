#pragma once
// FaultObjectStore: any object store, with faults on order. For tests of whatever stands on an object store.

#include "objects/around_layer.hpp"

#include <db4/clock.hpp>
#include <db4/error.hpp>
#include <db4/object_store.hpp>

#include <array>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <random>

namespace db4::testing {

/// How an operation fails.
enum class FaultPoint : std::uint8_t {
  none,       ///< it does not: for the gaps of a script
  before,     ///< before it reached the store
  after,      ///< after it took effect: the answer was lost
  truncated,  ///< it answers, with half of the body; `before` where the answer has none
  stalled,    ///< it never answers: deadline_exceeded or cancelled when the caller's bounds end it
};

/// Thread-safe. Replays from its seed where the operations come in one order. remove_many is one remove after
/// another, so that each may fail, unless whole_remove_many() is asked for.
///
///     auto faulty = std::make_shared<FaultObjectStore>(objects::make_memory_object_store());
///     faulty->fail_nth(ObjectOperation::put, 2, FaultPoint::after);  // the second put from now
///     faulty->script(ObjectOperation::head, {FaultPoint::none, FaultPoint::stalled});
class FaultObjectStore final : public objects::AroundLayer<FaultObjectStore> {
 public:
  /// Runs before each operation, with no lock held: a sequence point where a test may wait, look, or throw.
  using Hook = std::function<void(ObjectOperation operation, std::string_view name)>;

  /// `clock`: on which a stalled operation waits for its caller's deadline.
  explicit FaultObjectStore(std::shared_ptr<ObjectStore> under, std::uint64_t seed = 1,
                            std::shared_ptr<Clock> clock = system_clock())
      : AroundLayer(std::move(under)), clock_(std::move(clock)), random_(seed) {}

  /// The n-th operation of that kind from now (1: the next) fails, once. A later call replaces it.
  void fail_nth(ObjectOperation operation, std::uint64_t n, FaultPoint point,
                ErrorCode code = ErrorCode::unavailable) {
    const std::lock_guard lock(mutex_);
    Plan& plan = plan_of(operation);
    plan.failing = plan.count + n;
    plan.failing_with = {point, code};
  }

  /// The next operations of that kind, in order. A later call replaces what is left of the earlier.
  void script(ObjectOperation operation, std::initializer_list<FaultPoint> points,
              ErrorCode code = ErrorCode::unavailable) {
    const std::lock_guard lock(mutex_);
    Plan& plan = plan_of(operation);
    plan.script.clear();
    for (const FaultPoint point : points) plan.script.push_back({point, code});
  }

  /// Every operation of that kind fails with this probability, in one of these ways.
  void fail_with_probability(ObjectOperation operation, double probability,
                             ErrorCode code = ErrorCode::unavailable,
                             std::vector<FaultPoint> points = {FaultPoint::before, FaultPoint::after}) {
    const std::lock_guard lock(mutex_);
    Plan& plan = plan_of(operation);
    plan.probability = probability;
    plan.code = code;
    plan.points = std::move(points);
  }

  /// Every operation of every kind fails in this way until the faults are cleared: a provider that is away.
  void fail_all(FaultPoint point = FaultPoint::before, ErrorCode code = ErrorCode::unavailable) {
    const std::lock_guard lock(mutex_);
    all_ = Fault{point, code};
  }

  void clear_faults() {
    const std::lock_guard lock(mutex_);
    for (Plan& plan : plans_) {
      const std::uint64_t count = plan.count;
      const std::uint64_t failed = plan.failed;
      plan = Plan{};
      plan.count = count;
      plan.failed = failed;
    }
    all_.reset();
  }

  void set_hook(Hook hook) {
    const std::lock_guard lock(mutex_);
    hook_ = std::move(hook);
  }

  /// remove_many reaches the store below as one operation.
  void whole_remove_many() { whole_remove_many_ = true; }

  /// Operations of that kind so far, those that failed included.
  [[nodiscard]] std::uint64_t count(ObjectOperation operation) const {
    const std::lock_guard lock(mutex_);
    return plans_[static_cast<std::size_t>(operation)].count;
  }
  [[nodiscard]] std::uint64_t count_all() const {
    const std::lock_guard lock(mutex_);
    std::uint64_t sum = 0;
    for (const Plan& plan : plans_) sum += plan.count;
    return sum;
  }
  /// Those of them that were made to fail.
  [[nodiscard]] std::uint64_t failed(ObjectOperation operation) const {
    const std::lock_guard lock(mutex_);
    return plans_[static_cast<std::size_t>(operation)].failed;
  }

  using AroundLayer::remove_many;
  std::vector<RemoveFailure> remove_many(std::span<const std::string> names,
                                         const CallOptions& call) override {
    return whole_remove_many_ ? AroundLayer::remove_many(names, call) : ObjectStore::remove_many(names, call);
  }

  template <typename Call>
  auto around(const objects::ObjectCall& what, const CallOptions& bounds, const Call& call) {
    std::optional<Fault> fault;
    Hook hook;
    {
      const std::lock_guard lock(mutex_);
      fault = next_fault(what.operation);
      hook = hook_;
    }
    if (hook) hook(what.operation, what.name);
    const FaultPoint point = fault ? fault->point : FaultPoint::none;
    if (point == FaultPoint::stalled) stall(bounds);
    const bool has_body =
        what.operation == ObjectOperation::get || what.operation == ObjectOperation::get_range;
    if (point == FaultPoint::before || (point == FaultPoint::truncated && !has_body)) fail(*fault, what.name);
    auto result = call(bounds);
    if (point == FaultPoint::after) fail(*fault, what.name);
    if (point == FaultPoint::truncated) cut(result);
    return result;
  }

 private:
  struct Fault {
    FaultPoint point = FaultPoint::none;
    ErrorCode code = ErrorCode::unavailable;
  };
  struct Plan {
    std::uint64_t count = 0;
    std::uint64_t failed = 0;
    std::uint64_t failing = 0;  ///< the operation that fails; counts start at 1
    Fault failing_with = {};
    std::deque<Fault> script = {};
    double probability = 0;
    ErrorCode code = ErrorCode::unavailable;
    std::vector<FaultPoint> points = {};
  };

  Plan& plan_of(ObjectOperation operation) { return plans_[static_cast<std::size_t>(operation)]; }

  std::optional<Fault> next_fault(ObjectOperation operation) {
    Plan& plan = plan_of(operation);
    ++plan.count;
    std::optional<Fault> fault = all_;
    if (plan.count == plan.failing) {
      fault = plan.failing_with;
    } else if (!plan.script.empty()) {
      fault = plan.script.front();
      plan.script.pop_front();
    } else if (plan.probability > 0 && std::bernoulli_distribution(plan.probability)(random_)) {
      std::uniform_int_distribution<std::size_t> which(0, plan.points.size() - 1);
      fault = Fault{plan.points[which(random_)], plan.code};
    }
    if (fault && fault->point != FaultPoint::none) ++plan.failed;
    return fault;
  }

  [[noreturn]] static void fail(const Fault& fault, std::string_view name) {
    throw Error(fault.code, "an injected fault at \"" + std::string(name) + "\"",
                "it was ordered by the test");
  }

  [[noreturn]] void stall(const CallOptions& bounds) {
    if (bounds.deadline == MonotonicTime::max() && !bounds.stop.stop_possible()) {
      throw Error(ErrorCode::internal, "a stalled operation that nothing bounds", "give it a deadline");
    }
    if (!clock_->sleep_for(bounds.deadline - std::min(bounds.deadline, clock_->monotonic()), bounds.stop)) {
      throw Error(ErrorCode::cancelled, "an injected stall was stopped", "it was ordered by the test");
    }
    throw Error(ErrorCode::deadline_exceeded, "an injected stall", "it was ordered by the test");
  }

  static void cut(std::optional<Bytes>& result) {
    if (result) result->resize(result->size() / 2);
  }
  template <typename Result>
  static void cut(Result& /*result*/) {}

  const std::shared_ptr<Clock> clock_;
  mutable std::mutex mutex_;
  std::array<Plan, kObjectOperations> plans_;
  std::optional<Fault> all_;
  bool whole_remove_many_ = false;
  Hook hook_;
  std::mt19937_64 random_;
};

}  // namespace db4::testing
