#include "harness/runner.hpp"

#include <algorithm>
#include <atomic>
#include <exception>
#include <latch>
#include <mutex>
#include <thread>

namespace db4::bench {

Figure summarize(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  const double median = values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
  return {.median = median, .lowest = values.front(), .highest = values.back()};
}

double elapsed_seconds(std::chrono::steady_clock::time_point since) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
}

double time_milliseconds(const std::function<void()>& action) {
  const auto start = std::chrono::steady_clock::now();
  action();
  return elapsed_seconds(start) * 1000;
}

double measure_rate(double seconds, unsigned threads, std::size_t first, const Operation& operation) {
  std::atomic<std::uint64_t> done{0};
  std::atomic<std::uint64_t> sink{0};
  std::atomic<bool> stop{false};
  std::exception_ptr failure;
  std::mutex failure_mutex;
  std::latch ready(threads + 1);
  std::chrono::steady_clock::time_point start;
  {
    std::vector<std::jthread> workers;
    for (unsigned thread = 0; thread < threads; ++thread) {
      workers.emplace_back([&, thread] {
        std::uint64_t sum = 0;
        std::size_t i = first;
        ready.arrive_and_wait();
        try {
          do {
            sum += operation(thread, i++);
          } while (!stop.load(std::memory_order_relaxed));
        } catch (...) {
          const std::lock_guard lock(failure_mutex);
          failure = std::current_exception();
          stop = true;
        }
        done += i - first;
        sink += sum;
      });
    }
    ready.arrive_and_wait();
    start = std::chrono::steady_clock::now();
    while (!stop && elapsed_seconds(start) < seconds) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    stop = true;
  }
  if (failure) std::rethrow_exception(failure);
  return static_cast<double>(done.load()) / elapsed_seconds(start);
}

Comparison alternate(int rounds, Better better, const Sample& ours, const Sample& peer) {
  std::vector<double> our_values;
  std::vector<double> peer_values;
  std::vector<double> ratios;
  for (int round = 0; round < rounds; ++round) {
    const bool peer_first = round % 2 == 1;
    if (peer_first) peer_values.push_back(peer(round));
    our_values.push_back(ours(round));
    if (!peer_first) peer_values.push_back(peer(round));
    ratios.push_back(better == Better::more ? our_values.back() / peer_values.back()
                                            : peer_values.back() / our_values.back());
  }
  return {.ours = summarize(our_values), .peers = summarize(peer_values), .ratio = summarize(ratios)};
}

Comparison alternate_rates(int rounds, double seconds, unsigned threads, const Operation& ours,
                           const Operation& peer) {
  constexpr std::size_t kFarApart = 1'000'003;  // so that a round does not ask what the one before it asked
  const auto sample = [&](const Operation& operation) {
    return [&, operation](int round) {
      return measure_rate(seconds, threads, static_cast<std::size_t>(round) * kFarApart, operation);
    };
  };
  measure_rate(seconds / 3, threads, 0, ours);
  measure_rate(seconds / 3, threads, 0, peer);
  return alternate(rounds, Better::more, sample(ours), sample(peer));
}

}  // namespace db4::bench
