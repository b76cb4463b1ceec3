#pragma once
// Mover: copy to the destination, verify what arrived, compare-and-set the row, free the source. Stopped
// anywhere, by a crash or an error, reads and the next run come out right.

#include "catalog/catalog.hpp"
#include "cold/cold_state.hpp"
#include "hot/hot_state.hpp"
#include "tiering/cold_breaker.hpp"

#include <db4/access_tracker.hpp>
#include <db4/clock.hpp>
#include <db4/warm_storage.hpp>

#include <exception>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace db4::tiering {

enum class MoveOutcome : std::uint8_t {
  moved,
  changed,  ///< somebody changed the document meanwhile: left as it is
  no_room,  ///< a promotion found the hot tier too full
  failed,   ///< an error; the document stays where it was
};

/// A document to move and what its row is to say afterwards.
struct MoveOrder {
  std::string key;
  catalog::Row row;  ///< as it was read; the compare of the compare-and-set
  StorageTier from = StorageTier::hot;
  StorageTier to = StorageTier::cold;
  std::uint64_t unused_seconds = 0;  ///< before the move, and ...
  std::uint32_t recent_reads = 0;    ///< ... within access_window: for the document's history
  catalog::PlacedBy placed_by = catalog::PlacedBy::policy;
  std::int64_t due_us = 0;     ///< of the moved document
  AccessFigures figures = {};  ///< for a promotion: what the copy in memory goes on counting from
  MoveOutcome outcome = MoveOutcome::failed;
  std::exception_ptr failure = {};  ///< with MoveOutcome::failed

  [[nodiscard]] catalog::MoveNote note() const noexcept {
    return {.from = from, .to = to, .unused_seconds = unused_seconds, .recent_reads = recent_reads};
  }
};

/// What bounds a mover's work.
struct MoveBounds {
  /// Asked between documents; what is not begun stays `changed`. Empty: go on.
  std::function<bool()> keep_going = {};
  std::stop_token stop = {};
  /// Of one request to the object store, its retries included; 0: what cold.request_timeout says.
  std::chrono::milliseconds max_call{0};
  /// Hears of each request to the object store, and ends the moves when it opens.
  ColdBreaker* breaker = nullptr;
};

/// Thread-safe.
class Mover {
 public:
  Mover(catalog::Catalog& catalog, HotStorage::State& hot, WarmStorage& warm, ColdStorage::State& cold,
        std::shared_ptr<Clock> clock) noexcept
      : catalog_(catalog), hot_(hot), warm_(warm), cold_(cold), clock_(std::move(clock)) {}

  /// Hot documents to cold (or to warm: home cold, and a copy in the warm cache). Small records go into
  /// segments together. Fills in the outcomes; holds at most one segment and one document in memory.
  void demote(std::span<MoveOrder> orders, const MoveBounds& bounds = {});

  /// A cold document to hot. With `block` (its body at hand, with its figures) nothing is read.
  void promote(MoveOrder& order, const detail::BlockRef& block = {},
               std::optional<Durability> durability = std::nullopt, const MoveBounds& bounds = {});

  /// The body, wherever it is: the row's hot body, a warm copy, or the cold record. Throws corrupt,
  /// unavailable.
  [[nodiscard]] detail::BlockRef load(std::string_view key, const catalog::Row& row,
                                      const MoveBounds& bounds = {});

  [[nodiscard]] std::uint64_t segment_size() const noexcept { return cold_.segment_size(); }

  /// A copy for the warm cache.
  void warm_up(std::string_view key, const detail::BlockRef& block);

 private:
  class Packing;
  [[nodiscard]] catalog::Row demoted_row(const MoveOrder& order) const;
  [[nodiscard]] bool changed_since(const MoveOrder& order) const noexcept;
  void demote_in_place(MoveOrder& order, const MoveBounds& bounds);
  [[nodiscard]] bool opens(const catalog::ColdPlace& place) const noexcept;
  void demote_alone(MoveOrder& order, const detail::BlockRef& block, const ColdStorage::State::Record& record,
                    const MoveBounds& bounds);
  /// Runs a request to the object store within the bounds.
  template <typename Request>
  auto ask_cold(const MoveBounds& bounds, const Request& request);

  catalog::Catalog& catalog_;
  HotStorage::State& hot_;
  WarmStorage& warm_;
  ColdStorage::State& cold_;
  const std::shared_ptr<Clock> clock_;
};

/// The body in a warm record, where it is of the very write that the row is about; else a null block. The
/// version alone does not tell: a hot folder restored from a backup, or made anew, counts versions that the
/// cache has seen already, for other bodies. Throws corrupt.
detail::BlockRef decode_warm_record(std::string_view record, std::string_view key, const catalog::Row& row);

/// The warm cache's record of a body: uncompressed, since warm is there for speed.
std::shared_ptr<const std::string> warm_record(const detail::DocumentBlock& block);

}  // namespace db4::tiering
