#pragma once
// What operations take and give, as JSON. Private to store.

#include <db4/tiered_store.hpp>

#include <nlohmann/json.hpp>

#include <optional>
#include <string>
#include <string_view>

namespace db4::store {

using Json = nlohmann::json;

[[noreturn]] void bad_request(const std::string& problem, const std::string& advice);

/// The arguments of a request. Every call throws invalid_argument for a value of the wrong kind.
class Arguments {
 public:
  /// Throws invalid_argument for what is no JSON object, too long or nested (a request is flat).
  explicit Arguments(std::string_view request_json);

  /// Throws for a member that is neither "op" nor among `known` (names with spaces between).
  void check_names(std::string_view known) const;
  [[nodiscard]] bool has(const char* name) const { return json_.contains(name); }
  [[nodiscard]] std::string text(const char* name) const;
  [[nodiscard]] std::string text_or(const char* name, std::string otherwise) const;
  [[nodiscard]] std::optional<std::uint64_t> number(const char* name) const;
  [[nodiscard]] std::uint64_t number_or(const char* name, std::uint64_t otherwise) const {
    return number(name).value_or(otherwise);
  }
  /// false where it is missing.
  [[nodiscard]] bool flag(const char* name) const;
  [[nodiscard]] std::optional<StorageTier> tier(const char* name) const;
  [[nodiscard]] PinScope scope(const char* name) const;

 private:
  Json json_;
};

Json meta_json(const DocumentMeta& meta);
Json collection_json(const CollectionInfo& info);
Json pin_json(const Pin& pin);
Json explanation_json(const Explanation& explanation);
Json tiering_json(const TieringResult& result, bool dry_run);
Json stats_json(TieredStore& store);
std::string samples_json(const std::vector<StatsSample>& samples);

}  // namespace db4::store
