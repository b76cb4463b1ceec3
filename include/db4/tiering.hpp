#pragma once
// Classification, and what a tiering run takes and gives.

#include <db4/config.hpp>
#include <db4/document.hpp>

#include <limits>
#include <stop_token>
#include <string>
#include <vector>

namespace db4 {

/// Where a document belongs. `recent_access_count >= access_count_threshold` is hot; otherwise the time since
/// max(updated_at, accessed_at) decides: below hot_threshold hot, below warm_threshold warm, else cold. Pure.
DB4_API StorageTier classify_tier(const DocumentMeta& meta, const TieringConfig& config,
                                  TimePoint now) noexcept;

/// Bounds of one run. A run may be cut anywhere and run again.
struct TieringOptions {
  std::size_t max_operations = 10'000;                                  ///< documents moved
  std::uint64_t max_bytes = std::numeric_limits<std::uint64_t>::max();  ///< bytes of documents moved
  std::chrono::milliseconds max_duration = std::chrono::minutes{10};    ///< started nothing new after this
  bool dry_run = false;  ///< plans the same moves, and makes none
  std::stop_token stop = {};
};

/// One document's move, planned or made.
struct Move {
  std::string collection = {};
  std::string id = {};
  StorageTier from = StorageTier::hot;
  StorageTier to = StorageTier::cold;
  std::uint64_t bytes = 0;
  std::string reason = {};  ///< in words
};

/// A move that was made, as a document's history keeps it.
struct PastMove {
  TimePoint at{};
  StorageTier from = StorageTier::hot;
  StorageTier to = StorageTier::cold;
  std::string reason = {};  ///< in words
};
inline constexpr std::size_t kMaxPastMoves = 5;  ///< kept of each document

/// What a tiering run did, or would do.
struct TieringResult {
  std::size_t promoted = 0;
  std::size_t demoted = 0;
  std::size_t skipped =
      0;                   ///< looked at and left: used since, held by hand, or changed by somebody meanwhile
  std::size_t failed = 0;  ///< not moved for an error; they stay where they were and are tried again
  std::uint64_t bytes_moved = 0;
  std::size_t compacted_segments = 0;    ///< of which less than half was alive, rewritten
  std::uint64_t compacted_bytes = 0;     ///< of the records copied for that
  std::uint64_t reencrypted = 0;         ///< documents sealed anew, in an encrypted store
  std::uint64_t reencrypted_bytes = 0;   ///< of their bodies
  std::size_t trained_dictionaries = 0;  ///< for collections that had none
  std::chrono::milliseconds duration{0};
  std::vector<Move> moves = {};  ///< made (or planned, in a dry run), at most kMaxReportedMoves of them
  std::vector<std::string> errors = {};  ///< the first few messages behind `failed`
  /// Why the run left what was due where it is: the cold tier is away, and the next run tries it again.
  /// Empty: it did not.
  std::string stopped_by = {};
  bool more = false;  ///< stopped at a bound: more is due
};

inline constexpr std::size_t kMaxReportedMoves = 10'000;

}  // namespace db4
