#pragma once
// ChangeSet: row changes that take effect together. The only way to touch a row.

#include "base/document_block.hpp"
#include "catalog/history.hpp"
#include "catalog/row.hpp"
#include "kv/engine.hpp"

#include <optional>
#include <string>
#include <vector>

namespace db4::catalog {

class Catalog;

/// One row change, as listeners see it.
struct RowChange {
  std::string key;
  std::uint64_t hash = 0;
  std::optional<Row> before;
  std::optional<Row> after;    ///< nullopt: the row was purged
  detail::BlockRef block;      ///< the body, where the changer had it at hand and the document's home is hot
  std::uint64_t sequence = 0;  ///< of its entry in the changes space; on_applied alone has it
};

/// Hears of every row change. Callbacks must not throw, block or commit.
class ChangeListener {
 public:
  virtual ~ChangeListener() = default;
  /// A change of this key is about to be committed ...
  virtual void on_announced(std::uint64_t hash) noexcept = 0;
  /// ... took effect (in commit order, before its writer returns) ...
  virtual void on_applied(const RowChange& change) noexcept = 0;
  /// ... and is over, whether it took effect or not.
  virtual void on_ended(std::uint64_t hash) noexcept = 0;
};

/// Everything that belongs to the changes of some rows, staged as one batch: rows, bodies, due entries,
/// counters, intents, garbage, change entries, and the preconditions that make it a compare-and-set. Not
/// thread-safe; commit it once.
class ChangeSet {
 public:
  explicit ChangeSet(const Catalog& catalog) noexcept : catalog_(&catalog) {}

  /// Replaces `before` (nullopt: there is no row, and the version is version_floor() + 1) by `after`; the
  /// caller sets all but revision and body place. With `block` (and hot as its home) the body is stored;
  /// without, a document that stays hot keeps its body. A cold place that `after` does not keep is freed; one
  /// that it adds must stand in a segment that exists, or in an object that was announced. A row may be
  /// changed once in a set. A change of home goes into the document's history, with `note` where there is
  /// one; so does what a note says of a move that leaves the home as it is.
  void change(std::string key, const std::optional<Row>& before, Row after,
              const detail::BlockRef& block = {}, const std::optional<MoveNote>& note = {});

  /// The same for a document that stays what it is, version and home included, with its body stored anew in
  /// another form: listeners are given no body, for nobody has read it.
  void restage(std::string key, const Row& before, Row after, const detail::BlockRef& block);

  /// A row that was lost, whatever its version: for rebuilding a catalogue alone, which raises the version
  /// floor past all of them at its end.
  void restore(std::string key, Row row);

  /// Takes a tombstone away, raising the version floor past it.
  void purge(std::string key, const Row& tombstone);

  /// Registers a segment whose object was announced, before or in the set that first names it.
  void add_segment(const std::string& object, std::uint64_t bytes, std::uint32_t records);

  /// Ends an upload together with the changes: its session, which must begin with `begins`, becomes `value`,
  /// and the receipts of its parts go.
  void end_upload(const std::string& id, std::string begins, std::string value);

  /// Says that the changes bring something plain into a store that seals what it writes.
  void note_plain();

  [[nodiscard]] std::vector<RowChange>& changes() noexcept { return changes_; }
  [[nodiscard]] bool empty() const noexcept { return batch_.empty(); }

 private:
  friend class Catalog;
  void stage_change(std::string key, std::uint64_t hash, const std::optional<Row>& before, Row after,
                    const detail::BlockRef& block, const std::optional<MoveNote>& note);
  void require_floor(std::uint64_t floor);
  void stage_body(const std::string& key, const std::optional<Row>& before, Row& after,
                  const detail::BlockRef& block);
  void stage_cold(const std::optional<Row>& before, const Row& after);
  void free_cold(const ColdPlace& place);
  void stage_sealed(std::uint64_t hash, const std::optional<Row>& before, const std::optional<Row>& after);
  void stage_counters(std::string_view key, std::uint64_t hash, const std::optional<Row>& before,
                      const std::optional<Row>& after);
  void stage_due(const std::string& key, std::int64_t before_us, std::int64_t after_us);
  void stage_history(const std::string& key, const Row& before, const Row& after,
                     const std::optional<MoveNote>& note);
  void stage_change_entry(std::string_view key, const Row& row, bool purged);

  const Catalog* catalog_;
  kv::Batch batch_;
  std::vector<RowChange> changes_;
  std::optional<std::uint64_t> required_floor_;
  std::uint64_t raised_floor_ = 0;
};

}  // namespace db4::catalog
