#include "store/store_model.hpp"

#include "support/audit.hpp"
#include "warm/warm_caches.hpp"

#include <db4/object_stores.hpp>

#include <set>

namespace db4::testing {
namespace {

constexpr std::size_t kCheckEvery = 500;
constexpr std::chrono::minutes kGrace{10};
constexpr std::chrono::hours kIntentDeadline{1};

const std::vector<std::string>& collections() {
  static const std::vector<std::string> names{"users", "user", "a/b", "\xC3\xA9\xF0\x9F\x98\x80"};
  return names;
}
const std::vector<std::string>& odd_ids() {
  static const std::vector<std::string> names{
      "../../etc/passwd", "a", "A", "a ", "a/b", "a\x01", std::string(1024, 'x'), "con", ".",
      "\xF4\x8F\xBF\xBF"};
  return names;
}

}  // namespace

StoreModel::StoreModel(const ModelSetup& setup)
    : setup_(setup), random_(setup.seed), store_random_(seeded_random(setup.seed)) {
  if (setup_.encrypted) master_ = generate_master_key();
  open();
}

StoreModel::~StoreModel() = default;

void StoreModel::open() {
  if (!bare_objects_ || setup_.hot == HotType::memory) {
    bare_objects_ = setup_.cold == ColdType::memory ? make_memory_object_store()
                                                    : make_filesystem_object_store(folder_.path() / "cold");
    objects_ = std::make_shared<FaultObjectStore>(bare_objects_, setup_.seed);
  }
  if (setup_.warm == WarmKind::disk) {
    warm_ = std::make_shared<FaultWarmCache>(warm::make_disk_warm_cache(folder_.path() / "warm", 256_KiB),
                                             FaultWarmCache::Options{.seed = setup_.seed});
  } else if (setup_.warm == WarmKind::memory && !warm_) {
    warm_ = std::make_shared<FaultWarmCache>(
        warm::make_memory_warm_cache(256_KiB),
        FaultWarmCache::Options{.seed = setup_.seed, .outlives_store = true});
  }
  const TieredStoreConfig config = configure();
  store_ = std::make_unique<TieredStore>(
      config,
      Components{.clock = clock_, .random = store_random_, .object_store = objects_, .warm_cache = warm_});
}

TieredStoreConfig StoreModel::configure() {
  TieredStoreConfig config{
      .hot = {.type = setup_.hot,
              .path = folder_.path() / "hot",
              .max_size = setup_.max_size,
              .cache_size = chance(0.3) ? 0 : 2_MiB,
              .max_body_size = 16_KiB,
              .durability = Durability::process,
              .url = setup_.postgres_url,
              .schema = schema_,
              .follow_server_clock = false},
      .warm = {.ttl = 1h, .stale_while_revalidate = 5min, .max_size = warm_ ? 256_KiB : 0},
      .cold = {.prefix = "data/",
               .compression = static_cast<Compression>(draw(3)),
               .pack_below = 4_KiB,
               .segment_size = 64_KiB,
               .garbage_grace = kGrace,
               .intent_deadline = kIntentDeadline,
               .max_attempts = 1},  // the faults are to arrive; and nobody moves the clock while it waits
      .tiering = {.promote_on_read = static_cast<PromoteOnRead::Mode>(draw(3)), .interval = 0ms}};
  if (setup_.encrypted) seal(config);
  return config;
}

void StoreModel::run() {
  for (step_ = 1; step_ <= setup_.steps && !::testing::Test::HasFailure(); ++step_) {
    SCOPED_TRACE(::testing::Message() << "seed " << setup_.seed << ", step " << step_);
    step();
    if (step_ % kCheckEvery == 0) check_everything();
    if (::testing::Test::HasFailure()) {
      ADD_FAILURE() << "the step: " << did_;
    }
  }
  if (::testing::Test::HasFailure()) return;
  check_everything();
  check_after_all_grace();
}

void StoreModel::step() {
  if (setup_.encrypted && chance(0.12)) return key_step();
  struct Choice {
    unsigned weight;
    void (StoreModel::*act)();
  };
  static constexpr Choice kChoices[] = {
      {220, &StoreModel::write},       {40, &StoreModel::write_batch},     {60, &StoreModel::remove},
      {40, &StoreModel::remove_copy},  {280, &StoreModel::read},           {30, &StoreModel::read_batch},
      {130, &StoreModel::move},        {50, &StoreModel::run_tiering},     {40, &StoreModel::look},
      {20, &StoreModel::scan},         {20, &StoreModel::collect_garbage}, {60, &StoreModel::advance},
      {8, &StoreModel::change_faults}, {2, &StoreModel::reopen},           {8, &StoreModel::change_pins},
      {20, &StoreModel::compact},
  };
  unsigned total = 0;
  for (const Choice& choice : kChoices) total += choice.weight;
  auto drawn = static_cast<unsigned>(draw(total));
  for (const Choice& choice : kChoices) {
    if (drawn < choice.weight) return (this->*choice.act)();
    drawn -= choice.weight;
  }
}

void StoreModel::expect_excused(ErrorCode code) {
  // Without time to wait: no room, or the thread that makes room moved the document first.
  const bool full =
      setup_.max_size != 0 && (code == ErrorCode::resource_exhausted ||
                               code == ErrorCode::deadline_exceeded || code == ErrorCode::too_large);
  EXPECT_TRUE(full || (faults_ && code == ErrorCode::unavailable)) << did_;
}

StoreModel::Key StoreModel::draw_key() {
  const std::string& collection = collections()[draw(collections().size())];
  if (chance(0.1)) return {collection, odd_ids()[draw(odd_ids().size())]};
  return {collection, "id-" + std::to_string(draw(40))};
}

std::string StoreModel::draw_body() {
  // Inside the row, beside it, its own object, and straight to cold.
  const std::uint64_t kind = draw(100);
  const std::size_t size = kind < 5    ? 0
                           : kind < 70 ? draw(1025)
                           : kind < 90 ? 1000 + draw(3000)
                           : kind < 97 ? 4000 + draw(12'000)
                                       : 16'000 + draw(10'000);
  std::string body(size, '\0');
  for (char& c : body) c = static_cast<char>(draw(chance(0.5) ? 4 : 256));
  if (setup_.encrypted && size >= kModelCanary.size()) body.replace(0, kModelCanary.size(), kModelCanary);
  return body;
}

std::optional<StorageTier> StoreModel::draw_tier() {
  if (chance(0.7)) return std::nullopt;
  return static_cast<StorageTier>(draw(3));
}

std::optional<Version> StoreModel::draw_if_version(Version current) {
  if (chance(0.6)) return std::nullopt;
  if (chance(0.6)) return current;
  return draw(4);
}

void StoreModel::acknowledge(const Key& key, const WriteResult& result, std::string body,
                             std::string content_type) {
  EXPECT_GT(result.version, highest_[key]) << "versions only rise";
  highest_[key] = result.version;
  Expected& expected = documents_[key];
  expected = {.body = std::move(body),
              .content_type = std::move(content_type),
              .version = result.version,
              .reads = expected.reads};
}

void StoreModel::write() {
  const Key key = draw_key();
  std::string body = draw_body();
  const bool json = chance(0.3);
  if (json) body = nlohmann::json{{"bytes", body.size()}, {"step", step_}}.dump();
  WriteOptions options{.tier = draw_tier(), .if_version = draw_if_version(current(key)), .timeout = 0ms};
  if (chance(0.2)) options.content_type = "text/x-" + std::to_string(draw(5));
  did_ = "write " + key.second + " of " + std::to_string(body.size());
  const Version stands = current(key);
  WriteResult result;
  const auto failed = attempt([&] {
    result = json ? store_->write_json_text(key.first, key.second, body, options)
                  : store_->write_bytes(key.first, key.second, as_bytes(body), options);
  });
  if (options.if_version && *options.if_version != stands) {
    EXPECT_EQ(failed, ErrorCode::conflict);
    return;
  }
  if (failed) return expect_excused(*failed);
  if (setup_.max_size == 0) {
    if (!options.tier) {
      EXPECT_EQ(result.tier, body.size() > 16_KiB ? StorageTier::cold : StorageTier::hot);
    }
    if (!faults_) {
      EXPECT_EQ(result.tier, store_->get_tier(key.first, key.second));
    }
  }
  const std::string otherwise = json ? "application/json" : "application/octet-stream";
  acknowledge(key, result, std::move(body), options.content_type.empty() ? otherwise : options.content_type);
}

void StoreModel::write_batch() {
  const std::string collection = draw_key().first;
  std::vector<BatchItem> items;
  std::set<std::string> ids;
  bool conflict = false;
  for (std::size_t i = 1 + draw(8); i > 0; --i) {
    Key key = draw_key();
    key.first = collection;
    if (!ids.insert(key.second).second) continue;
    const auto if_version = chance(0.9) ? std::nullopt : draw_if_version(current(key));
    conflict |= if_version && *if_version != current(key);
    items.push_back(
        {.id = key.second, .body = draw_body(), .content_type = "text/any", .if_version = if_version});
  }
  did_ = "write_batch of " + std::to_string(items.size());
  std::vector<WriteResult> results;
  const auto failed = attempt(
      [&] { results = store_->write_batch(collection, items, {.tier = draw_tier(), .timeout = 0ms}); });
  if (conflict) {
    EXPECT_EQ(failed, ErrorCode::conflict);
    return;
  }
  if (failed) return expect_excused(*failed);
  ASSERT_EQ(results.size(), items.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    acknowledge({collection, items[i].id}, results[i], items[i].body, "text/any");
  }
}

void StoreModel::remove() {
  const Key key = draw_key();
  did_ = "remove " + key.second;
  const Version stands = current(key);
  const auto if_version = draw_if_version(stands);
  try {
    const bool existed = store_->remove(key.first, key.second, {.if_version = if_version});
    EXPECT_TRUE(!if_version || *if_version == stands);
    EXPECT_EQ(existed, stands != 0);
    documents_.erase(key);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::conflict) << error.what();
    EXPECT_TRUE(if_version && *if_version != stands);
    EXPECT_EQ(error.current_version(), stands);
  }
}

