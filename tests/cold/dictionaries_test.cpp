// Training dictionaries, with a process that may end between any two of its commits.
#include "cold/dictionaries.hpp"

#include "catalog/spaces.hpp"
#include "kv/engine.hpp"

#include <db4/error.hpp>
#include <db4/random.hpp>

#include <gtest/gtest.h>

namespace db4::testing {
namespace {

/// An engine whose process is killed after so many commits: what was committed stays, nothing follows.
class KilledEngine final : public kv::Engine {
 public:
  explicit KilledEngine(kv::Engine& under) : under_(under) {}

  std::optional<std::string> get(std::uint8_t space, std::string_view key) const override {
    return under_.get(space, key);
  }
  std::vector<kv::Entry> scan(const kv::ScanRequest& request) const override { return under_.scan(request); }
  std::vector<kv::Outcome> commit(std::span<const kv::Batch* const> group, Durability durability) override {
    if (left == 0) throw Error(ErrorCode::read_only, "the process was killed", "begin another one");
    --left;
    return under_.commit(group, durability);
  }
  void sync() override { under_.sync(); }
  void close() override {}
  Durability strongest() const noexcept override { return under_.strongest(); }
  kv::EngineStats stats() const override { return under_.stats(); }

  std::size_t left = 1'000'000;

 private:
  kv::Engine& under_;
};

class TrainingTest : public ::testing::Test {
 protected:
  static constexpr std::size_t kSamples = 200;

  std::unique_ptr<catalog::Catalog> open(std::size_t commits_left) {
    auto engine = std::make_unique<KilledEngine>(*under_);
    KilledEngine& killed = *engine;
    auto catalog = std::make_unique<catalog::Catalog>(std::move(engine), clock_, *random_, options_);
    killed.left = commits_left;
    return catalog;
  }
  /// Gathers samples and trains with them, until it is killed; whether it was not.
  bool train(catalog::Catalog& catalog) const {
    cold::Dictionaries dictionaries(catalog, config_);
    for (std::size_t i = 0; i < kSamples; ++i) {
      (void)dictionaries.for_body("orders", R"({"customer":"customer )" + std::to_string(i % 97) +
                                                R"(","newsletter":false,"order":)" +
                                                std::to_string(i * 7919) +
                                                R"(,"currency":"EUR","city":"Berlin","country":"DE"})");
    }
    try {
      return dictionaries.train(
                 [&](std::uint32_t /*id*/, std::string_view bytes) {
                   const std::string object = "dictionary-" + std::to_string(random_->next_u64());
                   catalog.announce_object(object, bytes.size());
                   return object;
                 },
                 [&](const std::string& object, std::uint64_t bytes) {
                   catalog.discard_object(object, bytes);
                 },
                 {}) == 1;
    } catch (const Error&) {
      return false;
    }
  }

  const ColdConfig config_{.compression = Compression::zstd, .dictionary_samples = kSamples};
  const std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>();
  const std::shared_ptr<RandomSource> random_ = seeded_random(1);
  const catalog::CatalogOptions options_ = {};
  std::unique_ptr<kv::Engine> under_ = kv::open_memory_engine({.spaces = catalog::catalog_spaces()});
};

TEST_F(TrainingTest, AKillLeavesNoDictionaryThatNoCollectionNames) {
  bool whole = false;
  for (std::size_t commits = 0; commits < 10 && !whole; ++commits) {
    under_ = kv::open_memory_engine({.spaces = catalog::catalog_spaces()});
    open(1'000'000);  // makes the store
    whole = train(*open(commits));
    const auto after = open(1'000'000);
    for (const catalog::StoredDictionary& dictionary : after->dictionaries()) {
      EXPECT_EQ(after->dictionary_of("orders"), dictionary.id) << "killed after " << commits << " commits";
    }
    if (after->dictionary_of("orders") == 0) {
      EXPECT_TRUE(train(*after)) << "killed after " << commits << " commits";
    }
    EXPECT_EQ(after->dictionaries().size(), 1U) << "killed after " << commits << " commits";
  }
  EXPECT_TRUE(whole);
}

}  // namespace
}  // namespace db4::testing
