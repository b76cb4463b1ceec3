// Documents sealed for any storage: keys that rotate, a document that cannot be passed off as another, and a
// key that is destroyed with all that it sealed.
#include <db4/storage.hpp>

#include <filesystem>
#include <iostream>

int main(int argc, char** argv) {
  using namespace std::chrono_literals;
  const std::filesystem::path folder = argc > 1 ? argv[1] : "data";
  std::filesystem::create_directories(folder);
  // Once; then keep it where the sealed documents are not.
  db4::write_master_key_file(db4::generate_master_key(), folder / "master.key");

  const auto clock = std::make_shared<db4::SimulatedClock>();  // leave it out for real time
  const auto encryption = std::make_shared<db4::EncryptionManager>(
      db4::EncryptionConfig{.master_key = db4::master_key_from_file(folder / "master.key"),
                            .key_store = std::make_shared<db4::FileKeyStore>(folder / "keys.ring"),
                            .default_key_expiration = 90 * 24h,
                            .destruction_grace_period = 7 * 24h},
      clock);
  encryption->initialize();
  const db4::EncryptedStorageWrapper wrapper({.encryption_manager = encryption});

  const auto try_to_open = [&](const char* id, const db4::Bytes& sealed) {
    try {
      const nlohmann::json opened = wrapper.decrypt_document("users", id, sealed);
      std::cout << id << ": " << opened << "\n";
    } catch (const db4::Error& error) {
      std::cout << id << ": " << db4::to_string(error.code()) << "\n";
    }
  };

  db4::Bytes sealed = wrapper.encrypt_document("users", "user-123", {{"name", "Alice"}});
  try_to_open("user-123", sealed);
  try_to_open("user-456", sealed);  // the same bytes as somebody else's

  const db4::Bytes kept = sealed;  // in a backup, say
  clock->advance(90 * 24h);
  const auto rotated = encryption->process_expirations().rotated;  // call it once an hour
  if (wrapper.needs_reencryption(sealed)) sealed = wrapper.reencrypt_document("users", "user-123", sealed);
  std::cout << "rotated, and sealed anew: " << !wrapper.needs_reencryption(sealed) << "\n";

  encryption->schedule_destruction(rotated->old_key_id);
  try_to_open("user-123", kept);
  clock->advance(7 * 24h);
  std::cout << encryption->process_expirations().destroyed.size() << " key destroyed\n";
  try_to_open("user-123", kept);
  try_to_open("user-123", sealed);
}

// Output:
//   user-123: {"name":"Alice"}
//   user-456: corrupt
//   rotated, and sealed anew: 1
//   user-123: key_unavailable
//   1 key destroyed
//   user-123: key_destroyed
//   user-123: {"name":"Alice"}
