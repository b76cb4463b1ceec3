#pragma once
// What can be configured, with the defaults. Every struct is an aggregate: name the members you change.
//
//     db4::TieredStoreConfig config{.hot = {.path = "data/hot", .max_size = 50_MiB}, .cold = {.path =
//     "data/cold"}};

#include <db4/literals.hpp>
#include <db4/sealing.hpp>
#include <db4/secret.hpp>
#include <db4/tier.hpp>
#include <db4/types.hpp>

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

namespace db4 {

class EncryptionManager;

using namespace std::chrono_literals;

/// The engine under the hot tier and the catalogue.
enum class HotType { memory, sqlite, rocksdb, postgres };
/// Where the copies of the warm tier are.
enum class WarmType { memory, disk, redis };
/// Where the objects of the cold tier are.
enum class ColdType { memory, filesystem, s3 };

/// Where a request to S3 names the bucket: https://HOST/BUCKET/NAME, or https://BUCKET.HOST/NAME. automatic:
/// in the host for AWS (unless the name has a dot, which its certificate does not cover), in the path for all
/// others.
enum class S3Addressing { automatic, path, virtual_host };

/// How a cold record's body is compressed. Stored on disk: never renumber.
enum class Compression : std::uint8_t { none = 0, gzip = 1, zstd = 2 };

/// What an acknowledged write survives: nothing, a killed process, a power cut.
enum class Durability { none, process, disk };

DB4_API std::string_view to_string(HotType type) noexcept;
DB4_API std::string_view to_string(WarmType type) noexcept;
DB4_API std::string_view to_string(ColdType type) noexcept;
DB4_API std::string_view to_string(S3Addressing addressing) noexcept;
DB4_API std::string_view to_string(Compression compression) noexcept;
DB4_API std::string_view to_string(Durability durability) noexcept;

/// The hot tier: the engine that holds rows and hot bodies, and the cache over it.
struct HotConfig {
  HotType type = HotType::rocksdb;
  /// Folder of the engine; created. Unused by HotType::memory.
  std::filesystem::path path = {};
  /// Bytes of documents that may live hot; 0: no bound. From 90 % a background run demotes, at 100 % writers
  /// wait.
  std::uint64_t max_size = 0;
  /// Bytes of memory for copies of documents, index and overhead included; 0 turns the cache off.
  std::uint64_t cache_size = 64_MiB;
  /// Larger bodies are written straight to cold.
  std::uint64_t max_body_size = 1_MiB;
  /// Bodies up to this size live inside the catalogue's row: one engine read instead of two.
  std::uint64_t inline_body_size = 1_KiB;
  Durability durability = Durability::disk;
  /// How long a write waits for room at max_size before it throws resource_exhausted.
  std::chrono::milliseconds full_timeout = 10s;

  // HotType::postgres; docs/postgres.md.
  /// "postgresql://user@host:5432/database?sslmode=verify-full", or libpq's "host=... dbname=...". What it
  /// leaves open libpq takes from its environment variables and ~/.pgpass.
  std::string url = {};
  Secret password = {};
  /// Where the tables are; created where it is missing. Several stores may share a database.
  std::string schema = "db4";
  /// Connections for reading; more reads wait for one. One more is for commits.
  std::size_t max_connections = 8;
  std::chrono::milliseconds connect_timeout = 5s;
  /// One call to the database, with all that it repeats where a connection is lost, takes at most this long.
  std::chrono::milliseconds timeout = 15s;
  /// Wall times are those of the server's clock, so that nodes whose clocks differ agree on what is due.
  bool follow_server_clock = true;
};

/// The warm tier: a cache of copies, which may be lost.
struct WarmConfig {
  WarmType type = WarmType::memory;
  /// Folder of WarmType::disk; created. May be deleted at any time while the store is closed.
  std::filesystem::path path = {};
  /// Copies are fresh for this long ...
  std::chrono::milliseconds ttl = 1h;
  /// ... and then served for this long more while one request refreshes them.
  std::chrono::milliseconds stale_while_revalidate = 5min;
  /// Bytes the cache may hold; 0 turns the warm tier off. What WarmType::redis holds is the server's to
  /// bound: there, only copies of more than a tenth of this are left out.
  std::uint64_t max_size = 256_MiB;

