// Re-encryption: one document, or the whole store in pages, within bounds, from where the last call stopped.
#include "catalog/keys.hpp"
#include "store/impl.hpp"

#include <set>

namespace db4 {
namespace {

/// Rows looked at together.
constexpr std::size_t kPage = 500;
/// Bodies and records held at once: a page ends where it comes to so many bytes.
constexpr std::uint64_t kPageBytes = 64ULL << 20;
/// Against somebody who keeps changing the document.
constexpr int kAttempts = 64;
/// Longer than a page takes; taken again with each.
constexpr std::chrono::microseconds kLease = 10min;
/// Between two looks of a store's background at which keys expired.
constexpr MonotonicTime kKeyLooks = 1h;
/// After a whole pass in which something failed.
constexpr MonotonicTime kFailedPause = 1h;
constexpr std::string_view kLeaseName = "reencryption";

void require_keys(const std::shared_ptr<EncryptionManager>& manager) {
  if (manager) return;
  throw Error(ErrorCode::invalid_argument, "the store is not encrypted",
              "open it with encryption.master_key, or TieredStoreConfig::encryption");
}

struct DropLease {
  void operator()(catalog::Catalog* catalog) const noexcept { catalog->drop_lease(kLeaseName); }
};

std::string message_of(const std::exception_ptr& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (const std::exception& error) {
    return error.what();
  }
}

std::uint64_t count_on_others(const catalog::Catalog& catalog, sealing::KeyNumber key) {
  std::uint64_t copies = 0;
  for (const catalog::SealedCopies& sealed : catalog.sealed_copies()) {
    if (sealed.key != key) copies += sealed.copies;
  }
  return copies;
}

/// The same without those that nobody can open: their keys are destroyed, on their way to it, or not there.
std::uint64_t count_openable_on_others(const catalog::Catalog& catalog, EncryptionManager& keys,
                                       sealing::KeyNumber key) {
  if (count_on_others(catalog, key) == 0) return 0;
  std::set<std::string> open;
  for (const KeyInfo& info : keys.list_keys()) {
    if (info.state == KeyState::active || info.state == KeyState::decrypt_only) open.insert(info.id);
  }
  std::uint64_t copies = 0;
  for (const catalog::SealedCopies& sealed : catalog.sealed_copies()) {
    if (sealed.key != key && open.contains(sealing::to_text(sealed.key))) copies += sealed.copies;
  }
  return copies;
}

}  // namespace

/// One call of reencrypt().
class TieredStore::Impl::Reencryption {
 public:
  Reencryption(Impl& store, const ReencryptOptions& options)
      : store_(store), options_(options), started_(store.clock_->monotonic()) {}

  ReencryptResult run();

 private:
  [[nodiscard]] bool may_go_on() const;
  /// Looks at the rows that follow; false where there are none.
  bool page();
  void reseal(std::vector<tiering::ResealOrder>& orders);
  void finish();
  void compact();
  [[nodiscard]] catalog::Catalog& catalog() const { return *store_.catalog_; }
  [[nodiscard]] std::uint64_t count_openable(sealing::KeyNumber key) const {
    return count_openable_on_others(catalog(), *store_.encryption(), key);
  }
  /// Since the pass began, or with none under way: it may lie where nobody will look.
  [[nodiscard]] bool plain_arrived() const {
    return store_.encryption_.sealer()->seals() && catalog().plain_arrived();
  }

