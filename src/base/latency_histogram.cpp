#include "base/latency_histogram.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace db4 {

namespace {

using detail::kLatencyBuckets;
using detail::kLatencyMaxBits;
using detail::kLatencySubBits;

constexpr std::size_t bucket_of(std::uint64_t ns) noexcept {
  if (ns >= (1ULL << kLatencyMaxBits)) return kLatencyBuckets - 1;
  const auto width = static_cast<unsigned>(std::bit_width(ns));
  if (width <= kLatencySubBits + 1) return static_cast<std::size_t>(ns);
  const unsigned shift = width - kLatencySubBits - 1;
  return (static_cast<std::size_t>(shift) << kLatencySubBits) + static_cast<std::size_t>(ns >> shift);
}

constexpr std::uint64_t middle_of(std::size_t bucket) noexcept {
  constexpr std::size_t kExact = 2U << kLatencySubBits;
  if (bucket < kExact) return bucket;
  const auto shift = static_cast<unsigned>((bucket >> kLatencySubBits) - 1);
  const std::uint64_t low = (bucket - (static_cast<std::uint64_t>(shift) << kLatencySubBits)) << shift;
  return low + (1ULL << shift) / 2;
}

static_assert(bucket_of(63) == 63 && bucket_of(64) == 64 && bucket_of(65) == 64);
static_assert(bucket_of((1ULL << kLatencyMaxBits) - 1) == kLatencyBuckets - 1);
static_assert(bucket_of(middle_of(500)) == 500 &&
              bucket_of(middle_of(kLatencyBuckets - 1)) == kLatencyBuckets - 1);

/// Threads take stripes in turn, in the order in which they first record.
std::size_t stripe_of_this_thread(std::size_t stripes) noexcept {
  static std::atomic<std::size_t> next{0};
  thread_local const std::size_t mine = next.fetch_add(1, std::memory_order_relaxed);
  return mine % stripes;
}

}  // namespace

struct alignas(64) LatencyHistogram::Stripe {
  std::atomic<std::uint64_t> sum_ns{0};
  std::atomic<std::uint64_t> min_ns{UINT64_MAX};
  std::atomic<std::uint64_t> max_ns{0};
  std::array<std::atomic<std::uint64_t>, kLatencyBuckets> buckets{};
};

LatencyHistogram::LatencyHistogram() : stripes_(std::make_unique<std::array<Stripe, kStripes>>()) {}
LatencyHistogram::~LatencyHistogram() = default;

void LatencyHistogram::record(std::chrono::nanoseconds latency) noexcept {
  const auto ns = static_cast<std::uint64_t>(std::max<std::int64_t>(latency.count(), 0));
  Stripe& stripe = (*stripes_)[stripe_of_this_thread(kStripes)];
  constexpr auto kRelaxed = std::memory_order_relaxed;
  stripe.sum_ns.fetch_add(ns, kRelaxed);
  for (auto seen = stripe.min_ns.load(kRelaxed);
       ns < seen && !stripe.min_ns.compare_exchange_weak(seen, ns, kRelaxed);) {
  }
  for (auto seen = stripe.max_ns.load(kRelaxed);
       ns > seen && !stripe.max_ns.compare_exchange_weak(seen, ns, kRelaxed);) {
  }
  // Last, and released: a snapshot that counts this latency also has it in sum, min and max.
  stripe.buckets[bucket_of(ns)].fetch_add(1, std::memory_order_release);
}

LatencySnapshot LatencyHistogram::snapshot() const {
  LatencySnapshot out;
  out.buckets_.resize(kLatencyBuckets);
  for (const Stripe& stripe : *stripes_) {
    for (std::size_t i = 0; i < kLatencyBuckets; ++i) {
      const std::uint64_t count = stripe.buckets[i].load(std::memory_order_acquire);
      out.buckets_[i] += count;
      out.count_ += count;
    }
    out.sum_ns_ += stripe.sum_ns.load(std::memory_order_relaxed);
    out.min_ns_ = std::min(out.min_ns_, stripe.min_ns.load(std::memory_order_relaxed));
    out.max_ns_ = std::max(out.max_ns_, stripe.max_ns.load(std::memory_order_relaxed));
  }
  return out;
}

std::chrono::nanoseconds LatencySnapshot::min() const noexcept {
  return std::chrono::nanoseconds{count_ == 0 ? 0 : min_ns_};
}

std::chrono::nanoseconds LatencySnapshot::max() const noexcept {
  return std::chrono::nanoseconds{count_ == 0 ? 0 : max_ns_};
}

std::chrono::nanoseconds LatencySnapshot::mean() const noexcept {
  return std::chrono::nanoseconds{count_ == 0 ? 0 : sum_ns_ / count_};
}

std::chrono::nanoseconds LatencySnapshot::percentile(double percent) const noexcept {
  if (count_ == 0) return std::chrono::nanoseconds{0};
  const double share = std::clamp(percent, 0.0, 100.0) / 100.0;
  const auto rank =
      std::max<std::uint64_t>(1, static_cast<std::uint64_t>(std::ceil(share * static_cast<double>(count_))));
  std::uint64_t below = 0;
  for (std::size_t i = 0; i < buckets_.size(); ++i) {
    below += buckets_[i];
    if (below < rank) continue;
    // The last bucket also holds everything longer than it reaches: only max says something about that.
    const std::uint64_t value = i + 1 == buckets_.size() ? max_ns_ : middle_of(i);
    return std::chrono::nanoseconds{std::clamp(value, min_ns_, max_ns_)};
  }
  return max();
}

LatencySnapshot LatencySnapshot::since(const LatencySnapshot& earlier) const {
  LatencySnapshot out = *this;
  for (std::size_t i = 0; i < std::min(out.buckets_.size(), earlier.buckets_.size()); ++i) {
    out.buckets_[i] -= std::min(out.buckets_[i], earlier.buckets_[i]);
  }
  out.count_ -= std::min(out.count_, earlier.count_);
  out.sum_ns_ -= std::min(out.sum_ns_, earlier.sum_ns_);
  return out;
}

void LatencySnapshot::merge(const LatencySnapshot& other) {
  if (buckets_.size() < other.buckets_.size()) buckets_.resize(other.buckets_.size());
  for (std::size_t i = 0; i < other.buckets_.size(); ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  sum_ns_ += other.sum_ns_;
  min_ns_ = std::min(min_ns_, other.min_ns_);
  max_ns_ = std::max(max_ns_, other.max_ns_);
}

}  // namespace db4
