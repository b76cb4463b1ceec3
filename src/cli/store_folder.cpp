#include "store_folder.hpp"

#include "text.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <limits>
#include <numeric>
#include <optional>
#include <sstream>

#define TOML_EXCEPTIONS 1
#include <toml++/toml.h>

namespace db4::cli {
namespace {

constexpr const char* kFileName = "db4.toml";

/// One setting: its key ("hot.max_size"), a comment, and how it is written and read.
struct Setting {
  std::string key;
  std::string comment;
  std::function<std::string(const TieredStoreConfig&)> write;
  std::function<void(TieredStoreConfig&, const std::string&)> read;
};

std::string in_quotes(std::string_view text) { return "\"" + std::string(text) + "\""; }

std::string duration_text(std::chrono::milliseconds duration) {
  const auto ms = duration.count();
  if (ms != 0 && ms % 86'400'000 == 0) return in_quotes(std::to_string(ms / 86'400'000) + "d");
  if (ms != 0 && ms % 3'600'000 == 0) return in_quotes(std::to_string(ms / 3'600'000) + "h");
  if (ms != 0 && ms % 60'000 == 0) return in_quotes(std::to_string(ms / 60'000) + "min");
  if (ms % 1000 == 0) return in_quotes(std::to_string(ms / 1000) + "s");
  return in_quotes(std::to_string(ms) + "ms");
}

std::string bytes_text(std::uint64_t bytes) {
  if (bytes != 0 && bytes % (1ULL << 30) == 0) return in_quotes(std::to_string(bytes >> 30) + "GiB");
  if (bytes != 0 && bytes % (1ULL << 20) == 0) return in_quotes(std::to_string(bytes >> 20) + "MiB");
  if (bytes != 0 && bytes % (1ULL << 10) == 0) return in_quotes(std::to_string(bytes >> 10) + "KiB");
  return in_quotes(std::to_string(bytes) + "B");
}

template <typename Section, typename Field>
Setting bytes_setting(std::string key, Section section, Field field, std::string comment) {
  return {std::move(key), std::move(comment),
          [=](const TieredStoreConfig& c) { return bytes_text(c.*section.*field); },
          [=](TieredStoreConfig& c, const std::string& text) { c.*section.*field = parse_bytes(text); }};
}

template <typename Section, typename Field>
Setting duration_setting(std::string key, Section section, Field field, std::string comment) {
  return {std::move(key), std::move(comment),
          [=](const TieredStoreConfig& c) { return duration_text(c.*section.*field); },
          [=](TieredStoreConfig& c, const std::string& text) { c.*section.*field = parse_duration(text); }};
}

template <typename Section, typename Field, typename Enum>
Setting enum_setting(std::string key, Section section, Field field, std::initializer_list<Enum> values,
                     std::string comment) {
  const std::vector<Enum> kept(values);
  return {std::move(key), std::move(comment),
          [=](const TieredStoreConfig& c) { return in_quotes(to_string(c.*section.*field)); },
          [=](TieredStoreConfig& c, const std::string& text) {
            for (const Enum value : kept) {
              if (text == to_string(value)) {
                c.*section.*field = value;
                return;
              }
            }
            std::string names;
            for (const Enum value : kept)
              names += (names.empty() ? "" : ", ") + std::string(to_string(value));
            throw Error(ErrorCode::invalid_argument, "'" + text + "' is none of " + names,
                        "choose one of them");
          }};
}

template <typename Field>
Setting price_setting(std::string key, Field field, std::string comment) {
  return {std::move(key), std::move(comment),
          [=](const TieredStoreConfig& c) {
            std::ostringstream out;
            out << c.cost.*field;
            return out.str();
          },
          [=](TieredStoreConfig& c, const std::string& text) {
            std::size_t end = 0;
            const double price = std::stod(text, &end);
            if (end != text.size() || !std::isfinite(price) || price < 0) throw std::invalid_argument(text);
            c.cost.*field = price;
          }};
}

std::string promote_text(PromoteOnRead mode) {
  if (mode.mode() == PromoteOnRead::always) return "always";
  return mode.mode() == PromoteOnRead::never ? "never" : "second_read";
}

const std::vector<Setting>& settings() {
  using C = TieredStoreConfig;
  static const std::vector<Setting> all{
      enum_setting("hot.type", &C::hot, &HotConfig::type, {HotType::rocksdb, HotType::sqlite},
                   "the engine: rocksdb or sqlite; not to be changed later"),
      bytes_setting("hot.max_size", &C::hot, &HotConfig::max_size,
                    "bytes of documents that may live hot; 0B: no bound"),
      bytes_setting("hot.cache_size", &C::hot, &HotConfig::cache_size, "memory for copies of hot documents"),
      bytes_setting("hot.max_body_size", &C::hot, &HotConfig::max_body_size,
                    "larger bodies go straight to cold"),
      enum_setting("hot.durability", &C::hot, &HotConfig::durability,
                   {Durability::none, Durability::process, Durability::disk},
                   "what an acknowledged write survives: none, process (a killed one), disk (a power cut)"),
      enum_setting("warm.type", &C::warm, &WarmConfig::type, {WarmType::memory, WarmType::disk},
                   "memory or disk"),
      duration_setting("warm.ttl", &C::warm, &WarmConfig::ttl, "copies are fresh for this long"),
      duration_setting("warm.stale_while_revalidate", &C::warm, &WarmConfig::stale_while_revalidate,
                       "and then served for this long more while one request refreshes them"),
      bytes_setting("warm.max_size", &C::warm, &WarmConfig::max_size, "0B turns the warm tier off"),
      enum_setting("cold.compression", &C::cold, &ColdConfig::compression,
                   {Compression::none, Compression::gzip, Compression::zstd}, "none, gzip or zstd"),
      {"cold.prefix", "put before every object's name", [](const C& c) { return in_quotes(c.cold.prefix); },
       [](C& c, const std::string& text) { c.cold.prefix = text; }},
      bytes_setting("cold.pack_below", &C::cold, &ColdConfig::pack_below,
                    "smaller records are packed into segments"),
      bytes_setting("cold.segment_size", &C::cold, &ColdConfig::segment_size,
                    "a segment is closed at this size"),
      duration_setting("cold.garbage_grace", &C::cold, &ColdConfig::garbage_grace,
                       "freed objects are kept this long"),
      duration_setting("tiering.hot_threshold", &C::tiering, &TieringConfig::hot_threshold,
                       "used within this time: hot"),
      duration_setting("tiering.warm_threshold", &C::tiering, &TieringConfig::warm_threshold,
                       "used within this time: warm; longer ago: cold"),
      {"tiering.access_count_threshold", "this many reads within access_window: hot",
       [](const C& c) { return std::to_string(c.tiering.access_count_threshold); },
       [](C& c, const std::string& text) {
         std::size_t end = 0;
         const unsigned long long count = std::stoull(text, &end);
         if (end != text.size() || count > std::numeric_limits<std::uint32_t>::max())
           throw std::invalid_argument(text);
         c.tiering.access_count_threshold = static_cast<std::uint32_t>(count);
       }},
      duration_setting("tiering.access_window", &C::tiering, &TieringConfig::access_window,
                       "reads are counted over this"),
      {"tiering.promote_on_read", "never, always or second_read (on the second within access_window)",
       [](const C& c) { return in_quotes(promote_text(c.tiering.promote_on_read)); },
       [](C& c, const std::string& text) {
         for (const auto mode : {PromoteOnRead::never, PromoteOnRead::always, PromoteOnRead::second_read}) {
           if (text == promote_text(mode)) {
             c.tiering.promote_on_read = mode;
             return;
           }
         }
         throw Error(ErrorCode::invalid_argument, "'" + text + "' is no mode",
                     "use never, always or second_read");
       }},
      price_setting("cost.hot_per_gb_month", &CostConfig::hot_per_gb_month, "dollars"),
      price_setting("cost.cold_per_gb_month", &CostConfig::cold_per_gb_month, "dollars"),
      price_setting("cost.per_million_object_writes", &CostConfig::per_million_object_writes, "dollars"),
      price_setting("cost.per_million_object_reads", &CostConfig::per_million_object_reads, "dollars"),
  };
  return all;
}

void set_paths(TieredStoreConfig& config, const std::filesystem::path& folder) {
  const std::filesystem::path root = std::filesystem::absolute(folder);
  config.hot.path = root / "hot";
  config.warm.path = root / "warm";
  config.cold.path = root / "cold";
  // A command is over before an interval is; tiering runs when it is asked to.
  config.tiering.interval = std::chrono::milliseconds{0};
}

Error bad_setting(const std::filesystem::path& file, const toml::node& node, const std::string& problem,
                  const std::string& advice) {
  return {ErrorCode::invalid_argument,
          file.string() + ":" + std::to_string(node.source().begin.line) + ": " + problem, advice};
}

/// A text as it is; a number as it would be written.
std::optional<std::string> text_of(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return std::to_string(number->get());
  if (const auto* number = node.as_floating_point()) {
    std::ostringstream out;
    out << number->get();
    return out.str();
  }
  return std::nullopt;
}

/// Levenshtein's distance: how many letters to insert, remove or replace.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), std::size_t{0});
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = std::exchange(row[j], std::min({row[j] + 1, row[j - 1] + 1, replaced}));
    }
  }
  return row.back();
}

