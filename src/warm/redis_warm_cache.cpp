// A warm cache in Redis, shared by every process that has the same store open.
//
// What an entry may do to readers. A reader always asks for the version that the catalogue's row names, so an
// entry of any other version is a miss to him. So it does no harm that one node's late put of an older
// version may follow another node's removal: nobody asks for that version any more, and the next put replaces
// it. That a put replaces only what is not newer (a script, so one step for all processes) saves work; it is
// not what keeps the past away.
//
// Clearing. Every entry ends with the generation in which it was put, eight random bytes that stand in a key
// of their own, and a read asks for both in one command. To clear is to draw a new generation: one step, at
// the same moment for all processes, whatever the number of entries; those of before are not served from then
// on, and go by their time to live, or sooner when the server is short of memory. Deleting them instead (SCAN
// and UNLINK) would walk through all keys of the server, other users' included, and miss what is put
// meanwhile. A counter instead of random bytes would begin anew where the server evicted it, and bring back
// what was cleared. Where the generation's key is gone, nothing is held: that is a clear as well.
//
// Filling. A lease says who fetches what many processes miss. It is a key of its own, with the time to live
// of the lease: SET NX, but for leases that a clear ended. Every put and remove of the entry deletes it, in
// the same step, and a put under a lease asks for it, in the same step too. So a lease that still stands says
// that nobody changed the entry since it was taken, and a fill that began before a change is not stored after
// it.
#include "base/circuit_breaker.hpp"
#include "net/redis_client.hpp"
#include "warm/redis_warm_format.hpp"
#include "warm/s3_fifo.hpp"
#include "warm/warm_caches.hpp"
#include "warm/warm_entry.hpp"

#include <charconv>
#include <type_traits>

namespace db4::warm {
namespace {

using Reply = net::RedisReply;

/// Far more than a TTL should be, and far from where milliseconds would overflow in the server.
constexpr std::int64_t kMaxLifeMs = std::int64_t{10} * 365 * 24 * 3600 * 1000;
/// For the reply around a record: keys are not sent back.
constexpr std::size_t kReplyOverheadBytes = 64 << 10;

/// "evicted_keys:123" in what INFO says; 0 where it does not stand there.
std::uint64_t figure_in(std::string_view info, std::string_view name) {
  const std::size_t found = info.find(name);
  std::uint64_t value = 0;
  if (found == std::string_view::npos) return 0;
  const std::string_view rest = info.substr(found + name.size());
  (void)std::from_chars(rest.data(), rest.data() + rest.size(), value);
  return value;
}

template <typename Number>
std::optional<Number> number_in(std::string_view text) {
  Number value = 0;
  const auto [stopped, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || stopped != text.data() + text.size()) return std::nullopt;
  return value;
}

class RedisWarmCache final : public WarmCache, public WarmLeases {
 public:
  explicit RedisWarmCache(RedisWarmCacheOptions options)
      : clock_(std::move(options.clock)),
        random_(std::move(options.random)),
        max_bytes_(options.max_bytes),
        names_(options.prefix + options.store_id + ":"),
        generation_name_(names_ + "g"),
        counts_name_(names_ + "n"),
        server_(options.client.endpoint.shown()),
        endpoint_setting_(options.client.settings + "endpoint"),
        breaker_(options.breaker, clock_, random_),
        put_script_(std::string(kRedisPreamble) + std::string(kRedisPutScript)),
        remove_script_(std::string(kRedisPreamble) + std::string(kRedisRemoveScript)),
        clear_script_(std::string(kRedisClearScript)),
        take_script_(std::string(kRedisTakeScript)),
        release_script_(std::string(kRedisReleaseScript)),
        client_(bounded(std::move(options.client))) {}

  std::optional<WarmEntry> get(std::string_view key) override {
    require_key(key);
    const std::string name = name_of("e:", key);
    Reply reply;
    try {
      reply = ask([&] { return client_.command({"MGET", generation_name_, name}); });
    } catch (const net::RedisError& error) {
      if (error.failure() != net::RedisFailure::too_large) throw;
      discard(name);
      return std::nullopt;
    }
    if (reply.array.size() != 2 || !reply.array[1].is(Reply::Type::text)) return std::nullopt;
    const Reply& generation = reply.array[0];
    std::string& value = reply.array[1].text;
    const std::string_view trailer = trailer_of(value);
    std::optional<WarmEntry> entry = decode_redis_trailer(key, trailer);
    if (!entry) {
      discard(name);
      return std::nullopt;
    }
    if (!generation.is(Reply::Type::text) || generation_in(trailer) != generation.text) return std::nullopt;
    value.resize(value.size() - kRedisTrailerBytes);
    entry->record = std::make_shared<const std::string>(std::move(value));
    return entry;
  }