  // WarmType::redis; docs/redis.md.
  /// "redis://host:6379/0", "rediss://..." for TLS, "unix:///run/redis/redis.sock" or an absolute path.
  std::string endpoint = {};
  /// Empty: the server's default user.
  std::string username = {};
  Secret password = {};
  /// Certificates to trust, in PEM format. Empty: those of the system.
  std::filesystem::path ca_file = {};
  /// In front of all keys, before the store's id; for servers that others use too.
  std::string prefix = "db4:";
  /// One exchange with the server takes at most this long; so does the wait for a connection.
  std::chrono::milliseconds timeout = 500ms;
  /// A connection that takes longer (finding the address, TLS and logging in included) fails.
  std::chrono::milliseconds connect_timeout = 1s;
  /// Connections at once; more calls wait for one.
  std::size_t max_connections = 32;
};

/// The cold tier: where objects are, and how documents become objects.
struct ColdConfig {
  ColdType type = ColdType::filesystem;
  /// Folder of ColdType::filesystem; created.
  std::filesystem::path path = {};
  /// Put before every object's name; several stores may share one place.
  std::string prefix = {};
  Compression compression = Compression::zstd;
  /// 0: the codec's default (gzip 6, zstd 3).
  int compression_level = 0;
  /// Trains a dictionary for each collection where that makes small records a fifth smaller or more, zstd
  /// alone: docs/formats/record.md. What was compressed with one is readable whatever this says.
  bool dictionaries = true;
  /// Bodies of a collection, of at most 16 KiB each, that are gathered for one; 100 to 100,000.
  std::size_t dictionary_samples = 1000;
  /// Documents whose record is smaller than this are packed into segments; 0: every document is an object of
  /// its own.
  std::uint64_t pack_below = 128_KiB;
  /// A segment is closed when it reaches this size.
  std::uint64_t segment_size = 8_MiB;
  /// A freed object is deleted after this long, so that readers who know its name may finish.
  std::chrono::milliseconds garbage_grace = 10min;
  /// An object that was announced but not named by a row within this time is garbage.
  std::chrono::milliseconds intent_deadline = 1h;
  /// A large upload that nobody touched for so long is aborted by a background run; one that ended is
  /// forgotten after as long. R2 itself keeps unfinished ones for 7 days.
  std::chrono::milliseconds upload_expiry = 7_days;
  /// Puts a readable part (from collection and id) at the end of object names, for people who browse the
  /// folder.
  bool readable_names = false;

  // How the object store is asked. All of it holds for every type, and for a store given by Components too
  // (Components::bare_object_store).
  /// One request with all its repetitions takes at most this long, and a second more for each MiB that it
  /// carries; then it fails with `unavailable`. 0: no bound.
  std::chrono::milliseconds request_timeout = 60s;
  /// Attempts of one request, where the store is unavailable; 1: nothing is repeated. A request that the
  /// store refuses is never repeated.
  std::uint32_t max_attempts = 5;
  /// The pause before the n-th repetition is drawn from 0 to retry_base_delay * 2^(n-1), or to
  /// retry_max_delay.
  std::chrono::milliseconds retry_base_delay = 100ms;
  std::chrono::milliseconds retry_max_delay = 10s;
  /// Requests at once; more wait for their turn. 0: no bound.
  std::size_t max_requests_in_flight = 64;
  /// Requests begun in a second, repetitions included; 0: no bound.
  std::uint64_t max_reads_per_second = 0;
  std::uint64_t max_writes_per_second = 0;
  std::uint64_t max_deletes_per_second = 0;
  std::uint64_t max_lists_per_second = 0;