std::string nearest_key(const std::string& key) {
  return std::min_element(settings().begin(), settings().end(),
                          [&](const Setting& a, const Setting& b) {
                            return edit_distance(key, a.key) < edit_distance(key, b.key);
                          })
      ->key;
}

void apply(TieredStoreConfig& config, const std::filesystem::path& file, const std::string& key,
           const toml::node& value) {
  for (const Setting& setting : settings()) {
    if (setting.key != key) continue;
    const auto text = text_of(value);
    if (!text)
      throw bad_setting(file, value, key + " is neither text nor a number", "write \"...\" or a number");
    try {
      setting.read(config, *text);
    } catch (const Error& error) {
      throw bad_setting(file, value, key + ": " + error.problem(), error.advice());
    } catch (const std::logic_error&) {
      throw bad_setting(file, value, key + ": '" + *text + "' is no number",
                        "write a number such as 5 or 0.15");
    }
    return;
  }
  throw bad_setting(file, value, "there is no setting " + key, "did you mean " + nearest_key(key) + "?");
}

/// The folder that the option or the environment names; empty where neither does.
std::filesystem::path named_store(const std::string& option) {
  if (!option.empty()) return option;
  const char* given = std::getenv("DB4_STORE");  // NOLINT(concurrency-mt-unsafe): nobody sets it
  return given == nullptr ? "" : given;
}

}  // namespace

