#pragma once
// How things are measured: db4 and a peer take turns, round by round, and each round gives a ratio; what
// counts is the median of those. On a machine that does other things as well, both meet the same disturbance.

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace db4::bench {

/// Of several rounds.
struct Figure {
  double median = 0;
  double lowest = 0;
  double highest = 0;
};
Figure summarize(std::vector<double> values);

/// Whether a larger figure is the better one.
enum class Better { more, less };

struct Comparison {
  Figure ours;
  Figure peers;
  /// Of each round: above 1 db4 is the better one, whichever way the figures run.
  Figure ratio;
  /// The same by processor time of this process for an operation: on a machine that does other things as well
  /// it tells more than the rate. 0: was not measured.
  Figure cpu_ratio = {};
};

/// One operation of a thread; what it returns keeps the compiler from leaving it out.
using Operation = std::function<std::uint64_t(unsigned thread, std::size_t i)>;
/// One measurement; `round` counts from 0, and -1 is a round to warm up.
using Sample = std::function<double(int round)>;

double elapsed_seconds(std::chrono::steady_clock::time_point since);
/// How long it takes.
double time_milliseconds(const std::function<void()>& action);

struct Rate {
  double per_second = 0;
  double cpu_seconds = 0;  ///< of this process, for one operation
};
/// `threads` threads run for about `seconds`, and count their operations from `first` on.
Rate measure_rate(double seconds, unsigned threads, std::size_t first, const Operation& operation);

/// `rounds` measurements of each, alternating; who begins changes every round.
Comparison alternate(int rounds, Better better, const Sample& ours, const Sample& peer);

/// The same for rates, after one short round to warm up.
Comparison alternate_rates(int rounds, double seconds, unsigned threads, const Operation& ours,
                           const Operation& peer);

}  // namespace db4::bench
