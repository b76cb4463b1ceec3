#include "objects/retry_layer.hpp"

namespace db4::objects {
namespace {

/// 2^20 times the base is past every max_delay.
constexpr std::uint32_t kMaxDoublings = 20;

}  // namespace

bool RetryBudget::take() noexcept {
  std::int64_t held = tenths_.load(std::memory_order_relaxed);
  while (held >= kTenths) {
    if (tenths_.compare_exchange_weak(held, held - kTenths, std::memory_order_relaxed)) return true;
  }
  return false;
}

void RetryBudget::earn() noexcept {
  std::int64_t held = tenths_.load(std::memory_order_relaxed);
  while (held < kTokens * kTenths) {
    if (tenths_.compare_exchange_weak(held, held + 1, std::memory_order_relaxed)) return;
  }
}

MonotonicTime RetryLayer::draw_pause(std::uint32_t number) {
  const MonotonicTime most = std::min<MonotonicTime>(
      options_.max_delay,
      MonotonicTime{options_.base_delay} * (std::int64_t{1} << std::min(number - 1, kMaxDoublings)));
  if (most <= MonotonicTime{0}) return MonotonicTime{0};
  return MonotonicTime{
      static_cast<std::int64_t>(random_->next_u64() % (static_cast<std::uint64_t>(most.count()) + 1))};
}

void RetryLayer::prepare_another(std::uint32_t number, ObjectOperation operation, const CallOptions& bounds,
                                 const Error& failure) {
  const auto give_up = [&] {
    throw Error(
        failure.code(),
        number == 1 ? failure.problem() : failure.problem() + " (tried " + std::to_string(number) + " times)",
        failure.advice());
  };
  if (number >= options_.max_attempts || !budget_.take()) give_up();
  const MonotonicTime pause = draw_pause(number);
  const MonotonicTime now = clock_->monotonic();
  if (bounds.deadline <= now || bounds.deadline - now <= pause) give_up();
  if (!clock_->sleep_for(pause, bounds.stop)) {
    throw Error(ErrorCode::cancelled,
                "stopped while waiting to repeat a " + std::string(to_string(operation)) +
                    " that failed: " + failure.problem(),
                "repeat it");
  }
  metrics_->of(operation).retries.add();
}

std::optional<PutResult> RetryLayer::find_arrived(std::string_view name, ByteView body,
                                                  const CallOptions& bounds) {
  const auto info = under().head(name, bounds);
  if (!info || info->size != body.size()) return std::nullopt;
  const std::string digest = under().part_digest(body);
  if (!digest.empty() && digest == info->etag) return PutResult{.etag = info->etag, .verified = true};
  // An etag that is no digest (of this object, or at all) says nothing: the bytes do.
  const auto held = under().get_range(name, 0, body.size() + 1, bounds);
  if (!held || !std::ranges::equal(*held, body)) return std::nullopt;
  return PutResult{.etag = info->etag, .verified = true};
}

PutResult RetryLayer::put(std::string_view name, ByteView body, const PutOptions& options) {
  return persist(ObjectOperation::put, options.call, [&](bool repeated) {
    if (repeated) {
      if (auto arrived = find_arrived(name, body, options.call)) return *arrived;
    }
    try {
      return under().put(name, body, options);
    } catch (const Error& error) {
      // The attempt before may have landed only now.
      if (!repeated || error.code() != ErrorCode::conflict) throw;
      if (auto arrived = find_arrived(name, body, options.call)) return *arrived;
      throw;
    }
  });
}

bool RetryLayer::remove(std::string_view name, const CallOptions& call) {
  return persist(ObjectOperation::remove, call,
                 [&](bool repeated) { return under().remove(name, call) || repeated; });
}

std::vector<RemoveFailure> RetryLayer::remove_many(std::span<const std::string> names,
                                                   const CallOptions& call) {
  // Those that may be repeated are, alone; the others are kept for the caller.
  std::vector<std::string> left;
  std::vector<RemoveFailure> failures;
  std::vector<RemoveFailure> last;
  try {
    return persist(ObjectOperation::remove_many, call, [&](bool /*repeated*/) {
      last.clear();
      std::vector<std::string> again;
      for (RemoveFailure& failure :
           under().remove_many(left.empty() ? names : std::span<const std::string>(left), call)) {
        if (failure.code != ErrorCode::unavailable) {
          failures.push_back(std::move(failure));
          continue;
        }
        again.push_back(failure.name);
        last.push_back(std::move(failure));
      }
      left = std::move(again);
      if (!last.empty()) throw Error(ErrorCode::unavailable, last.front().message, "repeat it later");
      return std::move(failures);
    });
  } catch (const Error& error) {
    if (error.code() != ErrorCode::unavailable || last.empty()) throw;
  }
  failures.insert(failures.end(), std::make_move_iterator(last.begin()), std::make_move_iterator(last.end()));
  return failures;
}

PutResult RetryLayer::complete_multipart(std::string_view name, std::string_view upload_id,
                                         std::span<const ObjectPart> parts, const CallOptions& call) {
  return persist(ObjectOperation::complete_multipart, call, [&](bool repeated) {
    try {
      return under().complete_multipart(name, upload_id, parts, call);
    } catch (const Error& error) {
      if (!repeated || error.code() != ErrorCode::invalid_argument) throw;
      // The upload is gone: completed, if its object is there.
      const auto info = under().head(name, call);
      std::uint64_t size = 0;
      for (const ObjectPart& part : parts) size += part.size;
      if (!info || info->size != size) throw;
      return PutResult{.etag = info->etag, .verified = false};
    }
  });
}

}  // namespace db4::objects
