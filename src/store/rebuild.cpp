// Rebuilding a catalogue from the cold objects alone.
#include "base/hash.hpp"
#include "base/wiping.hpp"
#include "catalog/spaces.hpp"
#include "codec/segment.hpp"
#include "cold/key_ring_copies.hpp"
#include "cold/object_names.hpp"
#include "sealing/framed_record.hpp"
#include "sealing/sealed_record.hpp"
#include "store/impl.hpp"
#include "store/rebuild_target.hpp"

#include <db4/rebuild.hpp>

#include <algorithm>
#include <deque>
#include <future>
#include <map>
#include <tuple>
#include <unordered_set>

namespace db4 {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kListPage = 1000;
constexpr std::size_t kStoreIdDigits = 16;
/// What cold does not know of (removed, or only hot) had versions too, in all likelihood fewer than these.
constexpr Version kVersionGap = 1ULL << 20;
/// How long objects stay that hold older copies alone: time to look at what came back.
constexpr auto kOlderCopiesGrace = 7 * 24h;
constexpr std::uint64_t kMaxSegmentBytes = 4ULL << 30;

bool is_store_id(std::string_view text) { return cold::is_hex(text, kStoreIdDigits); }

std::int64_t to_us(TimePoint when) { return when.time_since_epoch().count(); }

/// An object's bytes, as far as they are needed to judge it.
struct Fetched {
  ObjectInfo info;
  std::optional<Bytes> bytes;  ///< all of it, or the first ones of something large
  std::optional<Error> failure;
};

/// A copy of a document that was found.
struct Copy {
  std::string key;
  catalog::Row row;
};

/// Dictionaries that were found, and which collections' records name them.
class FoundDictionaries final : public codec::DictionarySource {
 public:
  std::shared_ptr<const codec::Dictionary> find_dictionary(std::uint32_t id) override {
    const auto found = by_id_.find(id);
    return found == by_id_.end() ? nullptr : found->second;
  }
  void add(std::shared_ptr<const codec::Dictionary> dictionary) {
    by_id_.emplace(dictionary->id(), std::move(dictionary));
  }
  /// The newest record's is the one that a collection goes on with.
  void note_use(std::string_view collection, std::uint32_t id, Version version) {
    if (id == 0) return;
    Use& use = uses_[std::string(collection)];
    if (version >= use.version) use = {.id = id, .version = version};
  }
  struct Use {
    std::uint32_t id = 0;
    Version version = 0;
  };
  [[nodiscard]] const std::map<std::string, Use>& uses() const noexcept { return uses_; }

 private:
  std::map<std::uint32_t, std::shared_ptr<const codec::Dictionary>> by_id_;
  std::map<std::string, Use> uses_;
};

class Rebuilder {
 public:
  Rebuilder(const TieredStoreConfig& config, const RebuildOptions& options, ObjectStore& objects,
            std::shared_ptr<Clock> clock, RandomSource& random, kv::EngineOptions engine)
      : config_(config), options_(options), objects_(objects), clock_(std::move(clock)) {
    result_.store_id = options.store_id.empty() ? find_store_id() : options.store_id;
    engine.durability = Durability::process;
    auto opened = kv::open_engine(config.hot.type, engine);
    open_keys(*opened);
    catalog_ = std::make_unique<catalog::Catalog>(
        std::move(opened), clock_, random,
        catalog::CatalogOptions{.durability = Durability::process,
                                .inline_body_size = config.hot.inline_body_size,
                                .garbage_grace = std::max<std::chrono::microseconds>(
                                    config.cold.garbage_grace, kOlderCopiesGrace),
                                .intent_deadline = config.cold.intent_deadline,
                                .sealer = encryption_->sealer(),
                                .new_store_id = result_.store_id});
  }