  void put(std::string_view key, const WarmEntry& entry) override { (void)run_put(key, entry, {}); }

  void remove(std::string_view key) override {
    require_key(key);
    (void)run_on_entry(remove_script_, key, {});
  }

  void clear() override {
    const std::string generation = drawn_number();
    const std::string_view keys[] = {generation_name_, counts_name_};
    const std::string_view arguments[] = {generation};
    (void)ask([&] { return client_.eval(clear_script_, keys, arguments); });
  }

  bool contains(std::string_view key, Version version, TimePoint now) override {
    require_key(key);
    const std::string name = name_of("e:", key);
    const std::string_view get_generation[] = {"GET", generation_name_};
    const std::string_view get_trailer[] = {"GETRANGE", name, "-52", "-1"};
    const net::RedisWords commands[] = {get_generation, get_trailer};
    const auto replies = ask([&] { return client_.pipeline(commands); });
    for (const Reply& reply : replies) client_.check(reply);
    const std::string& trailer = replies[1].text;
    const std::optional<WarmEntry> entry = decode_redis_trailer(key, trailer);
    return entry && replies[0].is(Reply::Type::text) && generation_in(trailer) == replies[0].text &&
           entry->version == version && now < entry->stale_until;
  }

  WarmCacheStats stats() const override {
    const std::string_view get_counts[] = {"HGETALL", counts_name_};
    const std::string_view get_info[] = {"INFO", "stats"};
    const net::RedisWords commands[] = {get_counts, get_info};
    const auto replies = ask([&] { return client_.pipeline(commands); });
    client_.check(replies[0]);
    WarmCacheStats out;
    count_held(replies[0], out);
    // Of the whole server, which tells for whom alone it evicted? A user who may not ask is told of none.
    const std::uint64_t evicted = figure_in(replies[1].text, "evicted_keys:");
    const std::lock_guard lock(evictions_mutex_);
    if (!evicted_before_ || *evicted_before_ > evicted) evicted_before_ = evicted_before_ ? 0 : evicted;
    out.evictions = evicted - *evicted_before_;
    return out;
  }

  WarmLeases* leases() noexcept override { return this; }

  std::optional<std::string> take(std::string_view key, std::chrono::milliseconds duration) override {
    require_key(key);
    const std::string name = name_of("l:", key);
    const std::string token = drawn_number() + drawn_number();
    const std::string life = std::to_string(std::clamp<std::int64_t>(duration.count(), 1, kMaxLifeMs));
    const std::string generation = drawn_number();
    const std::string_view keys[] = {name, generation_name_, counts_name_};
    const std::string_view arguments[] = {token, life, generation};
    const Reply reply = ask([&] { return client_.eval(take_script_, keys, arguments); });
    return reply.integer == 1 ? std::optional(token) : std::nullopt;
  }

  bool put_leased(std::string_view key, const WarmEntry& entry, std::string_view token) override {
    return run_put(key, entry, token);
  }

  void release(std::string_view key, std::string_view token) override {
    require_key(key);
    const std::string name = name_of("l:", key);
    const std::string_view keys[] = {name};
    const std::string_view arguments[] = {token};
    (void)ask([&] { return client_.eval(release_script_, keys, arguments); });
  }

  [[nodiscard]] std::uint64_t max_record_bytes() const noexcept override {
    return std::min<std::uint64_t>(max_entry_bytes(max_bytes_), kMaxRedisRecordBytes);
  }

  void close() override { client_.close(); }

 private:
  static net::RedisClientOptions bounded(net::RedisClientOptions options) {
    options.max_reply_bytes = kMaxRedisRecordBytes + kReplyOverheadBytes;
    return options;
  }
  static std::uint64_t seconds(TimePoint at) {
    return static_cast<std::uint64_t>(
        std::max<std::int64_t>(std::chrono::floor<std::chrono::seconds>(at.time_since_epoch()).count(), 0));
  }
  static std::string_view trailer_of(std::string_view value) {
    return value.substr(value.size() - std::min(value.size(), kRedisTrailerBytes));
  }

  [[nodiscard]] std::string name_of(std::string_view kind, std::string_view key) const {
    std::string name;
    name.reserve(names_.size() + kind.size() + key.size());
    name.append(names_).append(kind).append(key);
    return name;
  }
  [[nodiscard]] std::string drawn_number() const {
    std::string out;
    put_fixed(out, random_->next_u64());
    return out;
  }

