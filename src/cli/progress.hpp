#pragma once
// How far a long command is, on standard error: a line that is redrawn on a terminal, and JSON elsewhere.

#include "context.hpp"

#include <db4/clock.hpp>

#include <cstdint>
#include <optional>
#include <string>

namespace db4::cli {

/// What has been done, and what there is to do where that is known.
struct ProgressFigures {
  std::uint64_t documents = 0;
  std::uint64_t bytes = 0;
  std::optional<std::uint64_t> total_documents = {};
  std::optional<std::uint64_t> total_bytes = {};
  nlohmann::json more = {};  ///< members that an event has besides
};

/// On a terminal one line, some times a second. Elsewhere a line of JSON every two seconds
/// (docs/import-export.md describes it), and so none at all for work that is over sooner. --quiet switches it
/// off. One thread at a time.
class Progress {
 public:
  /// `operation`: "import". What `before` says was done earlier counts for no rate. `noun`: what
  /// ProgressFigures::documents counts; empty: nothing, and bytes alone are told.
  Progress(const Context& context, std::string operation, ProgressFigures before = {},
           std::string noun = "document");
  /// Takes the line away.
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// Cheap: may be called for every document.
  void update(const ProgressFigures& now);
  /// Takes the line away, for something else to be written to standard error.
  void clear();

 private:
  [[nodiscard]] std::string line(const ProgressFigures& now, double seconds) const;
  [[nodiscard]] std::string event(const ProgressFigures& now, double seconds) const;

  std::string operation_;
  std::string noun_;
  ProgressFigures before_;
  bool on_terminal_;
  bool quiet_;
  bool shown_ = false;
  std::shared_ptr<Clock> clock_ = system_clock();
  MonotonicTime started_;
  MonotonicTime due_;
};

}  // namespace db4::cli
