#include "cold/catalog_sessions.hpp"

#include "base/encoding.hpp"
#include "base/hash.hpp"

#include <db4/error.hpp>

namespace db4::cold {
namespace {

constexpr std::uint8_t kSessionFormat = 1;
constexpr std::uint8_t kHasModified = 1;
constexpr std::uint8_t kHasIfVersion = 2;
constexpr std::uint8_t kCompleting = 4;

std::int64_t to_us(TimePoint when) { return when.time_since_epoch().count(); }
TimePoint from_us(std::int64_t us) { return TimePoint{std::chrono::microseconds{us}}; }

[[noreturn]] void damaged() {
  throw Error(ErrorCode::corrupt, "an upload session in the catalogue is damaged",
              "check the disk; the upload can be begun anew");
}

std::string encode(const UploadSession& session) {
  std::string out;
  out.push_back(static_cast<char>(kSessionFormat));
  out.push_back(static_cast<char>(session.state));
  std::uint8_t flags = 0;
  if (session.source_modified) flags |= kHasModified;
  if (session.if_version) flags |= kHasIfVersion;
  if (session.completing) flags |= kCompleting;
  out.push_back(static_cast<char>(flags));
  put_fixed(out, to_us(session.created_at));
  put_fixed(out, to_us(session.updated_at));
  put_fixed(out, session.source_modified ? to_us(*session.source_modified) : 0);
  put_fixed(out, to_us(session.document_created_at));
  put_varint(out, session.if_version.value_or(0));
  put_varint(out, session.version);
  put_varint(out, session.size);
  put_varint(out, session.object_size);
  put_varint(out, session.part_size);
  put_varint(out, session.parts_total);
  for (const std::string* text : {&session.upload_id, &session.collection, &session.id, &session.content_type,
                                  &session.object, &session.store_upload_id, &session.error}) {
    put_sized(out, *text);
  }
  put_fixed(out, crc32c(as_bytes(out)));
  return out;
}

UploadSession decode(std::string_view bytes) {
  if (bytes.size() < 4) damaged();
  const std::string_view content = bytes.substr(0, bytes.size() - 4);
  if (crc32c(as_bytes(content)) != load_fixed<std::uint32_t>(content.data() + content.size())) damaged();
  Reader in(content);
  if (in.fixed<std::uint8_t>() != kSessionFormat) {
    throw Error(ErrorCode::unsupported, "an upload session has a newer format",
                "open the store with the newer db4 that wrote it");
  }
  UploadSession session;
  const auto state = in.fixed<std::uint8_t>();
  if (state > static_cast<std::uint8_t>(MultipartUploadState::failed)) damaged();
  session.state = static_cast<MultipartUploadState>(state);
  const auto flags = in.fixed<std::uint8_t>();
  session.created_at = from_us(in.fixed<std::int64_t>());
  session.updated_at = from_us(in.fixed<std::int64_t>());
  const auto modified = from_us(in.fixed<std::int64_t>());
  if ((flags & kHasModified) != 0) session.source_modified = modified;
  session.document_created_at = from_us(in.fixed<std::int64_t>());
  const std::uint64_t if_version = in.varint();
  if ((flags & kHasIfVersion) != 0) session.if_version = if_version;
  session.completing = (flags & kCompleting) != 0;
  session.version = in.varint();
  session.size = in.varint();
  session.object_size = in.varint();
  session.part_size = in.varint();
  session.parts_total = static_cast<std::uint32_t>(in.varint());
  for (std::string* text : {&session.upload_id, &session.collection, &session.id, &session.content_type,
                            &session.object, &session.store_upload_id, &session.error}) {
    *text = in.sized();
  }
  if (!in.done()) damaged();
  return session;
}

std::string encode(const PartReceipt& receipt) {
  std::string out;
  put_varint(out, receipt.part.number);
  put_varint(out, receipt.part.size);
  put_fixed(out, receipt.checksum);
  put_fixed(out, to_us(receipt.arrived_at));
  put_sized(out, receipt.part.etag);
  return out;
}

PartReceipt decode_receipt(std::string_view bytes) {
  Reader in(bytes);
  PartReceipt receipt;
  receipt.part.number = static_cast<std::uint32_t>(in.varint());
  receipt.part.size = in.varint();
  receipt.checksum = in.fixed<std::uint32_t>();
  receipt.arrived_at = from_us(in.fixed<std::int64_t>());
  receipt.part.etag = in.sized();
  if (!in.done() || receipt.part.number == 0) damaged();
  return receipt;
}

}  // namespace

void CatalogSessionStore::put(const UploadSession& session) {
  catalog_.put_upload(session.upload_id, encode(session), /*replace=*/true);
}
bool CatalogSessionStore::add(const UploadSession& session) {
  return catalog_.put_upload(session.upload_id, encode(session), /*replace=*/false);
}
std::optional<UploadSession> CatalogSessionStore::find(std::string_view upload_id) {
  const auto value = catalog_.find_upload(upload_id);
  if (!value) return std::nullopt;
  return decode(*value);
}
std::vector<UploadSession> CatalogSessionStore::list(std::string_view after, std::size_t limit) {
  std::vector<UploadSession> out;
  for (const std::string& value : catalog_.list_uploads(after, limit)) out.push_back(decode(value));
  return out;
}
void CatalogSessionStore::remove(std::string_view upload_id) {
  catalog_.remove_upload(std::string(upload_id));
}
void CatalogSessionStore::put_receipt(std::string_view upload_id, const PartReceipt& receipt) {
  catalog_.put_upload_part(std::string(upload_id), receipt.part.number, encode(receipt));
}
std::vector<PartReceipt> CatalogSessionStore::receipts(std::string_view upload_id) {
  std::vector<PartReceipt> out;
  for (const std::string& value : catalog_.upload_parts(std::string(upload_id))) {
    out.push_back(decode_receipt(value));
  }
  return out;
}
void CatalogSessionStore::clear_receipts(std::string_view upload_id) {
  catalog_.clear_upload_parts(std::string(upload_id));
}

}  // namespace db4::cold
