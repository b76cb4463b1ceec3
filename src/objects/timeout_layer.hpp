#pragma once
// TimeoutLayer: gives every call a deadline of its own. It stands in the stack twice: over the retries, for
// all attempts together, and under them, for each.

#include "objects/around_layer.hpp"

#include <db4/clock.hpp>
#include <db4/error.hpp>

namespace db4::objects {

/// Bodies get more time: one second for each so many bytes. Who is slower than 8 Mbit/s waits in vain.
inline constexpr std::uint64_t kSlowestBytesPerSecond = 1ULL << 20;
/// What a call without a bound of its own may ask for counts as this much.
inline constexpr std::uint64_t kMostBytesTimed = 1ULL << 30;
/// A provider puts the parts of an upload together faster than it takes them.
inline constexpr std::uint64_t kCompletionSpeedup = 64;

class TimeoutLayer final : public AroundLayer<TimeoutLayer> {
 public:
  /// `timeout` 0: none. `setting` names it in errors.
  TimeoutLayer(std::shared_ptr<ObjectStore> under, std::shared_ptr<Clock> clock,
               std::chrono::milliseconds timeout, std::string setting)
      : AroundLayer(std::move(under)),
        clock_(std::move(clock)),
        timeout_(timeout),
        setting_(std::move(setting)) {}

  /// Past the caller's deadline the call throws deadline_exceeded; past this layer's alone `unavailable`,
  /// since a repetition may help.
  template <typename Call>
  auto around(const ObjectCall& what, const CallOptions& bounds, const Call& call) {
    if (timeout_ <= std::chrono::milliseconds{0}) return call(bounds);
    const MonotonicTime ours = clock_->monotonic() + time_for(what);
    if (ours >= bounds.deadline) return call(bounds);
    try {
      return call(CallOptions{.deadline = ours, .stop = bounds.stop});
    } catch (const Error& error) {
      if (error.code() != ErrorCode::deadline_exceeded) throw;
      throw Error(ErrorCode::unavailable,
                  "the object store did not answer a " + std::string(to_string(what.operation)) + " within " +
                      setting_,
                  "look whether the provider is up, or raise " + setting_);
    }
  }

  using AroundLayer::complete_multipart;
  PutResult complete_multipart(std::string_view name, std::string_view upload_id,
                               std::span<const ObjectPart> parts, const CallOptions& call) override {
    std::uint64_t size = 0;
    for (const ObjectPart& part : parts) size += part.size;
    return around(
        {.operation = ObjectOperation::complete_multipart, .name = name, .wanted = size / kCompletionSpeedup},
        call, [&](const CallOptions& bounds) {
          return under().complete_multipart(name, upload_id, parts, bounds);
        });
  }

 private:
  [[nodiscard]] MonotonicTime time_for(const ObjectCall& what) const {
    const std::uint64_t bytes =
        std::min(what.sent + std::min(what.wanted, kMostBytesTimed), std::uint64_t{1} << 40);
    return timeout_ + std::chrono::milliseconds{bytes * 1000 / kSlowestBytesPerSecond};
  }

  const std::shared_ptr<Clock> clock_;
  const std::chrono::milliseconds timeout_;
  const std::string setting_;
};

}  // namespace db4::objects