  Impl& store_;
  const ReencryptOptions& options_;
  const MonotonicTime started_;
  catalog::Reencryption state_;
  ReencryptResult result_;
  bool began_ = false;  ///< a page was looked at
  bool broken_off_ = false;
};

bool TieredStore::Impl::Reencryption::may_go_on() const {
  if (broken_off_ || options_.stop.stop_requested() || options_.max_documents == 0) return false;
  if (store_.gate_.closed()) return false;  // close() waits for this call
  if (!began_) return true;                 // else a bound below one document would end it for ever
  return result_.documents < options_.max_documents && result_.bytes < options_.max_bytes &&
         // In the coarser unit: no bound at all, in the finer one, would be a negative one.
         std::chrono::floor<std::chrono::milliseconds>(store_.clock_->monotonic() - started_) <
             options_.max_duration;
}

ReencryptResult TieredStore::Impl::Reencryption::run() {
  const sealing::KeyNumber wanted = store_.encryption_.sealer()->wanted_key();
  auto known = catalog().reencryption();
  const auto is_done = [&] {
    return known && known->key == wanted && known->done && count_openable(wanted) == 0 && !plain_arrived();
  };
  if (is_done() && !known->compact) {
    state_ = *known;
    finish();
    return result_;
  }
  if (!catalog().take_lease(kLeaseName, kLease)) {
    result_.more = true;
    return result_;
  }
  // Who asks next, another node or this one opened again, need not wait for the lease to end.
  const std::unique_ptr<catalog::Catalog, DropLease> lease(&catalog());
  known = catalog().reencryption();  // another node may have had it
  if (is_done()) {
    state_ = *known;
    finish();
    return result_;
  }
  const bool go_on = known && known->key == wanted && !known->done;
  state_ = go_on
               ? *known
               : catalog::Reencryption{
                     .key = wanted, .no_plain = known && known->no_plain, .compact = known && known->compact};
  if (state_.after.empty() && plain_arrived()) {
    state_.no_plain = false;
    catalog().set_reencryption(state_);
    catalog().forget_plain_arrived();  // what comes from now on says so again
  }
  for (;;) {
    if (!may_go_on()) {
      result_.more = true;
      break;
    }
    if (!page()) {
      state_.done = state_.clean && !plain_arrived();
      // Noted with the rest: who is killed while it compacts, or cannot, comes back to it.
      state_.compact = state_.compact || (state_.done && wanted != 0 && !state_.no_plain);
      state_.no_plain = wanted != 0 && (state_.no_plain || state_.done);
      state_.after.clear();
      // What was left behind is looked at again by the next call, from the beginning.
      state_.clean = true;
      catalog().set_reencryption(state_);
      if (state_.done) {
        finish();
      } else if (result_.failed == 0) {
        result_.more = true;
      }
      break;
    }
    catalog().set_reencryption(state_);
    if (options_.on_progress) {
      options_.on_progress({.documents = result_.documents,
                            .bytes = result_.bytes,
                            .left = count_on_others(catalog(), wanted)});
    }
    if (!catalog().take_lease(kLeaseName, kLease)) {
      result_.more = true;
      break;
    }
  }
  return result_;
}

bool TieredStore::Impl::Reencryption::page() {
  began_ = true;
  const std::string begin = state_.after.empty() ? std::string() : state_.after + '\0';
  std::vector<catalog::ScannedRow> rows = catalog().scan_rows(begin, {}, kPage);
  if (rows.empty()) return false;
  std::vector<tiering::ResealOrder> orders;
  std::uint64_t bytes = 0;
  for (catalog::ScannedRow& scanned : rows) {
    const bool enough = bytes >= kPageBytes || result_.documents + orders.size() >= options_.max_documents ||
                        result_.bytes + bytes >= options_.max_bytes;
    if (enough && !orders.empty()) break;
    state_.after = scanned.key;
    if (!tiering::needs_resealing(scanned.row, state_.key)) continue;
    bytes += scanned.row.size;
    orders.push_back({.key = std::move(scanned.key), .row = std::move(scanned.row)});
  }
  if (!orders.empty()) reseal(orders);
  return true;
}

void TieredStore::Impl::Reencryption::reseal(std::vector<tiering::ResealOrder>& orders) {
  store_.resealer_.reseal(orders, state_.key, {.stop = options_.stop});
  for (tiering::ResealOrder& order : orders) {
    switch (order.outcome) {
      case tiering::ResealOutcome::done:
        ++result_.documents;
        result_.bytes += order.row.size;
        break;
      case tiering::ResealOutcome::changed:
        // Written anew, it is as it should be; moved, it may not be.
        state_.clean = false;
        break;
      case tiering::ResealOutcome::failed:
        if (!tiering::is_locked(order.failure)) state_.clean = false;
        if (result_.failed++ == 0) result_.first_error = message_of(order.failure);
        broken_off_ = broken_off_ || tiering::is_for_all(order.failure);
        break;
    }
  }
}

void TieredStore::Impl::Reencryption::finish() {
  if (count_openable(state_.key) != 0) {
    // Another node sealed with the older key behind us, before it heard of the rotation.
    result_.more = true;
    return;
  }
  if (store_.encryption_.sealer()->seals()) {
    // Dictionaries are made of plain documents, and no record needs one any more.
    // Other nodes may write plain documents with them still.
    if (!catalog().shared()) catalog().remove_dictionaries();
    if (state_.compact) compact();
  } else {
    // Uploads first: one that ends in between is in the rows then.
    auto uploads = cold::count_unfinished_uploads(catalog());
    uploads.erase(0);
    // An upload that was begun sealed ends so: its keys are needed until then.
    if (uploads.empty() && count_on_others(catalog(), state_.key) == 0) store_.encryption_.forget_keys();
  }
}

void TieredStore::Impl::Reencryption::compact() {
  // It takes long, and cannot be broken off.
  if (options_.stop.stop_requested() || options_.max_documents == 0 || store_.gate_.closed()) {
    result_.more = true;
    return;
  }
  try {
    catalog().compact();
    state_.compact = false;
    catalog().set_reencryption(state_);
  } catch (const Error& error) {
    result_.first_error = std::string("everything is sealed, but what was plain is in the free space of ") +
                          "the hot engine still: " + error.what();
  }
}

void TieredStore::Impl::maintain_keys(const TieringOptions& options, TieringResult& result) {
  if (!encryption()) return;
  const MonotonicTime now = clock_->monotonic();
  try {
    if (!looked_at_keys_ || now - *looked_at_keys_ >= kKeyLooks) {
      encryption()->process_expirations();
      looked_at_keys_ = now;
    }
    if (!result.stopped_by.empty()) return;
    cold_.state().tidy_key_rings({.stop = options.stop});
    const std::size_t moves = result.promoted + result.demoted;
    // What could not be sealed anew is not tried again, nor the whole store gone over, in every run.
    if (reencrypt_not_before_ && now < *reencrypt_not_before_) return;
    if (!config_.sealing.reencrypt || moves >= options.max_operations ||
        result.bytes_moved >= options.max_bytes || result.duration >= options.max_duration) {
      return;
    }
    // Somebody's own call may take hours, and the runs have other things to do.
    const std::unique_lock mine(reencrypting_, std::try_to_lock);
    if (!mine) return;
    const ReencryptOptions bounds{.max_documents = options.max_operations - moves,
                                  .max_bytes = options.max_bytes - result.bytes_moved,
                                  .max_duration = options.max_duration - result.duration,
                                  .stop = options.stop};
    const ReencryptResult resealed = Reencryption(*this, bounds).run();
    reencrypt_not_before_.reset();
    if (!resealed.first_error.empty() && (!resealed.more || resealed.documents == 0))
      reencrypt_not_before_ = now + kFailedPause;
    result.reencrypted = resealed.documents;
    result.reencrypted_bytes = resealed.bytes;
    if (!resealed.first_error.empty()) result.errors.push_back("re-encryption: " + resealed.first_error);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::cancelled) result.errors.push_back(std::string("keys: ") + error.what());
  }
}