  // ColdType::s3; docs/s3.md.
  /// Must exist.
  std::string bucket = {};
  /// "https://s3.eu-central-1.amazonaws.com"; without a scheme: https. Empty: AWS_ENDPOINT_URL_S3,
  /// AWS_ENDPOINT_URL, else AWS in `region`.
  std::string endpoint = {};
  /// "auto": what the endpoint's name says, else AWS_REGION, AWS_DEFAULT_REGION, else us-east-1.
  std::string region = "auto";
  /// With secret_key. Empty: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, unless a profile is named; else
  /// the profile in the credentials file.
  std::string access_key = {};
  Secret secret_key = {};
  /// Of temporary keys.
  Secret session_token = {};
  /// Empty: AWS_PROFILE, else "default".
  std::string profile = {};
  /// Empty: AWS_SHARED_CREDENTIALS_FILE, else ~/.aws/credentials.
  std::filesystem::path credentials_file = {};
  /// Certificates to trust, in PEM format. Empty: AWS_CA_BUNDLE, else those of the system.
  std::filesystem::path ca_file = {};
  S3Addressing addressing = S3Addressing::automatic;
  /// A connection that takes longer (finding the address and TLS included) fails.
  std::chrono::milliseconds connect_timeout = 10s;
  /// One request, from when it has a connection to its end, takes at most this long. 0: no bound.
  std::chrono::milliseconds attempt_timeout = 10min;
  /// A request during which no byte moves for so long fails.
  std::chrono::milliseconds stall_timeout = 15s;
  /// Connections at once; more requests wait for one.
  std::size_t max_connections = 64;
};

/// When reading a cold or warm document makes hot its home. Converts from bool: true is `always`, false is
/// `never`.
class PromoteOnRead {
 public:
  enum Mode : std::uint8_t {
    never,
    always,
    second_read,  ///< on the second read within access_window: one scan does not flush the hot tier
  };
  constexpr PromoteOnRead(bool promote) noexcept
      : mode_(promote ? always : never) {}                      // NOLINT: wanted conversions
  constexpr PromoteOnRead(Mode mode) noexcept : mode_(mode) {}  // NOLINT
  [[nodiscard]] constexpr Mode mode() const noexcept { return mode_; }
  friend constexpr bool operator==(PromoteOnRead, PromoteOnRead) noexcept = default;

