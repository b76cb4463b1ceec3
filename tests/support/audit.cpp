#include "support/audit.hpp"

#include "base/encoding.hpp"
#include "base/hash.hpp"
#include "catalog/counters.hpp"
#include "catalog/garbage.hpp"
#include "catalog/meta.hpp"
#include "catalog/ring_store.hpp"
#include "catalog/row.hpp"
#include "catalog/spaces.hpp"
#include "codec/segment.hpp"
#include "cold/key_ring_copies.hpp"
#include "sealing/framed_record.hpp"
#include "sealing/sealed_record.hpp"
#include "support/key_ring_audit.hpp"

#include <db4/multipart.hpp>

#include <map>
#include <set>

namespace db4::testing {
namespace {

using namespace catalog;  // NOLINT: the audit is about nothing else

constexpr std::size_t kPage = 1000;

template <typename Visit>
void for_each(const kv::Engine& engine, std::uint8_t space, const Visit& visit) {
  std::string begin;
  while (true) {
    const auto page = engine.scan({.space = space, .begin = begin, .end = {}, .limit = kPage});
    for (const kv::Entry& entry : page) visit(entry);
    if (page.empty()) return;
    begin = page.back().key + '\0';
  }
}

std::string name_of(std::string_view key) {
  return std::string(collection_of(key)) + "/" + std::string(id_of(key));
}

/// Those of the catalogue.
struct Dictionaries final : codec::DictionarySource {
  std::shared_ptr<const codec::Dictionary> find_dictionary(std::uint32_t id) override {
    const auto found = by_id.find(id);
    return found == by_id.end() ? nullptr : found->second;
  }
  void add(const std::string& object, std::shared_ptr<const codec::Dictionary> dictionary) {
    objects.emplace(object, dictionary->bytes().size());
    by_id.emplace(dictionary->id(), std::move(dictionary));
  }
  std::map<std::uint32_t, std::shared_ptr<const codec::Dictionary>> by_id = {};
  std::map<std::string, std::uint64_t> objects = {};
};

class Audit {
 public:
  Audit(const kv::Engine& engine, ObjectStore& objects, const sealing::Sealer& sealer)
      : engine_(engine), objects_(objects), sealer_(sealer) {}

  AuditReport run() {
    list_objects();
    read_keys();
    read_dictionaries();
    read_segments();
    for_each(engine_, kRows, [this](const kv::Entry& entry) { check_row(entry); });
    check_bodies();
    check_due();
    check_access();
    check_history();
    check_changes();
    check_garbage_and_intents();
    check_sparse();
    check_objects();
    check_counters();
    check_sealed_counters();
    check_key_rings();
    check_nothing_plain();
    return std::move(report_);
  }

 private:
  struct Segment {
    SegmentFacts facts;
    std::int64_t live = 0;
    std::map<std::uint64_t, codec::SegmentEntry> index = {};  ///< by offset; of a store with keys
    std::string index_error = {};
  };

  void problem(std::string what) { report_.problems.push_back(std::move(what)); }

  void list_objects() {
    std::string after;
    while (true) {
      const ObjectPage page = objects_.list("", after, kPage);
      for (const ObjectInfo& info : page.objects) stored_.emplace(info.name, info.size);
      if (!page.more) break;
      after = page.objects.back().name;
    }
    report_.objects = stored_.size();
  }

  void read_keys() {
    report_.needs_keys = engine_.get(kKeys, "mark").has_value();
    if (!sealer_.has_keys()) return;
    for (const KeyInfo& key : sealer_.manager()->list_keys()) {
      key_states_[sealing::number_of(*crypto::key_id_from_text(key.id))] = key.state;
    }
  }

  void read_dictionaries() {
    for_each(engine_, kDictionaries, [this](const kv::Entry& entry) {
      if (entry.key[0] != 'D') return;
      Reader in(std::string_view(entry.value).substr(1));
      const std::string object(in.sized());
      const std::string bytes(in.sized());
      const auto stored = objects_.get(object, bytes.size() + 1);
      if (!stored || as_text(*stored) != bytes)
        problem("dictionary " + object + " is not in the object store");
      dictionaries_.add(object, std::make_shared<const codec::Dictionary>(bytes));
    });
    for_each(engine_, kDictionaries, [this](const kv::Entry& entry) {
      if (entry.key[0] != 'C') return;
      if (!dictionaries_.find_dictionary(load_fixed<std::uint32_t>(entry.value.data()))) {
        problem("the dictionary of collection " + entry.key.substr(1) + " is missing");
      }
    });
    report_.dictionaries = dictionaries_.objects.size();
  }

