#pragma once
// Disaster recovery: the catalogue of a store made anew from its cold objects alone.

#include <db4/tiered_store.hpp>

#include <functional>
#include <stop_token>
#include <string>
#include <vector>

namespace db4 {

/// How far a rebuilding is.
struct RebuildProgress {
  std::uint64_t objects = 0;    ///< looked at
  std::uint64_t bytes = 0;      ///< read
  std::uint64_t documents = 0;  ///< found so far
};

/// How a catalogue is rebuilt.
struct RebuildOptions {
  /// 16 hex digits: of several stores under one prefix, the one that is meant. Needed where there are
  /// several.
  std::string store_id = {};
  /// Objects fetched at once, 1 to kMaxUploadConcurrency. Memory: the largest segment for each.
  std::size_t concurrency = 4;
  /// Reads large documents whole too, to check every frame; otherwise their headers and lengths.
  bool verify_large = false;
  /// Takes what is plain, and leaves out, and lists, what is sealed: for a store that was made plain again,
  /// or whose master key is lost for good. The configuration must name no key. Objects that are left out have
  /// no name in the new catalogue, and looking for those deletes them: keep a copy where a key may be found.
  bool without_keys = false;
  std::function<void(const RebuildProgress&)> on_progress = {};
  std::stop_token stop = {};
};

/// Something that the rebuilding could not vouch for.
struct RebuildDoubt {
  std::string object = {};
  std::string collection = {};  ///< where a document is concerned
  std::string id = {};
  std::string what = {};
};

/// What came of it.
struct RebuildResult {
  std::string store_id = {};
  std::uint64_t objects = 0;   ///< that were looked at
  std::uint64_t segments = 0;  ///< among them
  std::uint64_t bytes = 0;     ///< read
  std::uint64_t documents = 0;
  std::uint64_t document_bytes = 0;
  std::uint64_t older_copies = 0;         ///< of documents of which there is a newer one
  std::uint64_t damaged = 0;              ///< records and objects that were skipped
  std::uint64_t unknown = 0;              ///< objects that are no db4 record or segment, left alone
  std::vector<RebuildDoubt> doubts = {};  ///< the first kMaxRebuildDoubts of them
  std::uint64_t doubts_in_all = 0;
};

inline constexpr std::size_t kMaxRebuildDoubts = 1000;

/// Makes hot.path anew from the objects under cold.prefix: for each document the newest copy that is in cold
/// and whole. Every record is read and checked. The store that is opened afterwards has the same store id, so
/// that it goes on with the same objects.
///
/// What was written, replaced or removed after it last went to cold is not known to cold: a document may come
/// back in an older version, one that was removed may come back, and one that was only hot is lost. Versions
/// of new documents begin above all that were found.
///
/// It works beside hot.path and puts the new folder there when all is done: broken off it leaves nothing, and
/// is begun anew. Of a catalogue in PostgreSQL the same holds for hot.schema, in a schema named as that with
/// "_rebuilding" behind it. Nothing at the object store is changed. Objects that hold older copies alone
/// become garbage, to be deleted a week later.
///
/// Throws invalid_argument where hot.path or hot.schema holds a store (move it away first), where there is
/// none under the prefix, or several (store_id), and for keys together with without_keys; cancelled;
/// key_unavailable where there is a copy of a key ring in cold, or anything sealed, and no right master key,
/// unless RebuildOptions::without_keys, and then where nothing is plain; and what the object store throws.
DB4_API RebuildResult rebuild_catalog(const TieredStoreConfig& config, const RebuildOptions& options = {},
                                      const Components& components = {});

}  // namespace db4
