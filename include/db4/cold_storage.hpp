#pragma once
// ColdStorage: the cold tier. Documents as immutable objects, small ones packed into segments.

#include <db4/multipart.hpp>
#include <db4/object_store.hpp>
#include <db4/stats.hpp>

#include <chrono>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace db4 {

using namespace std::chrono_literals;

/// Bounds of one collection of garbage.
struct GarbageOptions {
  std::size_t max_objects = 10'000;
  std::stop_token stop = {};
};

/// What a collection of garbage did.
struct GarbageResult {
  std::size_t deleted_objects = 0;
  std::uint64_t deleted_bytes = 0;
  std::size_t expired_intents = 0;
  std::size_t failed_objects = 0;  ///< that could not be deleted; they are tried again later
  std::string first_error = {};    ///< of those
  bool more = false;
};

/// How objects that nothing names are looked for, and when they are deleted.
struct ListingGarbageOptions {
  /// Whether they are deleted, or only counted.
  bool remove = false;
  /// Younger ones are left alone, by the object store's clock and this machine's: at least a day.
  std::chrono::milliseconds min_age = 7 * 24h;
  /// Nothing is deleted where more than this share of the objects, or of their bytes, would go: a catalogue
  /// that is not the one of these objects must not cost them. 0 to 1.
  double max_share = 0.05;
  std::stop_token stop = {};
};

/// What looking for objects that nothing names found.
struct ListingGarbageResult {
  std::uint64_t objects = 0;  ///< of this store, all of them
  std::uint64_t bytes = 0;
  std::uint64_t foreign = 0;          ///< under its names, but not of the form of its objects: left alone
  std::uint64_t young = 0;            ///< named by nothing, but younger than min_age: left alone
  std::uint64_t unnamed_objects = 0;  ///< named by nothing, and old enough
  std::uint64_t unnamed_bytes = 0;
  std::vector<ObjectInfo> unnamed = {};  ///< the first kMaxUnnamedListed of them
  std::uint64_t deleted_objects = 0;
  std::uint64_t deleted_bytes = 0;
  std::uint64_t failed_objects = 0;  ///< that could not be deleted
  std::string first_error = {};      ///< of those
  bool refused = false;              ///< more than max_share would have gone: nothing was deleted
};

inline constexpr std::size_t kMaxUnnamedListed = 1000;

/// Bounds of one compaction. The first segment is always rewritten, unless max_segments is 0.
struct CompactOptions {
  std::size_t max_segments = 1000;
  std::size_t max_records = 1'000'000;                                ///< copied
  std::uint64_t max_bytes = 1ULL << 30;                               ///< of records copied
  std::chrono::milliseconds max_duration = std::chrono::minutes{10};  ///< begun nothing new after this
  std::stop_token stop = {};
};

/// What a compaction did.
struct CompactResult {
  std::size_t segments = 0;      ///< whose living records were copied
  std::size_t new_segments = 0;  ///< into which
  std::size_t records = 0;       ///< copied
  std::uint64_t bytes = 0;       ///< of these
  /// Of the segments that were rewritten: deleted by collect_garbage, once twice garbage_grace has passed.
  std::uint64_t freed_bytes = 0;
  std::size_t damaged_records = 0;  ///< left where they are, and their segments with them
  std::string first_error = {};     ///< of what ended it, or of a damaged index; empty: none
  bool more = false;
};

/// Bytes of a document: `length` from `offset`, fewer where it ends before.
struct ByteRange {
  std::uint64_t offset = 0;
  std::uint64_t length = std::numeric_limits<std::uint64_t>::max();
};

/// How something large is read.
struct ReadLargeOptions {
  /// Pieces of 8 MiB fetched at once, 1 to kMaxUploadConcurrency. Memory: two pieces for each.
  std::size_t concurrency = 4;
  /// After each piece: bytes delivered, and those of the whole range.
  std::function<void(std::uint64_t done, std::uint64_t total)> on_progress = {};
  std::stop_token stop = {};
};

/// What was read.
struct ReadLargeResult {
  Version version = 0;
  std::uint64_t size = 0;   ///< of the document
  std::uint64_t bytes = 0;  ///< that were delivered
  std::string content_type = {};
};

/// Takes a document's bytes, in order. What it throws ends the reading and is thrown to the caller.
using ByteSink = std::function<void(ByteView)>;