  void read_segments() {
    for_each(engine_, kSegments, [this](const kv::Entry& entry) {
      Segment segment{.facts = decode_segment_facts(entry.key, entry.value)};
      if (sealer_.has_keys()) read_index(entry.key, segment);
      segments_.emplace(entry.key, std::move(segment));
    });
    report_.segments = segments_.size();
  }

  /// For whoever has nothing but the objects and the master key: it says what rows say.
  void read_index(const std::string& object, Segment& segment) {
    try {
      const auto bytes = objects_.get(object, segment.facts.bytes + 1);
      if (!bytes || bytes->size() < codec::kSegmentFooterBytes) return;  // told elsewhere
      const std::string_view text = as_text(*bytes);
      const codec::SegmentIndexPlace place =
          codec::parse_segment_footer(text.substr(text.size() - codec::kSegmentFooterBytes), text.size());
      const auto open = [this](std::string_view sealed) {
        return sealer_.open(sealing::Kind::segment_index, {}, sealed);
      };
      for (codec::SegmentEntry& entry :
           codec::parse_segment_index(text.substr(place.offset, place.length), place, open)) {
        segment.index.emplace(entry.offset, std::move(entry));
      }
    } catch (const Error& error) {
      segment.index_error = error.what();
    }
  }

  void check_row(const kv::Entry& entry) {
    Row row;
    try {
      row = decode_row(entry.key, entry.value);
    } catch (const Error& error) {
      problem("row " + name_of(entry.key) + ": " + error.what());
      return;
    }
    recount(entry.key, row);
    row.live() ? ++report_.documents : ++report_.tombstones;
    if (row.revision < row.version) problem(name_of(entry.key) + ": its revision is below its version");
    if (!row.live() && (row.cold || row.body_place != BodyPlace::none)) {
      problem(name_of(entry.key) + ": a tombstone with bytes");
    }
    if (row.live() && row.hot() != (row.body_place != BodyPlace::none)) {
      problem(name_of(entry.key) + ": home and body do not agree");
    }
    if (row.live() && !row.hot() && !row.cold) problem(name_of(entry.key) + ": no bytes anywhere");
    if (row.body_place != BodyPlace::none) check_body(entry.key, row);
    if (row.cold) check_cold(entry.key, row);
    rows_.emplace(entry.key, std::move(row));
  }

  void check_body(const std::string& key, const Row& row) {
    count_copy(name_of(key) + ": its hot body", row.body_key);
    std::optional<std::string> beside;
    if (row.body_place == BodyPlace::in_bodies) {
      beside = engine_.get(kBodies, key);
      if (!beside) return problem(name_of(key) + ": its hot body is missing");
      if (row.body_key == 0) return check_record("hot body", key, row, 0, *beside);
    }
    if (row.body_key == 0) return;  // decode_row has looked at it
    try {
      const std::string_view sealed = beside ? *beside : row.inline_body;
      if (sealing::key_of(sealed) != row.body_key) problem(name_of(key) + ": its hot body has another key");
      Bytes body(row.size);
      sealer_.open_into(sealing::Kind::body,
                        {.collection = collection_of(key), .id = id_of(key), .version = row.version}, sealed,
                        body);
    } catch (const Error& error) {
      problem(name_of(key) + ": its hot body: " + error.what());
    }
  }

  /// One of a document; `key` is the one that sealed it, as its row says.
  void count_copy(const std::string& what, sealing::KeyNumber key) {
    if (key == 0) {
      ++report_.plain_copies;
      return;
    }
    ++report_.sealed_copies;
    ++copies_[key];
    if (sealer_.has_keys() && !key_states_.contains(key)) {
      problem(what + " is sealed with " + sealing::to_text(key) + ", which is not in the key ring");
    }
  }

