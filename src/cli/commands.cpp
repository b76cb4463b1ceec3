#include "commands.hpp"

#include "store_folder.hpp"
#include "text.hpp"

#include <fstream>
#include <iostream>
#include <iterator>
#include <sstream>

namespace db4::cli {
namespace {

TieredStore open(const Request& request) { return TieredStore(read_config(find_store(request.store))); }

/// The whole of a file, or of standard input for "-".
std::string read_input(const std::string& file) {
  if (file == "-") return {std::istreambuf_iterator<char>(std::cin), {}};
  std::ifstream in(file, std::ios::binary);
  std::ostringstream whole;
  if (in && in.peek() != std::ifstream::traits_type::eof()) whole << in.rdbuf();
  if (in.bad() || !in.is_open()) {
    throw Error(ErrorCode::invalid_argument, "cannot read " + file, "check its name and permissions");
  }
  return std::move(whole).str();
}

std::string name_of(const Request& request) { return escape(request.collection) + "/" + escape(request.id); }

int not_found(const Request& request) {
  std::cerr << "db4: there is no document " << name_of(request) << "\n";
  return kNotFound;
}

nlohmann::json meta_json(const DocumentMeta& meta) {
  return {{"version", meta.version},
          {"tier", to_string(meta.tier)},
          {"size", meta.size},
          {"content_type", meta.content_type},
          {"created_at", meta.created_at.time_since_epoch().count()},
          {"updated_at", meta.updated_at.time_since_epoch().count()},
          {"accessed_at", meta.accessed_at.time_since_epoch().count()},
          {"access_count", meta.access_count},
          {"recent_access_count", meta.recent_access_count}};
}

void print_collections(TieredStore& store, bool json) {
  const std::vector<CollectionInfo> collections = store.collections();
  if (json) {
    nlohmann::json out = nlohmann::json::array();
    for (const CollectionInfo& entry : collections) {
      out.push_back({{"name", entry.name}, {"documents", entry.documents}, {"bytes", entry.bytes}});
    }
    std::cout << out.dump(2) << "\n";
    return;
  }
  Table table({"collection", "documents", "bytes"});
  for (const CollectionInfo& entry : collections) {
    table.add({escape(entry.name), describe_count(entry.documents), describe_bytes(entry.bytes)});
  }
  std::cout << table.text();
}

void print_store_stat(TieredStore& store, bool json) {
  const StoreStats stats = store.stats();
  const ColdStats& cold = stats.cold_storage;
  if (json) {
    std::cout << nlohmann::json{{"hot", {{"documents", stats.hot.documents}, {"bytes", stats.hot.bytes}}},
                                {"warm", {{"copies", stats.warm.documents}, {"bytes", stats.warm.bytes}}},
                                {"cold",
                                 {{"documents", cold.documents},
                                  {"bytes", cold.bytes},
                                  {"objects", cold.objects},
                                  {"object_bytes", cold.object_bytes}}},
                                {"bill", {{"tiered", stats.cost.total}, {"all_hot", stats.cost.all_hot}}}}
                     .dump(2)
              << "\n";
    return;
  }
  Table table({"tier", "documents", "bytes"});
  table.add({"hot", describe_count(stats.hot.documents), describe_bytes(stats.hot.bytes)});
  table.add({"warm (copies)", describe_count(stats.warm.documents), describe_bytes(stats.warm.bytes)});
  table.add({"cold", describe_count(cold.documents), describe_bytes(cold.bytes)});
  const int digits = stats.cost.all_hot < 1 ? 6 : 2;
  std::cout << table.text() << "\n  " << describe_count(cold.objects) << " objects of "
            << describe_bytes(cold.object_bytes)
            << "\n  a month: " << describe_dollars(stats.cost.total, digits) << " in tiers, "
            << describe_dollars(stats.cost.all_hot, digits) << " all hot\n";
}

}  // namespace

std::optional<StorageTier> tier_of(const Request& request) {
  if (request.tier.empty()) return std::nullopt;
  const auto tier = tier_from_string(request.tier);
  if (!tier)
    throw Error(ErrorCode::invalid_argument, "'" + request.tier + "' is no tier", "use hot, warm or cold");
  return tier;
}

int exit_code(const Error& error) noexcept {
  switch (error.code()) {
    case ErrorCode::invalid_argument:
    case ErrorCode::unsupported:
    case ErrorCode::too_large:
      return kUsage;
    case ErrorCode::conflict:
      return kConflict;
    case ErrorCode::locked:
    case ErrorCode::unavailable:
    case ErrorCode::resource_exhausted:
    case ErrorCode::deadline_exceeded:
      return kBusy;
    default:
      return kFailed;
  }
}

int run_init(const Request& request, TieredStoreConfig config) {
  const std::filesystem::path folder = store_to_make(request.store);
  config.warm.type = WarmType::disk;
  write_config(folder, config);
  TieredStore store(read_config(folder));
  store.close();
  std::cout << "Made a store in " << folder.string() << "; its settings are in "
            << (folder / "db4.toml").string() << "\n";
  return kOk;
}

int run_put(const Request& request) {
  const std::string body = read_input(request.file);
  TieredStore store = open(request);
  const WriteOptions options{
      .tier = tier_of(request), .if_version = request.if_version, .content_type = request.content_type};
  const WriteResult result = request.bytes
                                 ? store.write_bytes(request.collection, request.id, as_bytes(body), options)
                                 : store.write_json_text(request.collection, request.id, body, options);
  store.close();
  if (request.json) {
    std::cout << nlohmann::json{{"version", result.version}, {"tier", to_string(result.tier)}}.dump() << "\n";
  } else {
    std::cout << name_of(request) << " version " << result.version << " in " << to_string(result.tier)
              << "\n";
  }
  return kOk;
}

int run_get(const Request& request) {
  TieredStore store = open(request);
  const auto document = store.read(request.collection, request.id);
  if (!document) return not_found(request);
  if (request.meta) {
    std::cout << to_json(*document).dump(2) << "\n";
  } else {
    std::cout << document->text();
  }
  std::cout.flush();
  store.close();
  return kOk;
}

int run_rm(const Request& request) {
  TieredStore store = open(request);
  const bool removed = store.remove(request.collection, request.id,
                                    {.tier = tier_of(request), .if_version = request.if_version});
  store.close();
  if (!removed) return not_found(request);
  std::cout << "removed " << name_of(request) << "\n";
  return kOk;
}

int run_ls(const Request& request) {
  TieredStore store = open(request);
  if (request.collection.empty()) {
    print_collections(store, request.json);
    return kOk;
  }
  Table table({"id", "tier", "version", "bytes", "updated", "reads"});
  nlohmann::json out = nlohmann::json::array();
  ScanOptions options{.prefix = request.prefix, .tier = tier_of(request)};
  std::size_t listed = 0;
  do {
    options.limit = std::min<std::size_t>(request.limit - listed, 1000);
    const ScanPage page = store.scan(request.collection, options);
    for (const ScanItem& item : page.items) {
      if (request.json) {
        nlohmann::json entry = meta_json(item.meta);
        entry["id"] = item.id;
        out.push_back(std::move(entry));
      } else {
        table.add({escape(item.id), std::string(to_string(item.meta.tier)), std::to_string(item.meta.version),
                   describe_bytes(item.meta.size), describe_time(item.meta.updated_at),
                   describe_count(item.meta.access_count)});
      }
    }
    listed += page.items.size();
    options.cursor = page.cursor;
  } while (!options.cursor.empty() && listed < request.limit);
  std::cout << (request.json ? out.dump(2) + "\n" : table.text());
  if (!options.cursor.empty() && !request.json) std::cout << "  ... more: raise --limit\n";
  return kOk;
}

int run_stat(const Request& request) {
  TieredStore store = open(request);
  if (request.collection.empty()) {
    print_store_stat(store, request.json);
    return kOk;
  }
  const auto explained = store.explain(request.collection, request.id);
  if (!explained) return not_found(request);
  if (request.json) {
    std::cout << meta_json(explained->meta).dump(2) << "\n";
    return kOk;
  }
  const DocumentMeta& meta = explained->meta;
  std::cout << "  tier      " << to_string(meta.tier) << "\n  version   " << meta.version << "\n  size      "
            << describe_bytes(meta.size) << "\n  type      " << meta.content_type << "\n  created   "
            << describe_time(meta.created_at) << "\n  updated   " << describe_time(meta.updated_at)
            << "\n  last used " << describe_time(meta.accessed_at) << "\n  reads     "
            << describe_count(meta.access_count) << " (" << meta.recent_access_count << " recent)\n";
  return kOk;
}

int run_tier(const Request& request) {
  TieredStore store = open(request);
  const auto tier = store.get_tier(request.collection, request.id);
  if (!tier) return not_found(request);
  std::cout << (request.json ? nlohmann::json{{"tier", to_string(*tier)}}.dump()
                             : std::string(to_string(*tier)))
            << "\n";
  return kOk;
}

int run_explain(const Request& request) {
  TieredStore store = open(request);
  const auto explained = store.explain(request.collection, request.id);
  if (!explained) return not_found(request);
  if (request.json) {
    nlohmann::json out{{"meta", meta_json(explained->meta)},
                       {"home", to_string(explained->home)},
                       {"copies", explained->copies},
                       {"placed_by", explained->placed_by},
                       {"placed_at", explained->placed_at.time_since_epoch().count()},
                       {"classified", to_string(explained->classified)},
                       {"rule", explained->rule},
                       {"outlook", explained->outlook}};
    if (explained->due_at) out["due_at"] = explained->due_at->time_since_epoch().count();
    std::cout << out.dump(2) << "\n";
    return kOk;
  }
  std::cout << "  " << name_of(request) << " is in " << to_string(explained->meta.tier) << ", version "
            << explained->meta.version << ", " << describe_bytes(explained->meta.size) << "\n";
  for (const std::string& copy : explained->copies) std::cout << "  copy       " << copy << "\n";
  std::cout << "  placed by  " << explained->placed_by << ", " << describe_time(explained->placed_at)
            << "\n  rule       " << explained->rule << ": " << to_string(explained->classified) << "\n";
  if (explained->due_at) std::cout << "  due        " << describe_time(*explained->due_at) << "\n";
  std::cout << "  outlook    " << explained->outlook << "\n";
  return kOk;
}

int run_move(const Request& request, bool promote) {
  TieredStore store = open(request);
  if (!store.get_tier(request.collection, request.id)) return not_found(request);
  const StorageTier to = tier_of(request).value_or(promote ? StorageTier::hot : StorageTier::cold);
  const MoveOptions options{.keep_in_source = request.keep};
  const bool moved = promote ? store.promote(request.collection, request.id, to, options)
                             : store.demote(request.collection, request.id, to, options);
  store.close();
  std::cout << name_of(request) << (moved ? " moved to " : " is already in ") << to_string(to) << "\n";
  return kOk;
}

int run_tiering(const Request& request) {
  TieredStore store = open(request);
  TieringOptions options{.max_operations = request.max_operations, .dry_run = request.dry_run};
  if (!request.max_bytes.empty()) options.max_bytes = parse_bytes(request.max_bytes);
  const TieringResult result = store.run_tiering(options);
  store.close();
  if (request.json) {
    nlohmann::json moves = nlohmann::json::array();
    for (const Move& move : result.moves) {
      moves.push_back({{"collection", move.collection},
                       {"id", move.id},
                       {"from", to_string(move.from)},
                       {"to", to_string(move.to)},
                       {"bytes", move.bytes},
                       {"reason", move.reason}});
    }
    std::cout << nlohmann::json{{"promoted", result.promoted},
                                {"demoted", result.demoted},
                                {"skipped", result.skipped},
                                {"failed", result.failed},
                                {"bytes_moved", result.bytes_moved},
                                {"more", result.more},
                                {"dry_run", request.dry_run},
                                {"moves", moves},
                                {"errors", result.errors}}
                     .dump(2)
              << "\n";
  } else {
    constexpr std::size_t kShown = 20;
    for (std::size_t i = 0; i < std::min(kShown, result.moves.size()); ++i) {
      const Move& move = result.moves[i];
      std::cout << "  " << escape(move.collection) << "/" << escape(move.id) << ": " << to_string(move.from)
                << " to " << to_string(move.to) << ", " << move.reason << "\n";
    }
    if (result.moves.size() > kShown)
      std::cout << "  ... and " << describe_count(result.moves.size() - kShown) << " more\n";
    std::cout << (request.dry_run ? "would promote " : "promoted ") << describe_count(result.promoted)
              << (request.dry_run ? ", would demote " : ", demoted ") << describe_count(result.demoted)
              << ", left " << describe_count(result.skipped) << ", failed " << describe_count(result.failed)
              << ", " << describe_bytes(result.bytes_moved) << "\n";
    for (const std::string& error : result.errors) std::cerr << "db4: " << error << "\n";
    if (result.more) std::cout << "more is due: run again, or raise --max-operations\n";
  }
  return result.failed == 0 ? kOk : kFailed;
}

}  // namespace db4::cli
