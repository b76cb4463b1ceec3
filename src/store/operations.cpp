// Operations: requests and replies in JSON over the public calls. docs/json.md describes them.
#include "base/encoding.hpp"
#include "store/cold_operations.hpp"
#include "store/key_operations.hpp"
#include "store/operation_call.hpp"

#include <db4/operations.hpp>

#include <algorithm>
#include <array>
#include <map>

namespace db4 {
namespace {

using store::Arguments;
using store::Call;
using store::found;
using store::Json;
using store::not_found;
using store::reply;

constexpr std::size_t kDefaultListed = 100;
/// Documents out of which `top` makes its prefixes.
constexpr std::size_t kTopDocuments = 1000;

OperationReply list(const Call& call) {
  Json out;
  if (!call.arguments.has("collection")) {
    out["collections"] = Json::array();
    for (const CollectionInfo& entry : call.store.collections()) {
      out["collections"].push_back(store::collection_json(entry));
    }
    return reply(out);
  }
  const ScanPage page = call.store.scan(
      call.collection(), {.prefix = call.arguments.text_or("prefix", ""),
                          .tier = call.arguments.tier("tier"),
                          .cursor = call.arguments.text_or("cursor", ""),
                          .limit = std::min<std::size_t>(call.arguments.number_or("limit", kDefaultListed),
                                                         kMaxOperationListed)});
  out["documents"] = Json::array();
  for (const ScanItem& item : page.items) {
    Json entry = store::meta_json(item.meta);
    entry["id"] = item.id;
    out["documents"].push_back(std::move(entry));
  }
  out["cursor"] = page.cursor;
  return reply(out);
}

OperationReply stat(const Call& call) {
  const auto explained = call.store.explain(call.collection(), call.id());
  if (!explained) return not_found();
  Json out = found(call);
  out.update(store::meta_json(explained->meta));
  out["key_id"] = explained->key_id;
  return reply(out);
}

OperationReply explain(const Call& call) {
  const auto explained = call.store.explain(call.collection(), call.id());
  if (!explained) return not_found();
  Json out = found(call);
  out.update(store::explanation_json(*explained));
  return reply(out);
}

OperationReply tier(const Call& call) {
  const auto tier = call.store.get_tier(call.collection(), call.id());
  if (!tier) return not_found();
  Json out = found(call);
  out["tier"] = to_string(*tier);
  return reply(out);
}

OperationReply tier_run(const Call& call) {
  TieringOptions options{.dry_run = call.arguments.flag("dry_run"), .stop = call.stop};
  options.max_operations = call.arguments.number_or("max_operations", options.max_operations);
  options.max_bytes = call.arguments.number_or("max_bytes", options.max_bytes);
  return reply(store::tiering_json(call.store.run_tiering(options), options.dry_run));
}

OperationReply get(const Call& call) {
  const auto document = call.store.read(call.collection(), call.id(),
                                        {.count_access = !call.arguments.flag("peek"), .stop = call.stop});
  if (!document) return not_found();
  Json out = found(call);
  out.update(store::meta_json(document->meta()));
  out["served_from"] = to_string(document->served_from());
  return {.json = store::text_of(out), .body = std::string(document->text())};
}

OperationReply put(const Call& call) {
  const WriteOptions options{.tier = call.arguments.tier("tier"),
                             .if_version = call.arguments.number("if_version"),
                             .content_type = call.arguments.text_or("content_type", ""),
                             .stop = call.stop};
  const WriteResult result =
      call.arguments.flag("json")
          ? call.store.write_json_text(call.collection(), call.id(), call.body, options)
          : call.store.write_bytes(call.collection(), call.id(), as_bytes(call.body), options);
  return reply({{"version", result.version}, {"tier", to_string(result.tier)}});
}

/// What append_batch_item made.
std::vector<BatchItem> decode_batch(std::string_view body, std::optional<Version> if_version) {
  std::vector<BatchItem> items;
  Reader reader(body);
  while (!reader.done() && items.size() <= kMaxBatchItems) {
    const auto id_bytes = reader.fixed<std::uint32_t>();
    const auto type_bytes = reader.fixed<std::uint32_t>();
    const auto body_bytes = reader.fixed<std::uint32_t>();
    BatchItem& item = items.emplace_back();
    item.id = reader.bytes(id_bytes);
    item.content_type = reader.bytes(type_bytes);
    item.body = reader.bytes(body_bytes);
    item.if_version = if_version;
    if (!reader.ok()) {
      store::bad_request("its body is cut short in document " + std::to_string(items.size()),
                         "frame its documents as docs/live.md says");
    }
  }
  return items;
}

OperationReply put_batch(const Call& call) {
  const std::vector<BatchItem> items = decode_batch(call.body, call.arguments.number("if_version"));
  const WriteOptions options{
      .tier = call.arguments.tier("tier"), .if_version = {}, .content_type = {}, .stop = call.stop};
  return reply({{"written", call.store.write_batch(call.collection(), items, options).size()}});
}

OperationReply remove(const Call& call) {
  const bool removed = call.store.remove(
      call.collection(), call.id(),
      {.tier = call.arguments.tier("tier"), .if_version = call.arguments.number("if_version")});
  return reply({{"removed", removed}});
}

OperationReply move(const Call& call, bool promote) {
  if (!call.store.get_tier(call.collection(), call.id())) return not_found();
  const StorageTier to = call.arguments.tier("to").value_or(promote ? StorageTier::hot : StorageTier::cold);
  const MoveOptions options{.keep_in_source = call.arguments.flag("keep")};
  const bool moved = promote ? call.store.promote(call.collection(), call.id(), to, options)
                             : call.store.demote(call.collection(), call.id(), to, options);
  Json out = found(call);
  out["moved"] = moved;
  out["to"] = to_string(to);
  return reply(out);
}
OperationReply promote(const Call& call) { return move(call, true); }
OperationReply demote(const Call& call) { return move(call, false); }

OperationReply pin(const Call& call) {
  const auto tier = call.arguments.tier("tier");
  if (!tier) store::bad_request("'tier' is missing", "name hot, warm or cold");
  call.store.pin({.collection = call.collection(),
                  .scope = call.arguments.scope("scope"),
                  .id = call.arguments.text_or("id", ""),
                  .tier = *tier});
  return reply({{"pinned", true}});
}

OperationReply unpin(const Call& call) {
  return reply({{"removed", call.store.unpin(call.collection(), call.arguments.scope("scope"),
                                             call.arguments.text_or("id", ""))}});
}

OperationReply pins(const Call& call) {
  Json out{{"pins", Json::array()}};
  for (const Pin& entry : call.store.pins()) out["pins"].push_back(store::pin_json(entry));
  return reply(out);
}

OperationReply stats(const Call& call) { return reply(store::stats_json(call.store)); }

OperationReply samples(const Call& call) {
  const TimePoint since{std::chrono::microseconds{
      static_cast<std::int64_t>(call.arguments.number_or("since", 0) & 0x7FFF'FFFF'FFFF'FFFF)}};
  return {.json = store::samples_json(call.store.samples(since)), .body = {}};
}

/// An id up to its first separator, that included: what belongs together in most people's ids.
std::string_view first_part(std::string_view id) { return id.substr(0, id.find_first_of("/:.-_") + 1); }

OperationReply top(const Call& call) {
  const std::size_t limit = std::min<std::size_t>(call.arguments.number_or("limit", 10), kMaxOperationListed);
  struct Prefix {
    std::size_t documents = 0;
    std::uint64_t recent = 0;
  };
  std::map<std::pair<std::string, std::string>, Prefix> prefixes;
  Json out = {{"at", call.store.info().now.time_since_epoch().count()}, {"busiest", Json::array()}};
  for (const BusyDocument& busy : call.store.busiest(kTopDocuments)) {
    if (out["busiest"].size() < limit) {
      out["busiest"].push_back({{"collection", busy.collection},
                                {"id", busy.id},
                                {"recent_access_count", busy.recent_access_count}});
    }
    Prefix& prefix = prefixes[{busy.collection, std::string(first_part(busy.id))}];
    ++prefix.documents;
    prefix.recent += busy.recent_access_count;
  }
  std::vector<std::pair<std::pair<std::string, std::string>, Prefix>> ordered(prefixes.begin(),
                                                                              prefixes.end());
  std::ranges::stable_sort(ordered, std::greater{}, [](const auto& entry) { return entry.second.recent; });
  ordered.resize(std::min(ordered.size(), limit));
  out["prefixes"] = Json::array();
  for (const auto& [name, prefix] : ordered) {
    out["prefixes"].push_back({{"collection", name.first},
                               {"prefix", name.second},
                               {"documents", prefix.documents},
                               {"recent_access_count", prefix.recent}});
  }
  out["stats"] = store::stats_json(call.store);
  return reply(out);
}

struct Operation {
  std::string_view name;
  OperationReply (*run)(const Call&);
  /// The arguments it knows, so that a misspelt one is not passed over in silence.
  std::string_view arguments;
};

constexpr std::array kOperations{
    Operation{"ls", list, "collection prefix tier cursor limit"},
    Operation{"stat", stat, "collection id"},
    Operation{"stats", stats, ""},
    Operation{"explain", explain, "collection id"},
    Operation{"tier", tier, "collection id"},
    Operation{"tier_run", tier_run, "max_operations max_bytes dry_run"},
    Operation{"get", get, "collection id peek"},
    Operation{"put", put, "collection id json tier if_version content_type"},
    Operation{"put_batch", put_batch, "collection tier if_version"},
    Operation{"rm", remove, "collection id tier if_version"},
    Operation{"promote", promote, "collection id to keep"},
    Operation{"demote", demote, "collection id to keep"},
    Operation{"pin", pin, "collection scope id tier"},
    Operation{"unpin", unpin, "collection scope id"},
    Operation{"pins", pins, ""},
    Operation{"top", top, "limit"},
    Operation{"samples", samples, "since"},
    Operation{"read", store::read_piece, "collection id offset length"},
    Operation{"uploads", store::list_uploads, ""},
    Operation{"upload_abort", store::abort_upload, "upload_id"},
    Operation{"upload_clean", store::clean_uploads, "older_than_ms"},
    Operation{"gc", store::collect_garbage, "max_objects"},
    Operation{"compact", store::compact, "max_segments max_bytes"},
    Operation{"keys", store::list_keys, ""},
    Operation{"key_rotate", store::rotate_key, "destroy_old force"},
    Operation{"key_destroy", store::destroy_key, "key_id force"},
    Operation{"key_cancel", store::cancel_key, "key_id"},
    Operation{"reencrypt", store::reencrypt, "max_documents max_bytes"},
    Operation{"reencrypt_document", store::reencrypt_document, "collection id"},
};

}  // namespace

void append_batch_item(std::string& body, std::string_view id, std::string_view content_type,
                       std::string_view document) {
  for (const std::string_view part : {id, content_type, document}) {
    put_fixed(body, static_cast<std::uint32_t>(part.size()));
  }
  for (const std::string_view part : {id, content_type, document}) body.append(part);
}

OperationReply run_operation(TieredStore& store, std::string_view request_json, std::string_view body,
                             const std::stop_token& stop) {
  const Call call{.store = store, .arguments = Arguments(request_json), .body = body, .stop = stop};
  const std::string name = call.arguments.text("op");
  const auto* found = std::find_if(kOperations.begin(), kOperations.end(),
                                   [&](const Operation& o) { return o.name == name; });
  if (found == kOperations.end()) {
    std::string names;
    for (const Operation& operation : kOperations)
      names += (names.empty() ? "" : ", ") + std::string(operation.name);
    store::bad_request("there is no operation '" + name + "'", "use one of " + names);
  }
  call.arguments.check_names(found->arguments);
  return found->run(call);
}

}  // namespace db4
