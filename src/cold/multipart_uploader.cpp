#include "cold/upload_engine.hpp"

#include <db4/multipart.hpp>

#include <map>
#include <mutex>

namespace db4 {

std::string_view to_string(MultipartUploadState state) noexcept {
  switch (state) {
    case MultipartUploadState::pending:
      return "pending";
    case MultipartUploadState::in_progress:
      return "in_progress";
    case MultipartUploadState::completed:
      return "completed";
    case MultipartUploadState::aborted:
      return "aborted";
    case MultipartUploadState::failed:
      return "failed";
  }
  return "unknown";
}

struct InMemorySessionStore::Sessions {
  struct Entry {
    UploadSession session;
    std::map<std::uint32_t, PartReceipt> receipts;
  };
  std::mutex mutex;
  std::map<std::string, Entry, std::less<>> entries;
};

InMemorySessionStore::InMemorySessionStore() : sessions_(std::make_unique<Sessions>()) {}
InMemorySessionStore::~InMemorySessionStore() = default;

void InMemorySessionStore::put(const UploadSession& session) {
  const std::lock_guard lock(sessions_->mutex);
  sessions_->entries[session.upload_id].session = session;
}
bool InMemorySessionStore::add(const UploadSession& session) {
  const std::lock_guard lock(sessions_->mutex);
  return sessions_->entries.try_emplace(session.upload_id, Sessions::Entry{session, {}}).second;
}
std::optional<UploadSession> InMemorySessionStore::find(std::string_view upload_id) {
  const std::lock_guard lock(sessions_->mutex);
  const auto found = sessions_->entries.find(upload_id);
  if (found == sessions_->entries.end()) return std::nullopt;
  return found->second.session;
}
std::vector<UploadSession> InMemorySessionStore::list(std::string_view after, std::size_t limit) {
  const std::lock_guard lock(sessions_->mutex);
  std::vector<UploadSession> out;
  for (auto at = sessions_->entries.upper_bound(after); at != sessions_->entries.end() && out.size() < limit;
       ++at) {
    out.push_back(at->second.session);
  }
  return out;
}
void InMemorySessionStore::remove(std::string_view upload_id) {
  const std::lock_guard lock(sessions_->mutex);
  const auto found = sessions_->entries.find(upload_id);
  if (found != sessions_->entries.end()) sessions_->entries.erase(found);
}
void InMemorySessionStore::put_receipt(std::string_view upload_id, const PartReceipt& receipt) {
  const std::lock_guard lock(sessions_->mutex);
  const auto found = sessions_->entries.find(upload_id);
  if (found != sessions_->entries.end()) found->second.receipts[receipt.part.number] = receipt;
}
std::vector<PartReceipt> InMemorySessionStore::receipts(std::string_view upload_id) {
  const std::lock_guard lock(sessions_->mutex);
  std::vector<PartReceipt> out;
  const auto found = sessions_->entries.find(upload_id);
  if (found == sessions_->entries.end()) return out;
  for (const auto& [number, receipt] : found->second.receipts) out.push_back(receipt);
  return out;
}
void InMemorySessionStore::clear_receipts(std::string_view upload_id) {
  const std::lock_guard lock(sessions_->mutex);
  const auto found = sessions_->entries.find(upload_id);
  if (found != sessions_->entries.end()) found->second.receipts.clear();
}

class MultipartUploader::Engine : public cold::UploadEngine {
 public:
  Engine(std::shared_ptr<ObjectStore> objects, std::shared_ptr<UploadSessionStore> sessions,
         MultipartUploaderOptions options)
      : UploadEngine(std::move(objects), std::move(sessions), std::move(options.clock),
                     std::move(options.random), hooks_) {}

 private:
  cold::UploadHooks hooks_;
};

MultipartUploader::MultipartUploader(std::shared_ptr<ObjectStore> objects,
                                     std::shared_ptr<UploadSessionStore> sessions,
                                     MultipartUploaderOptions options)
    : engine_(std::make_unique<Engine>(std::move(objects), std::move(sessions), std::move(options))) {}
MultipartUploader::~MultipartUploader() = default;

UploadResult MultipartUploader::upload(std::string_view object, const ByteSource& source,
                                       const UploadOptions& options) {
  UploadSession session;
  session.object = object;
  session.size = source.size();
  return engine_->upload(std::move(session), source, options);
}
UploadResult MultipartUploader::resume(std::string_view upload_id, const ByteSource& source,
                                       const UploadOptions& options) {
  return engine_->resume(upload_id, source, options);
}
bool MultipartUploader::abort(std::string_view upload_id) { return engine_->abort(upload_id); }
std::optional<UploadSession> MultipartUploader::status(std::string_view upload_id) {
  return engine_->status(upload_id);
}
std::vector<UploadSession> MultipartUploader::list() { return engine_->list(); }
UploadCleanup MultipartUploader::clean_up(std::chrono::milliseconds age, std::string_view prefix) {
  return engine_->clean_up(age, prefix);
}

}  // namespace db4
