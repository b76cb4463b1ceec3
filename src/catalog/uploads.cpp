// Sessions of large uploads, and the receipts of their parts.
#include "base/encoding.hpp"
#include "catalog/catalog.hpp"
#include "catalog/spaces.hpp"

namespace db4::catalog {
namespace {

constexpr std::size_t kPartPage = 2000;

/// Ids have no NUL, so no id's parts are among another one's.
std::string parts_begin(const std::string& id) { return id + '\0'; }
std::string parts_end(const std::string& id) { return id + '\1'; }

std::string part_key(const std::string& id, std::uint32_t number) {
  std::string key = parts_begin(id);
  put_big_endian(key, number);
  return key;
}

}  // namespace

bool Catalog::put_upload(const std::string& id, const std::string& value, bool replace) {
  kv::Batch batch;
  if (!replace) batch.require_absent(kUploads, id);
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

void Catalog::remove_upload(const std::string& id) {
  kv::Batch batch;
  batch.erase(kUploads, id);
  batch.erase_range(kUploadParts, parts_begin(id), parts_end(id));
  queue_.commit(batch, Durability::disk);
}

void Catalog::put_upload_part(const std::string& id, std::uint32_t number, const std::string& value) {
  kv::Batch batch;
  batch.put(kUploadParts, part_key(id, number), value);
  queue_.commit(batch, Durability::disk);
}

std::vector<std::string> Catalog::upload_parts(const std::string& id) const {
  std::vector<std::string> out;
  for (std::string begin = parts_begin(id);;) {
    auto page =
        engine_->scan({.space = kUploadParts, .begin = begin, .end = parts_end(id), .limit = kPartPage});
    if (page.empty()) return out;
    begin = page.back().key + '\0';
    for (kv::Entry& entry : page) out.push_back(std::move(entry.value));
  }
}

void Catalog::clear_upload_parts(const std::string& id) {
  kv::Batch batch;
  batch.erase_range(kUploadParts, parts_begin(id), parts_end(id));
  queue_.commit(batch, Durability::disk);
}

}  // namespace db4::catalog
