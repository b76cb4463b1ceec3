#include "store/cold_operations.hpp"

#include "cold/upload_owner.hpp"

#include <algorithm>

namespace db4::store {
namespace {

std::int64_t to_us(TimePoint when) noexcept { return when.time_since_epoch().count(); }

/// What concerns people; what resuming needs stays with the store.
Json session_json(const UploadSession& session) {
  return {{"upload_id", session.upload_id},
          {"collection", session.collection},
          {"id", session.id},
          {"state", to_string(session.state)},
          {"size", session.size},
          {"bytes_sent", session.bytes_sent},
          {"part_size", session.part_size},
          {"parts_done", session.parts_done},
          {"parts_total", session.parts_total},
          {"created_at", to_us(session.created_at)},
          {"updated_at", to_us(session.updated_at)},
          {"owner", session.owner == 0 ? std::string() : cold::node_name(session.owner)},
          {"owned_until", to_us(session.owned_until)},
          {"error", session.error}};
}

}  // namespace

OperationReply read_piece(const Call& call) {
  const ByteRange range{
      .offset = call.arguments.number_or("offset", 0),
      .length = std::min(call.arguments.number_or("length", kMaxReadOperationBytes), kMaxReadOperationBytes)};
  std::string body;
  const auto read = call.store.cold_storage().read_large(call.collection(), call.id(),
                                                         [&](ByteView bytes) { body.append(as_text(bytes)); },
                                                         range, {.stop = call.stop});
  if (!read) return not_found();
  Json out = found(call);
  out["version"] = read->version;
  out["size"] = read->size;
  out["bytes"] = read->bytes;
  out["content_type"] = read->content_type;
  return {.json = text_of(out), .body = std::move(body)};
}

OperationReply list_uploads(const Call& call) {
  Json out{{"uploads", Json::array()}};
  for (const UploadSession& session : call.store.cold_storage().list_uploads()) {
    if (out["uploads"].size() == kMaxOperationListed) break;
    out["uploads"].push_back(session_json(session));
  }
  return reply(out);
}

OperationReply abort_upload(const Call& call) {
  ColdStorage& cold = call.store.cold_storage();
  const std::string upload_id = call.arguments.text("upload_id");
  if (!cold.get_upload_status(upload_id)) return not_found();
  const bool aborted = cold.abort_upload(upload_id);
  const auto session = cold.get_upload_status(upload_id);
  return reply({{"found", true},
                {"upload_id", upload_id},
                {"aborted", aborted},
                {"state", to_string(session ? session->state : MultipartUploadState::aborted)}});
}

OperationReply clean_uploads(const Call& call) {
  constexpr std::uint64_t kCentury = 36'525ULL * 24 * 3600 * 1000;
  const std::uint64_t age =
      std::min(call.arguments.number_or("older_than_ms", 24ULL * 3600 * 1000), kCentury);
  const UploadCleanup cleanup = call.store.cold_storage().cleanup_expired_uploads(
      std::chrono::milliseconds{static_cast<std::int64_t>(age)});
  Json unknown = Json::array();
  for (const PendingUpload& upload : cleanup.unknown) {
    if (unknown.size() == kMaxOperationListed) break;
    unknown.push_back(upload.name);
  }
  return reply({{"removed", cleanup.removed_sessions},
                {"aborted", cleanup.aborted_uploads},
                {"failed", cleanup.failed},
                {"first_error", cleanup.first_error},
                {"unknown", std::move(unknown)}});
}

OperationReply collect_garbage(const Call& call) {
  GarbageOptions options{.stop = call.stop};
  options.max_objects = call.arguments.number_or("max_objects", options.max_objects);
  const GarbageResult result = call.store.cold_storage().collect_garbage(options);
  return reply({{"deleted_objects", result.deleted_objects},
                {"deleted_bytes", result.deleted_bytes},
                {"expired_intents", result.expired_intents},
                {"failed_objects", result.failed_objects},
                {"first_error", result.first_error},
                {"more", result.more}});
}

OperationReply compact(const Call& call) {
  CompactOptions options{.stop = call.stop};
  options.max_segments = call.arguments.number_or("max_segments", options.max_segments);
  options.max_bytes = call.arguments.number_or("max_bytes", options.max_bytes);
  const CompactResult result = call.store.cold_storage().compact(options);
  return reply({{"segments", result.segments},
                {"new_segments", result.new_segments},
                {"records", result.records},
                {"bytes", result.bytes},
                {"freed_bytes", result.freed_bytes},
                {"damaged_records", result.damaged_records},
                {"first_error", result.first_error},
                {"more", result.more}});
}

}  // namespace db4::store
