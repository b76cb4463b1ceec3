// Random operations on a store and on a plain map: both must say the same, whatever fails or is reopened in
// between.

#include "store/store_model.hpp"
#include "support/thread_sanitizer.hpp"

#include <cstdlib>

namespace db4::testing {
namespace {

/// Steps of each combination. DB4_TEST_STEPS overrides it, DB4_TEST_SEED the seed.
constexpr std::uint64_t kSteps = 6000;
constexpr std::uint64_t kPostgresSteps = 4000;
/// Of an encrypted store. Its figures are looked at more often.
constexpr std::uint64_t kEncryptedSteps = 2000;
constexpr std::uint64_t kEncryptedPostgresSteps = 1000;

std::uint64_t from_environment(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

using Combination = std::tuple<HotType, WarmKind, ColdType>;

class Model : public ::testing::TestWithParam<Combination> {
 protected:
  static void run(std::uint64_t max_size, bool encrypted = false) {
    const auto [hot, warm, cold] = GetParam();
    if (kThreadSanitizer && (hot == HotType::rocksdb || warm == WarmKind::disk)) {
      GTEST_SKIP() << kRocksDbUnderThreadSanitizer;
    }
    std::string url;
    if (hot == HotType::postgres) {
      std::string reason;
      const PostgresServer* server = shared_postgres_server(&reason);
      if (server == nullptr) GTEST_SKIP() << reason;
      url = server->url();
    }
    const bool postgres = hot == HotType::postgres;
    const std::uint64_t all = encrypted ? (postgres ? kEncryptedPostgresSteps : kEncryptedSteps)
                                        : (postgres ? kPostgresSteps : kSteps);
    const std::uint64_t steps = all / (max_size == 0 ? 1 : 4);
    // Keys change seldom: what one run misses another one may meet.
    const std::uint64_t seed =
        20'240'501 +
        (encrypted ? 1 + static_cast<std::uint64_t>(hot) * 10 + static_cast<std::uint64_t>(warm) : 0);
    const ModelSetup setup{.hot = hot,
                           .warm = warm,
                           .cold = cold,
                           .seed = from_environment("DB4_TEST_SEED", seed),
                           .steps = from_environment("DB4_TEST_STEPS", steps),
                           .max_size = max_size,
                           .postgres_url = url,
                           .encrypted = encrypted};
    RecordProperty("seed", std::to_string(setup.seed));
    StoreModel(setup).run();
    if (!HasFailure()) return;
    const ::testing::TestInfo& test = *::testing::UnitTest::GetInstance()->current_test_info();
    std::cerr << "repeat it with: DB4_TEST_SEED=" << setup.seed << " DB4_TEST_STEPS=" << setup.steps
              << " build/release/bin/db4_test_store --gtest_filter=" << test.test_suite_name() << "."
              << test.name() << "\n";
  }
};

TEST_P(Model, StoreAndMapAgree) { run(/*max_size=*/0); }
TEST_P(Model, StoreAndMapAgreeInASmallHotTier) { run(/*max_size=*/60'000); }

/// The same with keys: rotated, destroyed, wrapped anew, and everything sealed anew or made plain.
class EncryptedModel : public Model {};

TEST_P(EncryptedModel, StoreAndMapAgree) { run(/*max_size=*/0, /*encrypted=*/true); }
TEST_P(EncryptedModel, StoreAndMapAgreeInASmallHotTier) { run(/*max_size=*/60'000, /*encrypted=*/true); }

std::string name_of(const ::testing::TestParamInfo<Combination>& combination) {
  const auto [hot, warm, cold] = combination.param;
  const std::string warms[] = {"_warm_off", "_warm_memory", "_warm_disk"};
  return std::string(to_string(hot)) + warms[static_cast<int>(warm)] + "_cold_" +
         std::string(to_string(cold));
}

INSTANTIATE_TEST_SUITE_P(
    All, Model,
    ::testing::Combine(::testing::Values(HotType::memory, HotType::sqlite, HotType::rocksdb),
                       ::testing::Values(WarmKind::off, WarmKind::memory, WarmKind::disk),
                       ::testing::Values(ColdType::memory, ColdType::filesystem)),
    name_of);
INSTANTIATE_TEST_SUITE_P(Shared, Model,
                         ::testing::Combine(::testing::Values(HotType::postgres),
                                            ::testing::Values(WarmKind::memory),
                                            ::testing::Values(ColdType::memory)),
                         name_of);
INSTANTIATE_TEST_SUITE_P(All, EncryptedModel,
                         ::testing::Values(Combination{HotType::memory, WarmKind::memory, ColdType::memory},
                                           Combination{HotType::sqlite, WarmKind::off, ColdType::memory},
                                           Combination{HotType::sqlite, WarmKind::memory, ColdType::memory},
                                           Combination{HotType::sqlite, WarmKind::disk, ColdType::filesystem},
                                           Combination{HotType::rocksdb, WarmKind::disk, ColdType::memory}),
                         name_of);
INSTANTIATE_TEST_SUITE_P(Shared, EncryptedModel,
                         ::testing::Values(Combination{HotType::postgres, WarmKind::memory,
                                                       ColdType::memory}),
                         name_of);

}  // namespace
}  // namespace db4::testing
