// Puts a store together, and takes it apart.
#include "catalog/spaces.hpp"
#include "objects/layer_stack.hpp"
#include "store/impl.hpp"
#include "warm/sealed_warm_cache.hpp"
#include "warm/warm_caches.hpp"

#include <db4/object_stores.hpp>
#include <db4/operations.hpp>
#include <db4/postgres_channel.hpp>
#include <db4/redis_channel.hpp>

#include <fcntl.h>
#include <sys/file.h>

namespace db4 {
namespace {

constexpr std::size_t kRefreshThreads = 2;
constexpr std::size_t kMaxQueuedRefreshes = 256;
/// TTLs of warm copies are shortened by up to this share: what was admitted together is not to be refreshed
/// together.
constexpr double kWarmTtlJitter = 0.1;

/// Checks the whole configuration before the first file is touched.
TieredStoreConfig checked(TieredStoreConfig config, const Components& components) {
  store::check_config(config, components);
  config.tracker.access_window = config.tiering.access_window;
  if (config.hot.type == HotType::memory) config.hot.durability = Durability::none;
  if (components.warm_cache == nullptr && config.warm.max_size == 0) config.warm.type = WarmType::memory;
  return config;
}

/// Reads a clock that is one for many nodes.
void follow(OffsetClock& clock, const std::function<std::optional<TimePoint>()>& server_time) {
  const MonotonicTime before = clock.monotonic();
  if (const auto time = server_time()) clock.adopt(*time, before, clock.monotonic());
}

std::unique_ptr<catalog::Catalog> open_catalog(std::unique_ptr<kv::Engine> engine,
                                               const TieredStoreConfig& config,
                                               std::shared_ptr<sealing::Sealer> sealer,
                                               const std::shared_ptr<Clock>& clock, RandomSource& random) {
  return std::make_unique<catalog::Catalog>(
      std::move(engine), clock, random,
      catalog::CatalogOptions{.durability = config.hot.durability,
                              .inline_body_size = config.hot.inline_body_size,
                              .garbage_grace = config.cold.garbage_grace,
                              .intent_deadline = config.cold.intent_deadline,
                              .sealer = std::move(sealer)});
}

std::shared_ptr<OffsetClock> make_server_clock(const HotConfig& config, const kv::Engine& engine,
                                               const std::shared_ptr<Clock>& given) {
  if (!engine.shared() || !config.follow_server_clock) return nullptr;
  auto clock = std::make_shared<OffsetClock>(given ? given : system_clock());
  follow(*clock, [&] { return engine.server_time(); });
  return clock;
}

std::shared_ptr<WarmCache> open_warm(const WarmConfig& config, std::shared_ptr<WarmCache> given,
                                     const std::string& store_id, const std::shared_ptr<Clock>& clock,
                                     const std::shared_ptr<RandomSource>& random, bool to_seal) {
  if (given) return given;
  if (config.type == WarmType::redis) {
    warm::RedisWarmCacheOptions options = warm::redis_options(config);
    options.store_id = store_id;
    options.clock = clock;
    options.random = random;
    return warm::make_redis_warm_cache(std::move(options));
  }
  if (config.type == WarmType::disk) {
    return to_seal ? warm::make_disk_warm_cache_to_seal(config.path, config.max_size)
                   : warm::make_disk_warm_cache(config.path, config.max_size);
  }
  return warm::make_memory_warm_cache(config.max_size);
}

/// What leaves memory is sealed, where the store is. A cache that is given may be anywhere.
std::shared_ptr<WarmCache> sealed_warm(std::shared_ptr<WarmCache> cache, const WarmConfig& config, bool given,
                                       const sealing::Sealer& sealer) {
  if (!sealer.seals() || (!given && config.type == WarmType::memory)) return cache;
  return warm::seal_warm_cache(std::move(cache), sealer.keys(), sealer.store_id(), nullptr, sealer.padding());
}

std::shared_ptr<BroadcastChannel> open_channel(const TieredStoreConfig& config,
                                               std::shared_ptr<BroadcastChannel> given,
                                               const std::string& store_id) {
  if (given) return given;
  const HotConfig& hot = config.hot;
  const WarmConfig& warm = config.warm;
  switch (config.consistency.broadcast) {
    case BroadcastType::none:
      break;
    case BroadcastType::postgres:
      return std::make_shared<PostgresBroadcastChannel>(
          PostgresChannelOptions{.url = hot.url,
                                 .password = hot.password,
                                 .channel = "db4_changes_" + store_id,
                                 .connect_timeout = hot.connect_timeout,
                                 .schema = hot.schema});
    case BroadcastType::redis:
      return std::make_shared<RedisBroadcastChannel>(
          RedisChannelOptions{.endpoint = warm.endpoint,
                              .username = warm.username,
                              .password = warm.password,
                              .ca_file = warm.ca_file,
                              .key = warm.prefix + "changes:" + store_id});
  }
  return nullptr;
}

std::shared_ptr<ObjectStore> open_objects(const ColdConfig& config, std::shared_ptr<Clock> clock) {
  if (config.type == ColdType::s3) return make_s3_object_store(s3_config(config), std::move(clock));
  if (config.type == ColdType::memory) return make_memory_object_store();
  return make_filesystem_object_store(config.path);
}

}  // namespace

kv::EngineOptions store::engine_options(const HotConfig& config) {
  return {.path = config.path,
          .spaces = catalog::catalog_spaces(),
          .durability = config.durability,
          .postgres = {.url = config.url,
                       .password = config.password,
                       .schema = config.schema,
                       .connect_timeout = config.connect_timeout,
                       .timeout = config.timeout,
                       .max_connections = config.max_connections}};
}

/// A store that is given gets the layers too: whoever writes one should not have to write retries, and most
/// are over a network.
objects::LayeredStore store::open_layered(const ColdConfig& config, const Components& components,
                                          const std::shared_ptr<Clock>& clock,
                                          const std::shared_ptr<RandomSource>& random) {
  auto store = components.object_store ? components.object_store : open_objects(config, clock);
  if (components.object_store && components.bare_object_store) return objects::add_metrics(store, clock);
  return objects::add_layers(std::move(store), config, clock, random);
}

TieredStore::Impl::Impl(TieredStoreConfig config, Components components)
    : config_(checked(std::move(config), components)),
      engine_(kv::open_engine(config_.hot.type, store::engine_options(config_.hot))),
      server_clock_(make_server_clock(config_.hot, *engine_, components.clock)),
      clock_(server_clock_      ? std::shared_ptr<Clock>(server_clock_)
             : components.clock ? std::move(components.clock)
                                : system_clock()),
      random_(components.random ? std::move(components.random) : system_random()),
      half_window_us_(std::chrono::microseconds{config_.tiering.access_window}.count() / 2),
      opened_at_(clock_->monotonic()),
      tracker_(config_.tracker, clock_),
      encryption_(*engine_, config_, clock_),
      catalog_(open_catalog(std::move(engine_), config_, encryption_.sealer(), clock_, *random_)),
      hot_(std::make_unique<HotStorage::State>(
          *catalog_, clock_,
          HotStorage::State::Options{.max_size = config_.hot.max_size,
                                     .cache_size = config_.hot.cache_size,
                                     .full_timeout = config_.hot.full_timeout})),
      news_(std::make_unique<store::News>(
          *catalog_, hot_.state(), clock_, random_,
          open_channel(config_, components.broadcast_channel, catalog_->store_id()))),
      warm_cache_(sealed_warm(open_warm(config_.warm, components.warm_cache, catalog_->store_id(), clock_,
                                        random_, encryption_.sealer()->seals()),
                              config_.warm, components.warm_cache != nullptr, *encryption_.sealer())),
      refreshers_({.threads = kRefreshThreads, .max_queued = kMaxQueuedRefreshes}),
      warm_(warm_cache_, clock_,
            {.ttl = config_.warm.ttl,
             .stale_while_revalidate = config_.warm.stale_while_revalidate,
             .lease = store::kRefreshLease,
             .jitter = kWarmTtlJitter,
             .shared = catalog_->shared()},
            [this](std::function<void()> task) { return refreshers_.try_submit(std::move(task)); }),
      cold_(std::make_unique<ColdStorage::State>(
          *catalog_, store::open_layered(config_.cold, components, clock_, random_), clock_, random_,
          config_.cold, encryption_.sealer())),
      fills_(clock_),
      mover_(*catalog_, hot_.state(), warm_, cold_.state(), clock_),
      runner_(*catalog_, hot_.state(), warm_, mover_, clock_, config_.tiering,
              config_.warm.max_size > 0 || components.warm_cache != nullptr, config_.hot.max_body_size,
              [this](std::string_view key) { return figures_of(key); }),
      resealer_(*catalog_, cold_.state(), clock_),
      sampler_(*catalog_, clock_, config_.stats) {
  const bool warm_in_memory = config_.warm.type == WarmType::memory && components.warm_cache == nullptr;
  encryption_.adopt(*catalog_, [this, warm_in_memory] {
    hot_.state().cache().clear();
    if (warm_in_memory) warm_.clear();  // elsewhere what it has is sealed
  });
  note_encryption();
  catalog_->add_listener(&hot_.state());
  catalog_->add_listener(news_.get());
  // A cache that outlived its store holds versions which this one counts anew, for other bodies. Not so in
  // Redis: there entries stand under the id of their store, and that of a new one was drawn just now.
  const bool named_by_store = config_.warm.type == WarmType::redis && components.warm_cache == nullptr;
  // One that was plain so far has copies in it that anybody may read.
  if (encryption_.is_new() || (catalog_->is_new() && !named_by_store)) warm_.clear();
  runner_.adopt_policy();
  background_ = std::make_unique<tiering::Background>(
      clock_, config_.tiering.interval,
      tiering::Background::Jobs{.scheduled = [this](const std::stop_token& stop) { scheduled_run(stop); },
                                .pressure = [this](const std::stop_token& stop) { relieve_pressure(stop); }});
  hot_.state().on_pressure([this] { background_->hurry(); });
}

void TieredStore::Impl::look_around() {
  if (!catalog_->shared()) return;
  if (server_clock_) follow(*server_clock_, [this] { return catalog_->server_time(); });
  catalog_->look_around();
  news_->connect();
  hot_.state().refresh_totals();
}

void TieredStore::Impl::start(TieredStore& store) {
  try {
    if (config_.live.enabled && !config_.hot.path.empty() && may_listen()) {
      server_ = std::make_unique<live::Server>(
          config_.hot.path, config_.live.max_clients,
          [this, &store](std::string_view json, std::string_view body, const std::stop_token& stop) {
            return answer(store, json, body, stop);
          });
    }
  } catch (const std::exception& error) {
    listen_error_ = std::string("the live socket: ") + error.what();
  }
  background_->start();
}

/// An engine on disk is locked while it is open. Of the processes that share one of a server, and a folder,
/// one answers there.
bool TieredStore::Impl::may_listen() {
  if (config_.hot.type == HotType::memory) return false;
  if (!catalog_->shared()) return true;
  std::filesystem::create_directories(config_.hot.path);
  const std::filesystem::path lock = config_.hot.path / "live.lock";
  listen_lock_ = FileDescriptor(::open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  return listen_lock_.open() && ::flock(listen_lock_.get(), LOCK_EX | LOCK_NB) == 0;
}

OperationReply TieredStore::Impl::answer(TieredStore& store, std::string_view json, std::string_view body,
                                         const std::stop_token& stop) const {
  try {
    return run_operation(store, json, body, stop);
  } catch (const Error& error) {
    // Using a store that one closed is a mistake; asking one that somebody else is closing is none.
    if (error.code() != ErrorCode::invalid_argument || !gate_.closed()) throw;
    throw Error(ErrorCode::unavailable, "the process that holds the store is closing it",
                "repeat in a moment");
  }
}

TieredStore::Impl::~Impl() {
  try {
    close();
  } catch (const std::exception&) {
    // Whoever wants to hear of it calls close() first.
  }
}

void TieredStore::Impl::close() {
  if (!gate_.close()) return;
  hot_.state().stop_waiting();
  background_->ask_to_stop();  // whoever waits for its run to end
  if (server_) server_->stop();
  gate_.wait_until_empty();
  background_->stop();
  std::exception_ptr failure;
  try {
    flush_access_figures();
    take_sample(/*closing=*/true);
  } catch (const std::exception&) {
    failure = std::current_exception();
  }
  news_->close();
  cold_.state().close();
  warm_.close();
  refreshers_.stop();
  encryption_.close();
  catalog_->close();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace db4
