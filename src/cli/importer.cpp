#include "importer.hpp"

#include "json_scan.hpp"
#include "text.hpp"

#include <db4/error.hpp>
#include <db4/json_check.hpp>
#include <db4/limits.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <unordered_set>
#include <utility>

namespace db4::cli {
namespace {

using nlohmann::json;

/// A record that is refused for what it is; the others of its batch may be good.
bool is_of_one_record(const Error& error) {
  return error.code() == ErrorCode::invalid_argument || error.code() == ErrorCode::too_large;
}

/// SplitMix64.
std::uint64_t mix(std::uint64_t value) noexcept {
  value += 0x9E3779B97F4A7C15;
  value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9;
  value = (value ^ value >> 27) * 0x94D049BB133111EB;
  return value ^ value >> 31;
}

bool is_whole_number(std::string_view text) {
  if (text.substr(0, 1) == "-") text.remove_prefix(1);
  return !text.empty() && text.find_first_not_of("0123456789") == std::string_view::npos;
}

/// A member's value as a name: text, or a whole number as it is written. False where it is neither.
bool take_name(std::string_view value, const std::string& member, std::string& name, std::string& problem) {
  if (value.empty()) {
    problem = "it has no member '" + member + "'; name one with --id-field or --collection-field";
    return false;
  }
  if (is_whole_number(value)) {
    name = value;
    return true;
  }
  if (auto text = decode_json_string(value)) {
    name = std::move(*text);
    return true;
  }
  problem = "its member '" + member +
            "' is neither text nor a whole number; name another with --id-field or --collection-field";
  return false;
}

}  // namespace

std::string generated_id(std::int64_t started_ms, std::uint64_t seed, std::uint64_t record) {
  // The record's number counts within a millisecond, and on into the next ones.
  const std::uint64_t ms = (static_cast<std::uint64_t>(started_ms) + (record >> 12)) & 0xFFFF'FFFF'FFFF;
  const std::uint64_t low = (mix(seed ^ mix(record)) & 0x3FFF'FFFF'FFFF'FFFF) | 0x8000'0000'0000'0000;
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), "%08llx-%04llx-7%03llx-%04llx-%012llx",
                static_cast<unsigned long long>(ms >> 16), static_cast<unsigned long long>(ms & 0xFFFF),
                static_cast<unsigned long long>(record & 0xFFF), static_cast<unsigned long long>(low >> 48),
                static_cast<unsigned long long>(low & 0xFFFF'FFFF'FFFF));
  return text.data();
}

Importer::Importer(Session& session, const ImportRules& rules, ImportState state, std::uint64_t maybe_there,
                   Report skipped)
    : session_(session),
      rules_(rules),
      state_(std::move(state)),
      flushed_(state_),
      maybe_there_(maybe_there),
      skipped_(std::move(skipped)),
      records_(state_.records),
      input_(state_.input),
      behind_input_(state_.input),
      behind_(state_.position) {
  items_.reserve(rules.batch);
}

void Importer::begin_input(std::size_t input, std::string prefix, const char* unit) {
  input_ = input;
  inputs_[input] = {.prefix = std::move(prefix), .unit = unit};
}

std::string Importer::place_of(const Item& item) const {
  const Input& input = inputs_.at(item.input);
  if (!item.place.empty()) return input.prefix + item.place;
  return input.prefix + input.unit + " " + std::to_string(item.line) + " (from byte " +
         std::to_string(item.byte) + ")";
}

void Importer::add(Record& record, SourcePosition behind) {
  Item item;
  item.number = records_;
  item.input = input_;
  item.place = std::move(record.place);
  item.line = record.line;
  item.byte = record.byte;
  if (record.problem.empty() && find_key(record, item)) {
    item.content_type = std::move(record.content_type);
    item.body = std::move(record.body);
    collect(std::move(item));
  } else {
    if (!rules_.skip_bad || record.last_readable) flush();  // what came before it stays imported
    bad(item, record.problem, record.last_readable);
  }
  ++records_;
  behind_input_ = input_;
  behind_ = std::move(behind);
  if (items_.size() >= rules_.batch) flush();
}

