#pragma once
// Compaction: rewrites segments of which less than half is alive. Private to cold.

#include "catalog/catalog.hpp"
#include "codec/segment.hpp"
#include "cold/cold_state.hpp"

#include <string>
#include <vector>

namespace db4::cold {

/// One run. It takes the catalogue's list of sparse segments, so it costs in proportion to what died, not to
/// what is stored; copies the records that rows name, byte for byte, from several segments into one; and
/// compare-and-sets each row to the new place. A record is copied at most once for each time that half of its
/// segment dies: what is copied is never more than what is freed.
///
/// Stopped anywhere it leaves nothing wrong: a new segment has its intent, or is registered and looked at, as
/// one of a demotion; a source stays until no row names it and the grace for readers has passed; a source
/// that was not finished stays on the list. Not thread-safe; one at a time by ColdStorage::State.
class Compaction {
 public:
  Compaction(ColdStorage::State& state, catalog::Catalog& catalog, Clock& clock,
             const CompactOptions& options)
      : state_(state), catalog_(catalog), clock_(clock), options_(options), started_(clock.monotonic()) {}

  CompactResult run();

 private:
  struct Live {
    std::string key;
    catalog::Row row;
    codec::SegmentEntry entry;
  };
  struct Waiting {
    std::string key;
    catalog::Row row;
    std::uint64_t offset = 0;  ///< in the new segment
    std::uint64_t length = 0;
    sealing::KeyNumber sealed_with = 0;
  };

  /// False where a bound ends the run before it.
  bool rewrite(const std::string& object);
  [[nodiscard]] bool may_begin(const catalog::SegmentFacts& facts) const;
  [[nodiscard]] std::vector<codec::SegmentEntry> read_index(const catalog::SegmentFacts& facts);
  [[nodiscard]] std::vector<Live> find_live(const std::string& object,
                                            const std::vector<codec::SegmentEntry>& entries);
  void copy(const std::string& object, std::vector<Live>& live);
  void add(Live live, std::string_view record);
  /// The record as it is to be copied; nullopt where it is damaged.
  [[nodiscard]] std::optional<ColdStorage::State::Record> renewed(const Live& live, std::string_view record);
  /// The record, where its bytes are good.
  [[nodiscard]] std::optional<std::string> read_alone(const std::string& object,
                                                      const codec::SegmentEntry& entry);
  void flush();
  [[nodiscard]] CallOptions call() const;

  ColdStorage::State& state_;
  catalog::Catalog& catalog_;
  Clock& clock_;
  const CompactOptions& options_;
  const MonotonicTime started_;
  CompactResult result_;
  codec::SegmentWriter writer_;
  std::vector<Waiting> waiting_;
  std::vector<std::string> sources_;  ///< read to the end; done with when what waits is committed
};

}  // namespace db4::cold