void StoreModel::remove_copy() {
  const Key key = draw_key();
  const auto tier = static_cast<StorageTier>(draw(3));
  did_ = "remove the copy in " + std::string(to_string(tier)) + " of " + key.second;
  try {
    const bool existed = store_->remove(key.first, key.second, {.tier = tier});
    if (existed) {
      EXPECT_NE(current(key), 0U);
    }
    if (existed && setup_.max_size == 0 && !faults_ && tier == StorageTier::hot) {
      EXPECT_NE(store_->get_tier(key.first, key.second), StorageTier::hot);
    }
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_argument) << error.what();
    EXPECT_NE(current(key), 0U);
  }
}

void StoreModel::check_document(const Key& key, const std::optional<Document>& document) {
  const auto expected = documents_.find(key);
  ASSERT_EQ(document.has_value(), expected != documents_.end()) << key.first << "/" << key.second;
  if (!document) return;
  ++expected->second.reads;
  EXPECT_EQ(document->collection(), key.first);
  EXPECT_EQ(document->id(), key.second);
  EXPECT_EQ(document->version(), expected->second.version);
  EXPECT_TRUE(document->text() == expected->second.body) << key.first << "/" << key.second;
  const DocumentMeta meta = document->meta();
  EXPECT_EQ(meta.content_type, expected->second.content_type);
  // A copy in memory does not hear of reads that were counted elsewhere meanwhile.
  EXPECT_LE(meta.access_count, expected->second.reads) << key.first << "/" << key.second;
}

