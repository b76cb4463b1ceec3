// The doctor for encryption: keys that are due, documents that are not sealed as they should be, and where
// the master key lies.
#include <db4/doctor.hpp>
#include <db4/encryption.hpp>
#include <db4/tiered_store.hpp>

#include <sys/stat.h>

#include <algorithm>
#include <filesystem>

namespace db4 {
namespace {

namespace fs = std::filesystem;

/// From so many keys on there is time to act, and reason to.
constexpr std::size_t kManyKeys = kMaxKeys / 10 * 9;

std::string copies(std::uint64_t count, const char* one, const char* many) {
  return std::to_string(count) + (count == 1 ? std::string(" copy ") + one : std::string(" copies ") + many);
}
std::string needed(std::uint64_t count) {
  if (count == 0) return "nothing needs one";
  return copies(count, "of a document needs one", "of documents need one");
}

std::string day_of(TimePoint when) {
  const std::chrono::year_month_day day(std::chrono::floor<std::chrono::days>(when));
  const auto two = [](unsigned number) { return (number < 10 ? "0" : "") + std::to_string(number); };
  return std::to_string(static_cast<int>(day.year())) + "-" + two(static_cast<unsigned>(day.month())) + "-" +
         two(static_cast<unsigned>(day.day()));
}

/// What is sealed with which keys, by what becomes of them.
struct Uses {
  std::uint64_t older = 0;     ///< of keys that open and are not the active one
  std::uint64_t pending = 0;   ///< of keys that await their destruction
  std::uint64_t hopeless = 0;  ///< of keys that are destroyed, or that the ring has not
};

Uses sort_uses(const EncryptionStatus& status, const std::vector<KeyInfo>& keys) {
  Uses uses;
  for (const KeyUse& use : status.uses) {
    const auto key = std::ranges::find(keys, use.key_id, &KeyInfo::id);
    const KeyState state = key == keys.end() ? KeyState::destroyed : key->state;
    if (state == KeyState::decrypt_only) uses.older += use.copies;
    if (state == KeyState::pending_destruction) uses.pending += use.copies;
    if (state == KeyState::destroyed) uses.hopeless += use.copies;
  }
  return uses;
}

class Examination {
 public:
  void add(const char* check, bool right, Soundness otherwise, std::string found, std::string meaning) {
    report_.findings.push_back({.check = check,
                                .verdict = right ? Soundness::sound : otherwise,
                                .found = std::move(found),
                                .meaning = right ? std::string() : std::move(meaning)});
  }
  DoctorReport take() { return std::move(report_); }

 private:
  DoctorReport report_;
};

void examine_keys(Examination& out, const std::vector<KeyInfo>& keys, TimePoint now) {
  const auto active = std::ranges::find(keys, KeyState::active, &KeyInfo::state);
  if (active != keys.end()) {
    const bool fresh = active->expires_at > now;
    out.add("active key", fresh, Soundness::noted,
            active->id + (fresh ? ", expires on " : ", expired on ") + day_of(active->expires_at),
            "rotate it (`db4 keys rotate`); a process that holds the store does so in the background");
  }
  out.add("keys in the ring", keys.size() < kManyKeys, Soundness::noted,
          std::to_string(keys.size()) + " of at most " + std::to_string(kMaxKeys),
          "rotate more rarely: when it is full no key can be added, and the active one goes on being used");
}

void examine_uses(Examination& out, const EncryptionStatus& status, const std::vector<KeyInfo>& keys) {
  const Uses uses = sort_uses(status, keys);
  out.add(
      "keys to be destroyed", uses.pending == 0, Soundness::unsound, needed(uses.pending),
      "they cannot be read now, and never again once it is destroyed: cancel that (`db4 keys cancel`) and "
      "re-encrypt, unless they are meant to go");
  out.add("keys that are gone", uses.hopeless == 0, Soundness::unsound, needed(uses.hopeless),
          "nobody can read them: put back a copy of the key ring that has the key, or remove the documents");
  out.add("older keys", uses.older == 0, Soundness::noted,
          uses.older == 0 ? "nothing is under one" : copies(uses.older, "is under one", "are under one"),
          "seal them anew (`db4 keys reencrypt`); a process that holds the store does so in the background");
}

bool contains(const fs::path& folder, const fs::path& file) {
  if (folder.empty()) return false;
  const fs::path relative = file.lexically_relative(folder);
  return !relative.empty() && *relative.begin() != "..";
}

fs::path whole(const fs::path& path) {
  std::error_code failed;
  fs::path out = fs::weakly_canonical(fs::absolute(path), failed);
  return failed ? fs::absolute(path).lexically_normal() : out;
}

/// Whether a copy of what holds the documents is a copy of the file, too.
bool lies_with_data(const TieredStoreConfig& config, const fs::path& file) {
  std::vector<fs::path> folders;
  if (config.hot.type != HotType::memory && config.hot.type != HotType::postgres)
    folders.push_back(config.hot.path);
  if (config.cold.type == ColdType::filesystem) folders.push_back(config.cold.path);
  // Those beside each other are one store's, in a folder that is copied as a whole.
  if (folders.size() == 2) {
    const fs::path beside = whole(folders[0]).parent_path();
    if (beside == whole(folders[1]).parent_path() && beside != beside.root_path()) folders = {beside};
  }
  return std::ranges::any_of(folders, [&](const fs::path& folder) {
    return !folder.empty() && contains(whole(folder), whole(file));
  });
}

}  // namespace

DoctorReport examine_encryption(TieredStore& store) {
  const EncryptionStatus status = store.encryption_status();
  const auto encryption = store.encryption();
  if (!status.encrypted || encryption == nullptr) return {};
  const std::vector<KeyInfo> keys = encryption->list_keys();
  Examination out;
  examine_keys(out, keys, store.info().now);
  examine_uses(out, status, keys);
  out.add("new documents", status.writes, Soundness::noted,
          status.writes ? "are sealed" : "are written plain, although there are keys",
          "set encryption.writes to true, unless the store is on its way out of encryption");
  out.add("plain documents", !status.plain_left || !status.writes, Soundness::noted,
          status.plain_left ? "there may be some" : "there are none",
          "seal them (`db4 keys reencrypt`); a process that holds the store does so in the background");
  return out.take();
}

DoctorReport examine_master_key(const TieredStoreConfig& config) {
  const std::string& place = config.sealing.master_key;
  fs::path file;
  for (const std::string_view form : {"file:", "passphrase-file:"}) {
    if (place.starts_with(form)) file = place.substr(form.size());
  }
  if (file.empty()) return {};
  Examination out;
  struct stat info {};
  const bool there = ::stat(file.c_str(), &info) == 0;
  const bool ours = there && (info.st_mode & (S_IRWXG | S_IRWXO)) == 0;
  out.add("master key's file", ours, Soundness::unsound,
          !there ? "is not there, or cannot be looked at"
                 : (ours ? "is this user's alone" : "others may read or write it"),
          there ? "chmod 600, and if others may have read it: rewrap to another key, rotate and re-encrypt"
                : "the store cannot be opened without it: put it back");
  const bool apart = !lies_with_data(config, file);
  out.add("master key's place", apart, Soundness::noted,
          apart ? "apart from the data" : "in the data's folder",
          "a copy of that folder, a backup say, holds the key to itself: move it elsewhere");
  return out.take();
}

}  // namespace db4
