#pragma once
// FaultObjectStore: any object store, with faults on order. For tests of whatever stands on an object store.

#include <db4/object_stores.hpp>
#include <db4/error.hpp>
#include <db4/object_store.hpp>

#include <array>
#include <functional>
#include <mutex>
#include <optional>
#include <random>
#include <type_traits>

namespace db4::testing {

enum class ObjectOperation : std::uint8_t {
  put,
  get,
  get_range,
  head,
  remove,
  list,
  begin_multipart,
  put_part,
  complete_multipart,
  abort_multipart,
  list_parts,
  list_multipart,
};
inline constexpr std::size_t kObjectOperations = 12;

/// Where an operation fails: before it reached the store, or after it took effect (the answer was lost).
enum class FaultPoint : std::uint8_t { before, after };

/// Thread-safe. Replays from its seed where the operations come in one order.
///
///     auto faulty = std::make_shared<FaultObjectStore>(make_memory_object_store());
///     faulty->fail_nth(ObjectOperation::put, 2, FaultPoint::after);  // the second put from now
class FaultObjectStore final : public ObjectStoreLayer {
 public:
  /// Runs before each operation, with no lock held: a sequence point where a test may wait, look, or throw.
  using Hook = std::function<void(ObjectOperation operation, std::string_view name)>;

  explicit FaultObjectStore(std::shared_ptr<ObjectStore> under, std::uint64_t seed = 1)
      : ObjectStoreLayer(std::move(under)), random_(seed) {}

  /// The n-th operation of that kind from now (1: the next) fails, once. A later call replaces it.
  void fail_nth(ObjectOperation operation, std::uint64_t n, FaultPoint point,
                ErrorCode code = ErrorCode::unavailable) {
    const std::lock_guard lock(mutex_);
    Plan& plan = plan_of(operation);
    plan.failing = plan.count + n;
    plan.point = point;
    plan.code = code;
  }

  /// Every operation of that kind fails with this probability, half of them after they took effect.
  void fail_with_probability(ObjectOperation operation, double probability,
                             ErrorCode code = ErrorCode::unavailable) {
    const std::lock_guard lock(mutex_);
    Plan& plan = plan_of(operation);
    plan.probability = probability;
    plan.code = code;
  }

  void clear_faults() {
    const std::lock_guard lock(mutex_);
    for (Plan& plan : plans_) plan = Plan{.count = plan.count, .failed = plan.failed};
  }

  void set_hook(Hook hook) {
    const std::lock_guard lock(mutex_);
    hook_ = std::move(hook);
  }

  /// Operations of that kind so far, those that failed included.
  [[nodiscard]] std::uint64_t count(ObjectOperation operation) const {
    const std::lock_guard lock(mutex_);
    return plans_[static_cast<std::size_t>(operation)].count;
  }
  /// Those of them that were made to fail.
  [[nodiscard]] std::uint64_t failed(ObjectOperation operation) const {
    const std::lock_guard lock(mutex_);
    return plans_[static_cast<std::size_t>(operation)].failed;
  }

  using ObjectStoreLayer::get, ObjectStoreLayer::get_range, ObjectStoreLayer::head, ObjectStoreLayer::list,
      ObjectStoreLayer::put, ObjectStoreLayer::remove;