void StoreModel::read() {
  const Key key = draw_key();
  ReadOptions options;
  if (chance(0.3)) options.promote = chance(0.5);
  options.stale_if_error = chance(0.2);
  did_ = "read " + key.second;
  std::optional<Document> document;
  if (chance(0.1)) {
    options.expected_version = current(key) + 1;
    if (current(key) == 0) {
      EXPECT_FALSE(store_->read(key.first, key.second, options));
      return;
    }
    // A hit in memory counts before its version is looked at; over a shared engine the row is looked at
    // first.
    const bool counts = setup_.hot != HotType::postgres;
    documents_[key].reads += counts && store_->hot_storage().in_memory(key.first, key.second) ? 1 : 0;
    try {
      (void)store_->read(key.first, key.second, options);
      ADD_FAILURE() << "a version that was never written";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::conflict);
      EXPECT_EQ(error.current_version(), current(key));
    }
    return;
  }
  if (const auto failed = attempt([&] { document = store_->read(key.first, key.second, options); })) {
    return expect_excused(*failed);
  }
  check_document(key, document);
}

void StoreModel::read_batch() {
  const std::string collection = draw_key().first;
  std::vector<std::string> ids;
  for (std::size_t i = draw(6); i > 0; --i) ids.push_back(draw_key().second);
  did_ = "read_batch of " + std::to_string(ids.size());
  // One by one with faults: a batch that fails has read (and counted) some of them.
  if (faults_) return;
  const auto documents = store_->read_batch(collection, ids);
  ASSERT_EQ(documents.size(), ids.size());
  for (std::size_t i = 0; i < ids.size(); ++i) check_document({collection, ids[i]}, documents[i]);
}

