#pragma once
// Large uploads: in parts, in parallel, resumed where they broke off, also after the process died.
//
//     db4::MultipartUploader uploader(objects, std::make_shared<db4::InMemorySessionStore>());
//     uploader.upload("backup.tar", db4::ByteSource::file("backup.tar"), {.concurrency = 8});
//
// ColdStorage::write_large makes a document of it (cold_storage.hpp).

#include <db4/byte_source.hpp>
#include <db4/clock.hpp>
#include <db4/literals.hpp>
#include <db4/object_store.hpp>
#include <db4/random.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

namespace db4 {

/// Stored on disk: never renumber.
enum class MultipartUploadState : std::uint8_t {
  pending = 0,      ///< noted, and not begun at the object store yet
  in_progress = 1,  ///< parts are being sent; also where the process that sent them died: to be resumed
  completed = 2,
  aborted = 3,  ///< given up; nothing is left at the object store
  failed = 4,   ///< broke off with an error; to be resumed
};
DB4_API std::string_view to_string(MultipartUploadState state) noexcept;

/// One upload, as it is remembered.
struct UploadSession {
  std::string upload_id = {};
  /// Of the document; empty for an upload of MultipartUploader's.
  std::string collection = {};
  std::string id = {};
  MultipartUploadState state = MultipartUploadState::pending;
  std::uint64_t size = 0;  ///< bytes of the source
  /// Bytes of the source that arrived; what the store has acknowledged and the session has noted.
  std::uint64_t bytes_sent = 0;
  std::uint64_t part_size = 0;
  std::uint32_t parts_done = 0;
  std::uint32_t parts_total = 0;
  TimePoint created_at{};
  TimePoint updated_at{};  ///< of the last part that arrived, or change of state
  std::string error = {};  ///< of a failed one
  /// Where several nodes share the store: the number of the one that works on it, and until when it has it
  /// unless it says so again; 0: none, or none that lives.
  std::uint64_t owner = 0;
  TimePoint owned_until{};

  // What resuming it needs.
  std::string object = {};           ///< its name at the object store
  std::string store_upload_id = {};  ///< the object store's own; empty before it was begun there
  std::optional<TimePoint> source_modified = {};
  std::uint64_t object_size = 0;
  Version version = 0;  ///< in the document's record
  TimePoint document_created_at{};
  std::optional<Version> if_version = {};  ///< of the document that it replaces
  std::string content_type = {};
  bool completing = false;  ///< the object may exist by now
  /// For db4's own use: what the object begins with, where the store is encrypted; the key of its content is
  /// in there, sealed.
  std::string record_header = {};
  /// For db4's own use: a document that is sealed anew, and no upload of anybody's.
  bool reseals = false;
};

/// A part that the object store has, and what was sent as it.
struct PartReceipt {
  ObjectPart part = {};
  std::uint32_t checksum = 0;  ///< the first four bytes of the SHA-256 of what was sent, little-endian
  TimePoint arrived_at{};
};

/// Where sessions are remembered. Thread-safe. Each call that changes something is durable when it returns,
/// as far as the store is at all. Throws unavailable, resource_exhausted, corrupt.
class DB4_API UploadSessionStore {
 public:
  virtual ~UploadSessionStore() = default;
  /// Adds the session, or replaces the one of that id; its receipts stay. bytes_sent and parts_done are not
  /// kept: they are counted from the receipts.
  virtual void put(const UploadSession& session) = 0;
  /// Adds the session; false, and nothing changed, where there is one of that id.
  virtual bool add(const UploadSession& session) = 0;
  [[nodiscard]] virtual std::optional<UploadSession> find(std::string_view upload_id) = 0;
  /// In order of their ids, after the one given, at most `limit`.
  [[nodiscard]] virtual std::vector<UploadSession> list(std::string_view after, std::size_t limit) = 0;
  /// With its receipts. No error where there is none.
  virtual void remove(std::string_view upload_id) = 0;

  virtual void put_receipt(std::string_view upload_id, const PartReceipt& receipt) = 0;
  /// In order of the parts' numbers.
  [[nodiscard]] virtual std::vector<PartReceipt> receipts(std::string_view upload_id) = 0;
  virtual void clear_receipts(std::string_view upload_id) = 0;
};

/// Sessions in memory: gone with the process, so nothing resumes after it died. For tests.
class DB4_API InMemorySessionStore final : public UploadSessionStore {
 public:
  InMemorySessionStore();
  ~InMemorySessionStore() override;
  void put(const UploadSession& session) override;
  bool add(const UploadSession& session) override;
  std::optional<UploadSession> find(std::string_view upload_id) override;
  std::vector<UploadSession> list(std::string_view after, std::size_t limit) override;
  void remove(std::string_view upload_id) override;
  void put_receipt(std::string_view upload_id, const PartReceipt& receipt) override;
  std::vector<PartReceipt> receipts(std::string_view upload_id) override;
  void clear_receipts(std::string_view upload_id) override;

