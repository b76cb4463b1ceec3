#pragma once
// Upload sessions in the store's own database.

#include "catalog/catalog.hpp"

#include <db4/multipart.hpp>

#include <map>

namespace db4::cold {

/// How many unfinished uploads need each data key; under 0 those that are plain. Reads all sessions.
std::map<std::uint64_t, std::uint64_t> count_unfinished_uploads(const catalog::Catalog& catalog);

/// The byte tables are in docs/formats/row.md. Thread-safe.
///
/// Where the catalogue is shared, put() and what concerns receipts throw LostUpload unless the session is
/// this node's (upload_owner.hpp), and remove() leaves one alone that has not ended.
class CatalogSessionStore final : public UploadSessionStore {
 public:
  CatalogSessionStore(catalog::Catalog& catalog, std::shared_ptr<Clock> clock) noexcept
      : catalog_(catalog), clock_(std::move(clock)) {}

  void put(const UploadSession& session) override;
  bool add(const UploadSession& session) override;
  std::optional<UploadSession> find(std::string_view upload_id) override;
  std::vector<UploadSession> list(std::string_view after, std::size_t limit) override;
  void remove(std::string_view upload_id) override;
  void put_receipt(std::string_view upload_id, const PartReceipt& receipt) override;
  std::vector<PartReceipt> receipts(std::string_view upload_id) override;
  void clear_receipts(std::string_view upload_id) override;

  // -- whose a session is: UploadHooks says what these do --
  void sign(UploadSession& session) const;
  bool take(UploadSession& session);
  bool renew(const std::string& upload_id);
  [[nodiscard]] bool owner_lives(const UploadSession& session) const;
  /// Whether nobody else has the session. Always, where the catalogue is not shared.
  [[nodiscard]] bool owns(const std::string& upload_id) const;
  /// Adds the session's end as a completed one to the changes that name its object, which then need that it
  /// is this node's; the session as it will stand. For a shared catalogue alone.
  [[nodiscard]] UploadSession end_with(catalog::ChangeSet& set, UploadSession session, Version version) const;

 private:
  /// What a session of this node's begins with.
  [[nodiscard]] std::string own_beginning() const;
  /// Of a change of a session, or of what belongs to it.
  [[nodiscard]] catalog::UploadCondition mine() const;

  catalog::Catalog& catalog_;
  const std::shared_ptr<Clock> clock_;
};

}  // namespace db4::cold