void TieredStore::Impl::note_encryption() {
  const sealing::Sealer& sealer = *encryption_.sealer();
  if (!sealer.has_keys()) return;
  const auto known = catalog_->reencryption();
  if (sealer.seals() && catalog_->is_new()) {
    catalog_->set_reencryption({.key = sealer.wanted_key(), .done = true, .no_plain = true});
  } else if (!sealer.seals() && known && known->key != 0) {
    // What is written from now on is plain, wherever a walk had come to.
    catalog_->set_reencryption({.key = 0});
  }
}

ReencryptResult TieredStore::Impl::reencrypt(const ReencryptOptions& options) {
  require_keys(encryption());
  const std::scoped_lock one_at_a_time(reencrypting_);
  // First: keys may have changed while nobody had the store open.
  cold_.state().tidy_key_rings({.stop = options.stop});
  return Reencryption(*this, options).run();
}

bool TieredStore::Impl::reencrypt_document(std::string_view collection, std::string_view id) {
  require_keys(encryption());
  const std::string key = catalog::document_key(collection, id);
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    tiering::ResealOrder order{.key = key, .row = require_row(key)};
    const sealing::KeyNumber wanted = encryption_.sealer()->wanted_key();
    if (!tiering::needs_resealing(order.row, wanted)) return false;
    resealer_.reseal({&order, 1}, wanted, {});
    if (order.outcome == tiering::ResealOutcome::failed) std::rethrow_exception(order.failure);
    if (order.outcome == tiering::ResealOutcome::done) return true;
  }
  throw Error(ErrorCode::unavailable, "others keep changing the document", "repeat it");
}

EncryptionStatus TieredStore::Impl::encryption_status() {
  EncryptionStatus status{.encrypted = encryption() != nullptr};
  if (!status.encrypted) return status;
  const sealing::KeyNumber wanted = encryption_.sealer()->wanted_key();
  status.writes = encryption_.sealer()->seals();
  status.active_key_id = encryption()->active_key_id();
  auto copies = cold::count_unfinished_uploads(*catalog_);
  copies.erase(0);
  for (const catalog::SealedCopies& sealed : catalog_->sealed_copies()) copies[sealed.key] += sealed.copies;
  for (const auto& [key, count] : copies) {
    status.uses.push_back({.key_id = sealing::to_text(key), .copies = count});
  }
  std::ranges::sort(status.uses, {}, &KeyUse::key_id);
  status.copies_on_old_keys = count_on_others(*catalog_, wanted);
  const auto state = catalog_->reencryption();
  status.plain_left =
      status.writes && (!(state && state->no_plain) || state->compact || catalog_->plain_arrived());
  return status;
}

}  // namespace db4
