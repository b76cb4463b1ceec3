#pragma once
// What the benchmarks share: arguments, ids, a Zipf distribution, alternating rounds against a peer, tables.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace db4::bench {

/// `--quick`, `--name value`.
class Arguments {
 public:
  Arguments(int argc, char** argv) : words_(argv + 1, argv + argc) {}
  [[nodiscard]] bool has(const std::string& name) const {
    return std::find(words_.begin(), words_.end(), "--" + name) != words_.end();
  }
  [[nodiscard]] bool quick() const { return has("quick"); }
  [[nodiscard]] int rounds() const { return quick() ? 3 : 5; }
  [[nodiscard]] std::string text(const std::string& name, std::string otherwise) const {
    const auto found = std::find(words_.begin(), words_.end(), "--" + name);
    return found == words_.end() || found + 1 == words_.end() ? otherwise : *(found + 1);
  }
  [[nodiscard]] std::size_t number(const std::string& name, std::size_t otherwise) const {
    const std::string value = text(name, "");
    return value.empty() ? otherwise : std::stoull(value);
  }

 private:
  std::vector<std::string> words_;
};

/// A folder of its own, removed at the end; under `parent`, or the system's temporary folder.
class Folder {
 public:
  explicit Folder(const std::string& parent)
      : path_((parent.empty() ? std::filesystem::temp_directory_path() : std::filesystem::path(parent)) /
              ("db4-bench-" + std::to_string(std::random_device{}()))) {
    std::filesystem::create_directories(path_);
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] const std::filesystem::path& path() const noexcept { return path_; }

 private:
  std::filesystem::path path_;
};

/// Ids of 20 bytes.
inline std::vector<std::string> make_ids(std::size_t count) {
  std::vector<std::string> ids;
  ids.reserve(count);
  char buffer[32];
  for (std::size_t i = 0; i < count; ++i) {
    std::snprintf(buffer, sizeof buffer, "document-%011zu", i);
    ids.emplace_back(buffer);
  }
  return ids;
}

/// Draws of a scrambled Zipf distribution, made beforehand: the same for every peer.
class Zipf {
 public:
  Zipf(std::size_t keys, double theta, std::uint64_t seed) : draws_(kDraws) {
    std::vector<double> cumulative(keys);
    double sum = 0;
    for (std::size_t rank = 0; rank < keys; ++rank) {
      sum += 1.0 / std::pow(static_cast<double>(rank + 1), theta);
      cumulative[rank] = sum;
    }
    std::mt19937_64 random(seed);
    std::uniform_real_distribution<double> uniform(0, sum);
    std::vector<std::uint32_t> scrambled(keys);
    for (std::size_t i = 0; i < keys; ++i) scrambled[i] = static_cast<std::uint32_t>(i);
    std::shuffle(scrambled.begin(), scrambled.end(), random);
    for (std::uint32_t& draw : draws_) {
      const auto rank =
          std::lower_bound(cumulative.begin(), cumulative.end(), uniform(random)) - cumulative.begin();
      draw = scrambled[std::min<std::size_t>(static_cast<std::size_t>(rank), keys - 1)];
    }
  }
  /// The i-th draw of a thread; threads start far apart.
  [[nodiscard]] std::size_t at(unsigned thread, std::size_t i) const noexcept {
    return draws_[(i + thread * (kDraws / 16)) % kDraws];
  }

 private:
  static constexpr std::size_t kDraws = 1U << 22;
  std::vector<std::uint32_t> draws_;
};

/// One operation of a thread; what it returns keeps the compiler from leaving it out.
using Operation = std::function<std::uint64_t(unsigned thread, std::size_t i)>;

inline double elapsed_seconds(std::chrono::steady_clock::time_point since) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
}

/// Operations a second of `threads` threads over about `seconds`.
inline double measure(double seconds, unsigned threads, const Operation& operation) {
  std::atomic<std::uint64_t> done{0};
  std::atomic<std::uint64_t> sink{0};
  std::atomic<bool> stop{false};
  const auto start = std::chrono::steady_clock::now();
  {
    std::vector<std::jthread> workers;
    for (unsigned thread = 0; thread < threads; ++thread) {
      workers.emplace_back([&, thread] {
        std::uint64_t sum = 0;
        std::size_t i = 0;
        while (!stop.load(std::memory_order_relaxed)) {
          for (int burst = 0; burst < 16; ++burst) sum += operation(thread, i++);
        }
        done += i;
        sink += sum;
      });
    }
    while (elapsed_seconds(start) < seconds) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    stop = true;
  }
  return static_cast<double>(done.load()) / elapsed_seconds(start);
}

struct Comparison {
  double ours = 0;   ///< median
  double peers = 0;  ///< median
  double ratio = 0;  ///< median of the rounds' ratios
  double lowest = 0;
  double highest = 0;
};

inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// Both in turn, round after round, so that what else the machine does meets both; after one round to warm
/// up.
inline Comparison alternate(int rounds, double seconds, unsigned threads, const Operation& ours,
                            const Operation& peer) {
  measure(seconds / 3, threads, ours);
  measure(seconds / 3, threads, peer);
  std::vector<double> our_rates;
  std::vector<double> peer_rates;
  std::vector<double> ratios;
  for (int round = 0; round < rounds; ++round) {
    our_rates.push_back(measure(seconds, threads, ours));
    peer_rates.push_back(measure(seconds, threads, peer));
    ratios.push_back(our_rates.back() / peer_rates.back());
  }
  const auto [lowest, highest] = std::minmax_element(ratios.begin(), ratios.end());
  return {.ours = median(our_rates),
          .peers = median(peer_rates),
          .ratio = median(ratios),
          .lowest = *lowest,
          .highest = *highest};
}

class Table {
 public:
  explicit Table(std::vector<std::string> head) : rows_{std::move(head)} {}
  void add(std::vector<std::string> row) { rows_.push_back(std::move(row)); }
  void add(const std::string& name, unsigned threads, const Comparison& result) {
    rows_.push_back({name, std::to_string(threads), format("%.0f", result.ours), format("%.0f", result.peers),
                     format("%.2f", result.ratio),
                     format("%.2f", result.lowest) + " to " + format("%.2f", result.highest)});
  }
  void print() const {
    std::vector<std::size_t> widths;
    for (const auto& row : rows_) {
      widths.resize(std::max(widths.size(), row.size()));
      for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
    }
    for (const auto& row : rows_) {
      std::printf(" ");
      for (std::size_t i = 0; i < row.size(); ++i) {
        std::printf(i == 0 ? " %-*s" : "  %*s", static_cast<int>(widths[i]), row[i].c_str());
      }
      std::printf("\n");
    }
    std::fflush(stdout);
  }
  static std::string format(const char* pattern, double value) {
    char buffer[64];
    std::snprintf(buffer, sizeof buffer, pattern, value);
    return buffer;
  }

 private:
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace db4::bench
