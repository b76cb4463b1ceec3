#pragma once
// Dictionaries of the cold tier: bodies are sampled as they become records, dictionaries trained where they
// pay, and found again for readers.

#include "catalog/catalog.hpp"
#include "codec/dictionary.hpp"

#include <db4/config.hpp>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <stop_token>
#include <string>
#include <unordered_map>
#include <vector>

namespace db4::cold {

/// A dictionary is kept where it makes the bodies held back from its training smaller by this share at least,
/// the records' headers counted.
inline constexpr double kMinDictionaryGain = 0.2;
/// Collections that are sampled at once, and what is kept of each.
inline constexpr std::size_t kMaxSampledCollections = 8;
inline constexpr std::size_t kMaxSampledBytes = 4ULL << 20;
/// Prepared ones that are kept in memory, some 300 KiB each.
inline constexpr std::size_t kMaxPreparedDictionaries = 64;

/// Thread-safe.
class Dictionaries final : public codec::DictionarySource {
 public:
  /// Puts a dictionary's bytes under a name that is announced, and gives the name.
  using Put = std::function<std::string(std::uint32_t id, std::string_view bytes)>;
  /// Gives up what Put put.
  using Discard = std::function<void(const std::string& object, std::uint64_t bytes)>;

  Dictionaries(catalog::Catalog& catalog, const ColdConfig& config) : catalog_(catalog), config_(config) {}

  /// The one with which a body of this collection is to be compressed; null: none. Where there is none yet,
  /// the body is taken as a sample.
  [[nodiscard]] std::shared_ptr<const codec::Dictionary> for_body(std::string_view collection,
                                                                  std::string_view body);
  [[nodiscard]] std::shared_ptr<const codec::Dictionary> find_dictionary(std::uint32_t id) override;

  /// Trains what was sampled enough; how many collections have a dictionary now that had none. Throws what
  /// `put` and the catalogue throw; what was sampled is gone then, and is sampled again.
  std::size_t train(const Put& put, const Discard& discard, const std::stop_token& stop);

 private:
  struct Samples {
    std::vector<std::string> bodies;
    std::size_t bytes = 0;
  };
  [[nodiscard]] bool enough(const Samples& samples) const noexcept {
    return samples.bodies.size() >= config_.dictionary_samples || samples.bytes >= kMaxSampledBytes;
  }
  [[nodiscard]] bool pays(const codec::Dictionary& dictionary,
                          const std::vector<std::string_view>& held_back) const;
  [[nodiscard]] std::string train_one(const Samples& samples) const;
  void sample(std::string_view collection, std::string_view body);

  catalog::Catalog& catalog_;
  const ColdConfig& config_;
  std::mutex mutex_;
  /// 0: the collection has none.
  std::map<std::string, std::uint32_t, std::less<>> of_collection_;
  std::unordered_map<std::uint32_t, std::shared_ptr<const codec::Dictionary>> prepared_;
  std::map<std::string, Samples, std::less<>> sampled_;
  /// Tried in vain since the store was opened.
  std::set<std::string, std::less<>> declined_;
};

}  // namespace db4::cold
