#pragma once
// Upload sessions in the store's own database.

#include "catalog/catalog.hpp"

#include <db4/multipart.hpp>

namespace db4::cold {

/// The byte tables are in docs/formats/row.md. Thread-safe.
class CatalogSessionStore final : public UploadSessionStore {
 public:
  explicit CatalogSessionStore(catalog::Catalog& catalog) noexcept : catalog_(catalog) {}

  void put(const UploadSession& session) override;
  bool add(const UploadSession& session) override;
  std::optional<UploadSession> find(std::string_view upload_id) override;
  std::vector<UploadSession> list(std::string_view after, std::size_t limit) override;
  void remove(std::string_view upload_id) override;
  void put_receipt(std::string_view upload_id, const PartReceipt& receipt) override;
  std::vector<PartReceipt> receipts(std::string_view upload_id) override;
  void clear_receipts(std::string_view upload_id) override;

 private:
  catalog::Catalog& catalog_;
};

}  // namespace db4::cold
