// Large documents: written by an upload in parts, as an object of their own in frames.
//
// An upload stays as it was begun, sealed or plain, whatever the store does meanwhile: the parts that arrived
// count. Re-encryption brings it into the other form later.
#include "catalog/keys.hpp"
#include "catalog/names.hpp"
#include "cold/cold_state.hpp"
#include "cold/upload_owner.hpp"
#include "sealing/framed_record.hpp"

#include <algorithm>

namespace db4 {
namespace {

/// Against somebody who keeps writing the document.
constexpr int kCommitAttempts = 64;

std::int64_t to_us(TimePoint when) { return when.time_since_epoch().count(); }

Version version_of(const std::optional<catalog::Row>& row) { return row && row->live() ? row->version : 0; }

void check_if_version(std::optional<Version> wanted, const std::optional<catalog::Row>& row) {
  const Version current = version_of(row);
  if (!wanted || *wanted == current) return;
  throw Error(ErrorCode::conflict,
              "the document has version " + std::to_string(current) + ", not " + std::to_string(*wanted),
              "read it again and decide")
      .with_current_version(current);
}

/// The source's bytes as the record that becomes the object: a header, then frames.
class FramedSource final : public ByteSource::Reader {
 public:
  FramedSource(ByteSource content, sealing::FramedRecord record)
      : content_(std::move(content)), record_(std::move(record)) {}

  std::uint64_t size() const override { return record_.layout().record_length(); }
  std::optional<TimePoint> modified() const override { return content_.modified(); }

  void read_at(std::uint64_t offset, std::span<std::byte> out) const override {
    record_.encode(offset, out, [this](std::uint64_t index, std::span<std::byte> content) {
      content_.read_at(index * record_.layout().frame_bytes(), content);
    });
  }

