#pragma once
// EncryptedStorageWrapper: documents sealed one by one, for whatever storage they go to.
//
//     db4::EncryptedStorageWrapper wrapper({.encryption_manager = encryption});
//     db4::Bytes sealed = wrapper.encrypt_document("users", "user-123", {{"name", "Alice"}});
//     nlohmann::json opened = wrapper.decrypt_document("users", "user-123", sealed);
//     if (wrapper.needs_reencryption(sealed)) sealed = wrapper.reencrypt_document("users", "user-123",
//     sealed);

#include <db4/encryption.hpp>
#include <db4/error.hpp>

#include <nlohmann/json.hpp>

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

namespace db4 {

/// What a wrapper seals with, and what it binds documents to.
struct EncryptedStorageWrapperConfig {
  std::shared_ptr<EncryptionManager> encryption_manager = {};  ///< initialized
  /// A sealed document opens under its id only, else under any: so that it cannot be passed off as another's.
  bool include_id_in_aad = true;
  bool include_collection_in_aad = true;  ///< the same of its collection
  std::string store_id = {};              ///< the same of the store; at most kMaxStoreIdBytes
  Padding padding = Padding::none;
};

/// What else a sealed document is bound to.
struct SealedDocumentOptions {
  /// Sealed with the document: it opens only where the same is given, so that an older one cannot be passed
  /// off as the newest.
  Version version = 0;
};

/// Thread-safe. Collections and ids are 1 to kMaxCollectionBytes and kMaxIdBytes long, else every call throws
/// invalid_argument. All errors of EncryptionManager, naming the document.
class DB4_API EncryptedStorageWrapper {
 public:
  /// Throws invalid_argument without a manager, or for a store id that is too long.
  explicit EncryptedStorageWrapper(EncryptedStorageWrapperConfig config);

  /// Throws invalid_argument for a document that cannot be written as JSON text (strings that are no UTF-8).
  [[nodiscard]] Bytes encrypt_document(std::string_view collection, std::string_view id,
                                       const nlohmann::json& document,
                                       SealedDocumentOptions options = {}) const {
    std::string text = dump(document);
    Bytes sealed = encrypt_bytes(collection, id, as_bytes(text), options);
    wipe(text);
    return sealed;
  }
  /// So that a braced document, {{"name", "Alice"}}, is one.
  [[nodiscard]] Bytes encrypt_document(
      std::string_view collection, std::string_view id,
      std::initializer_list<nlohmann::json::initializer_list_t::value_type> document,
      SealedDocumentOptions options = {}) const {
    return encrypt_document(collection, id, nlohmann::json(document), options);
  }
  /// A text would be sealed as a JSON string, bytes as an array of numbers: use encrypt_bytes.
  Bytes encrypt_document(std::string_view, std::string_view, std::string_view,
                         SealedDocumentOptions = {}) const = delete;
  Bytes encrypt_document(std::string_view, std::string_view, const char*,
                         SealedDocumentOptions = {}) const = delete;
  Bytes encrypt_document(std::string_view, std::string_view, const std::string&,
                         SealedDocumentOptions = {}) const = delete;
  Bytes encrypt_document(std::string_view, std::string_view, ByteView,
                         SealedDocumentOptions = {}) const = delete;
  Bytes encrypt_document(std::string_view, std::string_view, const Bytes&,
                         SealedDocumentOptions = {}) const = delete;
  [[nodiscard]] Bytes encrypt_bytes(std::string_view collection, std::string_view id, ByteView document,
                                    SealedDocumentOptions options = {}) const;

  /// Throws unsupported where what was sealed is no JSON.
  [[nodiscard]] nlohmann::json decrypt_document(std::string_view collection, std::string_view id,
                                                ByteView sealed, SealedDocumentOptions options = {}) const {
    const Bytes opened = decrypt_bytes(collection, id, sealed, options);
    nlohmann::json document = nlohmann::json::parse(as_text(opened), nullptr, /*allow_exceptions=*/false);
    if (document.is_discarded()) {
      throw Error(ErrorCode::unsupported, "what was sealed is no JSON", "open it with decrypt_bytes()")
          .with_context("decrypt_document", collection, id);
    }
    return document;
  }
  [[nodiscard]] Bytes decrypt_bytes(std::string_view collection, std::string_view id, ByteView sealed,
                                    SealedDocumentOptions options = {}) const;

  /// Whether another key than the active one sealed it.
  [[nodiscard]] bool needs_reencryption(ByteView sealed) const;
  /// The same document, sealed with the active key; it is opened and checked on the way.
  [[nodiscard]] Bytes reencrypt_document(std::string_view collection, std::string_view id, ByteView sealed,
                                         SealedDocumentOptions options = {}) const;

 private:
  static std::string dump(const nlohmann::json& document) {
    try {
      return document.dump();
    } catch (const nlohmann::json::exception&) {  // its message would quote the document
      throw Error(ErrorCode::invalid_argument, "the document cannot be written as JSON text",
                  "make its strings UTF-8, or seal it with encrypt_bytes()");
    }
  }
  [[nodiscard]] SealContext context_of(std::string_view collection, std::string_view id,
                                       SealedDocumentOptions options) const;

  EncryptedStorageWrapperConfig config_;
};

}  // namespace db4