bool Importer::find_key(Record& record, Item& item) const {
  const bool asks_collection = !record.collection && !rules_.collection_field.empty();
  const bool asks_id = !record.id && !rules_.generate_ids;
  std::string_view collection;
  std::string_view id;
  if (asks_collection || asks_id) {
    JsonMembers members(record.body);
    while (members.next()) {
      if (asks_collection && members.name_is(rules_.collection_field)) collection = members.value();
      if (asks_id && members.name_is(rules_.id_field)) id = members.value();
    }
    if (!members.complete()) {
      if (auto fault = describe_json_fault(record.body, record.byte)) {
        record.problem = std::move(*fault);
        return false;
      }
    }
  }
  if (asks_collection) {
    if (!take_name(collection, rules_.collection_field, item.collection, record.problem)) return false;
  } else {
    item.collection = rules_.collection.empty() ? record.collection.value_or("") : rules_.collection;
  }
  if (asks_id) return take_name(id, rules_.id_field, item.id, record.problem);
  item.id = record.id ? std::move(*record.id) : generated_id(state_.started_ms, state_.seed, item.number);
  return true;
}

void Importer::collect(Item item) {
  const std::uint64_t bytes =
      item.id.size() + item.content_type.size() + item.body.size() + kBatchItemHeadBytes;
  std::string key = item.collection + '\0' + item.id;
  const auto found = latest_.find(key);
  // What alone is too large is told so by the store. Of two with one id the later is a conflict, or
  // overwrites.
  if (batch_bytes_ + bytes > kMaxBatchBytes ||
      (found != latest_.end() && rules_.on_conflict != OnConflict::overwrite)) {
    flush();
  } else if (found != latest_.end()) {
    items_[found->second].superseded = true;
  }
  batch_bytes_ += bytes;
  latest_.insert_or_assign(std::move(key), items_.size());
  items_.push_back(std::move(item));
}

void Importer::flush() {
  const std::vector<Item> items = std::exchange(items_, {});
  items_.reserve(rules_.batch);
  latest_.clear();
  batch_bytes_ = 0;
  Items documents;
  for (const Item& item : items) documents.push_back(&item);
  write_collections(documents);
  state_.records = records_;
  state_.input = behind_input_;
  state_.position = behind_;
  flushed_ = state_;
}

void Importer::write_collections(const Items& items) {
  const bool several = std::ranges::any_of(
      items, [&](const Item* item) { return item->collection != items.front()->collection; });
  // A batch is of one collection: where there are several, what comes before a document that ends the import
  // is written first, and what comes behind it is not.
  for (auto begin = items.begin(); begin != items.end();) {
    const auto end = several
                         ? std::find_if(begin, items.end(), [&](const Item* item) { return ends_at(*item); })
                         : items.end();
    std::map<std::string_view, Items> collections;
    for (auto item = begin; item != end; ++item) collections[(*item)->collection].push_back(*item);
    for (const auto& [collection, documents] : collections) write(documents);
    if (end != items.end()) write({*end});
    begin = end == items.end() ? end : end + 1;
  }
}

bool Importer::ends_at(const Item& item) {
  const bool wrong_name = item.collection.empty() || item.collection.size() > kMaxCollectionBytes ||
                          item.id.empty() || item.id.size() > kMaxIdBytes || !is_utf8(item.id) ||
                          !is_utf8(item.collection);
  const bool wrong_body = item.body.size() > kMaxBodyBytes ||
                          (item.content_type.empty() && find_json_fault(item.body).has_value());
  if (!rules_.skip_bad && (wrong_name || wrong_body)) return true;
  if (rules_.on_conflict != OnConflict::fail || wrong_name) return false;
  const json request{{"op", "tier"}, {"collection", item.collection}, {"id", item.id}};
  return json::parse(session_.ask(request).json).at("found").get<bool>();
}

/// Without those that a later one of them writes over.
Importer::Items Importer::latest_of(const Items& items) {
  if (std::ranges::none_of(items, [](const Item* item) { return item->superseded; })) return items;
  Items latest;
  std::unordered_set<std::string_view> ids;
  for (auto item = items.rbegin(); item != items.rend(); ++item) {
    if (ids.insert((*item)->id).second) latest.push_back(*item);
  }
  std::ranges::reverse(latest);
  return latest;
}