std::filesystem::path store_to_make(const std::string& option) {
  const std::filesystem::path named = named_store(option);
  return named.empty() ? "." : named;
}

std::filesystem::path find_store(const std::string& option) {
  if (auto named = named_store(option); !named.empty()) return named;
  if (std::filesystem::exists(kFileName)) return ".";
  throw Error(ErrorCode::invalid_argument, "no store is named, and this folder has no db4.toml",
              "use --store FOLDER or DB4_STORE, or make one with `db4 init --store FOLDER`");
}

TieredStoreConfig read_config(const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / kFileName;
  if (!std::filesystem::exists(file)) {
    throw Error(ErrorCode::invalid_argument, folder.string() + " is no store: it has no db4.toml",
                "make it one with `db4 init --store " + folder.string() + "`");
  }
  TieredStoreConfig config;
  config.warm.type = WarmType::disk;
  try {
    const toml::table parsed = toml::parse_file(file.string());
    for (const auto& [section, entries] : parsed) {
      const toml::table* table = entries.as_table();
      if (table == nullptr)
        throw bad_setting(file, entries, std::string(section.str()) + " is no section", "use [hot]");
      for (const auto& [name, value] : *table) {
        apply(config, file, std::string(section.str()) + "." + std::string(name.str()), value);
      }
    }
  } catch (const toml::parse_error& error) {
    throw Error(ErrorCode::invalid_argument,
                file.string() + ":" + std::to_string(error.source().begin.line) + ": " +
                    std::string(error.description()),
                "mend that line");
  }
  set_paths(config, folder);
  return config;
}

void write_config(const std::filesystem::path& folder, const TieredStoreConfig& config) {
  const std::filesystem::path file = folder / kFileName;
  if (std::filesystem::exists(file)) {
    throw Error(ErrorCode::conflict, folder.string() + " is a store already",
                "use it, or choose another folder");
  }
  std::filesystem::create_directories(folder);
  std::ofstream out(file);
  out << "# A db4 store. Documents live in hot/ and cold/; warm/ is a cache and may be deleted while nobody "
         "uses it.\n";
  std::string section;
  for (const Setting& setting : settings()) {
    const std::size_t dot = setting.key.find('.');
    if (setting.key.substr(0, dot) != section) {
      section = setting.key.substr(0, dot);
      out << "\n[" << section << "]\n";
    }
    out << "# " << setting.comment << "\n"
        << setting.key.substr(dot + 1) << " = " << setting.write(config) << "\n";
  }
  if (!out.flush()) {
    throw Error(ErrorCode::resource_exhausted, "cannot write " + file.string(),
                "check space and permissions there");
  }
}

}  // namespace db4::cli
