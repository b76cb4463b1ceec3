#pragma once
// What was measured, as rows: printed while the program runs, and written as JSON at its end. The JSON is
// described in docs/benchmarks.md; db4_bench_report joins several and makes the page.

#include "harness/options.hpp"
#include "harness/runner.hpp"

#include <nlohmann/json.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace db4::bench {

inline constexpr int kJsonFormat = 1;

/// What the project wants of a row.
struct Aim {
  enum class Of { ratio, value };
  Of of = Of::ratio;
  /// The median ratio must be at least this; a value at most this.
  double bound = 1;
  std::string text = {};  ///< in words: "no slower than the map"
};

/// What one row is about, beside its figures.
struct RowHead {
  std::string what = {};  ///< "get, 2 threads"
  std::string unit = {};  ///< "ops/s", "ms", "B"
  Better better = Better::more;
  std::string subject = "db4";  ///< what of ours was measured
  std::string peer = {};        ///< what it was compared with; empty: with nothing
  bool peer_in_process = true;  ///< else processor time is not compared
  std::optional<Aim> aim = {};
};

class Report {
 public:
  Report(std::string program, const Options& options);

  /// Begins a table. `equal` says what was the same on both sides, `unequal` what was not.
  void section(const std::string& title, const std::string& equal, const std::string& unequal = {});
  void row(const RowHead& head, const Comparison& result);
  /// A figure without a peer.
  void row(const RowHead& head, const Figure& value);
  /// A peer that was left out, and why. The same is said once.
  void skip(const std::string& peer, const std::string& reason);

  /// Writes the JSON where it was asked for. Throws where it cannot.
  void finish() const;

 private:
  void add(const RowHead& head, const Figure& ours, const std::optional<Comparison>& result);

  std::filesystem::path path_;
  nlohmann::ordered_json json_;
  std::chrono::steady_clock::time_point start_;
};

/// A figure for people: "1,234,567", "12.3", "0.041".
std::string format_figure(double value);
/// "1.23", and more digits where there are few before the point.
std::string format_ratio(double value);

/// Runs `body`, reports on standard error what it throws, and gives the process's exit code.
int run_program(const char* name, int argc, char** argv, void (*body)(const Options&, Report&));

}  // namespace db4::bench
