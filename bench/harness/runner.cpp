#include "harness/runner.hpp"

#include <time.h>

#include <algorithm>
#include <atomic>
#include <exception>
#include <latch>
#include <mutex>
#include <thread>

namespace db4::bench {

namespace {

double process_cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

}  // namespace

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

Rate measure_rate(double seconds, unsigned threads, std::size_t first, const Operation& operation) {
  std::atomic<std::uint64_t> done{0};
  std::atomic<std::uint64_t> sink{0};
  std::atomic<bool> stop{false};
  std::exception_ptr failure;
  std::mutex failure_mutex;
  std::latch ready(threads + 1);
  std::chrono::steady_clock::time_point start;
  double cpu_start = 0;
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
    cpu_start = process_cpu_seconds();
    while (!stop && elapsed_seconds(start) < seconds) {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    stop = true;
  }
  if (failure) std::rethrow_exception(failure);
  const auto operations = static_cast<double>(done.load());
  return {.per_second = operations / elapsed_seconds(start),
          .cpu_seconds = (process_cpu_seconds() - cpu_start) / operations};
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
  std::vector<double> our_cpu;
  std::vector<double> peer_cpu;
  const auto sample = [&](const Operation& operation, std::vector<double>& cpu) {
    return [&](int round) {
      const Rate rate =
          measure_rate(seconds, threads, static_cast<std::size_t>(round) * kFarApart, operation);
      cpu.push_back(rate.cpu_seconds);
      return rate.per_second;
    };
  };
  measure_rate(seconds / 3, threads, 0, ours);
  measure_rate(seconds / 3, threads, 0, peer);
  Comparison out = alternate(rounds, Better::more, sample(ours, our_cpu), sample(peer, peer_cpu));
  std::vector<double> cpu_ratios;
  for (std::size_t i = 0; i < our_cpu.size(); ++i) cpu_ratios.push_back(peer_cpu[i] / our_cpu[i]);
  out.cpu_ratio = summarize(cpu_ratios);
  return out;
}

}  // namespace db4::bench