 private:
  const ByteSource content_;
  const sealing::FramedRecord record_;
};

codec::RecordHeader header_of(const UploadSession& session) {
  return {.collection = session.collection,
          .id = session.id,
          .version = session.version,
          .content_type = session.content_type,
          .created_at = session.document_created_at,
          .updated_at = session.created_at};
}

/// The record as the session remembers it: a sealed one by its header.
sealing::FramedRecord record_of(const sealing::Sealer& sealer, const UploadSession& session) {
  if (session.record_header.empty()) {
    return sealing::FramedRecord(codec::FramedLayout(header_of(session), session.size));
  }
  return {sealer,
          session.record_header,
          {.collection = session.collection, .id = session.id, .version = session.version}};
}

/// The same to go on with it.
sealing::FramedRecord record_to_resume(const sealing::Sealer& sealer, const UploadSession& session) {
  try {
    return record_of(sealer, session);
  } catch (const Error& error) {
    switch (error.code()) {
      case ErrorCode::key_unavailable:
        throw Error(error.code(), "the upload cannot be resumed: " + error.problem(),
                    "open the store with the key ring and master key that it was begun with, or cancel the "
                    "key's destruction; else abort this upload and begin another one")
            .with_upload_id(session.upload_id);
      case ErrorCode::key_destroyed:
        throw Error(error.code(), "the upload cannot be resumed: " + error.problem(),
                    "abort this upload and begin another one")
            .with_upload_id(session.upload_id);
      default:
        throw error.with_upload_id(session.upload_id);
    }
  }
}

/// Progress in bytes of the source instead of the object, which is a little larger.
UploadOptions in_source_bytes(const UploadOptions& options, std::uint64_t size, std::uint64_t object_size) {
  UploadOptions out = options;
  if (!options.on_progress) return out;
  out.on_progress = [report = options.on_progress, size, object_size](const UploadProgress& progress) {
    UploadProgress scaled = progress;
    scaled.bytes_total = size;
    scaled.bytes_sent = cold::source_bytes(progress.bytes_sent, size, object_size);
    report(scaled);
  };
  return out;
}

}  // namespace

UploadResult ColdStorage::State::write_large(std::string_view collection, std::string_view id,
                                             const ByteSource& source, const UploadOptions& options) {
  catalog::check_key(collection, id);
  catalog::check_content_type(options.content_type);
  const std::string key = catalog::document_key(collection, id);
  const auto row = catalog_.find(key);
  check_if_version(options.if_version, row);

  UploadSession session;
  session.collection = collection;
  session.id = id;
  session.content_type = options.content_type;
  session.if_version = options.if_version;
  session.size = source.size();
  session.version = row ? row->version + 1 : catalog_.version_floor() + 1;
  session.created_at = clock_->now();
  session.document_created_at =
      row && row->live() ? TimePoint{std::chrono::microseconds{row->created_at_us}} : session.created_at;
  session.object = document_object(key, session.version);
  if (sealer_->seals()) {
    keep_key_ring({.stop = options.stop});
    session.record_header = sealing::begin_sealed_frames(*sealer_, header_of(session), session.size);
  }
  const ByteSource record(std::make_shared<FramedSource>(source, record_of(*sealer_, session)));
  const UploadOptions scaled = in_source_bytes(options, source.size(), record.size());
  return uploads_.upload(std::move(session), record, scaled);
}

UploadResult ColdStorage::State::resume_upload(std::string_view upload_id, const ByteSource& source,
                                               const UploadOptions& options) {
  const auto session = upload_status(upload_id);
  if (!session) {
    throw Error(ErrorCode::invalid_argument, "there is no upload \"" + std::string(upload_id) + "\"",
                "list the uploads to see their ids");
  }
  if (source.size() != session->size) {
    throw Error(ErrorCode::invalid_argument,
                "the source is not the one that the upload was begun with: it has " +
                    std::to_string(source.size()) + " bytes, not " + std::to_string(session->size),
                "abort this upload and begin another one")
        .with_upload_id(upload_id);
  }
  if (session->state == MultipartUploadState::completed || session->state == MultipartUploadState::aborted) {
    return uploads_.resume(upload_id, source, options);  // says so, whatever became of its key
  }
  const ByteSource record(std::make_shared<FramedSource>(source, record_to_resume(*sealer_, *session)));
  return uploads_.resume(upload_id, record, in_source_bytes(options, session->size, session->object_size));
}

std::optional<UploadSession> ColdStorage::State::upload_status(std::string_view upload_id) {
  auto session = uploads_.status(upload_id);
  return session && !session->reseals ? std::move(session) : std::nullopt;
}

UploadCleanup ColdStorage::State::clean_up_uploads(std::chrono::milliseconds age) {
  return uploads_.clean_up(age, store_folder());
}

void ColdStorage::State::before_complete(const UploadSession& session) {
  // Reading back what arrived, or the next resume, may take long.
  catalog_.announce_object(session.object, session.object_size, config_.upload_expiry);
}

bool ColdStorage::State::still_announced(const UploadSession& session) {
  return catalog_.announced(session.object);
}

std::string ColdStorage::State::new_object(const UploadSession& session) {
  return document_object(catalog::document_key(session.collection, session.id), session.version);
}

std::chrono::milliseconds ColdStorage::State::renew_every() {
  return catalog_.shared() ? cold::kUploadRenewal : std::chrono::milliseconds{0};
}

std::optional<Version> ColdStorage::State::already_document(const UploadSession& session) {
  const auto row = catalog_.find(catalog::document_key(session.collection, session.id));
  if (!row || !row->cold || row->cold->object != session.object) return std::nullopt;
  return row->version;
}

void ColdStorage::State::object_ready(UploadSession& session) {
  if (session.reseals) return;  // whoever had it sealed names it
  const std::string key = catalog::document_key(session.collection, session.id);
  for (int attempt = 0; attempt < kCommitAttempts; ++attempt) {
    const auto before = catalog_.find(key);
    check_if_version(session.if_version, before);
    catalog::Row after;
    after.version = before ? before->version + 1 : catalog_.version_floor() + 1;
    after.home = StorageTier::cold;
    after.placed_by = catalog::PlacedBy::write_to_tier;
    after.size = session.size;
    after.created_at_us = to_us(session.document_created_at);
    after.updated_at_us = to_us(session.created_at);
    after.placed_at_us = to_us(clock_->now());
    after.content_type = session.content_type;
    after.cold = catalog::ColdPlace{
        .object = session.object,
        .offset = 0,
        .length = session.object_size,
        .in_segment = false,
        .framed = true,
        .record_version = after.version == session.version ? 0 : session.version,
    };
    if (!session.record_header.empty()) {
      after.cold->key = sealing::key_of_record(session.record_header);
      after.cold->digest = sealing::digest_of_header(session.record_header);
    }
    const Version version = after.version;
    catalog::ChangeSet set(catalog_);
    if (after.cold->key == 0 && sealer_->seals()) set.note_plain();  // it was begun before
    set.change(key, before, std::move(after));
    UploadSession done = session;
    done.version = version;
    // In one commit, so that no other node finds a document that is there and an upload that is not over.
    if (catalog_.shared()) done = sessions_->end_with(set, session, version);
    if (catalog_.commit(set)) {
      session = std::move(done);
      return;
    }
    if (!sessions_->owns(session.upload_id)) throw cold::LostUpload(session.upload_id);
    if (!catalog_.announced(session.object)) {
      throw Error(ErrorCode::unavailable, "the uploaded object waited too long to become a document",
                  "resume the upload: it starts anew (cold.upload_expiry says how long it may take)");
    }
  }
  throw Error(ErrorCode::unavailable, "others keep changing the document", "resume the upload");
}

void ColdStorage::State::give_up(const UploadSession& session) noexcept {
  // Only where the intent stands: without it a row names the object, or the garbage does.
  if (session.completing) abandon(session.object, session.object_size);
}

UploadResult ColdStorage::write_large(std::string_view collection, std::string_view id,
                                      const ByteSource& source, const UploadOptions& options) {
  try {
    return state_->write_large(collection, id, source, options);
  } catch (const Error& error) {
    throw error.with_context("write_large", collection, id);
  }
}
UploadResult ColdStorage::resume_upload(std::string_view upload_id, const ByteSource& source,
                                        const UploadOptions& options) {
  try {
    return state_->resume_upload(upload_id, source, options);
  } catch (const Error& error) {
    throw error.with_context("resume_upload", upload_id);
  }
}
std::optional<UploadSession> ColdStorage::get_upload_status(std::string_view upload_id) {
  const auto open = state_->hold_open();
  return state_->upload_status(upload_id);
}
std::vector<UploadSession> ColdStorage::list_uploads() {
  const auto open = state_->hold_open();
  auto sessions = state_->uploads().list();
  std::erase_if(sessions, [](const UploadSession& session) { return session.reseals; });
  return sessions;
}
bool ColdStorage::abort_upload(std::string_view upload_id) {
  const auto session = state_->upload_status(upload_id);
  return session && state_->uploads().abort(upload_id);
}
UploadCleanup ColdStorage::cleanup_expired_uploads(std::chrono::milliseconds age) {
  const auto open = state_->hold_open();
  return state_->clean_up_uploads(age);
}

}  // namespace db4
