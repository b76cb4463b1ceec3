#pragma once
// UploadEngine: what MultipartUploader and ColdStorage::write_large have in common.

#include <db4/error.hpp>
#include <db4/multipart.hpp>

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>

namespace db4::cold {

/// What the owner of the objects does around an upload. Nothing, unless overridden.
class UploadHooks {
 public:
  virtual ~UploadHooks() = default;
  /// Before the object may come into existence: its intent is committed.
  virtual void before_complete(const UploadSession& /*session*/) {}
  /// Of a session that is being completed already: whether what before_complete did still stands. Where it
  /// does not, the upload starts anew, with the name from new_object.
  virtual bool still_announced(const UploadSession& /*session*/) { return true; }
  /// Whether no other session ever gets this session's object name: whatever is being uploaded under it is
  /// the session's own.
  virtual bool owns_name(const UploadSession& /*session*/) { return false; }
  virtual std::string new_object(const UploadSession& session) { return session.object; }
  /// The version of the document that the object has become, where the session could not say so any more.
  virtual std::optional<Version> already_document(const UploadSession& /*session*/) { return std::nullopt; }
  /// The object is there and verified, and becomes a document: `session` gets its version, and is `completed`
  /// where the same commit says so.
  virtual void object_ready(UploadSession& /*session*/) {}
  /// The object will not become a document.
  virtual void give_up(const UploadSession& /*session*/) noexcept {}
  /// Called from time to time while an object is read back, which may take long.
  virtual void still_working(const UploadSession& /*session*/) {}

  // Of sessions that several nodes may want (upload_owner.hpp); who has them alone need do nothing.

  /// How often renew() is called while a call works on a session; 0: never.
  virtual std::chrono::milliseconds renew_every() { return {}; }
  /// Says in a session that this node works on it. Nothing is stored.
  virtual void sign(UploadSession& /*session*/) {}
  /// Makes a session this node's that was read and has not ended, and reads it again. False where it changed
  /// meanwhile; conflict is thrown where another node that lives has it.
  virtual bool take(UploadSession& /*session*/) { return true; }
  /// Holds on to it; false where it is this node's no more.
  virtual bool renew(const std::string& /*upload_id*/) { return true; }
  /// Whether the node lives that a session names.
  virtual bool owner_lives(const UploadSession& /*session*/) { return false; }
};

/// See MultipartUploader. Thread-safe.
class UploadEngine {
 public:
  UploadEngine(std::shared_ptr<ObjectStore> objects, std::shared_ptr<UploadSessionStore> sessions,
               std::shared_ptr<Clock> clock, std::shared_ptr<RandomSource> random, UploadHooks& hooks);

  /// `session` has object, size, and what concerns the document; `upload` fills in the rest.
  UploadResult upload(UploadSession session, const ByteSource& source, const UploadOptions& options);
  UploadResult resume(std::string_view upload_id, const ByteSource& source, const UploadOptions& options);
  bool abort(std::string_view upload_id);
  std::optional<UploadSession> status(std::string_view upload_id);
  std::vector<UploadSession> list();
  /// Without a prefix it looks at sessions alone, and asks the object store nothing about strangers.
  UploadCleanup clean_up(std::chrono::milliseconds age, std::optional<std::string_view> prefix);
  /// Stops what runs, leaving it to be resumed, and waits for it; nothing starts afterwards.
  void close();

 private:
  friend class UploadRun;
  /// A session that a call is working on.
  class Claim;
  /// Renews it meanwhile.
  class Keeper;
  struct Active {
    std::stop_source stop;
    bool abort = false;              ///< stopped by abort(), which does the rest
    std::atomic<bool> lost = false;  ///< stopped because another node has the session
  };

  Claim claim(const std::string& upload_id);
  std::string draw_id() const;
  UploadResult run(UploadSession session, const ByteSource& source, const UploadOptions& options);
  void abort_at_store(const UploadSession& session);
  /// Uploads that were begun for the session, and of which it does not know: the process died before it could
  /// note the id, or the answer was lost and the request repeated.
  void abort_unnoted(const UploadSession& session);
  UploadSession counted(UploadSession session);
  void save(UploadSession& session, MultipartUploadState state, std::string error = {});
  /// Saves it for the last time as this node's.
  void end(UploadSession& session, MultipartUploadState state, std::string error = {});
  void complete(UploadSession& session);
  /// Whether a call broke off because another node has the session.
  bool is_lost(const UploadSession& session, const Error& error, const Active& active) noexcept;
  /// Notes why it broke off, and gives it up where it shall not be resumed.
  void broke_off(UploadSession& session, const Error& error, const UploadOptions& options,
                 const Active& active);
  /// The session, as this node's own unless it has ended; nullopt where there is none.
  std::optional<UploadSession> take(std::string_view upload_id);
  /// Throws LostUpload where another node has it: before anything that cannot be undone at the object store.
  void check_owned(const UploadSession& session);
  /// Lets other nodes have it. What fails, the end of the lease does.
  void release(UploadSession session) noexcept;

  const std::shared_ptr<ObjectStore> objects_;
  const std::shared_ptr<UploadSessionStore> sessions_;
  const std::shared_ptr<Clock> clock_;
  const std::shared_ptr<RandomSource> random_;
  UploadHooks& hooks_;
  std::mutex mutex_;
  std::condition_variable ended_;
  std::map<std::string, std::shared_ptr<Active>, std::less<>> active_;
  bool closed_ = false;
};

/// The part size that an upload of `size` bytes gets. Throws invalid_argument for a `wanted` outside of the
/// store's rules, too_large where no part size suffices.
std::uint64_t choose_part_size(std::uint64_t size, std::uint64_t wanted, const PartRules& rules);

/// How many bytes of a source of `size` bytes are in `sent` bytes of the object that is made of it.
constexpr std::uint64_t source_bytes(std::uint64_t sent, std::uint64_t size, std::uint64_t object_size) {
  if (object_size == 0 || sent >= object_size) return size;
  return static_cast<std::uint64_t>(static_cast<double>(sent) / static_cast<double>(object_size) *
                                    static_cast<double>(size));
}

}  // namespace db4::cold
