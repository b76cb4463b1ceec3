#include "objects/object_name.hpp"
#include "objects/part_check.hpp"

#include <db4/clock.hpp>
#include <db4/error.hpp>
#include <db4/object_stores.hpp>

#include <algorithm>
#include <map>
#include <mutex>
#include <shared_mutex>

namespace db4::objects {
namespace {

/// An ordered map behind one lock. Bodies are shared and immutable, so they are copied outside of it.
class MemoryObjectStore final : public ObjectStore {
 public:
  PutResult put(std::string_view name, ByteView body, const PutOptions& options) override {
    require_object_name(name);
    return place(name, Bytes(body.begin(), body.end()), options);
  }

  std::optional<Bytes> get(std::string_view name, std::uint64_t max_bytes, const CallOptions&) override {
    const auto object = find(name);
    if (!object) return std::nullopt;
    if (object->body.size() > max_bytes) {
      throw Error(ErrorCode::too_large,
                  "the object \"" + std::string(name) + "\" has " + std::to_string(object->body.size()) +
                      " bytes, over the " + std::to_string(max_bytes) + " that were allowed",
                  "read it in ranges or allow more");
    }
    return object->body;
  }

  std::optional<Bytes> get_range(std::string_view name, std::uint64_t offset, std::uint64_t length,
                                 const CallOptions&) override {
    const auto object = find(name);
    if (!object) return std::nullopt;
    const std::uint64_t begin = std::min<std::uint64_t>(offset, object->body.size());
    const std::uint64_t size = std::min<std::uint64_t>(length, object->body.size() - begin);
    const ByteView range = ByteView(object->body).subspan(begin, size);
    return Bytes(range.begin(), range.end());
  }

  std::optional<ObjectInfo> head(std::string_view name, const CallOptions&) override {
    const auto object = find(name);
    if (!object) return std::nullopt;
    return info_of(std::string(name), *object);
  }

  bool remove(std::string_view name, const CallOptions&) override {
    require_object_name(name);
    const std::unique_lock lock(mutex_);
    const auto place = objects_.find(name);
    if (place == objects_.end()) return false;
    objects_.erase(place);
    return true;
  }

  ObjectPage list(std::string_view prefix, std::string_view after, std::size_t limit,
                  const CallOptions&) override {
    require_list_limit(limit);
    ObjectPage page;
    const std::shared_lock lock(mutex_);
    auto place = after < prefix ? objects_.lower_bound(prefix) : objects_.upper_bound(after);
    for (; place != objects_.end() && std::string_view(place->first).starts_with(prefix); ++place) {
      if (page.objects.size() == limit) {
        page.more = true;
        break;
      }
      page.objects.push_back(info_of(place->first, *place->second));
    }
    return page;
  }

  [[nodiscard]] PartRules part_rules() const override { return kFreePartRules; }

  std::string begin_multipart(std::string_view name, std::uint64_t part_size, const CallOptions&) override {
    require_object_name(name);
    check_part_size(part_size, kFreePartRules);
    const std::unique_lock lock(mutex_);
    std::string id = "upload-" + std::to_string(++last_upload_);
    uploads_[{std::string(name), id}] = Upload{part_size, clock_->now(), {}, {}};
    return id;
  }

  ObjectPart put_part(std::string_view name, std::string_view upload_id, std::uint32_t number, ByteView body,
                      const CallOptions&) override {
    Bytes copy(body.begin(), body.end());
    const std::unique_lock lock(mutex_);
    Upload& upload = find_upload(name, upload_id)->second;
    check_part(number, body.size(), upload.part_size, kFreePartRules);
    const ObjectPart part{number, body.size(), crc_etag(body)};
    upload.parts[number] = part;
    upload.bodies[number] = std::move(copy);
    return part;
  }

  PutResult complete_multipart(std::string_view name, std::string_view upload_id,
                               std::span<const ObjectPart> parts, const CallOptions&) override {
    Bytes whole;
    {
      const std::unique_lock lock(mutex_);
      const auto place = find_upload(name, upload_id);
      const Upload& upload = place->second;
      check_completion(parts, upload.parts, upload.part_size);
      for (const ObjectPart& part : parts) {
        const Bytes& body = upload.bodies.at(part.number);
        whole.insert(whole.end(), body.begin(), body.end());
      }
      uploads_.erase(place);
    }
    return MemoryObjectStore::place(name, std::move(whole), {});
  }