  PutResult put(std::string_view name, ByteView body, const PutOptions& options) override {
    return run(ObjectOperation::put, name, [&] { return under().put(name, body, options); });
  }
  std::optional<Bytes> get(std::string_view name, std::uint64_t max_bytes, const CallOptions& call) override {
    return run(ObjectOperation::get, name, [&] { return under().get(name, max_bytes, call); });
  }
  std::optional<Bytes> get_range(std::string_view name, std::uint64_t offset, std::uint64_t length,
                                 const CallOptions& call) override {
    return run(ObjectOperation::get_range, name,
               [&] { return under().get_range(name, offset, length, call); });
  }
  std::optional<ObjectInfo> head(std::string_view name, const CallOptions& call) override {
    return run(ObjectOperation::head, name, [&] { return under().head(name, call); });
  }
  bool remove(std::string_view name, const CallOptions& call) override {
    return run(ObjectOperation::remove, name, [&] { return under().remove(name, call); });
  }
  std::vector<RemoveFailure> remove_many(std::span<const std::string> names,
                                         const CallOptions& call) override {
    return ObjectStore::remove_many(names, call);  // one by one, so that each may fail
  }
  ObjectPage list(std::string_view prefix, std::string_view after, std::size_t limit,
                  const CallOptions& call) override {
    return run(ObjectOperation::list, prefix, [&] { return under().list(prefix, after, limit, call); });
  }
  std::string begin_multipart(std::string_view name, std::uint64_t part_size,
                              const CallOptions& call) override {
    return run(ObjectOperation::begin_multipart, name,
               [&] { return under().begin_multipart(name, part_size, call); });
  }
  ObjectPart put_part(std::string_view name, std::string_view upload_id, std::uint32_t number, ByteView body,
                      const CallOptions& call) override {
    return run(ObjectOperation::put_part, name,
               [&] { return under().put_part(name, upload_id, number, body, call); });
  }
  PutResult complete_multipart(std::string_view name, std::string_view upload_id,
                               std::span<const ObjectPart> parts, const CallOptions& call) override {
    return run(ObjectOperation::complete_multipart, name,
               [&] { return under().complete_multipart(name, upload_id, parts, call); });
  }
  void abort_multipart(std::string_view name, std::string_view upload_id, const CallOptions& call) override {
    run(ObjectOperation::abort_multipart, name,
        [&] { return under().abort_multipart(name, upload_id, call), true; });
  }
  std::optional<ObjectPartPage> list_parts(std::string_view name, std::string_view upload_id,
                                           std::uint32_t after, std::size_t limit,
                                           const CallOptions& call) override {
    return run(ObjectOperation::list_parts, name,
               [&] { return under().list_parts(name, upload_id, after, limit, call); });
  }
  PendingUploadPage list_multipart(std::string_view prefix, const PendingUpload& after, std::size_t limit,
                                   const CallOptions& call) override {
    return run(ObjectOperation::list_multipart, prefix,
               [&] { return under().list_multipart(prefix, after, limit, call); });
  }

 private:
  struct Plan {
    std::uint64_t count = 0;
    std::uint64_t failed = 0;
    std::uint64_t failing = 0;  ///< the operation that fails; counts start at 1
    double probability = 0;
    FaultPoint point = FaultPoint::before;
    ErrorCode code = ErrorCode::unavailable;
  };
  struct Fault {
    FaultPoint point;
    ErrorCode code;
  };

  Plan& plan_of(ObjectOperation operation) { return plans_[static_cast<std::size_t>(operation)]; }

  std::optional<Fault> next_fault(ObjectOperation operation) {
    Plan& plan = plan_of(operation);
    ++plan.count;
    std::optional<Fault> fault;
    if (plan.count == plan.failing) {
      fault = Fault{plan.point, plan.code};
    } else if (plan.probability > 0 && std::bernoulli_distribution(plan.probability)(random_)) {
      fault = Fault{std::bernoulli_distribution(0.5)(random_) ? FaultPoint::after : FaultPoint::before,
                    plan.code};
    }
    if (fault) ++plan.failed;
    return fault;
  }

  template <typename Call>
  std::invoke_result_t<Call> run(ObjectOperation operation, std::string_view name, const Call& call) {
    std::optional<Fault> fault;
    Hook hook;
    {
      const std::lock_guard lock(mutex_);
      fault = next_fault(operation);
      hook = hook_;
    }
    if (hook) hook(operation, name);
    if (fault && fault->point == FaultPoint::before) fail(*fault, name);
    auto result = call();
    if (fault) fail(*fault, name);
    return result;
  }

  [[noreturn]] static void fail(const Fault& fault, std::string_view name) {
    throw Error(fault.code, "an injected fault at \"" + std::string(name) + "\"",
                "it was ordered by the test");
  }

  mutable std::mutex mutex_;
  std::array<Plan, kObjectOperations> plans_;
  Hook hook_;
  std::mt19937_64 random_;
};

}  // namespace db4::testing