void StoreModel::change_pins() {
  const Key key = draw_key();
  const auto scope = static_cast<PinScope>(1 + draw(3));
  // A hot tier full of pinned documents would have room for nothing else.
  if (setup_.max_size != 0 && scope != PinScope::document) return;
  const std::string id = scope == PinScope::collection ? ""
                         : scope == PinScope::prefix   ? "id-" + std::to_string(draw(4))
                                                       : key.second;
  const auto target = std::tuple(scope, key.first, id);
  did_ = "pin or unpin " + key.first + "/" + id + " as " + std::string(to_string(scope));
  if (chance(0.6)) {
    EXPECT_EQ(store_->unpin(key.first, scope, id), pins_.erase(target) == 1);
    return;
  }
  const auto tier = static_cast<StorageTier>(draw(3));
  store_->pin({.collection = key.first, .scope = scope, .id = id, .tier = tier});
  pins_[target] = tier;
}

std::optional<StorageTier> StoreModel::pinned(const Key& key) const {
  const auto& [collection, id] = key;
  if (const auto found = pins_.find({PinScope::document, collection, id}); found != pins_.end()) {
    return found->second;
  }
  for (std::size_t length = id.size(); length > 0; --length) {
    const auto found = pins_.find({PinScope::prefix, collection, id.substr(0, length)});
    if (found != pins_.end()) return found->second;
  }
  const auto found = pins_.find({PinScope::collection, collection, ""});
  return found == pins_.end() ? std::nullopt : std::optional(found->second);
}