  void abort_multipart(std::string_view name, std::string_view upload_id, const CallOptions&) override {
    const std::unique_lock lock(mutex_);
    uploads_.erase({std::string(name), std::string(upload_id)});
  }

  std::optional<ObjectPartPage> list_parts(std::string_view name, std::string_view upload_id,
                                           std::uint32_t after, std::size_t limit,
                                           const CallOptions&) override {
    require_list_limit(limit);
    const std::shared_lock lock(mutex_);
    const auto place = uploads_.find({std::string(name), std::string(upload_id)});
    if (place == uploads_.end()) return std::nullopt;
    ObjectPartPage page;
    const auto& parts = place->second.parts;
    for (auto part = parts.upper_bound(after); part != parts.end(); ++part) {
      page.more = page.parts.size() == limit;
      if (page.more) break;
      page.parts.push_back(part->second);
    }
    return page;
  }

  PendingUploadPage list_multipart(std::string_view prefix, const PendingUpload& after, std::size_t limit,
                                   const CallOptions&) override {
    require_list_limit(limit);
    const std::shared_lock lock(mutex_);
    PendingUploadPage page;
    for (auto at = uploads_.upper_bound({after.name, after.upload_id}); at != uploads_.end(); ++at) {
      if (!std::string_view(at->first.first).starts_with(prefix)) continue;
      page.more = page.uploads.size() == limit;
      if (page.more) break;
      page.uploads.push_back({at->first.first, at->first.second, at->second.started});
    }
    return page;
  }

  [[nodiscard]] std::string part_digest(ByteView body) const override { return crc_etag(body); }

 private:
  struct Object {
    Bytes body;
    TimePoint modified;
    std::uint64_t number = 0;  ///< of the put: what the etag says
  };
  struct Upload {
    std::uint64_t part_size = 0;
    TimePoint started;
    std::map<std::uint32_t, ObjectPart> parts;
    std::map<std::uint32_t, Bytes> bodies;
  };
  using UploadKey = std::pair<std::string, std::string>;  ///< name, id

  static ObjectInfo info_of(std::string name, const Object& object) {
    return {std::move(name), object.body.size(), object.modified, std::to_string(object.number)};
  }

  PutResult place(std::string_view name, Bytes body, const PutOptions& options) {
    auto object = std::make_shared<Object>(Object{std::move(body), clock_->now()});
    const std::unique_lock lock(mutex_);
    const auto held = objects_.find(name);
    if (options.only_if_absent && held != objects_.end()) {
      throw Error(ErrorCode::conflict, "the object \"" + std::string(name) + "\" exists already",
                  "use another name");
    }
    if (!options.if_match.empty() &&
        (held == objects_.end() || std::to_string(held->second->number) != options.if_match)) {
      throw_no_match(name);
    }
    object->number = ++last_put_;
    PutResult result{.etag = std::to_string(object->number)};
    std::shared_ptr<const Object> shared = std::move(object);
    if (held == objects_.end()) {
      objects_.emplace(std::string(name), std::move(shared));
    } else {
      held->second.swap(shared);
    }
    return result;
  }

  std::map<UploadKey, Upload>::iterator find_upload(std::string_view name, std::string_view upload_id) {
    const auto place = uploads_.find({std::string(name), std::string(upload_id)});
    if (place == uploads_.end()) throw_no_such_upload(name, upload_id);
    return place;
  }

  std::shared_ptr<const Object> find(std::string_view name) const {
    require_object_name(name);
    const std::shared_lock lock(mutex_);
    const auto place = objects_.find(name);
    return place == objects_.end() ? nullptr : place->second;
  }

  const std::shared_ptr<Clock> clock_ = system_clock();
  mutable std::shared_mutex mutex_;
  std::map<std::string, std::shared_ptr<const Object>, std::less<>> objects_;
  std::map<UploadKey, Upload> uploads_;
  std::uint64_t last_put_ = 0;
  std::uint64_t last_upload_ = 0;
};

}  // namespace

}  // namespace db4::objects

namespace db4 {

std::shared_ptr<ObjectStore> make_memory_object_store() {
  return std::make_shared<objects::MemoryObjectStore>();
}

}  // namespace db4