  RebuildResult run() {
    const std::string prefix = config_.cold.prefix + result_.store_id + "/";
    // First of all: records are judged with them.
    find_dictionaries(prefix);
    std::deque<std::future<Fetched>> ahead;
    const auto take = [&] {
      const Fetched next = ahead.front().get();
      ahead.pop_front();
      look_at(next);
    };
    for (std::string after;;) {
      const ObjectPage page = objects_.list(prefix, after, kListPage, call());
      for (const ObjectInfo& info : page.objects) {
        if (is_no_document(info.name, prefix)) continue;
        if (ahead.size() >= options_.concurrency) take();
        ahead.push_back(std::async(std::launch::async, [this, info] { return fetch(info); }));
      }
      if (!page.more || page.objects.empty()) break;
      after = page.objects.back().name;
    }
    while (!ahead.empty()) take();
    // One key that is gone, or none at all, is no reason to give up the rest; nothing that opens is another
    // matter.
    if (found_ == 0 && locked_) throw *locked_;
    if (result_.objects == 0) {
      throw Error(ErrorCode::invalid_argument, "there is no object under \"" + prefix + "\"",
                  "check cold.prefix and the store id");
    }
    for (const auto& [collection, use] : dictionaries_.uses()) catalog_->use_dictionary(collection, use.id);
    look_for_uploads(prefix);
    catalog_->raise_version_floor(highest_ + kVersionGap);
    const catalog::Totals totals = catalog_->totals();
    result_.documents = totals[catalog::Metric::cold_documents];
    result_.document_bytes = totals[catalog::Metric::cold_bytes];
    catalog_->sync();
    encryption_->close();
    catalog_->close();
    return std::move(result_);
  }

 private:
  [[nodiscard]] CallOptions call() const { return {.stop = options_.stop}; }

  void check_stop() const {
    if (!options_.stop.stop_requested()) return;
    throw Error(ErrorCode::cancelled, "the rebuilding was stopped; nothing was changed", "begin it anew");
  }

  /// The first parts of the names under the prefix; a listing skips from one to the next.
  std::string find_store_id() const {
    std::vector<std::string> ids;
    const std::string& prefix = config_.cold.prefix;
    for (std::string after;;) {
      const ObjectPage page = objects_.list(prefix, after, 1, call());
      if (page.objects.empty()) break;
      const std::string& name = page.objects.front().name;
      const std::string_view rest = std::string_view(name).substr(prefix.size());
      const std::string id(rest.substr(0, kStoreIdDigits));
      if (is_store_id(id) && rest.size() > kStoreIdDigits && rest[kStoreIdDigits] == '/') {
        ids.push_back(id);
        after = prefix + id + "0";  // behind every name that goes on with '/'
      } else {
        after = name;
      }
      if (ids.size() > 1) break;
    }
    if (ids.size() == 1) return ids.front();
    if (ids.empty()) {
      throw Error(ErrorCode::invalid_argument,
                  "there are no objects of a db4 store under the prefix \"" + prefix + "\"",
                  "check cold.path or cold.bucket, and cold.prefix");
    }
    throw Error(
        ErrorCode::invalid_argument,
        "there are several stores under the prefix \"" + prefix + "\", such as " + ids[0] + " and " + ids[1],
        "say which one is meant (store_id)");
  }

  [[nodiscard]] static bool is_no_document(std::string_view name, std::string_view prefix) {
    const std::string_view rest = name.substr(prefix.size());
    return cold::parse_dictionary_name(rest).has_value() || cold::is_key_ring_name(rest);
  }

  /// The key ring's copy from cold, where the store kept its ring itself. Throws key_unavailable where the
  /// master key is missing or wrong.
  void open_keys(kv::Engine& engine) {
    TieredStoreConfig reading = config_;
    if (options_.without_keys) {
      encryption_ = std::make_unique<store::Encryption>(engine, reading, clock_);
      return;
    }
    const auto rings = cold::find_key_rings(objects_, config_.cold.prefix + result_.store_id + "/", call());
    const bool has_keys = config_.encryption || !config_.sealing.master_key.empty();
    if (!rings.empty() && !has_keys) {
      throw Error(ErrorCode::key_unavailable, "the store is encrypted, and no master key is configured",
                  "set encryption.master_key, or TieredStoreConfig::encryption; if all was made plain again, "
                  "rebuild it without keys");
    }
    reading.sealing.writes = true;  // else keys are taken to be for nothing, where nothing says otherwise
    if (rings.empty()) {
      encryption_ = std::make_unique<store::Encryption>(engine, reading, clock_);
      return;
    }
    std::optional<std::string> held;
    std::optional<Error> refused;
    for (const std::string& ring : rings) {
      try {
        catalog::RingStore store(engine);
        if (!store.replace(held, ring)) {
          throw Error(ErrorCode::conflict, "the new catalogue has a key ring already", "begin it anew");
        }
        held = ring;
        encryption_ = std::make_unique<store::Encryption>(engine, reading, clock_);
        return;
      } catch (const Error& error) {
        // Of another time, under another master key; or a manager that has another one.
        if (error.code() == ErrorCode::conflict) throw;
        if (!refused) refused = error;
      }
    }
    throw *refused;
  }

