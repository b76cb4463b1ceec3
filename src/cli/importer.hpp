#pragma once
// Records into a store: in batches, each acknowledged as a whole, by the rules that the command line gives.

#include "import_journal.hpp"
#include "record_source.hpp"
#include "session.hpp"

#include <functional>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

namespace db4::cli {

enum class OnConflict { overwrite, skip, fail };

/// How records become documents.
struct ImportRules {
  std::string collection = {};
  std::string collection_field = {};
  std::string id_field = "id";
  bool generate_ids = false;
  OnConflict on_conflict = OnConflict::overwrite;
  std::size_t batch = 1000;  ///< documents in one commit
  bool skip_bad = false;
  std::string tier = {};
};

/// Writes records in their order. One thread.
class Importer {
 public:
  using Report = std::function<void(const std::string& message)>;

  /// `state`: where it begins. `skipped` hears of each record that is passed over. Records whose number is
  /// below `maybe_there` may be there already, written by a run that was broken off.
  Importer(Session& session, const ImportRules& rules, ImportState state, std::uint64_t maybe_there,
           Report skipped);

  /// Begins input number `input`, whose records are told by "line" or the like, behind `prefix`.
  void begin_input(std::size_t input, std::string prefix, const char* unit);
  /// Takes a record of the input begun last; `behind` is the place behind it there. Throws invalid_argument
  /// for one that cannot be imported where rules.skip_bad does not pass it over, and conflict, both with what
  /// came before it imported; and what the store throws.
  void add(Record& record, SourcePosition behind);
  /// Writes what is collected.
  void flush();

  /// Where it stands: behind the last flush that went through, with everything before it acknowledged.
  [[nodiscard]] const ImportState& state() const noexcept { return flushed_; }

 private:
  struct Item {
    std::string collection;
    std::string id;
    std::string content_type;
    std::string body;
    std::string place;  ///< as in Record ...
    std::uint64_t line = 0;
    std::uint64_t byte = 0;
    std::size_t input = 0;     ///< ... of this input
    std::uint64_t number = 0;  ///< of the record, from 0
    bool superseded = false;   ///< by a later one of the same id in the batch
  };
  using Items = std::vector<const Item*>;

  /// False where the record is no document; then its problem says why.
  bool find_key(Record& record, Item& item) const;
  void collect(Item item);
  /// Documents in their order, those of each collection as a batch.
  void write_collections(const Items& items);
  /// Whether the import will end at this document, as far as can be told before it is written.
  [[nodiscard]] bool ends_at(const Item& item);
  /// Documents of one collection: as a batch, or, where that is refused, as far as they can be.
  void write(const Items& items);
  static Items latest_of(const Items& items);
  void write_one_by_one(const Items& items);
  void write_past_conflicts(const Items& items);
  void put(const Items& items);
  /// What is done with a document whose id is taken.
  void settle_conflict(const Item& item);
  [[nodiscard]] bool is_there_already(const Item& item);
  void bad(const Item& item, const std::string& problem, bool hopeless);
  void count(const Items& items);
  [[nodiscard]] std::string imported_so_far() const;
  [[nodiscard]] std::string place_of(const Item& item) const;

  struct Input {
    std::string prefix;
    const char* unit;
  };
  Session& session_;
  const ImportRules& rules_;
  ImportState state_;
  ImportState flushed_;  ///< state_ as the last flush left it
  std::uint64_t maybe_there_;
  Report skipped_;
  std::vector<Item> items_;
  std::unordered_map<std::string, std::size_t> latest_;  ///< by collection and id
  std::uint64_t batch_bytes_ = 0;
  std::uint64_t records_ = 0;
  std::size_t input_;  ///< begun last
  std::map<std::size_t, Input> inputs_;
  std::size_t behind_input_;  ///< what the last record was taken from ...
  SourcePosition behind_;     ///< ... and the place behind it
};

/// A UUID of version 7 (RFC 9562) for a record of an import: in the order of the records, the same each time.
std::string generated_id(std::int64_t started_ms, std::uint64_t seed, std::uint64_t record);

}  // namespace db4::cli
