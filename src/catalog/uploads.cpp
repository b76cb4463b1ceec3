// Sessions of large uploads, and the receipts of their parts.
#include "base/encoding.hpp"
#include "catalog/catalog.hpp"
#include "catalog/keys.hpp"
#include "catalog/spaces.hpp"

namespace db4::catalog {
namespace {

constexpr std::size_t kPartPage = 2000;

std::string part_key(const std::string& id, std::uint32_t number) {
  std::string key = upload_parts_begin(id);
  put_big_endian(key, number);
  return key;
}

kv::Batch batch_where(const std::string& id, const UploadCondition& condition) {
  kv::Batch batch;
  switch (condition.kind) {
    case UploadCondition::Kind::any:
      break;
    case UploadCondition::Kind::absent:
      batch.require_absent(kUploads, id);
      break;
    case UploadCondition::Kind::begins:
      batch.require_prefix(kUploads, id, condition.value);
      break;
    case UploadCondition::Kind::equals:
      batch.require_equals(kUploads, id, condition.value);
      break;
  }
  return batch;
}

}  // namespace

bool Catalog::put_upload(const std::string& id, const std::string& value, const UploadCondition& condition) {
  kv::Batch batch = batch_where(id, condition);
  batch.put(kUploads, id, value);
  return queue_.commit(batch, Durability::disk).committed();
}

std::optional<std::string> Catalog::find_upload(std::string_view id) const {
  return engine_->get(kUploads, id);
}

std::vector<std::string> Catalog::list_uploads(std::string_view after, std::size_t limit) const {
  std::string begin;
  if (!after.empty()) begin = std::string(after) + '\0';
  std::vector<std::string> out;
  for (kv::Entry& entry :
       engine_->scan({.space = kUploads, .begin = std::move(begin), .end = {}, .limit = limit})) {
    out.push_back(std::move(entry.value));
  }
  return out;
}

bool Catalog::remove_upload(const std::string& id, const UploadCondition& condition) {
  kv::Batch batch = batch_where(id, condition);
  batch.erase(kUploads, id);
  batch.erase_range(kUploadParts, upload_parts_begin(id), upload_parts_end(id));
  return queue_.commit(batch, Durability::disk).committed();
}

bool Catalog::put_upload_part(const std::string& id, std::uint32_t number, const std::string& value,
                              const UploadCondition& condition) {
  kv::Batch batch = batch_where(id, condition);
  batch.put(kUploadParts, part_key(id, number), value);
  return queue_.commit(batch, Durability::disk).committed();
}

std::vector<std::string> Catalog::upload_parts(const std::string& id) const {
  std::vector<std::string> out;
  for (std::string begin = upload_parts_begin(id);;) {
    auto page = engine_->scan(
        {.space = kUploadParts, .begin = begin, .end = upload_parts_end(id), .limit = kPartPage});
    if (page.empty()) return out;
    begin = page.back().key + '\0';
    for (kv::Entry& entry : page) out.push_back(std::move(entry.value));
  }
}

bool Catalog::clear_upload_parts(const std::string& id, const UploadCondition& condition) {
  kv::Batch batch = batch_where(id, condition);
  batch.erase_range(kUploadParts, upload_parts_begin(id), upload_parts_end(id));
  return queue_.commit(batch, Durability::disk).committed();
}

}  // namespace db4::catalog