  /// A copy that is not to be opened: not damaged, and with the right keys it can be read. Throws where there
  /// are no keys at all, and not by choice.
  void note_locked(const Error& error) {
    if (!sealer().has_keys() && !options_.without_keys) throw error;
    if (!locked_) locked_ = error;
  }

  [[nodiscard]] const sealing::Sealer& sealer() const { return *encryption_->sealer(); }

  void find_dictionaries(const std::string& prefix) {
    const std::string folder = prefix + std::string(cold::kDictionaryFolder);
    for (std::string after;;) {
      const ObjectPage page = objects_.list(folder, after, kListPage, call());
      for (const ObjectInfo& info : page.objects) {
        check_stop();
        if (const auto name =
                cold::parse_dictionary_name(std::string_view(info.name).substr(prefix.size()))) {
          look_at_dictionary(info, *name);
        }
      }
      if (!page.more || page.objects.empty()) return;
      after = page.objects.back().name;
    }
  }

  void look_at_dictionary(const ObjectInfo& object, const cold::DictionaryName& name) {
    const auto bytes = objects_.get(object.name, codec::kMaxStoredDictionaryBytes, call());
    if (!bytes) return;  // removed since it was listed
    ++result_.objects;
    result_.bytes += bytes->size();
    try {
      auto dictionary = std::make_shared<const codec::Dictionary>(std::string(as_text(*bytes)));
      if (to_hex(sha256(*bytes)) != name.sha256 || dictionary->id() != name.id) {
        throw Error(ErrorCode::corrupt, "its bytes are not those that its name tells of", "");
      }
      if (dictionaries_.find_dictionary(name.id)) return catalog_->forget_object(object.name, object.size);
      catalog_->announce_object(object.name, object.size);
      catalog_->add_dictionary({.id = name.id, .object = object.name, .bytes = dictionary->bytes()});
      dictionaries_.add(std::move(dictionary));
    } catch (const Error& error) {
      if (error.code() != ErrorCode::corrupt) throw;
      ++result_.damaged;
      doubt(object.name, {}, {}, "this dictionary is left out: " + error.problem());
    }
  }

  /// Runs in threads of their own, so it touches nothing but the object store.
  Fetched fetch(const ObjectInfo& info) const {
    Fetched out{.info = info, .bytes = {}, .failure = {}};
    try {
      out.bytes = objects_.get_range(info.name, 0, codec::kMaxHeaderBytes, call());
      const bool large = out.bytes && is_framed(*out.bytes);
      if (out.bytes && !large && out.bytes->size() < info.size) {
        if (info.size > kMaxSegmentBytes) {
          throw Error(ErrorCode::too_large, "the object is larger than any segment", "look at it by hand");
        }
        out.bytes = objects_.get_range(info.name, 0, info.size, call());
      }
    } catch (const Error& error) {
      out.failure = error;
    }
    return out;
  }

  static bool is_framed(const Bytes& start) {
    try {
      return codec::parse_record_header(as_text(start)).frame_bytes != 0;
    } catch (const Error&) {
      return false;
    }
  }

