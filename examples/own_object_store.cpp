// An object store of your own under the cold tier: a map here, a service's client there. docs/backends.md has
// the contract and the suite that checks it; this one keeps no promise of durability, so it is for looking
// only.
#include <db4/storage.hpp>

#include <iostream>
#include <map>
#include <mutex>

namespace {

class MapStore final : public db4::ObjectStore {
 public:
  using ObjectStore::get_range, ObjectStore::head, ObjectStore::list;

  db4::PutResult put(std::string_view name, db4::ByteView body, const db4::PutOptions& options) override {
    const std::scoped_lock lock(mutex_);
    std::cout << "put of " << body.size() << " bytes\n";
    if (options.only_if_absent && objects_.contains(name)) {
      throw db4::Error(db4::ErrorCode::conflict, "the object exists", "choose another name");
    }
    if (!options.if_match.empty()) {
      throw db4::Error(db4::ErrorCode::unsupported, "no etags here", "put without if_match");
    }
    objects_.insert_or_assign(std::string(name), db4::Bytes(body.begin(), body.end()));
    return {};  // nothing is proved: db4 reads back what it put
  }
  std::optional<db4::Bytes> get(std::string_view name, std::uint64_t max_bytes,
                                const db4::CallOptions& call) override {
    const auto size = head(name, call);
    if (size && size->size > max_bytes) {
      throw db4::Error(db4::ErrorCode::too_large, "the object is too large", "ask for more bytes");
    }
    return get_range(name, 0, max_bytes, call);
  }
  std::optional<db4::Bytes> get_range(std::string_view name, std::uint64_t offset, std::uint64_t length,
                                      const db4::CallOptions& /*call*/) override {
    const std::scoped_lock lock(mutex_);
    const auto found = objects_.find(name);
    if (found == objects_.end()) return std::nullopt;
    const db4::ByteView whole(found->second);
    const db4::ByteView rest = whole.subspan(std::min<std::uint64_t>(offset, whole.size()));
    const db4::ByteView part = rest.first(std::min<std::uint64_t>(length, rest.size()));
    return db4::Bytes(part.begin(), part.end());
  }
  std::optional<db4::ObjectInfo> head(std::string_view name, const db4::CallOptions& /*call*/) override {
    const std::scoped_lock lock(mutex_);
    const auto found = objects_.find(name);
    if (found == objects_.end()) return std::nullopt;
    return db4::ObjectInfo{.name = std::string(name), .size = found->second.size()};
  }
  bool remove(std::string_view name, const db4::CallOptions& /*call*/) override {
    const std::scoped_lock lock(mutex_);
    return objects_.erase(std::string(name)) > 0;
  }
  db4::ObjectPage list(std::string_view prefix, std::string_view after, std::size_t limit,
                       const db4::CallOptions& /*call*/) override {
    const std::scoped_lock lock(mutex_);
    db4::ObjectPage page;
    for (auto at = objects_.lower_bound(prefix); at != objects_.end() && at->first.starts_with(prefix);
         ++at) {
      if (at->first <= after) continue;
      page.more = page.objects.size() == limit;
      if (page.more) break;
      page.objects.push_back({.name = at->first, .size = at->second.size()});
    }
    return page;
  }

 private:
  std::mutex mutex_;
  std::map<std::string, db4::Bytes, std::less<>> objects_;
};

}  // namespace

int main() {
  const auto objects = std::make_shared<MapStore>();
  db4::TieredStore store({.hot = {.type = db4::HotType::memory},
                          .cold = {.prefix = "shop/", .compression = db4::Compression::none}},
                         {.object_store = objects});
  store.write("users", "ada", {{"name", "Ada"}}, {.tier = db4::StorageTier::cold});
  const db4::ObjectPage page = objects->list("shop/", "", 10);
  std::cout << page.objects.size() << " object, its name begins with " << page.objects[0].name.substr(0, 5)
            << "\n";
  const auto ada = store.read("users", "ada");
  std::cout << ada->text() << " from " << to_string(ada->served_from()) << "\n";
}

// Output:
//   put of 100 bytes
//   1 object, its name begins with shop/
//   {"name":"Ada"} from cold