  void check_cold(const std::string& key, const Row& row) {
    const ColdPlace& place = *row.cold;
    count_copy(name_of(key) + ": its cold record", place.key);
    if (place.key != 0) cold_keys_.insert(place.key);
    if (place.in_segment) {
      const auto segment = segments_.find(place.object);
      if (segment == segments_.end()) {
        problem(name_of(key) + ": its segment " + place.object + " is not registered");
      } else {
        segment->second.live += static_cast<std::int64_t>(place.length);
        if (sealer_.has_keys()) check_index(key, row, segment->second);
      }
    } else if (!alone_.emplace(place.object, place.length).second) {
      problem(name_of(key) + ": its object " + place.object + " is another document's too");
    }
    const auto record = objects_.get_range(place.object, place.offset, place.length);
    if (!record) return problem(name_of(key) + ": its object " + place.object + " is missing");
    if (place.framed) return check_framed(key, row, *record);
    check_record("cold record", key, row, place.key, as_text(*record));
  }

  void check_index(const std::string& key, const Row& row, const Segment& segment) {
    const auto found = segment.index.find(row.cold->offset);
    if (!segment.index_error.empty()) {
      problem(name_of(key) + ": its segment's index: " + segment.index_error);
    } else if (found == segment.index.end() || found->second.length != row.cold->length ||
               found->second.version != row.version || found->second.collection != collection_of(key) ||
               found->second.id != id_of(key)) {
      problem(name_of(key) + ": its segment's index does not say what its row says");
    }
  }

  void check_framed(const std::string& key, const Row& row, ByteView record) {
    try {
      const Version version = row.cold->record_version != 0 ? row.cold->record_version : row.version;
      const sealing::FramedRecord framed(
          sealer_, as_text(record), {.collection = collection_of(key), .id = id_of(key), .version = version});
      const codec::FramedLayout& layout = framed.layout();
      if (layout.content_length() != row.size || layout.record_length() != record.size()) {
        problem(name_of(key) + ": its large record's size differs");
      }
      if (framed.key() != row.cold->key || framed.digest() != row.cold->digest) {
        problem(name_of(key) + ": its large record has another key, or is another upload's");
      }
      Bytes content(layout.content_length());
      framed.decode(0, record.subspan(layout.header().size()), content);
    } catch (const Error& error) {
      problem(name_of(key) + ": its large record: " + error.what());
    }
  }

  void check_record(std::string_view what, const std::string& key, const Row& row,
                    sealing::KeyNumber sealed_with, std::string_view record) {
    try {
      const detail::BlockRef block =
          sealing::decode_record(sealer_, record, sealed_with,
                                 {.collection = collection_of(key), .id = id_of(key), .version = row.version},
                                 {.dictionaries = &dictionaries_});
      if (block->body_size != row.size)
        problem(name_of(key) + ": its " + std::string(what) + "'s size differs");
    } catch (const Error& error) {
      problem(name_of(key) + ": its " + std::string(what) + ": " + error.what());
    }
  }

  void recount(std::string_view key, const Row& row) {
    const std::string collection(collection_of(key));
    const auto add = [&](Metric metric, std::uint64_t value) {
      const auto index = static_cast<std::size_t>(metric);
      totals_.values[index] += static_cast<std::int64_t>(value);
      collections_[collection].values[index] += static_cast<std::int64_t>(value);
    };
    if (!row.live()) return add(Metric::tombstones, 1);
    add(row.hot() ? Metric::hot_documents : Metric::cold_documents, 1);
    add(row.hot() ? Metric::hot_bytes : Metric::cold_bytes, row.size);
    if (row.cold) add(Metric::cold_record_bytes, row.cold->length);
  }

  void check_bodies() {
    for_each(engine_, kBodies, [this](const kv::Entry& entry) {
      const auto row = rows_.find(entry.key);
      if (row == rows_.end() || row->second.body_place != BodyPlace::in_bodies) {
        problem(name_of(entry.key) + ": a body that no row names");
      }
    });
  }

