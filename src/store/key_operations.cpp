#include "store/key_operations.hpp"

#include <db4/doctor.hpp>
#include <db4/encryption.hpp>

#include <algorithm>
#include <tuple>

namespace db4::store {
namespace {

std::int64_t to_us(TimePoint when) noexcept { return when.time_since_epoch().count(); }

std::shared_ptr<EncryptionManager> require_encryption(const Call& call) {
  if (auto encryption = call.store.encryption()) return encryption;
  throw Error(ErrorCode::invalid_argument, "the store is not encrypted, and has no keys",
              "turn encryption on: `db4 keys init`, or TieredStoreConfig::sealing");
}

std::uint64_t copies_of(const EncryptionStatus& status, std::string_view key_id) {
  const auto use = std::ranges::find(status.uses, key_id, &KeyUse::key_id);
  return use == status.uses.end() ? 0 : use->copies;
}

Json key_json(const KeyInfo& key, std::uint64_t copies) {
  Json out{{"id", key.id},
           {"state", to_string(key.state)},
           {"created_at", to_us(key.created_at)},
           {"expires_at", to_us(key.expires_at)},
           {"uses", key.uses},
           {"copies", copies}};
  if (key.destroy_after) out["destroy_after"] = to_us(*key.destroy_after);
  return out;
}

}  // namespace

Json encryption_json(const EncryptionStatus& status) {
  Json keys = Json::array();
  for (const KeyUse& use : status.uses) keys.push_back({{"key_id", use.key_id}, {"copies", use.copies}});
  return {{"encrypted", status.encrypted},         {"writes", status.writes},
          {"active_key_id", status.active_key_id}, {"copies_on_old_keys", status.copies_on_old_keys},
          {"plain_left", status.plain_left},       {"keys", std::move(keys)}};
}

OperationReply list_keys(const Call& call) {
  const EncryptionStatus status = call.store.encryption_status();
  Json out = encryption_json(status);
  out["keys"] = Json::array();
  out["findings"] = Json::array();
  if (const auto encryption = call.store.encryption()) {
    for (const KeyInfo& key : encryption->list_keys())
      out["keys"].push_back(key_json(key, copies_of(status, key.id)));
  }
  for (const DoctorFinding& finding : examine_encryption(call.store).findings) {
    out["findings"].push_back({{"check", finding.check},
                               {"verdict", to_string(finding.verdict)},
                               {"found", finding.found},
                               {"meaning", finding.meaning}});
  }
  return reply(out);
}

OperationReply rotate_key(const Call& call) {
  const auto encryption = require_encryption(call);
  const bool destroy_old = call.arguments.flag("destroy_old");
  const KeyRotation rotation =
      encryption->rotate_key({.keep_old_key = !destroy_old, .force = call.arguments.flag("force")});
  Json out{{"old_key_id", rotation.old_key_id}, {"new_key_id", rotation.new_key_id}};
  for (const KeyInfo& key : encryption->list_keys()) {
    if (key.id == rotation.old_key_id && key.destroy_after) out["destroy_after"] = to_us(*key.destroy_after);
  }
  return reply(out);
}

OperationReply destroy_key(const Call& call) {
  const std::string key_id = call.arguments.text("key_id");
  const TimePoint when =
      require_encryption(call)->schedule_destruction(key_id, {.force = call.arguments.flag("force")});
  return reply({{"key_id", key_id}, {"destroy_after", to_us(when)}});
}

OperationReply cancel_key(const Call& call) {
  const std::string key_id = call.arguments.text("key_id");
  require_encryption(call)->cancel_destruction(key_id);
  return reply({{"key_id", key_id}, {"cancelled", true}});
}

OperationReply reencrypt(const Call& call) {
  std::ignore = require_encryption(call);
  ReencryptOptions options;
  options.max_documents = call.arguments.number_or("max_documents", options.max_documents);
  options.max_bytes = call.arguments.number_or("max_bytes", options.max_bytes);
  options.stop = call.stop;
  const ReencryptResult result = call.store.reencrypt(options);
  return reply({{"documents", result.documents},
                {"bytes", result.bytes},
                {"failed", result.failed},
                {"first_error", result.first_error},
                {"more", result.more}});
}

OperationReply reencrypt_document(const Call& call) {
  std::ignore = require_encryption(call);
  if (!call.store.get_tier(call.collection(), call.id())) return not_found();
  Json out = found(call);
  out["reencrypted"] = call.store.reencrypt_document(call.collection(), call.id());
  return reply(out);
}

}  // namespace db4::store
