#include "cold/catalog_sessions.hpp"

#include "base/encoding.hpp"
#include "base/hash.hpp"
#include "cold/upload_owner.hpp"
#include "sealing/framed_record.hpp"

#include <db4/error.hpp>

namespace db4::cold {
namespace {

constexpr std::size_t kSessionPage = 500;
constexpr std::uint8_t kSessionFormat = 1;
/// With an owner, who comes right behind the format: whether a session is a node's is its first nine bytes.
constexpr std::uint8_t kOwnedFormat = 2;
constexpr std::uint8_t kHasModified = 1;
constexpr std::uint8_t kHasIfVersion = 2;
constexpr std::uint8_t kCompleting = 4;
constexpr std::uint8_t kHasHeader = 8;  ///< of a sealed record; it stands behind all else
constexpr std::uint8_t kReseals = 16;
constexpr std::uint8_t kKnownFlags = kHasModified | kHasIfVersion | kCompleting | kHasHeader | kReseals;

std::int64_t to_us(TimePoint when) { return when.time_since_epoch().count(); }
TimePoint from_us(std::int64_t us) { return TimePoint{std::chrono::microseconds{us}}; }

[[noreturn]] void damaged() {
  throw Error(ErrorCode::corrupt, "an upload session in the catalogue is damaged",
              "check the disk; the upload can be begun anew");
}

[[noreturn]] void newer_format() {
  throw Error(ErrorCode::unsupported, "an upload session has a newer format",
              "open the store with the newer db4 that wrote it");
}

std::string beginning_of(std::uint64_t owner) {
  std::string out;
  out.push_back(static_cast<char>(kOwnedFormat));
  put_fixed(out, owner);
  return out;
}

std::string encode(const UploadSession& session) {
  std::string out;
  if (session.owner == 0) {
    out.push_back(static_cast<char>(kSessionFormat));
  } else {
    out = beginning_of(session.owner);
    put_fixed(out, to_us(session.owned_until));
  }
  out.push_back(static_cast<char>(session.state));
  std::uint8_t flags = 0;
  if (session.source_modified) flags |= kHasModified;
  if (session.if_version) flags |= kHasIfVersion;
  if (session.completing) flags |= kCompleting;
  if (!session.record_header.empty()) flags |= kHasHeader;
  if (session.reseals) flags |= kReseals;
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
  if (!session.record_header.empty()) put_sized(out, session.record_header);
  put_fixed(out, crc32c(as_bytes(out)));
  return out;
}

UploadSession decode(std::string_view bytes) {
  if (bytes.size() < 4) damaged();
  const std::string_view content = bytes.substr(0, bytes.size() - 4);
  if (crc32c(as_bytes(content)) != load_fixed<std::uint32_t>(content.data() + content.size())) damaged();
  Reader in(content);
  const auto format = in.fixed<std::uint8_t>();
  if (format != kSessionFormat && format != kOwnedFormat) newer_format();
  UploadSession session;
  if (format == kOwnedFormat) {
    session.owner = in.fixed<std::uint64_t>();
    session.owned_until = from_us(in.fixed<std::int64_t>());
  }
  const auto state = in.fixed<std::uint8_t>();
  if (state > static_cast<std::uint8_t>(MultipartUploadState::failed)) damaged();
  session.state = static_cast<MultipartUploadState>(state);
  const auto flags = in.fixed<std::uint8_t>();
  if ((flags & ~kKnownFlags) != 0) newer_format();
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
  if ((flags & kHasHeader) != 0) session.record_header = in.sized();
  session.reseals = (flags & kReseals) != 0;
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

bool ended(const UploadSession& session) {
  return session.state == MultipartUploadState::completed || session.state == MultipartUploadState::aborted;
}

using Condition = catalog::UploadCondition;

}  // namespace

std::string CatalogSessionStore::own_beginning() const { return beginning_of(catalog_.node()); }

Condition CatalogSessionStore::mine() const {
  if (!catalog_.shared()) return {};
  return {.kind = Condition::Kind::begins, .value = own_beginning()};
}

void CatalogSessionStore::put(const UploadSession& session) {
  UploadSession renewed = session;
  if (session.owner != 0) sign(renewed);
  if (!catalog_.put_upload(session.upload_id, encode(renewed), mine())) throw LostUpload(session.upload_id);
}
bool CatalogSessionStore::add(const UploadSession& session) {
  return catalog_.put_upload(session.upload_id, encode(session), {.kind = Condition::Kind::absent});
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
  const std::string id(upload_id);
  if (!catalog_.shared()) {
    catalog_.remove_upload(id);
    return;
  }
  // Another node may have forgotten it and begun a new one of that id since the caller looked.
  const auto value = catalog_.find_upload(id);
  if (value && ended(decode(*value)))
    catalog_.remove_upload(id, {.kind = Condition::Kind::equals, .value = *value});
}
void CatalogSessionStore::put_receipt(std::string_view upload_id, const PartReceipt& receipt) {
  const std::string id(upload_id);
  if (!catalog_.put_upload_part(id, receipt.part.number, encode(receipt), mine())) throw LostUpload(id);
}
std::vector<PartReceipt> CatalogSessionStore::receipts(std::string_view upload_id) {
  std::vector<PartReceipt> out;
  for (const std::string& value : catalog_.upload_parts(std::string(upload_id))) {
    out.push_back(decode_receipt(value));
  }
  return out;
}
void CatalogSessionStore::clear_receipts(std::string_view upload_id) {
  const std::string id(upload_id);
  if (!catalog_.clear_upload_parts(id, mine())) throw LostUpload(id);
}

void CatalogSessionStore::sign(UploadSession& session) const {
  if (!catalog_.shared()) return;
  session.owner = catalog_.node();
  session.owned_until = clock_->now() + kUploadLease;
}

bool CatalogSessionStore::take(UploadSession& session) {
  if (!catalog_.shared()) return true;
  const auto value = catalog_.find_upload(session.upload_id);
  if (!value) return false;
  session = decode(*value);
  if (ended(session)) return false;
  if (session.owner != catalog_.node() && owner_lives(session)) throw owned_elsewhere(session);
  sign(session);
  return catalog_.put_upload(session.upload_id, encode(session),
                             {.kind = Condition::Kind::equals, .value = *value});
}

bool CatalogSessionStore::renew(const std::string& upload_id) {
  if (!catalog_.shared()) return true;
  catalog_.say_alive();
  // Whoever works on it may save the session at the same moment, which renews it too.
  for (;;) {
    const auto value = catalog_.find_upload(upload_id);
    if (!value || !value->starts_with(own_beginning())) return false;
    UploadSession session = decode(*value);
    sign(session);
    if (catalog_.put_upload(upload_id, encode(session), {.kind = Condition::Kind::equals, .value = *value}))
      return true;
  }
}

bool CatalogSessionStore::owner_lives(const UploadSession& session) const {
  return session.owner != 0 && session.owned_until > clock_->now() && catalog_.registered(session.owner);
}

bool CatalogSessionStore::owns(const std::string& upload_id) const {
  if (!catalog_.shared()) return true;
  const auto value = catalog_.find_upload(upload_id);
  return value && value->starts_with(own_beginning());
}

std::map<std::uint64_t, std::uint64_t> count_unfinished_uploads(const catalog::Catalog& catalog) {
  std::map<std::uint64_t, std::uint64_t> out;
  for (std::string after;;) {
    const auto page = catalog.list_uploads(after, kSessionPage);
    for (const std::string& value : page) {
      const UploadSession session = decode(value);
      after = session.upload_id;
      if (ended(session)) continue;
      ++out[session.record_header.empty() ? 0 : sealing::key_of_record(session.record_header)];
    }
    if (page.size() < kSessionPage) return out;
  }
}

UploadSession CatalogSessionStore::end_with(catalog::ChangeSet& set, UploadSession session,
                                            Version version) const {
  session.state = MultipartUploadState::completed;
  session.version = version;
  session.updated_at = clock_->now();
  session.error.clear();
  session.owner = 0;
  session.owned_until = {};
  set.end_upload(session.upload_id, own_beginning(), encode(session));
  return session;
}

}  // namespace db4::cold