  void look_at(const Fetched& object) {
    check_stop();
    if (object.failure) throw *object.failure;
    if (!object.bytes) return;  // removed since it was listed
    ++result_.objects;
    result_.bytes += object.bytes->size();
    const std::string_view bytes = as_text(*object.bytes);
    if (is_segment_name(object.info.name)) {
      look_at_segment(object.info, bytes);
    } else {
      look_at_record(object.info, bytes);
    }
    if (options_.on_progress) {
      options_.on_progress({.objects = result_.objects, .bytes = result_.bytes, .documents = found_});
    }
  }

  [[nodiscard]] bool is_segment_name(std::string_view name) const {
    const std::size_t slash = name.rfind('/');
    return slash != std::string_view::npos && name.substr(slash + 1).starts_with("segment.");
  }

  void doubt(const std::string& object, std::string_view collection, std::string_view id, std::string what) {
    ++result_.doubts_in_all;
    if (result_.doubts.size() >= kMaxRebuildDoubts) return;
    result_.doubts.push_back({object, std::string(collection), std::string(id), std::move(what)});
  }

  /// The record at `offset` as a row that names it; nullopt, and a doubt, where it is damaged.
  std::optional<Copy> judge(const ObjectInfo& object, std::string_view record, std::uint64_t offset,
                            bool in_segment) {
    std::string collection;
    std::string id;
    try {
      const sealing::OpenedHeader opened(sealer(), record);
      const codec::ParsedHeader& header = opened.header();
      // Copied: for the doubt, which is told when the header is gone.
      collection = header.header.collection;
      id = header.header.id;
      catalog::check_key(collection, id);
      Copy copy{.key = catalog::document_key(collection, id), .row = {}};
      sealing::HeaderDigest digest{};
      if (header.frame_bytes != 0) {
        digest = check_large(object, record, header);
      } else {
        (void)sealing::decode_record(sealer(), record, opened.key(),
                                     {.collection = collection, .id = id, .version = header.header.version},
                                     {.dictionaries = &dictionaries_});
        dictionaries_.note_use(collection, header.dictionary_id, header.header.version);
      }
      catalog::Row& row = copy.row;
      row.version = header.header.version;
      row.home = StorageTier::cold;
      row.placed_by = catalog::PlacedBy::policy;
      row.size = header.content_length;
      row.created_at_us = to_us(header.header.created_at);
      row.updated_at_us = to_us(header.header.updated_at);
      row.placed_at_us = to_us(clock_->now());
      row.content_type = header.header.content_type;
      row.cold = catalog::ColdPlace{.object = object.name,
                                    .offset = offset,
                                    .length = header.frame_bytes != 0 ? object.size : record.size(),
                                    .in_segment = in_segment,
                                    .framed = header.frame_bytes != 0,
                                    .key = opened.key(),
                                    .digest = digest};
      return copy;
    } catch (const Error& error) {
      if (error.code() == ErrorCode::key_unavailable) note_locked(error);
      ++result_.damaged;
      doubt(object.name, collection, id, "this copy is left out: " + error.problem());
      return std::nullopt;
    }
  }

  /// FramedRecord::digest of the object; throws where it is damaged.
  sealing::HeaderDigest check_large(const ObjectInfo& object, std::string_view start,
                                    const codec::ParsedHeader& header) const {
    const sealing::FramedRecord framed(
        sealer(), start,
        {.collection = header.header.collection, .id = header.header.id, .version = header.header.version});
    const codec::FramedLayout& layout = framed.layout();
    if (layout.record_length() != object.size) {
      throw Error(ErrorCode::corrupt, "the object has another length than its header says", "");
    }
    if (!options_.verify_large) return framed.digest();
    Bytes content;
    const ReleasedAtEnd released(content);
    constexpr std::uint64_t kFramesAtOnce = 32;
    for (std::uint64_t first = 0; first < layout.frames(); first += kFramesAtOnce) {
      check_stop();
      const std::uint64_t last = std::min(first + kFramesAtOnce, layout.frames());
      const std::uint64_t begin = layout.frame_offset(first);
      const auto stored = objects_.get_range(object.name, begin, layout.frame_offset(last) - begin, call());
      if (!stored) throw Error(ErrorCode::corrupt, "the object was removed meanwhile", "");
      content.resize(std::min(last * layout.frame_bytes(), layout.content_length()) -
                     first * layout.frame_bytes());
      framed.decode(first, *stored, content);
    }
    return framed.digest();
  }

