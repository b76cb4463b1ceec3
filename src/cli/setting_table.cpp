// Every setting: its key, what it means, and how it is written and read.
#include "key_place.hpp"
#include "settings.hpp"
#include "text.hpp"

#include <db4/error.hpp>

#include <array>
#include <charconv>
#include <cmath>
#include <sstream>

namespace db4::cli {
namespace {

using C = TieredStoreConfig;

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + "\"";
}

template <typename Unit, std::size_t N>
std::string in_largest_unit(std::uint64_t count, const std::array<Unit, N>& units) {
  for (const auto& [name, factor] : units) {
    if (count != 0 && count % factor == 0) return in_quotes(std::to_string(count / factor) + name);
  }
  return in_quotes(std::to_string(count) + units.back().first);
}

std::string duration_text(std::chrono::milliseconds duration) {
  static constexpr std::array<std::pair<const char*, std::uint64_t>, 5> kUnits{
      {{"d", 86'400'000}, {"h", 3'600'000}, {"min", 60'000}, {"s", 1000}, {"ms", 1}}};
  return in_largest_unit(static_cast<std::uint64_t>(duration.count()), kUnits);
}

std::string bytes_text(std::uint64_t bytes) {
  static constexpr std::array<std::pair<const char*, std::uint64_t>, 4> kUnits{
      {{"GiB", 1ULL << 30}, {"MiB", 1ULL << 20}, {"KiB", 1ULL << 10}, {"B", 1}}};
  return in_largest_unit(bytes, kUnits);
}

template <typename Section, typename Field>
Setting bytes(std::string key, Section section, Field field, std::string comment) {
  return {std::move(key), "size", std::move(comment),
          [=](const C& c) { return bytes_text(c.*section.*field); },
          [=](C& c, const std::string& text) { c.*section.*field = parse_bytes(text); }};
}

template <typename Section, typename Field>
Setting duration(std::string key, Section section, Field field, std::string comment) {
  return {std::move(key), "duration", std::move(comment),
          [=](const C& c) { return duration_text(c.*section.*field); },
          [=](C& c, const std::string& text) { c.*section.*field = parse_duration(text); }};
}

[[noreturn]] void no_number(const std::string& text, const std::string& example) {
  throw Error(ErrorCode::invalid_argument, "'" + text + "' is no number",
              "write a number such as " + example);
}

template <typename Config, typename Number>
Setting number(std::string key, Config C::*section, Number Config::*field, std::string comment) {
  return {std::move(key), "number", std::move(comment),
          [=](const C& c) { return std::to_string(c.*section.*field); },
          [=](C& c, const std::string& text) {
            Number value = 0;
            const char* end = text.data() + text.size();
            const auto [stopped, error] = std::from_chars(text.data(), end, value);
            if (error != std::errc() || stopped != end) no_number(text, "5");
            c.*section.*field = value;
          }};
}

template <typename Config>
Setting flag(std::string key, Config C::*section, bool Config::*field, std::string comment) {
  return {std::move(key), "true or false", std::move(comment),
          [=](const C& c) { return std::string(c.*section.*field ? "true" : "false"); },
          [=](C& c, const std::string& text) {
            if (text != "true" && text != "false") {
              throw Error(ErrorCode::invalid_argument, "'" + text + "' is neither true nor false",
                          "write one of them");
            }
            c.*section.*field = text == "true";
          }};
}

std::string promote_text(PromoteOnRead mode) {
  if (mode.mode() == PromoteOnRead::always) return "always";
  return mode.mode() == PromoteOnRead::never ? "never" : "second_read";
}
std::string name_of(PromoteOnRead mode) { return promote_text(mode); }
std::string name_of(Padding padding) { return padding == Padding::padme ? "padme" : "none"; }
template <typename Enum>
std::string name_of(Enum value) {
  return std::string(to_string(value));
}

template <typename Config, typename Word>
Setting words(std::string key, Config C::*section, Word Config::*field, std::vector<Word> values,
              std::string comment) {
  std::string names;
  for (const Word value : values) names += (names.empty() ? "" : ", ") + name_of(value);
  return {std::move(key), names, std::move(comment),
          [=](const C& c) { return in_quotes(name_of(c.*section.*field)); },
          [=](C& c, const std::string& text) {
            for (const Word value : values) {
              if (text != name_of(value)) continue;
              c.*section.*field = value;
              return;
            }
            throw Error(ErrorCode::invalid_argument, "'" + text + "' is none of " + names,
                        "choose one of them");
          }};
}

Setting price(std::string key, double CostConfig::*field, std::string comment) {
  return {std::move(key), "number", std::move(comment),
          [=](const C& c) {
            std::ostringstream out;
            out << c.cost.*field;
            return out.str();
          },
          [=](C& c, const std::string& text) {
            double value = 0;
            const char* end = text.data() + text.size();
            const auto [stopped, error] = std::from_chars(text.data(), end, value);
            if (error != std::errc() || stopped != end || !std::isfinite(value) || value < 0)
              no_number(text, "0.15");
            c.cost.*field = value;
          }};
}

template <typename Config, typename Text>
Setting text(std::string key, Config C::*section, Text Config::*field, std::string comment) {
  return {std::move(key), "text", std::move(comment),
          [=](const C& c) {
            if constexpr (std::is_same_v<Text, std::filesystem::path>) {
              return in_quotes((c.*section.*field).string());
            } else {
              return in_quotes(c.*section.*field);
            }
          },
          [=](C& c, const std::string& value) { c.*section.*field = value; }};
}

/// Its value is read, and never shown or written.
template <typename Config>
Setting secret(std::string key, Config C::*section, Secret Config::*field, std::string comment) {
  return {std::move(key),
          "secret",
          std::move(comment),
          [=](const C& c) { return std::string((c.*section.*field).empty() ? "\"\"" : "\"***\""); },
          [=](C& c, const std::string& value) { c.*section.*field = Secret(value); },
          /*secret=*/true};
}

/// A password has a setting of its own, which is never shown.
Setting endpoint(std::string key, std::string comment) {
  return {std::move(key), "text", std::move(comment), [](const C& c) { return in_quotes(c.warm.endpoint); },
          [](C& c, const std::string& value) {
            const std::size_t at = value.rfind('@');
            const std::size_t scheme = value.find("://");
            const std::size_t user = scheme == std::string::npos ? 0 : scheme + 3;
            if (at != std::string::npos && value.find(':', user) < at) {
              throw Error(ErrorCode::invalid_argument, "warm.endpoint has a password in it",
                          "leave it out, and set DB4_WARM_PASSWORD when the store is used");
            }
            c.warm.endpoint = value;
          }};
}

void add_hot(std::vector<Setting>& all) {
  using H = HotConfig;
  const auto s = &C::hot;
  all.push_back(words("hot.type", s, &H::type, {HotType::rocksdb, HotType::sqlite, HotType::postgres},
                      "the engine; not to be changed later"));
  all.push_back(bytes("hot.max_size", s, &H::max_size, "bytes of documents that may live hot; 0B: no bound"));
  all.push_back(bytes("hot.cache_size", s, &H::cache_size, "memory for copies of hot documents; 0B: none"));
  all.push_back(
      bytes("hot.max_body_size", s, &H::max_body_size, "larger bodies are written straight to cold"));
  all.push_back(bytes("hot.inline_body_size", s, &H::inline_body_size,
                      "bodies up to this live in the catalogue's row"));
  all.push_back(words("hot.durability", s, &H::durability,
                      {Durability::none, Durability::process, Durability::disk},
                      "what an acknowledged write survives: nothing, a killed process, a power cut"));
  all.push_back(
      duration("hot.full_timeout", s, &H::full_timeout, "how long a write waits for room at max_size"));
  all.push_back(
      text("hot.url", s, &H::url, "postgres: postgresql://USER@HOST[:PORT]/DATABASE[?sslmode=...]"));
  all.push_back(secret("hot.password", s, &H::password, "postgres: empty: PGPASSWORD, else ~/.pgpass"));
  all.push_back(text("hot.schema", s, &H::schema, "postgres: where the tables are; created"));
  all.push_back(number("hot.max_connections", s, &H::max_connections,
                       "postgres: for reading; more reads wait for one"));
  all.push_back(duration("hot.connect_timeout", s, &H::connect_timeout, "postgres: of making a connection"));
  all.push_back(duration("hot.timeout", s, &H::timeout,
                         "postgres: of one call, with all that it repeats where a connection is lost"));
  all.push_back(
      flag("hot.follow_server_clock", s, &H::follow_server_clock, "postgres: wall times are the server's"));
}

void add_warm_and_cold(std::vector<Setting>& all) {
  using W = WarmConfig;
  const auto w = &C::warm;
  all.push_back(words("warm.type", w, &W::type, {WarmType::memory, WarmType::disk, WarmType::redis},
                      "where copies are kept"));
  all.push_back(duration("warm.ttl", w, &W::ttl, "copies are fresh for this long"));
  all.push_back(duration("warm.stale_while_revalidate", w, &W::stale_while_revalidate,
                         "and then served for this long more while one request refreshes them"));
  all.push_back(bytes("warm.max_size", w, &W::max_size, "bytes of copies; 0B turns the warm tier off"));
  all.push_back(
      endpoint("warm.endpoint", "redis: redis://HOST[:PORT][/DATABASE], rediss:// for TLS, or unix:///PATH"));
  all.push_back(text("warm.username", w, &W::username, "redis: empty: the server's default user"));
  all.push_back(secret("warm.password", w, &W::password, "redis: of the user"));
  all.push_back(text("warm.ca_file", w, &W::ca_file, "redis: certificates to trust; empty: the system's"));
  all.push_back(text("warm.prefix", w, &W::prefix, "redis: in front of all keys, before the store's id"));
  all.push_back(duration("warm.timeout", w, &W::timeout,
                         "redis: of one exchange with the server, and of the wait for a connection"));
  all.push_back(duration("warm.connect_timeout", w, &W::connect_timeout, "redis: of making a connection"));
  all.push_back(number("warm.max_connections", w, &W::max_connections,
                       "redis: connections at once; more calls wait for one"));
  using K = ColdConfig;
  const auto k = &C::cold;
  all.push_back(words("cold.type", k, &K::type, {ColdType::filesystem, ColdType::s3},
                      "where objects are: in the folder cold/, or in a bucket"));
  all.push_back(text("cold.prefix", k, &K::prefix,
                     "put before every object's name; several stores may share one place"));
  all.push_back(words("cold.compression", k, &K::compression,
                      {Compression::none, Compression::gzip, Compression::zstd}, "of the records' bodies"));
  all.push_back(number("cold.compression_level", k, &K::compression_level, "0: the codec's own default"));
  all.push_back(flag("cold.dictionaries", k, &K::dictionaries,
                     "train a dictionary for each collection where that pays; zstd alone"));
  all.push_back(
      number("cold.dictionary_samples", k, &K::dictionary_samples, "bodies that are gathered for one"));
  all.push_back(
      bytes("cold.pack_below", k, &K::pack_below, "smaller records are packed into segments; 0B: none"));
  all.push_back(bytes("cold.segment_size", k, &K::segment_size, "a segment is closed at this size"));
  all.push_back(duration("cold.garbage_grace", k, &K::garbage_grace, "freed objects are deleted after this"));
  all.push_back(duration("cold.intent_deadline", k, &K::intent_deadline,
                         "an object that was announced and not named by then is garbage"));
  all.push_back(
      duration("cold.upload_expiry", k, &K::upload_expiry,
               "a large upload that nobody touched for so long is aborted; an ended one is forgotten"));
  all.push_back(
      flag("cold.readable_names", k, &K::readable_names, "end objects' names with collection and id"));
}

void add_s3(std::vector<Setting>& all) {
  using K = ColdConfig;
  const auto k = &C::cold;
  all.push_back(text("cold.bucket", k, &K::bucket, "s3: the bucket, which must exist"));
  all.push_back(text("cold.endpoint", k, &K::endpoint,
                     "s3: https://HOST[:PORT]; empty: AWS_ENDPOINT_URL_S3, else AWS in cold.region"));
  all.push_back(
      text("cold.region", k, &K::region, "s3: auto: what the endpoint says, AWS_REGION, or us-east-1"));
  all.push_back(text("cold.access_key", k, &K::access_key,
                     "s3: empty: AWS_ACCESS_KEY_ID, else the profile in the credentials file"));
  all.push_back(secret("cold.secret_key", k, &K::secret_key, "s3: of the access key"));
  all.push_back(secret("cold.session_token", k, &K::session_token, "s3: of temporary keys"));
  all.push_back(text("cold.profile", k, &K::profile, "s3: empty: AWS_PROFILE, else default"));
  all.push_back(text("cold.credentials_file", k, &K::credentials_file,
                     "s3: empty: AWS_SHARED_CREDENTIALS_FILE, else ~/.aws/credentials"));
  all.push_back(text("cold.ca_file", k, &K::ca_file,
                     "s3: certificates to trust; empty: AWS_CA_BUNDLE, else the system's"));
  all.push_back(words("cold.addressing", k, &K::addressing,
                      {S3Addressing::automatic, S3Addressing::path, S3Addressing::virtual_host},
                      "s3: where a request names the bucket"));
  all.push_back(duration("cold.connect_timeout", k, &K::connect_timeout, "s3: of making a connection"));
  all.push_back(duration("cold.attempt_timeout", k, &K::attempt_timeout,
                         "s3: of one request, once connected; 0ms: none"));
  all.push_back(duration("cold.stall_timeout", k, &K::stall_timeout,
                         "s3: a request during which nothing moves for so long fails"));
  all.push_back(number("cold.max_connections", k, &K::max_connections,
                       "s3: connections at once; more requests wait for one"));
}

void add_requests(std::vector<Setting>& all) {
  using K = ColdConfig;
  const auto k = &C::cold;
  all.push_back(duration("cold.request_timeout", k, &K::request_timeout,
                         "a request to the object store with all its repetitions, and a second more for each "
                         "MiB; 0ms: no bound"));
  all.push_back(number("cold.max_attempts", k, &K::max_attempts,
                       "of a request where the store is unavailable; 1: nothing is repeated"));
  all.push_back(duration("cold.retry_base_delay", k, &K::retry_base_delay,
                         "the first repetition waits up to this, each further one up to twice as long"));
  all.push_back(
      duration("cold.retry_max_delay", k, &K::retry_max_delay, "but no repetition longer than this"));
  all.push_back(
      number("cold.max_requests_in_flight", k, &K::max_requests_in_flight, "requests at once; 0: no bound"));
  all.push_back(number("cold.max_reads_per_second", k, &K::max_reads_per_second, "0: no bound"));
  all.push_back(number("cold.max_writes_per_second", k, &K::max_writes_per_second, "0: no bound"));
  all.push_back(number("cold.max_deletes_per_second", k, &K::max_deletes_per_second, "0: no bound"));
  all.push_back(number("cold.max_lists_per_second", k, &K::max_lists_per_second, "0: no bound"));
}

void add_tiering(std::vector<Setting>& all) {
  using T = TieringConfig;
  const auto t = &C::tiering;
  all.push_back(duration("tiering.hot_threshold", t, &T::hot_threshold, "used within this time: hot"));
  all.push_back(duration("tiering.warm_threshold", t, &T::warm_threshold,
                         "used within this time: warm; longer ago: cold"));
  all.push_back(number("tiering.access_count_threshold", t, &T::access_count_threshold,
                       "this many accesses within access_window: hot, whatever the age"));
  all.push_back(duration("tiering.access_window", t, &T::access_window, "accesses are counted over this"));
  all.push_back(words("tiering.promote_on_read", t, &T::promote_on_read,
                      {PromoteOnRead(PromoteOnRead::never), PromoteOnRead(PromoteOnRead::always),
                       PromoteOnRead(PromoteOnRead::second_read)},
                      "when reading makes hot a document's home; second_read: within access_window"));
  all.push_back(number("tiering.max_operations_per_run", t, &T::max_operations_per_run,
                       "documents that one run moves to make room in hot"));
  all.push_back(bytes("tiering.max_bytes_per_run", t, &T::max_bytes_per_run, "bytes that such a run moves"));
  all.push_back(
      duration("tiering.max_duration_per_run", t, &T::max_duration_per_run, "how long such a run takes"));
  all.push_back(duration("tiering.tombstone_retention", t, &T::tombstone_retention,
                         "how long the version of a removed document is remembered"));
  all.push_back(duration("tiering.claim_lease", t, &T::claim_lease,
                         "postgres: a document that one node is about to move is its own for so long"));
  using A = AccessPatternTrackerConfig;
  const auto a = &C::tracker;
  all.push_back(
      duration("tracker.history_window", a, &A::history_window, "accesses are remembered over this"));
  all.push_back(number("tracker.cold_prediction_threshold", a, &A::cold_prediction_threshold,
                       "fewer accesses within history_window: predicted cold"));
  all.push_back(duration("tracker.cold_age_threshold", a, &A::cold_age_threshold,
                         "no access for this long: predicted cold"));
  all.push_back(
      number("tracker.max_keys", a, &A::max_keys, "documents tracked at most, some 100 bytes each"));
  all.push_back(duration("consistency.max_stale", &C::consistency, &ConsistencyConfig::max_stale,
                         "how old an answer may be; 0ms: the newest acknowledged version"));
  all.push_back(words("consistency.broadcast", &C::consistency, &ConsistencyConfig::broadcast,
                      {BroadcastType::none, BroadcastType::redis, BroadcastType::postgres},
                      "postgres: how nodes tell each other of changes: not at all, over warm.endpoint, over "
                      "hot.url"));
}

/// Says where the key is: whoever may read the file, or an error, must not find the key itself there.
Setting master_key_place() {
  return {
      "encryption.master_key", "text",
      std::string("where the master key is, never a key itself: ") + place_forms() + "; empty: not encrypted",
      [](const C& c) { return in_quotes(c.sealing.master_key); },
      [](C& c, const std::string& value) {
        if (!value.empty()) check_place(value);
        c.sealing.master_key = value;
      }};
}

Setting seconds(std::string key, std::chrono::seconds SealingConfig::*field, std::string comment) {
  return {std::move(key), "duration", std::move(comment),
          [=](const C& c) { return duration_text(c.sealing.*field); },
          [=](C& c, const std::string& text) {
            const auto value = std::chrono::floor<std::chrono::seconds>(parse_duration(text));
            if (value != parse_duration(text)) {
              throw Error(ErrorCode::invalid_argument, "'" + text + "' is no whole number of seconds",
                          "write a duration such as 90d");
            }
            c.sealing.*field = value;
          }};
}

void add_encryption(std::vector<Setting>& all) {
  using E = SealingConfig;
  const auto e = &C::sealing;
  all.push_back(master_key_place());
  all.push_back(flag("encryption.writes", e, &E::writes,
                     "what is written is sealed; false: it is plain, and what is sealed is still read"));
  all.push_back(words("encryption.padding", e, &E::padding, {Padding::none, Padding::padme},
                      "what a sealed document's length tells: all of it, or its magnitude"));
  all.push_back(flag("encryption.reencrypt", e, &E::reencrypt,
                     "background runs seal anew what is plain or under an older key"));
  all.push_back(seconds("encryption.key_expiration", &E::key_expiration, "a key is rotated after this"));
  all.push_back(seconds("encryption.destruction_grace_period", &E::destruction_grace_period,
                        "from the order to destroy a key to its destruction"));
}

void add_rest(std::vector<Setting>& all) {
  all.push_back(price("cost.hot_per_gb_month", &CostConfig::hot_per_gb_month, "dollars a GB and month, hot"));
  all.push_back(
      price("cost.cold_per_gb_month", &CostConfig::cold_per_gb_month, "dollars a GB and month, cold"));
  all.push_back(price("cost.per_million_object_writes", &CostConfig::per_million_object_writes,
                      "dollars a million requests that write objects"));
  all.push_back(price("cost.per_million_object_reads", &CostConfig::per_million_object_reads,
                      "dollars a million requests that read objects"));
  all.push_back(duration("stats.sample_interval", &C::stats, &StatsConfig::sample_interval,
                         "a sample of the figures is kept this often; 0ms: none"));
  all.push_back(
      number("stats.max_samples", &C::stats, &StatsConfig::max_samples, "samples kept, some 2 KiB each"));
  all.push_back(
      flag("live.enabled", &C::live, &LiveConfig::enabled, "listen on live.sock for other processes"));
  all.push_back(number("live.max_clients", &C::live, &LiveConfig::max_clients, "connections at once"));
}

}  // namespace

std::string Setting::variable() const {
  std::string out = "DB4_";
  for (const char c : key) {
    const bool lower = c >= 'a' && c <= 'z';
    out += c == '.' ? '_' : (lower ? static_cast<char>(c - 'a' + 'A') : c);
  }
  return out;
}

const std::vector<Setting>& all_settings() {
  static const std::vector<Setting> all = [] {
    std::vector<Setting> made;
    add_hot(made);
    add_warm_and_cold(made);
    add_requests(made);
    add_s3(made);
    add_tiering(made);
    add_encryption(made);
    add_rest(made);
    return made;
  }();
  return all;
}

}  // namespace db4::cli
