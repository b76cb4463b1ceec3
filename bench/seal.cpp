// Sealing and opening messages beside bare AES-256-GCM with a kept context: what the key for each record, its
// commitment and the associated data cost.
#include "harness/report.hpp"
#include "peers/raw_gcm.hpp"

#include <db4/storage.hpp>

#include <stdexcept>

namespace db4::bench {
namespace {

struct Message {
  std::size_t size;
  const char* name;
  std::optional<Aim> aim;
};

std::uint64_t last_of(ByteView bytes) { return std::to_integer<std::uint64_t>(bytes.back()); }

void compare(const Options& options, Report& report, EncryptionManager& manager, const Message& message) {
  const SealContext context{
      .store_id = "5f0c6a7e9b1d2438", .collection = "users", .id = "user-1234567", .version = 42, .codec = 1};
  Bytes plaintext(message.size);
  system_random()->fill(plaintext);
  Bytes sealed(EncryptionManager::sealed_size(message.size));
  Bytes opened(sealed.size());
  RawGcm raw;
  Bytes raw_sealed(message.size + RawGcm::kOverhead);
  Bytes raw_opened(message.size);

  const Operation seal = [&](unsigned, std::size_t) {
    manager.seal_into(sealed, plaintext, context);
    return last_of(sealed);
  };
  const Operation raw_seal = [&](unsigned, std::size_t) {
    raw.seal(plaintext, raw_sealed);
    return last_of(raw_sealed);
  };
  const Operation open = [&](unsigned, std::size_t) {
    return manager.open_into(opened, sealed, context) + last_of(opened);
  };
  const Operation raw_open = [&](unsigned, std::size_t) {
    raw.open(raw_sealed, raw_opened);
    return last_of(raw_opened);
  };
  const auto head = [&](const char* what) {
    return RowHead{.what = std::string(what) + " " + message.name,
                   .unit = "ops/s",
                   .subject = "EncryptionManager",
                   .peer = "EVP AES-256-GCM",
                   .aim = message.aim};
  };
  report.row(head("seal"), alternate_rates(options.rounds(), options.slice_seconds(), 1, seal, raw_seal));
  report.row(head("open"), alternate_rates(options.rounds(), options.slice_seconds(), 1, open, raw_open));
  if (!std::equal(plaintext.begin(), plaintext.end(), opened.begin())) {
    throw std::runtime_error("what was opened is not what was sealed");
  }
}

void run(const Options& options, Report& report) {
  EncryptionManager manager({.master_key = generate_master_key()});
  manager.initialize();
  report.section(
      "Sealing messages", "plaintexts, one thread, buffers of the caller's that are in the caches",
      "db4 derives a key for each message, commits to the data key, counts the use, and binds store, "
      "collection, id, version and codec; the peer has one key, and a nonce that counts up");
  const Message messages[] = {
      {512, "512 B", std::nullopt},
      {4_KiB, "4 KiB", Aim{.bound = 0.5, .text = "half of bare AES-256-GCM"}},
      {1_MiB, "1 MiB", Aim{.bound = 0.9, .text = "0.9 of bare AES-256-GCM"}},
  };
  for (const Message& message : messages) compare(options, report, manager, message);
}

}  // namespace
}  // namespace db4::bench

int main(int argc, char** argv) { return db4::bench::run_program("seal", argc, argv, db4::bench::run); }