  void doubt_plain(const ObjectInfo& object, const Copy& copy) {
    if (!sealer().has_keys() || copy.row.cold->key != 0) return;
    doubt(object.name, catalog::collection_of(copy.key), catalog::id_of(copy.key),
          "this copy is plain in an encrypted store: of before it was, or somebody else's");
  }

  void look_at_record(const ObjectInfo& object, std::string_view bytes) {
    if (!begins_like_a_record(bytes)) {
      ++result_.unknown;
      doubt(object.name, {}, {}, "this object is neither a record nor a segment of db4's: left alone");
      return;
    }
    const auto copy = judge(object, bytes, 0, /*in_segment=*/false);
    if (!copy) return;
    doubt_plain(object, *copy);
    ++found_;
    std::vector<catalog::ChangeSet> sets;
    if (stage(*copy, sets)) {
      catalog_->announce_object(object.name, object.size);
      catalog_->commit_all(sets);
    } else {
      catalog_->forget_object(object.name, object.size);
    }
  }

  static bool begins_like_a_record(std::string_view bytes) {
    try {
      (void)codec::parse_record_header(bytes);
      return true;
    } catch (const Error& error) {
      // A header that is db4's own and damaged is damage; anything else is somebody else's.
      return bytes.starts_with("DB4R") || error.code() == ErrorCode::unsupported;
    }
  }

  void look_at_segment(const ObjectInfo& object, std::string_view bytes) {
    ++result_.segments;
    std::vector<Copy> copies;
    for (const codec::SegmentEntry& entry : entries_of(object, bytes)) {
      auto copy = judge(object, bytes.substr(entry.offset, entry.length), entry.offset, /*in_segment=*/true);
      if (!copy) continue;
      doubt_plain(object, *copy);
      copies.push_back(std::move(*copy));
    }
    if (copies.empty()) return;
    found_ += copies.size();
    catalog_->announce_object(object.name, object.size);
    std::vector<catalog::ChangeSet> sets;
    sets.emplace_back(*catalog_).add_segment(object.name, object.size,
                                             static_cast<std::uint32_t>(copies.size()));
    std::unordered_set<std::string_view> keys;
    for (const Copy& copy : copies) {
      if (!keys.insert(copy.key).second) {  // twice in one segment: the second is compared with the first
        catalog_->commit_all(sets);
        sets.clear();
        keys = {copy.key};
      }
      stage(copy, sets);
    }
    catalog_->commit_all(sets);
  }

  /// By the index; where that is damaged, by going from record to record.
  std::vector<codec::SegmentEntry> entries_of(const ObjectInfo& object, std::string_view bytes) {
    try {
      if (bytes.size() < codec::kSegmentFooterBytes) throw Error(ErrorCode::corrupt, "it is cut short", "");
      const auto place =
          codec::parse_segment_footer(bytes.substr(bytes.size() - codec::kSegmentFooterBytes), bytes.size());
      return codec::parse_segment_index(bytes.substr(place.offset, place.length), place,
                                        [this](std::string_view sealed) {
                                          return sealer().open(sealing::Kind::segment_index, {}, sealed);
                                        });
    } catch (const Error& error) {
      if (error.code() == ErrorCode::key_unavailable) note_locked(error);
      doubt(object.name, {}, {},
            "the segment's index cannot be read, its records are taken one by one: " + error.problem());
    }
    std::vector<codec::SegmentEntry> entries;
    for (std::uint64_t offset = 0; offset < bytes.size();) {
      try {
        const std::uint64_t length = codec::record_length(codec::parse_record_header(bytes.substr(offset)));
        if (length > bytes.size() - offset) break;
        entries.push_back({.offset = offset, .length = length, .version = 0, .collection = {}, .id = {}});
        offset += length;
      } catch (const Error&) {
        break;  // the index, or damage: nothing behind it can be found
      }
    }
    return entries;
  }