  void check_due() {
    const auto stored = engine_.get(kMeta, kWatermarkKey);
    const std::int64_t watermark = stored ? load_fixed<std::int64_t>(stored->data()) : 0;
    std::size_t entries = 0;
    for_each(engine_, kDue, [&](const kv::Entry& entry) {
      ++entries;
      const auto row = rows_.find(std::string(key_of(entry.key)));
      if (row == rows_.end() || row->second.due_us != time_of(entry.key)) {
        problem(name_of(key_of(entry.key)) + ": a due entry that its row does not name");
      }
      if (time_of(entry.key) < watermark) {
        problem(name_of(key_of(entry.key)) + ": due before the watermark, so never looked at");
      }
    });
    std::size_t wanted = 0;
    for (const auto& [key, row] : rows_) {
      wanted += row.due_us != 0 ? 1 : 0;
      // Whoever lives hot or is a tombstone must come up again some day.
      if ((row.hot() || !row.live()) && row.due_us == 0) problem(name_of(key) + ": is never due");
    }
    if (entries != wanted) {
      problem(std::to_string(wanted) + " rows are due, " + std::to_string(entries) + " entries say so");
    }
  }

  void check_access() {
    for_each(engine_, kAccess, [this](const kv::Entry& entry) {
      const auto row = rows_.find(entry.key);
      if (row == rows_.end() || !row->second.live()) {
        problem(name_of(entry.key) + ": access figures of a document that is gone");
      }
    });
  }

  void check_history() {
    for_each(engine_, kHistory, [this](const kv::Entry& entry) {
      const auto row = rows_.find(entry.key);
      if (row == rows_.end() || !row->second.live()) {
        problem(name_of(entry.key) + ": a history of a document that is gone");
      } else if (decode_history(entry.value).empty()) {
        problem(name_of(entry.key) + ": a history that cannot be read");
      }
    });
  }

  void check_changes() {
    struct Newest {
      Version version = 0;
      std::uint64_t revision = 0;
      int state = 0;
    };
    std::map<std::string, Newest> newest;
    // In one life of one node the entries of a key follow each other; those of several nodes stand side by
    // side.
    std::map<std::pair<std::string, std::string>, Newest> newest_of_life;
    constexpr std::size_t kNodeAndEpoch = 16;
    for_each(engine_, kChanges, [&](const kv::Entry& entry) {
      Reader in(entry.value);
      const std::string key(in.sized());
      Newest change;
      change.version = in.varint();
      change.revision = in.varint();
      change.state = in.fixed<std::uint8_t>();
      if (!in.done()) return problem("a change entry is damaged");
      Newest& before = newest_of_life[{entry.key.substr(0, kNodeAndEpoch), key}];
      if (change.version < before.version || change.revision < before.revision) {
        problem(name_of(key) + ": its changes are out of order");
      }
      before = change;
      // A purge leaves the revision as it was.
      Newest& last = newest[key];
      if (change.revision > last.revision || (change.revision == last.revision && change.state == 0))
        last = change;
    });
    for (const auto& [key, change] : newest) {
      const auto row = rows_.find(key);
      const bool same = row == rows_.end() ? change.state == 0
                                           : change.version == row->second.version &&
                                                 change.revision == row->second.revision &&
                                                 change.state == static_cast<int>(row->second.state);
      if (!same) problem(name_of(key) + ": its newest change does not say what its row says");
    }
  }

  void check_garbage_and_intents() {
    for_each(engine_, kIntents, [this](const kv::Entry& entry) {
      ++report_.intents;
      waiting_.insert(entry.key);
      if (alone_.contains(entry.key) || segments_.contains(entry.key)) {
        problem("object " + entry.key + " is named and still has its intent");
      }
    });
    for_each(engine_, kGarbage, [this](const kv::Entry& entry) {
      ++report_.garbage;
      const GarbageEntry garbage = decode_garbage(entry.key, entry.value);
      waiting_.insert(garbage.object);
      if (garbage.kind == GarbageKind::segment) {
        looked_at_.insert(garbage.object);
      } else if (alone_.contains(garbage.object) || segments_.contains(garbage.object)) {
        problem("object " + garbage.object + " is named and is to be deleted");
      }
    });
  }

  void check_sparse() {
    for_each(engine_, kSparse, [this](const kv::Entry& entry) {
      ++report_.sparse;
      if (!segments_.contains(entry.key)) problem("segment " + entry.key + " is listed as sparse, and gone");
    });
  }

