#include "progress.hpp"

#include "text.hpp"

#include <cmath>
#include <iostream>
#include <utility>

namespace db4::cli {
namespace {

constexpr std::chrono::milliseconds kRedrawn{250};
constexpr std::chrono::seconds kReported{2};

/// How much of the whole is done, by bytes where they are known.
std::optional<double> share_of(const ProgressFigures& now) {
  const auto share = [](std::uint64_t part,
                        const std::optional<std::uint64_t>& whole) -> std::optional<double> {
    if (!whole || *whole == 0) return std::nullopt;
    return std::min(1.0, static_cast<double>(part) / static_cast<double>(*whole));
  };
  const auto by_bytes = share(now.bytes, now.total_bytes);
  return by_bytes ? by_bytes : share(now.documents, now.total_documents);
}

/// Seconds until the whole is done, if it goes on as since `before`.
std::optional<double> seconds_left(const ProgressFigures& before, const ProgressFigures& now,
                                   double seconds) {
  const auto done = share_of(now);
  ProgressFigures earlier = now;
  earlier.documents = before.documents;
  earlier.bytes = before.bytes;
  if (!done || *done <= *share_of(earlier)) return std::nullopt;
  return seconds * (1 - *done) / (*done - *share_of(earlier));
}

std::string describe_seconds(double seconds) {
  const auto whole = static_cast<std::uint64_t>(std::ceil(seconds));
  if (whole < 60) return std::to_string(whole) + " s";
  if (whole < 3600) return std::to_string(whole / 60) + " min " + std::to_string(whole % 60) + " s";
  return std::to_string(whole / 3600) + " h " + std::to_string(whole % 3600 / 60) + " min";
}

std::uint64_t rate_of(std::uint64_t amount, double seconds) {
  return static_cast<std::uint64_t>(static_cast<double>(amount) / std::max(seconds, 1e-3));
}

}  // namespace

Progress::Progress(const Context& context, std::string operation, ProgressFigures before, std::string noun)
    : operation_(std::move(operation)),
      noun_(std::move(noun)),
      before_(std::move(before)),
      on_terminal_(context.terminal().error_is_terminal()),
      quiet_(context.options().quiet),
      started_(clock_->monotonic()),
      due_(started_ + (on_terminal_ ? MonotonicTime(kRedrawn) : MonotonicTime(kReported))) {}

Progress::~Progress() { clear(); }

void Progress::update(const ProgressFigures& now) {
  if (quiet_) return;
  const MonotonicTime time = clock_->monotonic();
  if (time < due_) return;
  due_ = time + (on_terminal_ ? MonotonicTime(kRedrawn) : MonotonicTime(kReported));
  const double seconds = std::chrono::duration<double>(time - started_).count();
  if (on_terminal_) {
    std::cerr << "\r\033[K" << line(now, seconds) << std::flush;
    shown_ = true;
  } else {
    std::cerr << event(now, seconds) << "\n" << std::flush;
  }
}

void Progress::clear() {
  if (std::exchange(shown_, false)) std::cerr << "\r\033[K" << std::flush;
}

std::string Progress::line(const ProgressFigures& now, double seconds) const {
  std::string out = operation_ + "  ";
  if (noun_.empty()) {
    out += describe_bytes(now.bytes) + (now.total_bytes ? " of " + describe_bytes(*now.total_bytes) : "") +
           "  " + describe_bytes(rate_of(now.bytes - before_.bytes, seconds)) + "/s";
  } else {
    out += describe_count(now.documents, noun_) + "  " + describe_bytes(now.bytes) + "  " +
           describe_count(rate_of(now.documents - before_.documents, seconds)) + "/s";
  }
  if (const auto share = share_of(now)) out += "  " + std::to_string(static_cast<int>(*share * 100)) + "%";
  if (const auto left = seconds_left(before_, now, seconds)) out += "  " + describe_seconds(*left) + " left";
  return out;
}

std::string Progress::event(const ProgressFigures& now, double seconds) const {
  nlohmann::json out{{"event", "progress"},
                     {"operation", operation_},
                     {"bytes", now.bytes},
                     {"rate_bytes_per_s", rate_of(now.bytes - before_.bytes, seconds)}};
  if (!noun_.empty()) {
    out[noun_ + "s"] = now.documents;
    out["rate_" + noun_ + "s_per_s"] = rate_of(now.documents - before_.documents, seconds);
    if (now.total_documents) out["total_" + noun_ + "s"] = *now.total_documents;
  }
  if (now.total_bytes) out["total_bytes"] = *now.total_bytes;
  if (now.more.is_object()) out.update(now.more);
  if (const auto left = seconds_left(before_, now, seconds)) {
    out["seconds_left"] = static_cast<std::uint64_t>(std::ceil(*left));
  }
  return out.dump();
}

}  // namespace db4::cli
