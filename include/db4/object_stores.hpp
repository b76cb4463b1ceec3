#pragma once
// The object stores that come with db4: memory, a folder, S3. A TieredStore makes the one that its ColdConfig
// names; make one yourself to use it alone, under layers of your own, or with a MultipartUploader.
//
//     auto objects = db4::make_s3_object_store({.bucket = "attic", .endpoint = "https://s3.example.com",
//                                               .access_key = "...", .secret_key = std::getenv("SECRET")});
//     objects->put("a/name", db4::as_bytes("body"));

#include <db4/clock.hpp>
#include <db4/config.hpp>
#include <db4/object_store.hpp>

#include <filesystem>
#include <memory>
#include <string>

namespace db4 {

/// Objects in memory, gone with the store. For tests and for ColdType::memory.
DB4_API std::shared_ptr<ObjectStore> make_memory_object_store();

/// Objects as files under `root`, which is created. An object is written to a temporary name, synced,
/// renamed, and its folder synced. Throws permission_denied, read_only, unavailable.
DB4_API std::shared_ptr<ObjectStore> make_filesystem_object_store(const std::filesystem::path& root);

/// What an S3 object store is made of: the members of ColdConfig that are about S3, which say what each
/// means. docs/s3.md has an example for every provider.
struct S3Config {
  std::string bucket = {};
  std::string endpoint = {};
  std::string region = "auto";
  std::string access_key = {};
  Secret secret_key = {};
  Secret session_token = {};
  std::string profile = {};
  std::filesystem::path credentials_file = {};
  std::filesystem::path ca_file = {};
  S3Addressing addressing = S3Addressing::automatic;
  std::chrono::milliseconds connect_timeout = 10s;
  std::chrono::milliseconds attempt_timeout = 10min;
  std::chrono::milliseconds stall_timeout = 15s;
  std::size_t max_connections = 64;
};

/// The S3 part of a cold tier's configuration.
DB4_API S3Config s3_config(const ColdConfig& cold);

/// What an S3 object store noticed.
struct S3Stats {
  std::uint64_t requests = 0;     ///< sent, refused ones and repetitions included
  std::uint64_t connections = 0;  ///< opened
  /// How far the provider's clock is ahead of this machine's, as far as it had to be corrected to be let in;
  /// 0: not at all. Set the machine's clock.
  std::chrono::seconds clock_offset{0};
};

/// An object store over the S3 protocol: AWS, R2, Ceph, MinIO and others.
///
/// Every request is signed (Signature Version 4), its body included, and tried once: who wants repetitions
/// puts a layer over it. But for two cases: a clock that is off by more than the provider takes is corrected
/// by the provider's own, and the request sent again; and so is one whose kept connection turns out to be
/// closed, unless it carries a condition. Errors are those of ObjectStore, and name the setting to change.
class DB4_API S3ObjectStore : public ObjectStore {
 public:
  [[nodiscard]] virtual S3Stats stats() const = 0;
};

/// Objects in a bucket, which must exist. Asks nobody yet. Throws invalid_argument (a setting that cannot be,
/// no key, an unreadable file). `clock` signs and bounds: deadlines of CallOptions are on its monotonic time.
DB4_API std::shared_ptr<S3ObjectStore> make_s3_object_store(const S3Config& config,
                                                            std::shared_ptr<Clock> clock = system_clock());

}  // namespace db4