void StoreModel::move() {
  const Key key = draw_key();
  const auto to = static_cast<StorageTier>(draw(3));
  const bool up = chance(0.5);
  const MoveOptions options{.keep_in_source = chance(0.2)};
  const auto from = store_->get_tier(key.first, key.second);
  did_ = std::string(up ? "promote " : "demote ") + key.second + " to " + std::string(to_string(to));
  EXPECT_EQ(from.has_value(), current(key) != 0);
  bool moved = false;
  const auto failed = attempt([&] {
    moved = up ? store_->promote(key.first, key.second, to, options)
               : store_->demote(key.first, key.second, to, options);
  });
  const bool refused = failed == ErrorCode::invalid_argument;
  if (failed && !refused) return expect_excused(*failed);
  // Faults of the warm cache (and a thread that makes room) change tiers under our hands.
  if (faults_ || setup_.max_size != 0) return;
  const bool wrong =
      !from || pinned(key).value_or(to) != to || (up ? is_colder(to, *from) : is_hotter(to, *from));
  EXPECT_EQ(refused, wrong);
  if (refused) return;
  if (to == *from) {
    EXPECT_FALSE(moved);
  }
  // A large document is more than a warm cache of this size holds.
  if (to == StorageTier::warm && documents_[key].body.size() > 60'000) return;
  const auto now = store_->get_tier(key.first, key.second);
  if (moved && !options.keep_in_source && (warm_ || to != StorageTier::warm)) {
    EXPECT_EQ(now, to);
  }
  if (!moved || (!up && options.keep_in_source)) {
    EXPECT_EQ(now, from);
  }
}

void StoreModel::run_tiering() {
  did_ = "run_tiering";
  TieringOptions options;
  if (chance(0.5)) options.max_operations = draw(20);
  if (chance(0.3)) options.max_bytes = draw(20'000);
  std::optional<TieringResult> planned;
  const bool settled = !faults_ && setup_.max_size == 0;
  if (settled && chance(0.5)) {
    options.dry_run = true;
    planned = store_->run_tiering(options);
    options.dry_run = false;
  }
  TieringResult result;
  if (const auto failed = attempt([&] { result = store_->run_tiering(options); })) {
    return expect_excused(*failed);
  }
  EXPECT_LE(result.promoted + result.demoted, options.max_operations);
  if (!settled) return;
  EXPECT_EQ(result.failed, 0U) << (result.errors.empty() ? "" : result.errors[0]);
  if (!planned) return;
  ASSERT_EQ(planned->moves.size(), result.moves.size());
  for (std::size_t i = 0; i < result.moves.size(); ++i) {
    EXPECT_EQ(planned->moves[i].id, result.moves[i].id);
    EXPECT_EQ(planned->moves[i].to, result.moves[i].to);
    EXPECT_EQ(planned->moves[i].reason, result.moves[i].reason);
  }
}

void StoreModel::look() {
  const Key key = draw_key();
  did_ = "look at " + key.second;
  const auto explained = store_->explain(key.first, key.second);
  const auto tier = store_->get_tier(key.first, key.second);
  EXPECT_EQ(explained.has_value(), current(key) != 0);
  EXPECT_EQ(tier.has_value(), current(key) != 0);
  if (explained) {
    EXPECT_EQ(explained->meta.version, current(key));
    EXPECT_FALSE(explained->copies.empty());
    EXPECT_FALSE(explained->outlook.empty());
    if (!faults_ && setup_.max_size == 0) {
      EXPECT_EQ(explained->meta.tier, tier);
    }
  }
  if (chance(0.3)) store_->flush_access_figures();
}

void StoreModel::scan() {
  const std::string collection = draw_key().first;
  ScanOptions options{.prefix = chance(0.5) ? "" : "id-1", .limit = 1 + draw(12)};
  did_ = "scan " + collection;
  std::vector<std::string> seen;
  do {
    const ScanPage page = store_->scan(collection, options);
    EXPECT_LE(page.items.size(), options.limit);
    for (const ScanItem& item : page.items) {
      seen.push_back(item.id);
      const auto expected = documents_.find({collection, item.id});
      ASSERT_NE(expected, documents_.end()) << item.id;
      EXPECT_EQ(item.meta.version, expected->second.version);
      EXPECT_EQ(item.meta.size, expected->second.body.size());
      EXPECT_EQ(item.meta.content_type, expected->second.content_type);
      EXPECT_LE(item.meta.access_count, expected->second.reads) << item.id;
    }
    options.cursor = page.cursor;
  } while (!options.cursor.empty());
  std::vector<std::string> wanted;
  for (const auto& [key, expected] : documents_) {
    if (key.first == collection && key.second.starts_with(options.prefix)) wanted.push_back(key.second);
  }
  EXPECT_EQ(seen, wanted);
}

void StoreModel::collect_garbage() {
  did_ = "collect_garbage";
  const auto failed = attempt([&] { store_->cold_storage().collect_garbage({.max_objects = 1 + draw(50)}); });
  if (failed) expect_excused(*failed);
}

void StoreModel::compact() {
  const CompactResult result = store_->cold_storage().compact(
      {.max_segments = 1 + draw(5), .max_records = 1 + draw(100), .max_bytes = 1 + draw(100'000)});
  did_ = "compact " + std::to_string(result.segments) + " segments" + result.first_error;
  EXPECT_TRUE(faults_ || result.first_error.empty()) << result.first_error;
  EXPECT_EQ(result.damaged_records, 0U);
}

void StoreModel::advance() {
  static constexpr std::chrono::seconds kSteps[] = {1s, 30s, 5min, 20min, 1h, 1h, 6h, 25h, 8 * 24h};
  const std::chrono::seconds by = kSteps[draw(std::size(kSteps))];
  did_ = "advance " + std::to_string(by.count()) + " s";
  clock_->advance(by + std::chrono::milliseconds(draw(1000)));
}

void StoreModel::stop_faults() {
  faults_ = false;
  objects_->clear_faults();
  if (warm_) warm_->fail_with_probability(0);
}

void StoreModel::change_faults() {
  did_ = "change the faults";
  stop_faults();
  if (chance(0.5)) return;
  faults_ = true;
  for (const ObjectOperation operation :
       {ObjectOperation::put, ObjectOperation::get_range, ObjectOperation::remove}) {
    if (chance(0.5)) objects_->fail_with_probability(operation, chance(0.3) ? 1.0 : 0.3);
  }
  if (warm_ && chance(0.5)) warm_->fail_with_probability(chance(0.3) ? 1.0 : 0.3);
  if (setup_.encrypted) fail_uploads();
}

void StoreModel::reopen() {
  did_ = "reopen";
  store_->close();
  store_.reset();
  if (setup_.hot == HotType::memory) {
    // Its versions start anew, which the warm cache has seen; but not in the same microsecond.
    clock_->advance(1s);
    documents_.clear();
    pins_.clear();
    highest_.clear();
    unfinished_.clear();
    stop_faults();
  } else if (!faults_ || setup_.encrypted) {
    audit_closed(/*nothing_left=*/false);
  }
  if (setup_.encrypted) draw_sealing();
  open();
  if (!setup_.encrypted) return;
  if (!keyless_ && !faults_ && chance(0.4)) reencrypt_all();
  check_everything();
}

void StoreModel::audit_closed(bool nothing_left) {
  const AuditReport report = audit_closed_store(setup_.hot, folder_.path() / "hot", *bare_objects_,
                                                {.url = setup_.postgres_url, .schema = schema_},
                                                setup_.encrypted ? make_keys(master_) : nullptr);
  EXPECT_TRUE(report.clean()) << report;
  needs_keys_ = report.needs_keys;
  EXPECT_EQ(report.documents, documents_.size());
  if (!nothing_left) return;
  EXPECT_EQ(report.intents + report.garbage + report.empty_segments, 0U) << report;
}

void StoreModel::check_everything() {
  const bool faults = faults_;
  if (faults) stop_faults();
  did_ += ", then the check of everything";
  for (const auto& [key, expected] : documents_) {
    check_document(key, store_->read(key.first, key.second, {.promote = false}));
  }
  store_->flush_access_figures();
  std::map<std::string, CollectionInfo> wanted;
  std::uint64_t bytes = 0;
  for (const auto& [key, expected] : documents_) {
    CollectionInfo& info = wanted[key.first];
    info.name = key.first;
    ++info.documents;
    info.bytes += expected.body.size();
    bytes += expected.body.size();
    EXPECT_EQ(store_->explain(key.first, key.second)->meta.access_count, expected.reads) << key.second;
  }
  const auto found = store_->collections();
  ASSERT_EQ(found.size(), wanted.size());
  auto next = wanted.begin();
  for (const CollectionInfo& info : found) {
    EXPECT_EQ(info.name, next->second.name);
    EXPECT_EQ(info.documents, next->second.documents);
    EXPECT_EQ(info.bytes, next->second.bytes);
    ++next;
  }
  const StoreStats stats = store_->stats();
  EXPECT_EQ(stats.hot.documents + stats.cold.documents, documents_.size());
  EXPECT_EQ(stats.hot.bytes + stats.cold.bytes, bytes);
  if (setup_.max_size != 0) {
    EXPECT_LE(stats.hot.bytes, setup_.max_size);
  }
  EXPECT_EQ(stats.damaged_copies, 0U);
  if (faults && setup_.encrypted) change_faults();
}

void StoreModel::check_after_all_grace() {
  stop_faults();
  if (setup_.encrypted) end_reencrypted();
  // Announced objects expire, garbage falls due, segments are looked at, and then deleted.
  for (int round = 0; round < 4; ++round) {
    clock_->advance(kIntentDeadline + kGrace);
    while (store_->cold_storage().collect_garbage().more) {
    }
  }
  store_->close();
  store_.reset();
  if (setup_.hot != HotType::memory) audit_closed(/*nothing_left=*/true);
  if (setup_.encrypted && writes_) check_nothing_readable();
}

}  // namespace db4::testing
