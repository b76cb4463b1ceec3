// What StoreModel does with the keys of an encrypted store.
#include "store/store_model.hpp"

#include <algorithm>
#include <fstream>

namespace db4::testing {
namespace {

constexpr std::chrono::hours kKeyExpiration{20 * 24};
constexpr std::chrono::hours kDestructionGrace{7 * 24};

}  // namespace

std::shared_ptr<EncryptionManager> StoreModel::make_keys(const MasterKey& master) const {
  return std::make_shared<EncryptionManager>(EncryptionConfig{.master_key = master,
                                                              .default_key_expiration = kKeyExpiration,
                                                              .destruction_grace_period = kDestructionGrace,
                                                              .max_uses_per_key = 20'000,
                                                              .use_block = 500},
                                             clock_);
}

void StoreModel::seal(TieredStoreConfig& config) {
  if (keyless_ && chance(0.5)) return;  // else they are given, and not used
  config.sealing.writes = writes_;
  config.sealing.reencrypt = chance(0.5);
  config.sealing.padding = chance(0.2) ? Padding::padme : Padding::none;
  config.encryption = make_keys(master_);
}

void StoreModel::draw_sealing() {
  if (setup_.hot == HotType::memory) needs_keys_ = false;  // a new store
  if (needs_keys_) {
    expect_locked({});
    if (!former_master_.empty() && chance(0.3)) expect_locked(former_master_);
  }
  writes_ = chance(0.7);
  keyless_ = !needs_keys_ && !writes_;
  did_ += keyless_ ? " without keys" : writes_ ? " to seal" : " to write plain";
}

void StoreModel::expect_locked(const MasterKey& master) {
  TieredStoreConfig config = configure();
  config.encryption = master.empty() ? nullptr : make_keys(master);
  const auto failed = attempt(
      [&] { const TieredStore opened(config, Components{.clock = clock_, .object_store = objects_}); });
  EXPECT_EQ(failed, ErrorCode::key_unavailable);
}

void StoreModel::key_step() {
  struct Choice {
    unsigned weight;
    void (StoreModel::*act)();
  };
  static constexpr Choice kWithKeys[] = {
      {15, &StoreModel::rotate_key}, {15, &StoreModel::destroy_key}, {8, &StoreModel::cancel_key},
      {8, &StoreModel::expire_keys}, {20, &StoreModel::reencrypt},   {20, &StoreModel::reencrypt_document},
      {4, &StoreModel::rewrap},
  };
  static constexpr Choice kAlways[] = {
      {10, &StoreModel::upload},
      {4, &StoreModel::finish_upload},
      {2, &StoreModel::rotate_and_reopen},
      {2, &StoreModel::reopen},
  };
  std::vector<Choice> choices(std::begin(kAlways), std::end(kAlways));
  if (!keyless_) choices.insert(choices.end(), std::begin(kWithKeys), std::end(kWithKeys));
  unsigned total = 0;
  for (const Choice& choice : choices) total += choice.weight;
  auto drawn = static_cast<unsigned>(draw(total));
  for (const Choice& choice : choices) {
    if (drawn < choice.weight) return (this->*choice.act)();
    drawn -= choice.weight;
  }
}

std::uint64_t StoreModel::copies_of(std::string_view key_id) const {
  const EncryptionStatus status = store_->encryption_status();
  const auto use = std::ranges::find(status.uses, key_id, &KeyUse::key_id);
  return use == status.uses.end() ? 0 : use->copies;
}

void StoreModel::rotate_key() {
  const auto keys = store_->encryption();
  const bool keep = chance(0.85);
  const std::string active = keys->active_key_id();
  const std::uint64_t copies = copies_of(active);
  did_ = "rotate the key " + active + (keep ? "" : " and destroy it");
  const auto failed = attempt([&] { keys->rotate_key({.keep_old_key = keep}); });
  if (setup_.max_size != 0) return;  // a thread moves documents meanwhile
  if (!keep && copies > 0) {
    EXPECT_EQ(failed, ErrorCode::invalid_argument) << did_;
    EXPECT_EQ(keys->active_key_id(), active);
    return;
  }
  EXPECT_FALSE(failed) << did_;
  EXPECT_NE(keys->active_key_id(), active);
}

void StoreModel::destroy_key() {
  const auto keys = store_->encryption();
  const auto list = keys->list_keys();
  const KeyInfo& key = list[list.size() - 1 - draw(std::min<std::size_t>(list.size(), 5))];
  const std::uint64_t copies = copies_of(key.id);
  did_ = "destroy the key " + key.id + ", " + std::string(to_string(key.state)) + " with " +
         std::to_string(copies) + " copies";
  const auto failed = attempt([&] { keys->schedule_destruction(key.id); });
  if (setup_.max_size != 0) return;
  if (key.state == KeyState::destroyed) {
    EXPECT_EQ(copies, 0U) << did_;
    EXPECT_EQ(failed, ErrorCode::key_destroyed) << did_;
  } else if (key.state == KeyState::active || copies > 0) {
    EXPECT_EQ(failed, ErrorCode::invalid_argument) << did_;
  } else {
    EXPECT_FALSE(failed) << did_;
  }
}

void StoreModel::cancel_key() {
  const auto keys = store_->encryption();
  const auto list = keys->list_keys();
  const KeyInfo& key = list[list.size() - 1 - draw(std::min<std::size_t>(list.size(), 5))];
  did_ = "cancel the destruction of " + key.id + ", " + std::string(to_string(key.state));
  const auto failed = attempt([&] { keys->cancel_destruction(key.id); });
  if (key.state == KeyState::pending_destruction) {
    EXPECT_FALSE(failed) << did_;
  } else {
    EXPECT_EQ(failed,
              key.state == KeyState::destroyed ? ErrorCode::key_destroyed : ErrorCode::invalid_argument)
        << did_;
  }
}

void StoreModel::expire_keys() {
  did_ = "process expirations";
  const auto keys = store_->encryption();
  const auto before = keys->list_keys();
  const TimePoint now = clock_->now();
  ExpirationResult result;
  const auto failed = attempt([&] { result = keys->process_expirations(); });
  EXPECT_FALSE(failed) << did_;
  // Nothing is sealed with a key that is on its way.
  EXPECT_TRUE(result.still_needed.empty());
  std::vector<std::string> due;
  for (const KeyInfo& key : before) {
    if (key.state == KeyState::active) {
      EXPECT_EQ(result.rotated.has_value(), key.expires_at <= now);
    }
    if (key.state == KeyState::pending_destruction && key.destroy_after <= now) due.push_back(key.id);
  }
  EXPECT_EQ(result.destroyed, due);
}

void StoreModel::check_sealed_anew() {
  const EncryptionStatus status = store_->encryption_status();
  EXPECT_EQ(status.copies_on_old_keys, 0U) << did_;
  EXPECT_FALSE(status.plain_left) << did_;
}

void StoreModel::reencrypt() {
  ReencryptOptions options;
  if (chance(0.6)) options.max_documents = draw(40);
  if (chance(0.3)) options.max_bytes = draw(50'000);
  did_ = "reencrypt";
  ReencryptResult result;
  const auto failed = attempt([&] { result = store_->reencrypt(options); });
  if (failed) return expect_excused(*failed);
  did_ += " " + std::to_string(result.documents) + (result.more ? ", and more" : "");
  EXPECT_LE(result.documents, options.max_documents);
  EXPECT_TRUE(faults_ || result.failed == 0) << result.first_error;
  if (!result.more && result.failed == 0 && setup_.max_size == 0) check_sealed_anew();
}

void StoreModel::reencrypt_document() {
  const Key key = draw_key();
  did_ = "reencrypt " + key.second;
  const auto failed = attempt([&] { store_->reencrypt_document(key.first, key.second); });
  if (current(key) == 0) {
    EXPECT_EQ(failed, ErrorCode::invalid_argument) << did_;
    return;
  }
  if (failed) return expect_excused(*failed);
  if (setup_.max_size != 0) return;
  EXPECT_EQ(store_->explain(key.first, key.second)->key_id,
            writes_ ? store_->encryption()->active_key_id() : "");
}

void StoreModel::rewrap() {
  did_ = "rewrap";
  const MasterKey next = generate_master_key();
  const auto failed = attempt([&] { store_->encryption()->rewrap(next); });
  EXPECT_FALSE(failed) << did_;
  if (!failed) former_master_ = std::exchange(master_, next);
}

void StoreModel::upload() {
  const Key key = draw_key();
  std::string body = draw_body();
  if (chance(0.1)) body.append(draw(900'000), static_cast<char>('a' + draw(26)));
  did_ = "upload " + key.second + " of " + std::to_string(body.size());
  const std::string upload_id = "upload-" + std::to_string(step_);
  // Many break off, so that there are some in all that happens to keys.
  const bool broken = chance(0.5);
  const auto operation = chance(0.5) ? ObjectOperation::put_part : ObjectOperation::complete_multipart;
  if (broken) objects_->fail_nth(operation, 1, chance(0.5) ? FaultPoint::before : FaultPoint::after);
  UploadResult result;
  const auto failed = attempt([&] {
    result = store_->cold_storage().write_large(
        key.first, key.second, ByteSource::bytes(as_bytes(body)),
        {.concurrency = 1, .upload_id = upload_id, .content_type = "text/large"});
  });
  constexpr std::uint64_t kNever = 1ULL << 60;
  objects_->fail_nth(operation, kNever, FaultPoint::none);
  if (!failed) return acknowledge(key, {.version = result.version}, std::move(body), "text/large");
  if (!broken || failed != ErrorCode::unavailable) expect_excused(*failed);
  unfinished_[upload_id] = {key, std::move(body)};
}

void StoreModel::finish_upload() {
  if (unfinished_.empty()) return;
  const auto drawn = std::next(unfinished_.begin(), static_cast<std::ptrdiff_t>(draw(unfinished_.size())));
  const std::string upload_id = drawn->first;
  const Key key = drawn->second.first;
  std::string body = drawn->second.second;
  did_ = "finish " + upload_id + " of " + std::to_string(body.size());
  ColdStorage& cold = store_->cold_storage();
  const auto session = cold.get_upload_status(upload_id);
  if (!session || session->state == MultipartUploadState::aborted) {  // it never began, or expired
    unfinished_.erase(upload_id);
    return;
  }
  if (chance(0.2)) {
    const auto failed = attempt([&] { EXPECT_TRUE(cold.abort_upload(upload_id)); });
    if (failed) return expect_excused(*failed);
    unfinished_.erase(upload_id);
    return;
  }
  UploadResult result;
  const auto failed = attempt(
      [&] { result = cold.resume_upload(upload_id, ByteSource::bytes(as_bytes(body)), {.concurrency = 1}); });
  if (failed) return expect_excused(*failed);
  unfinished_.erase(upload_id);
  acknowledge(key, {.version = result.version}, std::move(body), "text/large");
}

void StoreModel::fail_uploads() {
  for (const ObjectOperation operation :
       {ObjectOperation::begin_multipart, ObjectOperation::put_part, ObjectOperation::complete_multipart,
        ObjectOperation::abort_multipart}) {
    if (chance(0.5)) objects_->fail_with_probability(operation, chance(0.3) ? 1.0 : 0.3);
  }
}

/// What the newest key sealed is in cold, and no background run has been since.
void StoreModel::rotate_and_reopen() {
  if (!keyless_) rotate_key();
  const Key key = draw_key();
  std::string body = draw_body();
  WriteResult result;
  did_ += ", write " + key.second + " to cold";
  const auto failed = attempt([&] {
    result = store_->write_bytes(key.first, key.second, as_bytes(body),
                                 {.tier = StorageTier::cold, .timeout = 0ms});
  });
  failed ? expect_excused(*failed) : acknowledge(key, result, std::move(body), "application/octet-stream");
  const std::string before = did_;
  reopen();
  did_ = before + ", " + did_;
}

void StoreModel::reencrypt_all() {
  bool more = true;
  for (int i = 0; more && i < 100; ++i) {
    const ReencryptResult result = store_->reencrypt();
    EXPECT_EQ(result.failed, 0U) << result.first_error;
    more = result.more;
  }
  EXPECT_FALSE(more);
  check_sealed_anew();
}

void StoreModel::end_reencrypted() {
  reopen();
  EXPECT_EQ(store_->encryption() == nullptr, keyless_);
  const UploadCleanup cleanup = store_->cold_storage().cleanup_expired_uploads(0ms);
  EXPECT_EQ(cleanup.failed, 0U) << cleanup.first_error;
  clock_->advance(8 * 24h);  // nothing that was announced for an upload is waited for any longer
  if (keyless_) return;
  reencrypt_all();
  // Older keys are not needed any more.
  const auto keys = store_->encryption();
  for (const KeyInfo& key : keys->list_keys()) {
    if (key.state == KeyState::decrypt_only) keys->schedule_destruction(key.id);
  }
  clock_->advance(kDestructionGrace);
  keys->process_expirations();
  check_everything();
}

void StoreModel::check_nothing_readable() {
  for (std::string after;;) {
    const ObjectPage page = bare_objects_->list("", after, 1000);
    for (const ObjectInfo& info : page.objects) {
      const auto bytes = bare_objects_->get(info.name, 64_MiB);
      ASSERT_TRUE(bytes) << info.name;
      EXPECT_EQ(as_text(*bytes).find(kModelCanary), std::string_view::npos) << info.name;
    }
    if (!page.more) break;
    after = page.objects.back().name;
  }
  // What was plain is not in the free space of the engine's files either.
  if (setup_.hot != HotType::sqlite && setup_.hot != HotType::rocksdb) return;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder_.path() / "hot")) {
    if (!entry.is_regular_file()) continue;
    std::ifstream in(entry.path(), std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(in)), {});
    EXPECT_EQ(bytes.find(kModelCanary), std::string::npos) << entry.path();
  }
}

}  // namespace db4::testing