  /// Whether the copy is the newest so far: then its row is staged.
  bool stage(const Copy& copy, std::vector<catalog::ChangeSet>& sets) {
    highest_ = std::max(highest_, copy.row.version);
    const auto held = catalog_->find(copy.key);
    if (!held) {
      sets.emplace_back(*catalog_).restore(copy.key, copy.row);
      return true;
    }
    ++result_.older_copies;
    // Who can write to the object store, and has no keys, can put a plain record there: it is not to take the
    // place of a sealed one.
    const auto age = [this](const catalog::Row& row) {
      return std::tuple(sealer().has_keys() && row.cold->key != 0, row.version, row.updated_at_us);
    };
    if (held->version == copy.row.version && held->updated_at_us != copy.row.updated_at_us) {
      doubt(copy.row.cold->object, catalog::collection_of(copy.key), catalog::id_of(copy.key),
            "there are two of version " + std::to_string(copy.row.version) + ": the later one is taken");
    }
    const bool takes_held = age(copy.row) <= age(*held);
    const catalog::Row& left = takes_held ? copy.row : *held;
    if (left.version > (takes_held ? *held : copy.row).version) {
      doubt(left.cold->object, catalog::collection_of(copy.key), catalog::id_of(copy.key),
            "version " + std::to_string(left.version) +
                " is plain, and an older one is taken, which is sealed: "
                "if you made the store plain, rebuild it without keys");
    }
    if (takes_held) return false;
    sets.emplace_back(*catalog_).change(copy.key, held, copy.row);
    return true;
  }

  void look_for_uploads(const std::string& prefix) {
    try {
      for (const PendingUpload& upload : objects_.list_multipart(prefix, {}, kListPage, call()).uploads) {
        doubt(upload.name, {}, {},
              "an upload in parts was not completed (" + upload.upload_id +
                  "): begin it anew, and abort this one");
      }
    } catch (const Error& error) {
      if (error.code() != ErrorCode::unsupported) throw;
    }
  }

  const TieredStoreConfig& config_;
  const RebuildOptions& options_;
  ObjectStore& objects_;
  const std::shared_ptr<Clock> clock_;
  std::unique_ptr<store::Encryption> encryption_;
  std::unique_ptr<catalog::Catalog> catalog_;
  FoundDictionaries dictionaries_;
  RebuildResult result_;
  std::uint64_t found_ = 0;
  Version highest_ = 0;
  std::optional<Error> locked_;
};

}  // namespace

RebuildResult rebuild_catalog(const TieredStoreConfig& config, const RebuildOptions& options,
                              const Components& components) {
  try {
    store::check_config(config, components);
    const std::unique_ptr<store::RebuildTarget> target = store::make_rebuild_target(config.hot);
    if (!options.store_id.empty() && !is_store_id(options.store_id)) {
      throw Error(ErrorCode::invalid_argument, "\"" + options.store_id + "\" is no store id",
                  "use its 16 hex digits");
    }
    if (options.without_keys && (config.encryption || !config.sealing.master_key.empty())) {
      throw Error(ErrorCode::invalid_argument, "a master key is configured, and it is to go without keys",
                  "rebuild it with the key; or, where all was made plain or the key is lost, unset "
                  "encryption.master_key first");
    }
    if (options.concurrency < 1 || options.concurrency > kMaxUploadConcurrency) {
      throw Error(ErrorCode::invalid_argument, "a concurrency of " + std::to_string(options.concurrency),
                  "use 1 to " + std::to_string(kMaxUploadConcurrency));
    }
    const auto clock = components.clock ? components.clock : system_clock();
    const auto random = components.random ? components.random : system_random();
    const objects::LayeredStore objects = store::open_layered(config.cold, components, clock, random);
    try {
      RebuildResult result =
          Rebuilder(config, options, *objects.store, clock, *random, target->prepare()).run();
      target->publish();
      return result;
    } catch (...) {
      target->discard();
      throw;
    }
  } catch (const fs::filesystem_error& error) {
    throw Error(ErrorCode::unavailable, std::string("the folder of the new catalogue: ") + error.what(),
                "check the disk and its permissions, then repeat")
        .with_context("rebuild");
  } catch (const Error& error) {
    throw error.with_context("rebuild");
  }
}

}  // namespace db4