  void check_objects() {
    for (const auto& [object, size] : stored_) {
      if (!alone_.contains(object) && !segments_.contains(object) && !waiting_.contains(object) &&
          !dictionaries_.objects.contains(object) && !is_key_ring(object)) {
        problem("object " + object + " (" + std::to_string(size) + " bytes) is nobody's");
      }
    }
    for (const auto& [object, segment] : segments_) {
      const auto stored = stored_.find(object);
      if (stored == stored_.end()) {
        problem("segment " + object + " is missing in the object store");
      } else if (stored->second != segment.facts.bytes) {
        problem("segment " + object + " has another size than registered");
      }
      if (segment.live == 0) {
        ++report_.empty_segments;
        if (!looked_at_.contains(object)) problem("segment " + object + " is empty and nobody will look");
      }
    }
  }

  void check_counters() {
    auto& objects = totals_.values[static_cast<std::size_t>(Metric::objects)];
    auto& bytes = totals_.values[static_cast<std::size_t>(Metric::object_bytes)];
    objects = static_cast<std::int64_t>(alone_.size() + segments_.size() + dictionaries_.objects.size());
    for (const auto& [object, length] : dictionaries_.objects) bytes += static_cast<std::int64_t>(length);
    for (const auto& [object, length] : alone_) bytes += static_cast<std::int64_t>(length);
    for (const auto& [object, segment] : segments_) bytes += static_cast<std::int64_t>(segment.facts.bytes);

    Totals counted;
    std::map<std::string, Totals> by_collection;
    for_each(engine_, kCounters, [&](const kv::Entry& entry) {
      const auto value = load_fixed<std::int64_t>(entry.value.data());
      if (entry.key[0] == 'S') return check_live_bytes(entry.key.substr(1), value);
      if (entry.key[0] == 'K') {
        counted_copies_[load_fixed<std::uint64_t>(entry.key.data() + 1)] += value;
        return;
      }
      const auto metric = static_cast<std::size_t>(entry.key[entry.key.size() - 2]);
      if (metric >= kMetrics) return problem("a counter of an unknown metric");
      if (entry.key[0] == 'T') {
        counted.values[metric] += value;
      } else {
        by_collection[entry.key.substr(1, entry.key.size() - 4)].values[metric] += value;
      }
    });
    compare("the store", counted, totals_);
    for (const auto& [name, totals] : collections_) compare(name, by_collection[name], totals);
    for (const auto& [name, totals] : by_collection) compare(name, totals, collections_[name]);
    for (const auto& [object, segment] : segments_) {
      if (segment.live != 0 && !live_counted_.contains(object))
        problem("segment " + object + " is not counted");
    }
  }

  void check_live_bytes(const std::string& object, std::int64_t value) {
    live_counted_.insert(object);
    const auto segment = segments_.find(object);
    const std::int64_t live = segment == segments_.end() ? 0 : segment->second.live;
    if (segment == segments_.end()) problem("a counter of segment " + object + ", which is not registered");
    if (value != live) {
      problem("segment " + object + " counts " + std::to_string(value) + " live bytes, rows name " +
              std::to_string(live));
    }
  }

  void compare(const std::string& what, const Totals& counted, const Totals& recounted) {
    for (std::size_t i = 0; i < kMetrics; ++i) {
      if (counted.values[i] == recounted.values[i]) continue;
      problem("counter " + std::to_string(i) + " of " + what + " is " + std::to_string(counted.values[i]) +
              ", the rows say " + std::to_string(recounted.values[i]));
    }
  }

  void check_sealed_counters() {
    for (const auto& [key, copies] : copies_) counted_copies_.try_emplace(key, 0);
    for (const auto& [key, counted] : counted_copies_) {
      if (counted != copies_[key]) {
        problem(std::to_string(counted) + " copies are counted for the key " + sealing::to_text(key) +
                ", rows name " + std::to_string(copies_[key]));
      }
    }
  }

  /// What stands behind the store's folder in the name of an object; the prefix may be any.
  [[nodiscard]] std::string_view name_in_folder(std::string_view object) const {
    const std::string folder = to_hex(as_bytes(engine_.get(kMeta, "store_id").value_or(""))) + "/";
    const std::size_t at = object.find(folder);
    return at == std::string_view::npos ? std::string_view() : object.substr(at + folder.size());
  }
  bool is_key_ring(std::string_view object) const { return cold::is_key_ring_name(name_in_folder(object)); }