/// The cold tier of a store. Thread-safe; lives as long as its store.
///
/// A **large document** is a document whose body is read from a source, uploaded in parts, and never held in
/// memory: write_large. Its home is cold and stays there unless it fits into hot. It has a version, metadata
/// and a place in scans like any other; read() gives it as long as it has at most kMaxBodyBytes, read_large
/// always does.
class DB4_API ColdStorage {
 public:
  class DB4_INTERNAL State;
  explicit ColdStorage(std::unique_ptr<State> state) noexcept;
  ~ColdStorage();
  ColdStorage(const ColdStorage&) = delete;
  ColdStorage& operator=(const ColdStorage&) = delete;

  /// Deletes objects that were freed at least garbage_grace ago, and those that were announced and never
  /// named. Runs in every background tiering run too.
  GarbageResult collect_garbage(const GarbageOptions& options = {});
  /// Looks for objects of this store that neither a document nor anything else in the catalogue names, by
  /// listing all that it has, and deletes them where that is asked for. There should be none: collect_garbage
  /// finds what db4 itself leaves. This is for what a restored backup of the hot folder does not know any
  /// more, or a fault. Reads the whole catalogue; memory: some 250 bytes for each object. Throws
  /// invalid_argument, cancelled, and what the object store throws.
  ListingGarbageResult collect_by_listing(const ListingGarbageOptions& options = {});
  /// Rewrites segments of which less than half is alive: copies the records that rows name into new segments
  /// and leaves the old ones to collect_garbage. Runs in every background tiering run too. May be stopped
  /// anywhere and run again; reads never wait for it. One at a time: a second caller waits.
  CompactResult compact(const CompactOptions& options = {});
  [[nodiscard]] ColdStats stats() const;

  /// Writes a document of any size (up to what the object store takes), and returns when it is durable. It
  /// replaces whatever is there when the upload ends, also what was written meanwhile, unless
  /// UploadOptions::if_version forbids. Not compressed: any part of it can be read alone.
  ///
  /// Throws as MultipartUploader::upload; conflict (if_version); invalid_argument for a bad name. The session
  /// of one that failed is kept, and resumed by resume_upload, also after the process died.
  UploadResult write_large(std::string_view collection, std::string_view id, const ByteSource& source,
                           const UploadOptions& options = {});
  /// Goes on with a failed upload, or with one whose process died. Throws as MultipartUploader::resume. Where
  /// several nodes share the store an upload is the node's that works on it (UploadSession::owner) until a
  /// minute after that died: another one's call throws conflict, here and in abort_upload.
  UploadResult resume_upload(std::string_view upload_id, const ByteSource& source,
                             const UploadOptions& options = {});
  std::optional<UploadSession> get_upload_status(std::string_view upload_id);
  /// All that are remembered, ended ones too, in order of their ids.
  std::vector<UploadSession> list_uploads();
  /// Whether there was something to abort. Nothing of it is left at the object store afterwards.
  bool abort_upload(std::string_view upload_id);
  /// Forgets uploads that ended longer than `age` ago, aborts those that nobody touched for as long, and
  /// reports unfinished ones at the object store that no session knows. Background tiering runs do it with
  /// cold.upload_expiry.
  UploadCleanup cleanup_expired_uploads(std::chrono::milliseconds age);

  /// Hands a document's bytes to `sink`, in order; nullopt where there is no such document. Every byte was
  /// checked before. Works for any document, wherever it lives; counts as no access and moves nothing.
  ///
  /// Throws corrupt, unavailable, cancelled, invalid_argument (a range that begins behind the end), conflict
  /// (the document was replaced or removed meanwhile, and its object collected: read again).
  std::optional<ReadLargeResult> read_large(std::string_view collection, std::string_view id,
                                            const ByteSink& sink, const ByteRange& range = {},
                                            const ReadLargeOptions& options = {});
  /// The same into a file, which is there whole or not at all, and replaced where it exists.
  std::optional<ReadLargeResult> read_large(std::string_view collection, std::string_view id,
                                            const std::filesystem::path& file, const ByteRange& range = {},
                                            const ReadLargeOptions& options = {});

  [[nodiscard]] State& state() noexcept { return *state_; }  ///< for db4's own use

 private:
  std::unique_ptr<State> state_;
};

}  // namespace db4