 private:
  Mode mode_;
};

/// Which tier a document belongs in, and how tiering runs; docs/choosing-thresholds.md.
struct TieringConfig {
  /// Used within this time: hot.
  std::chrono::milliseconds hot_threshold = 1h;
  /// Used within this time: warm. Longer ago: cold.
  std::chrono::milliseconds warm_threshold = 24h;
  /// This many accesses within access_window: hot, whatever the age. 0 would make everything hot: refused.
  std::uint32_t access_count_threshold = 5;
  std::chrono::milliseconds access_window = 1h;
  PromoteOnRead promote_on_read = PromoteOnRead::second_read;
  /// Tiering runs in the background this often; 0: only when run_tiering is called (or the hot tier fills
  /// up).
  std::chrono::milliseconds interval = 1min;
  /// Bounds of one background run.
  std::size_t max_operations_per_run = 100'000;
  std::uint64_t max_bytes_per_run = 1_GiB;
  std::chrono::milliseconds max_duration_per_run = 30s;
  /// How long the version of a removed document is remembered in a row of its own.
  std::chrono::milliseconds tombstone_retention = 7_days;
  /// Over a shared catalogue: a node that is about to move a document keeps the others from it for so long.
  /// Longer than a run; a dead node's documents are looked at by others after it.
  std::chrono::milliseconds claim_lease = 10min;
};

/// What AccessPatternTracker remembers, and for how long.
struct AccessPatternTrackerConfig {
  std::chrono::milliseconds history_window = 7_days;
  /// Fewer accesses than this within history_window: predicted cold.
  std::uint32_t cold_prediction_threshold = 3;
  /// No access for this long: predicted cold.
  std::chrono::milliseconds cold_age_threshold = 7_days;
  /// Recent accesses are counted over this window, by two buckets of half of it.
  std::chrono::milliseconds access_window = 1h;
  /// Keys tracked at most; about 100 bytes and the key each. At the bound those with the lowest score make
  /// room.
  std::size_t max_keys = 100'000;
};

/// How the nodes of a shared store tell each other of changes: over a stream in the Redis of the warm tier's
/// settings (warm.endpoint and what belongs to it), or by notifications of the database in hot.url.
enum class BroadcastType { none, redis, postgres };
DB4_API std::string_view to_string(BroadcastType type) noexcept;

/// How old answers may be; docs/consistency.md.
struct ConsistencyConfig {
  /// How old an answer may be, at most. 0: a read returns the newest acknowledged version.
  std::chrono::milliseconds max_stale = 0ms;
  /// Over HotType::postgres: makes copies in the memory of other nodes go when a document changes, long
  /// before max_stale. Components::broadcast_channel overrides it.
  BroadcastType broadcast = BroadcastType::none;
};

/// Prices for stats() and the bill, in dollars. Defaults: a managed database's disk against R2-like object
/// storage.
struct CostConfig {
  double hot_per_gb_month = 0.15;
  double cold_per_gb_month = 0.015;
  double per_million_object_writes = 4.50;
  double per_million_object_reads = 0.36;
};

/// The samples of figures that a store keeps.
struct StatsConfig {
  /// A sample of the store's figures is kept about this often: at the end of tiering runs, and when the store
  /// closes; 0: none.
  std::chrono::milliseconds sample_interval = 5min;
  /// Samples kept, some 2 KiB each. Past it the older half is thinned: two neighbours become one, so that a
  /// long past stays visible, more coarsely.
  std::size_t max_samples = 2048;
};

/// The socket `live.sock` in hot.path, through which `db4` and others ask a store that a process holds open
/// (docs/live.md). Only its owner, and root, may connect.
struct LiveConfig {
  bool enabled = true;  ///< never for HotType::memory
  /// Connections at once; more are refused.
  std::size_t max_clients = 16;
};

/// How a store is encrypted (docs/security.md). It is where sealing.master_key or
/// TieredStoreConfig::encryption is set; a store that was encrypted once is opened in no other way, until all
/// that was sealed is plain again.
struct SealingConfig {
  /// Where the master key is found, as master_key_from_source() takes it: "file:PATH", "env:NAME" and so on.
  /// Never the key itself. The key ring is kept in the store's own database.
  std::string master_key = {};
  /// What is written is sealed. false: it is written plain, and what is sealed is still read; with
  /// reencrypt(), that is the way out of encryption.
  bool writes = true;
  Padding padding = Padding::none;
  /// Background runs seal anew what is plain or was sealed with an older key (or, with writes = false, make
  /// plain what is sealed), within the bounds of a run.
  bool reencrypt = true;
  // Of the manager that is made for master_key, as in EncryptionConfig.
  std::chrono::seconds key_expiration = std::chrono::hours{90 * 24};
  std::chrono::seconds destruction_grace_period = std::chrono::hours{7 * 24};
};

/// Everything that can be configured of a store.
struct TieredStoreConfig {
  HotConfig hot = {};
  WarmConfig warm = {};
  ColdConfig cold = {};
  TieringConfig tiering = {};
  AccessPatternTrackerConfig tracker = {};
  ConsistencyConfig consistency = {};
  CostConfig cost = {};
  StatsConfig stats = {};
  LiveConfig live = {};
  SealingConfig sealing = {};
  /// Overrides sealing.master_key. May be shared by several stores where it has a key store of its own; where
  /// it has none, its key ring is kept in this store's database, initialize() must not have been called
  /// before, and one store at a time has it open: the same one again after it was closed, or rebuilt.
  std::shared_ptr<EncryptionManager> encryption = {};
};

}  // namespace db4