  void check_key_rings() {
    std::string folder;
    for (const auto& [object, size] : stored_) {
      if (!is_key_ring(object)) continue;
      ++report_.key_rings;
      folder = object.substr(0, object.size() - name_in_folder(object).size());
    }
    audit_key_rings(objects_, folder, sealer_, cold_keys_, report_.problems);
  }

  /// One that did not end. docs/formats/row.md, "An upload and its parts".
  static bool is_sealed_upload(std::string_view session) {
    const std::size_t at = session.at(0) == 2 ? 17 : 1;
    const auto state = static_cast<MultipartUploadState>(session.at(at));
    return (session.at(at + 1) & 8) != 0 && state != MultipartUploadState::completed &&
           state != MultipartUploadState::aborted;
  }

  /// docs/formats/row.md, "A re-encryption".
  void check_nothing_plain() {
    constexpr std::uint8_t kNoPlain = 4;
    const auto state = engine_.get(kMeta, "reencryption");
    const bool none = state && state->size() >= 2 && (static_cast<std::uint8_t>((*state)[1]) & kNoPlain) != 0;
    if (none && !engine_.get(kMeta, kPlainArrivedKey) && report_.plain_copies != 0) {
      problem("nothing is plain, as the catalogue has it, and " + std::to_string(report_.plain_copies) +
              " copies are");
    }
    if (report_.needs_keys) return;
    std::size_t sealed = report_.sealed_copies;
    for_each(engine_, kUploads, [&](const kv::Entry& entry) { sealed += is_sealed_upload(entry.value); });
    if (sealed != 0) problem("it opens without keys, and has sealed copies: " + std::to_string(sealed));
  }

  const kv::Engine& engine_;
  ObjectStore& objects_;
  const sealing::Sealer& sealer_;
  AuditReport report_;
  std::map<std::string, std::uint64_t> stored_;
  std::map<std::string, Segment> segments_;
  Dictionaries dictionaries_;
  std::map<std::string, Row> rows_;
  std::map<std::string, std::uint64_t> alone_;
  std::set<std::string> waiting_;
  std::set<std::string> looked_at_;
  std::set<std::string> live_counted_;
  Totals totals_;
  std::map<std::string, Totals> collections_;
  std::map<sealing::KeyNumber, KeyState> key_states_;
  std::map<sealing::KeyNumber, std::int64_t> copies_;
  std::map<sealing::KeyNumber, std::int64_t> counted_copies_;
  std::set<sealing::KeyNumber> cold_keys_;
};

}  // namespace

std::ostream& operator<<(std::ostream& out, const AuditReport& report) {
  out << report.documents << " documents, " << report.tombstones << " tombstones, " << report.objects
      << " objects, " << report.segments << " segments (" << report.empty_segments << " empty), "
      << report.intents << " intents, " << report.garbage << " garbage entries, " << report.sealed_copies
      << " sealed and " << report.plain_copies << " plain copies; " << report.problems.size() << " problems";
  for (std::size_t i = 0; i < report.problems.size() && i < 10; ++i) out << "\n  " << report.problems[i];
  return out;
}

AuditReport audit(const kv::Engine& engine, ObjectStore& objects, const sealing::Sealer& sealer) {
  return Audit(engine, objects, sealer).run();
}

AuditReport audit_closed_store(HotType type, const std::filesystem::path& folder, ObjectStore& objects,
                               const kv::PostgresOptions& postgres,
                               const std::shared_ptr<EncryptionManager>& keys) {
  const auto engine =
      kv::open_engine(type, {.path = folder, .spaces = catalog_spaces(), .postgres = postgres});
  sealing::Sealer sealer;
  const auto ring = std::make_shared<RingStore>(*engine);
  if (keys && ring->load()) {
    keys->owner().keep_in(ring);
    keys->owner().initialize(/*may_create=*/false);
    sealer = sealing::Sealer(keys, /*writes=*/false, Padding::none);
    sealer.set_store_id(to_hex(as_bytes(engine->get(kMeta, "store_id").value_or(""))));
  }
  AuditReport report = audit(*engine, objects, sealer);
  if (const auto mark = ring->mark(); mark && sealer.has_keys() && *mark != keys->owner().ring_id()) {
    report.problems.emplace_back("the store was encrypted with another key ring");
  }
  ring->close();
  engine->close();
  return report;
}

}  // namespace db4::testing