 private:
  struct DB4_INTERNAL Sessions;
  std::unique_ptr<Sessions> sessions_;
};

/// Bytes are those of the source that the store has acknowledged: they never fall, and end at 100 percent.
struct UploadProgress {
  std::string upload_id = {};
  std::uint64_t bytes_sent = 0;
  std::uint64_t bytes_total = 0;
  std::uint32_t parts_done = 0;
  std::uint32_t parts_total = 0;
  double percent_complete = 0;
};

/// How something large is uploaded.
struct UploadOptions {
  /// Of every part but the last: at least what the object store allows (5 MiB), rounded up to what lets
  /// 10,000 parts suffice. Fixed for the whole upload; resuming takes no other.
  std::uint64_t part_size = 8_MiB;
  /// Parts sent at once, 1 to kMaxUploadConcurrency. Memory: part_size for each.
  std::size_t concurrency = 4;
  /// Called after each part, one call at a time, from the threads that send: keep it short.
  std::function<void(const UploadProgress&)> on_progress = {};
  /// Ends the upload: it throws cancelled, and the session is aborted ...
  std::stop_token stop = {};
  /// ... or, with this, kept as failed, to be resumed.
  bool keep_when_stopped = false;
  /// 1 to kMaxUploadIdBytes letters, digits, '-', '_' and '.'; drawn where it is empty. One that exists
  /// throws conflict.
  std::string upload_id = {};
  /// Of the document: 1 to kMaxContentTypeBytes printable ASCII. Unused by MultipartUploader.
  std::string content_type = "application/octet-stream";
  /// The version that the document must have, at the start and when it is replaced; 0: absent. Otherwise
  /// `conflict` is thrown. Unused by MultipartUploader.
  std::optional<Version> if_version = {};
};

/// What an upload made.
struct UploadResult {
  std::string upload_id = {};
  Version version = 0;  ///< of the document; 0 from MultipartUploader
  std::uint64_t size = 0;
  std::uint32_t parts = 0;
};

/// What cleaning up did.
struct UploadCleanup {
  std::size_t removed_sessions = 0;  ///< that had ended
  std::size_t aborted_uploads = 0;   ///< that nobody resumed
  std::size_t failed = 0;            ///< that could not be aborted at the object store; tried again next time
  std::string first_error = {};      ///< of those
  /// Unfinished uploads at the object store, under the prefix, that no session knows and that are older than
  /// the age: reported, and left alone, since another store may own them.
  std::vector<PendingUpload> unknown = {};
};

inline constexpr std::size_t kMaxUploadConcurrency = 64;
inline constexpr std::size_t kMaxUploadIdBytes = 64;

/// What an uploader takes time and ids from.
struct MultipartUploaderOptions {
  std::shared_ptr<Clock> clock = system_clock();
  std::shared_ptr<RandomSource> random = system_random();
};

/// Uploads to any object store. Thread-safe; several uploads may run at once, one call for each session.
///
/// Every part that arrived is noted durably before it counts. Resuming compares what the source says of
/// itself (size, time), reads again what was sent and compares its checksum, asks the object store which of
/// the noted parts it has, and sends what is missing. The object is complete, and read back unless the store
/// proved what it holds, before an upload returns.
///
/// Errors: `cancelled`; `invalid_argument` (options, a source that changed, an unknown session), `locked`
/// (the session is being sent by another call), `conflict` (an upload_id that exists), `too_large`, and what
/// source and object store throw. Error::upload_id() names the session that may be resumed.
class DB4_API MultipartUploader {
 public:
  MultipartUploader(std::shared_ptr<ObjectStore> objects, std::shared_ptr<UploadSessionStore> sessions,
                    MultipartUploaderOptions options = {});
  ~MultipartUploader();

  UploadResult upload(std::string_view object, const ByteSource& source, const UploadOptions& options = {});
  /// Goes on where it broke off. For a completed one it only says so. part_size, upload_id, content_type and
  /// if_version are those of the session.
  UploadResult resume(std::string_view upload_id, const ByteSource& source,
                      const UploadOptions& options = {});
  /// Stops it where it runs, and frees its parts at the object store, until that lists none. Whether there
  /// was something to abort: no session, or one that has ended, gives false.
  bool abort(std::string_view upload_id);
  std::optional<UploadSession> status(std::string_view upload_id);
  std::vector<UploadSession> list();
  /// Removes sessions that ended longer than `age` ago, aborts those that nobody touched for as long, and
  /// looks for strangers under `prefix`.
  UploadCleanup clean_up(std::chrono::milliseconds age, std::string_view prefix = {});

 private:
  class DB4_INTERNAL Engine;
  std::unique_ptr<Engine> engine_;
};

}  // namespace db4
