#include "objects/object_name.hpp"
#include "objects/object_stores.hpp"

#include <db4/clock.hpp>
#include <db4/error.hpp>

#include <algorithm>
#include <map>
#include <mutex>
#include <shared_mutex>

namespace db4::objects {
namespace {

/// An ordered map behind one lock. Bodies are shared and immutable, so they are copied outside of it.
class MemoryObjectStore final : public ObjectStore {
 public:
  void put(std::string_view name, ByteView body, const PutOptions& options) override {
    require_object_name(name);
    auto object = std::make_shared<const Object>(Object{Bytes(body.begin(), body.end()), clock_->now()});
    const std::unique_lock lock(mutex_);
    const auto [place, inserted] = objects_.try_emplace(std::string(name), object);
    if (inserted) return;
    if (options.only_if_absent) {
      throw Error(ErrorCode::conflict, "the object \"" + std::string(name) + "\" exists already",
                  "use another name");
    }
    place->second.swap(object);
  }

  std::optional<Bytes> get(std::string_view name, std::uint64_t max_bytes) override {
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

  std::optional<Bytes> get_range(std::string_view name, std::uint64_t offset, std::uint64_t length) override {
    const auto object = find(name);
    if (!object) return std::nullopt;
    const std::uint64_t begin = std::min<std::uint64_t>(offset, object->body.size());
    const std::uint64_t size = std::min<std::uint64_t>(length, object->body.size() - begin);
    const ByteView range = ByteView(object->body).subspan(begin, size);
    return Bytes(range.begin(), range.end());
  }

  std::optional<ObjectInfo> head(std::string_view name) override {
    const auto object = find(name);
    if (!object) return std::nullopt;
    return ObjectInfo{std::string(name), object->body.size(), object->modified};
  }

  bool remove(std::string_view name) override {
    require_object_name(name);
    const std::unique_lock lock(mutex_);
    const auto place = objects_.find(name);
    if (place == objects_.end()) return false;
    objects_.erase(place);
    return true;
  }

  ObjectPage list(std::string_view prefix, std::string_view after, std::size_t limit) override {
    require_list_limit(limit);
    ObjectPage page;
    const std::shared_lock lock(mutex_);
    auto place = after < prefix ? objects_.lower_bound(prefix) : objects_.upper_bound(after);
    for (; place != objects_.end() && std::string_view(place->first).starts_with(prefix); ++place) {
      if (page.objects.size() == limit) {
        page.more = true;
        break;
      }
      page.objects.push_back({place->first, place->second->body.size(), place->second->modified});
    }
    return page;
  }

 private:
  struct Object {
    Bytes body;
    TimePoint modified;
  };

  std::shared_ptr<const Object> find(std::string_view name) const {
    require_object_name(name);
    const std::shared_lock lock(mutex_);
    const auto place = objects_.find(name);
    return place == objects_.end() ? nullptr : place->second;
  }

  const std::shared_ptr<Clock> clock_ = system_clock();
  mutable std::shared_mutex mutex_;
  std::map<std::string, std::shared_ptr<const Object>, std::less<>> objects_;
};

}  // namespace

std::shared_ptr<ObjectStore> make_memory_object_store() { return std::make_shared<MemoryObjectStore>(); }

}  // namespace db4::objects