  /// Makes a call, unless the server is known to be away.
  template <typename Call>
  std::invoke_result_t<const Call&> ask(const Call& call) const {
    std::optional<CircuitBreaker::Pass> pass = breaker_.enter();
    if (!pass) {
      throw Error(
          ErrorCode::unavailable,
          "Redis at " + server_ + " is left alone for a moment, since it failed: " + breaker_.reason(),
          "it is asked again by itself; start it, or check " + endpoint_setting_);
    }
    try {
      auto result = call();
      pass->succeeded();
      return result;
    } catch (const net::RedisError& error) {
      if (error.server_is_away()) {
        pass->failed(error.what());
      } else if (error.failure() != net::RedisFailure::busy) {
        pass->succeeded();  // it answered
      }
      throw;
    }
  }

  /// What no put of ours left there: the next reader is spared it.
  void discard(const std::string& name) {
    (void)ask([&] { return client_.command({"UNLINK", name}); });
  }

  /// Whether it was stored: not under a lease that has ended, nor over a newer version.
  bool run_put(std::string_view key, const WarmEntry& entry, std::string_view token) {
    require_key(key);
    require_record(entry);
    const TimePoint now = clock_->now();
    // Relative, so that it does not matter how the server's clock is set.
    const auto life = std::chrono::ceil<std::chrono::milliseconds>(entry.stale_until - now).count();
    const std::uint64_t cost = entry.record->size() + key.size() + kRedisOverheadBytes;
    const std::uint64_t until = counted_until(entry.stale_until, now);
    std::string value;
    // What is not admitted still ends the version before it.
    if (life > 0 && cost <= max_entry_bytes(max_bytes_) && entry.record->size() <= kMaxRedisRecordBytes) {
      const std::string trailer = encode_redis_trailer(key, entry, until);
      value.reserve(entry.record->size() + trailer.size());
      value.append(*entry.record).append(trailer);
    }
    std::string version;
    put_fixed(version, entry.version);
    const std::string life_ms = std::to_string(std::clamp<std::int64_t>(life, 1, kMaxLifeMs));
    return run_on_entry(put_script_, key,
                        {value, version, life_ms, drawn_number(), std::to_string(until),
                         std::to_string(seconds(now)), token}) == 1;
  }

  std::int64_t run_on_entry(const net::RedisScript& script, std::string_view key,
                            std::initializer_list<std::string_view> arguments) {
    const std::string name = name_of("e:", key);
    const std::string lease = name_of("l:", key);
    const std::string_view keys[] = {name, generation_name_, counts_name_, lease};
    return ask([&] { return client_.eval(script, keys, {arguments.begin(), arguments.size()}); }).integer;
  }

  void count_held(const Reply& counts, WarmCacheStats& out) const {
    const std::uint64_t now = seconds(clock_->now());
    std::int64_t entries = 0;
    std::int64_t bytes = 0;
    for (std::size_t i = 0; i + 1 < counts.array.size(); i += 2) {
      const std::string& field = counts.array[i].text;
      const auto value = number_in<std::int64_t>(counts.array[i + 1].text);
      if (field.empty() || !value) continue;
      const auto until = number_in<std::uint64_t>(std::string_view(field).substr(0, field.size() - 1));
      if (!until || *until <= now) continue;
      (field.back() == 'n' ? entries : bytes) += *value;
    }
    out.entries = static_cast<std::uint64_t>(std::max<std::int64_t>(entries, 0));
    out.bytes = static_cast<std::uint64_t>(std::max<std::int64_t>(bytes, 0));
  }

  const std::shared_ptr<Clock> clock_;
  const std::shared_ptr<RandomSource> random_;
  const std::uint64_t max_bytes_;
  const std::string names_;
  const std::string generation_name_;
  const std::string counts_name_;
  const std::string server_;
  const std::string endpoint_setting_;
  mutable CircuitBreaker breaker_;
  const net::RedisScript put_script_;
  const net::RedisScript remove_script_;
  const net::RedisScript clear_script_;
  const net::RedisScript take_script_;
  const net::RedisScript release_script_;
  mutable net::RedisClient client_;
  mutable std::mutex evictions_mutex_;
  mutable std::optional<std::uint64_t> evicted_before_;  ///< when it was first asked
};

}  // namespace

std::shared_ptr<WarmCache> make_redis_warm_cache(RedisWarmCacheOptions options) {
  if (options.clock == nullptr) options.clock = system_clock();
  if (options.random == nullptr) options.random = system_random();
  return std::make_shared<RedisWarmCache>(std::move(options));
}

}  // namespace db4::warm