void Importer::write(const Items& items) {
  try {
    put(latest_of(items));
    count(items);
  } catch (const Error& error) {
    if (error.code() == ErrorCode::conflict && rules_.on_conflict != OnConflict::overwrite) {
      write_past_conflicts(items);
    } else if (is_of_one_record(error)) {
      write_one_by_one(items);
    } else {
      throw;
    }
  }
}

void Importer::put(const Items& items) {
  if (items.empty()) return;
  const Item& first = *items.front();
  const bool alone = items.size() == 1;
  json request{{"op", alone ? "put" : "put_batch"}, {"collection", first.collection}};
  if (!rules_.tier.empty()) request["tier"] = rules_.tier;
  if (rules_.on_conflict != OnConflict::overwrite) request["if_version"] = 0;
  if (alone) {
    // Its body may be as large as a batch's.
    request["id"] = first.id;
    request["json"] = first.content_type.empty();
    request["content_type"] = first.content_type;
    session_.ask(request, first.body);
    return;
  }
  std::string batch;
  for (const Item* item : items) append_batch_item(batch, item->id, item->content_type, item->body);
  session_.ask(request, batch);
}

void Importer::write_past_conflicts(const Items& items) {
  Items fresh;
  for (const Item* item : items) {
    const OperationReply reply =
        session_.ask({{"op", "tier"}, {"collection", item->collection}, {"id", item->id}});
    if (!json::parse(reply.json).at("found").get<bool>()) {
      fresh.push_back(item);
      continue;
    }
    if (rules_.on_conflict == OnConflict::fail) write_one_by_one(std::exchange(fresh, {}));
    settle_conflict(*item);
  }
  try {
    put(fresh);
    count(fresh);
  } catch (const Error& error) {
    // Others wrote meanwhile, or one of them is bad.
    if (error.code() != ErrorCode::conflict && !is_of_one_record(error)) throw;
    write_one_by_one(fresh);
  }
}

/// A batch is all or nothing: to find the record at fault, and to save the others, each goes alone.
void Importer::write_one_by_one(const Items& items) {
  for (const Item* item : items) {
    try {
      put({item});
      count({item});
    } catch (const Error& error) {
      if (error.code() == ErrorCode::conflict && rules_.on_conflict != OnConflict::overwrite) {
        settle_conflict(*item);
      } else if (is_of_one_record(error)) {
        bad(*item, error.problem() + "; " + error.advice(), /*hopeless=*/false);
      } else {
        throw;
      }
    }
  }
}

void Importer::settle_conflict(const Item& item) {
  if (item.number < maybe_there_ && is_there_already(item)) {
    count({&item});
    return;
  }
  if (rules_.on_conflict == OnConflict::skip) {
    ++state_.conflicts;
    return;
  }
  throw Error(
      ErrorCode::conflict,
      place_of(item) + ": there is already a document " + item.collection + "/" + item.id + " (" +
          imported_so_far() + ")",
      "go past such documents with --on-conflict skip, or write over them with --on-conflict overwrite");
}

bool Importer::is_there_already(const Item& item) {
  const OperationReply reply =
      session_.ask({{"op", "get"}, {"collection", item.collection}, {"id", item.id}, {"peek", true}});
  return json::parse(reply.json).at("found").get<bool>() && reply.body == item.body;
}

void Importer::bad(const Item& item, const std::string& problem, bool hopeless) {
  const std::string message = place_of(item) + ": " + problem;
  if (!rules_.skip_bad || hopeless) {
    throw Error(ErrorCode::invalid_argument, message + " (" + imported_so_far() + ")",
                hopeless ? "mend it and import again"
                         : "mend it and import again, or go past such records with --skip-bad");
  }
  ++state_.skipped;
  skipped_(message);
}

std::string Importer::imported_so_far() const {
  return describe_count(state_.imported, "document") + (state_.imported == 1 ? " was" : " were") +
         " imported";
}

void Importer::count(const Items& items) {
  for (const Item* item : items) {
    ++state_.imported;
    state_.bytes += item->body.size();
  }
}

}  // namespace db4::cli
