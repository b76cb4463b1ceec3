#pragma once
// How far an import came: a small file in the store's folder, so that the same command goes on after it was
// broken off.

#include "record_source.hpp"

#include <nlohmann/json.hpp>

#include <filesystem>
#include <string>

namespace db4::cli {

/// Where an import stands: behind the last batch that was acknowledged. Counts are of all its runs together.
struct ImportState {
  std::size_t input = 0;         ///< the number of its input, from 0 ...
  SourcePosition position = {};  ///< ... and the place in it
  std::uint64_t records = 0;     ///< gone through, good and bad
  std::uint64_t imported = 0;
  std::uint64_t skipped = 0;
  std::uint64_t conflicts = 0;
  std::uint64_t bytes = 0;  ///< of the documents imported
  /// Out of these generated ids are made, so that a run that goes on makes the same.
  std::int64_t started_ms = 0;
  std::uint64_t seed = 0;
  std::size_t batch = 0;  ///< documents in a batch: so many may have been written behind `records`
};

/// The file: imports/<hash of what is imported>.json in the store's folder. It is renamed into place after
/// each batch, and not synced: what is older than the store is safe, and what could be newer than it (a store
/// that does not sync its commits, after a power cut) is told by the boot it was written in. One thread.
class ImportJournal {
 public:
  /// `what` tells this import from others; `inputs` is what its inputs look like now. `synced`: the store
  /// syncs its commits. Without a folder nothing is kept.
  ImportJournal(const std::filesystem::path& folder, const nlohmann::json& what, nlohmann::json inputs,
                bool synced);

  /// Where the import was broken off. Where it has to begin anew, `why_not` says why, and the state has only
  /// the records and the batch, which may be there already, and, for the same inputs, what makes generated
  /// ids.
  std::optional<ImportState> load(std::string& why_not) const;
  /// Throws permission_denied where it cannot be written.
  void save(const ImportState& state) const;
  void remove() const;

 private:
  std::filesystem::path file_;
  std::string what_;
  nlohmann::json inputs_;
  std::string boot_;
  bool synced_;
};

/// Size and time of change of a file, as the journal keeps them; null for what has none.
nlohmann::json fingerprint(const std::string& file);

}  // namespace db4::cli
