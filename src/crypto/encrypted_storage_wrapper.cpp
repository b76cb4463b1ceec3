#include <db4/encrypted_storage_wrapper.hpp>
#include <db4/limits.hpp>

#include <utility>

namespace db4 {
namespace {

void check_names(std::string_view collection, std::string_view id) {
  if (!collection.empty() && collection.size() <= kMaxCollectionBytes && !id.empty() &&
      id.size() <= kMaxIdBytes) {
    return;
  }
  throw Error(ErrorCode::invalid_argument, "a collection or an id that is empty or too long",
              "use 1 to 255 bytes for a collection and 1 to 1,024 for an id");
}

/// Runs `call`; an error names the document.
template <typename Call>
auto named(std::string_view operation, std::string_view collection, std::string_view id, const Call& call) {
  try {
    return call();
  } catch (const Error& error) {
    throw error.with_context(operation, collection, id);
  }
}

}  // namespace

EncryptedStorageWrapper::EncryptedStorageWrapper(EncryptedStorageWrapperConfig config)
    : config_(std::move(config)) {
  if (config_.encryption_manager == nullptr || config_.store_id.size() > kMaxStoreIdBytes) {
    throw Error(ErrorCode::invalid_argument,
                "a wrapper without an encryption manager, or with too long a store id",
                "give an initialized manager, and at most 255 bytes for the store");
  }
}

SealContext EncryptedStorageWrapper::context_of(std::string_view collection, std::string_view id,
                                                SealedDocumentOptions options) const {
  check_names(collection, id);
  SealContext context{.store_id = config_.store_id, .version = options.version};
  if (config_.include_collection_in_aad) context.collection = collection;
  if (config_.include_id_in_aad) context.id = id;
  return context;
}

Bytes EncryptedStorageWrapper::encrypt_bytes(std::string_view collection, std::string_view id,
                                             ByteView document, SealedDocumentOptions options) const {
  return named("encrypt", collection, id, [&] {
    return config_.encryption_manager->seal(document, context_of(collection, id, options), config_.padding);
  });
}

Bytes EncryptedStorageWrapper::decrypt_bytes(std::string_view collection, std::string_view id,
                                             ByteView sealed, SealedDocumentOptions options) const {
  return named("decrypt", collection, id,
               [&] { return config_.encryption_manager->open(sealed, context_of(collection, id, options)); });
}

bool EncryptedStorageWrapper::needs_reencryption(ByteView sealed) const {
  return config_.encryption_manager->needs_reencryption(sealed);
}

Bytes EncryptedStorageWrapper::reencrypt_document(std::string_view collection, std::string_view id,
                                                  ByteView sealed, SealedDocumentOptions options) const {
  return named("reencrypt", collection, id, [&] {
    const SealContext context = context_of(collection, id, options);
    const Bytes opened = config_.encryption_manager->open(sealed, context);
    return config_.encryption_manager->seal(opened, context, config_.padding);
  });
}

}  // namespace db4
