// The public class: checks what comes in, and puts the operation and the document in front of what goes
// wrong.
#include "codec/json_check.hpp"
#include "store/impl.hpp"

#include <db4/tiered_store.hpp>

#include <algorithm>
#include <unordered_set>

namespace db4 {
namespace {

constexpr std::string_view kJson = "application/json";
constexpr std::string_view kAnyBytes = "application/octet-stream";

void check_body(std::uint64_t bytes) {
  if (bytes <= kMaxBodyBytes) return;
  throw Error(ErrorCode::too_large,
              "the document has " + std::to_string(bytes) + " bytes, over the limit of " +
                  std::to_string(kMaxBodyBytes),
              "write it as a large document (cold_storage().write_large, db4 upload), or split it");
}

void check_batch(std::span<const BatchItem> items, const WriteOptions& options) {
  if (options.if_version) {
    throw Error(ErrorCode::invalid_argument, "WriteOptions::if_version does not go with a batch",
                "set BatchItem::if_version for each document");
  }
  if (items.size() > kMaxBatchItems) {
    throw Error(ErrorCode::too_large, "the batch has " + std::to_string(items.size()) + " documents",
                "write at most " + std::to_string(kMaxBatchItems) + " at once");
  }
  std::uint64_t bytes = 0;
  std::unordered_set<std::string_view> ids;
  for (const BatchItem& item : items) {
    bytes += item.body.size();
    if (!ids.insert(item.id).second) {
      throw Error(ErrorCode::invalid_argument, "the id '" + item.id + "' comes twice in the batch",
                  "write each document once");
    }
  }
  if (bytes > kMaxBatchBytes) {
    throw Error(ErrorCode::too_large, "the batch has " + std::to_string(bytes) + " bytes",
                "write at most " + std::to_string(kMaxBatchBytes) + " at once");
  }
}

std::string_view or_default(const std::string& content_type, std::string_view otherwise) {
  return content_type.empty() ? otherwise : std::string_view(content_type);
}

}  // namespace

TieredStore::TieredStore(TieredStoreConfig config, Components components) try
    : impl_(std::make_unique<Impl>(std::move(config), std::move(components))) {
  impl_->start(*this);
} catch (const Error& error) {
  throw error.with_context("open");
}

TieredStore::~TieredStore() = default;

WriteResult TieredStore::write_json_text(std::string_view collection, std::string_view id,
                                         std::string_view json, const WriteOptions& options) {
  return impl_->run("write", collection, id, [&] {
    catalog::check_key(collection, id);
    check_body(json.size());
    catalog::check_content_type(options.content_type);
    codec::check_json(json);
    const Impl::Item item{id, json, or_default(options.content_type, kJson), options.if_version};
    return impl_->write(collection, {&item, 1}, options).front();
  });
}

WriteResult TieredStore::write_bytes(std::string_view collection, std::string_view id, ByteView body,
                                     const WriteOptions& options) {
  return impl_->run("write", collection, id, [&] {
    catalog::check_key(collection, id);
    check_body(body.size());
    catalog::check_content_type(options.content_type);
    const Impl::Item item{id, as_text(body), or_default(options.content_type, kAnyBytes), options.if_version};
    return impl_->write(collection, {&item, 1}, options).front();
  });
}

std::vector<WriteResult> TieredStore::write_batch(std::string_view collection,
                                                  std::span<const BatchItem> items,
                                                  const WriteOptions& options) {
  return impl_->run("write_batch", collection, {}, [&]() -> std::vector<WriteResult> {
    catalog::check_collection(collection);
    check_batch(items, options);
    std::vector<Impl::Item> checked;
    checked.reserve(items.size());
    for (const BatchItem& item : items) {
      try {
        catalog::check_key(collection, item.id);
        check_body(item.body.size());
        catalog::check_content_type(item.content_type);
        if (item.content_type.empty()) codec::check_json(item.body);
      } catch (const Error& error) {
        throw error.with_context("item", collection, item.id);
      }
      checked.push_back({item.id, item.body, or_default(item.content_type, kJson), item.if_version});
    }
    if (checked.empty()) return {};
    return impl_->write(collection, checked, options);
  });
}

std::optional<Document> TieredStore::read(std::string_view collection, std::string_view id,
                                          const ReadOptions& options) {
  return impl_->run("read", collection, id, [&] { return impl_->read(collection, id, options); });
}

std::vector<std::optional<Document>> TieredStore::read_batch(std::string_view collection,
                                                             std::span<const std::string> ids,
                                                             const ReadOptions& options) {
  return impl_->run("read_batch", collection, {}, [&] {
    if (ids.size() > kMaxBatchItems) {
      throw Error(ErrorCode::too_large, "the batch has " + std::to_string(ids.size()) + " ids",
                  "read at most " + std::to_string(kMaxBatchItems) + " at once");
    }
    return impl_->read_batch(collection, ids, options);
  });
}

bool TieredStore::remove(std::string_view collection, std::string_view id, const RemoveOptions& options) {
  return impl_->run("remove", collection, id, [&] {
    catalog::check_key(collection, id);
    return impl_->remove(collection, id, options);
  });
}

std::optional<StorageTier> TieredStore::get_tier(std::string_view collection, std::string_view id) {
  return impl_->run("get_tier", collection, id, [&] {
    catalog::check_key(collection, id);
    return impl_->get_tier(collection, id);
  });
}

bool TieredStore::promote(std::string_view collection, std::string_view id, StorageTier to,
                          const MoveOptions& options) {
  return impl_->run("promote", collection, id, [&] {
    catalog::check_key(collection, id);
    return impl_->promote(collection, id, to, options);
  });
}

bool TieredStore::demote(std::string_view collection, std::string_view id, StorageTier to,
                         const MoveOptions& options) {
  return impl_->run("demote", collection, id, [&] {
    catalog::check_key(collection, id);
    return impl_->demote(collection, id, to, options);
  });
}

void TieredStore::pin(const Pin& pin) {
  impl_->run("pin", pin.collection, pin.id, [&] {
    store::check_pin_target(pin.collection, pin.scope, pin.id);
    if (pin.tier != StorageTier::hot && pin.tier != StorageTier::warm && pin.tier != StorageTier::cold) {
      throw Error(ErrorCode::invalid_argument, "the pin's tier is none", "use hot, warm or cold");
    }
    impl_->pin(pin);
  });
}

bool TieredStore::unpin(std::string_view collection, PinScope scope, std::string_view id) {
  return impl_->run("unpin", collection, id, [&] {
    store::check_pin_target(collection, scope, id);
    return impl_->unpin(collection, scope, id);
  });
}

std::vector<Pin> TieredStore::pins() {
  return impl_->run("pins", {}, {}, [&] { return impl_->pins(); });
}

TieringResult TieredStore::run_tiering(const TieringOptions& options) {
  return impl_->run("run_tiering", {}, {}, [&] { return impl_->run_tiering(options); });
}

ScanPage TieredStore::scan(std::string_view collection, const ScanOptions& options) {
  return impl_->run("scan", collection, {}, [&] {
    catalog::check_collection(collection);
    return impl_->scan(collection, options);
  });
}

std::vector<CollectionInfo> TieredStore::collections() {
  return impl_->run("collections", {}, {}, [&] { return impl_->collections(); });
}

std::optional<Explanation> TieredStore::explain(std::string_view collection, std::string_view id) {
  return impl_->run("explain", collection, id, [&] {
    catalog::check_key(collection, id);
    return impl_->explain(collection, id);
  });
}

StoreStats TieredStore::stats() {
  return impl_->run("stats", {}, {}, [&] { return impl_->stats(); });
}

StoreInfo TieredStore::info() {
  return impl_->run("info", {}, {}, [&] { return impl_->info(); });
}

std::vector<BusyDocument> TieredStore::busiest(std::size_t limit) {
  return impl_->run("busiest", {}, {}, [&] { return impl_->busiest(limit); });
}

std::vector<StatsSample> TieredStore::samples(TimePoint since) {
  return impl_->run("samples", {}, {}, [&] { return impl_->samples(since); });
}

Subscription TieredStore::subscribe(std::function<void(const InvalidationEvent&)> callback) {
  return impl_->run("subscribe", {}, {}, [&] { return impl_->subscribe(std::move(callback)); });
}

void TieredStore::flush_access_figures() {
  impl_->run("flush", {}, {}, [&] { impl_->flush_access_figures(); });
}

std::shared_ptr<EncryptionManager> TieredStore::encryption() const { return impl_->encryption(); }
bool TieredStore::reencrypt_document(std::string_view collection, std::string_view id) {
  return impl_->run("reencrypt", collection, id, [&] { return impl_->reencrypt_document(collection, id); });
}
ReencryptResult TieredStore::reencrypt(const ReencryptOptions& options) {
  return impl_->run("reencrypt", {}, {}, [&] { return impl_->reencrypt(options); });
}
EncryptionStatus TieredStore::encryption_status() {
  return impl_->run("encryption_status", {}, {}, [&] { return impl_->encryption_status(); });
}

HotStorage& TieredStore::hot_storage() noexcept { return impl_->hot(); }
WarmStorage& TieredStore::warm_storage() noexcept { return impl_->warm(); }
ColdStorage& TieredStore::cold_storage() noexcept { return impl_->cold(); }

void TieredStore::close() {
  try {
    impl_->close();
  } catch (const Error& error) {
    throw error.with_context("close");
  }
}

}  // namespace db4
