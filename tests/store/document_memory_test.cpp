// What was in an encrypted store's documents is nowhere in the process's memory once the store is closed and
// whoever read them has let go: the contents of a core dump.
#include "store/encryption_fixture.hpp"
#include "support/own_memory.hpp"

namespace db4::testing {
namespace {

using Combination = std::tuple<HotType, Compression>;

class DocumentMemoryTest : public ::testing::TestWithParam<Combination> {
 protected:
  void SetUp() override {
    if (kThreadSanitizer) GTEST_SKIP() << "ThreadSanitizer's own memory takes minutes to search";
  }
  std::unique_ptr<TieredStore> open() {
    const auto [hot, compression] = GetParam();
    TieredStoreConfig config{
        .hot = {.type = hot, .path = folder_.path() / "hot", .inline_body_size = 256},
        .warm = {.type = WarmType::disk, .path = folder_.path() / "warm"},
        .cold = {.type = ColdType::filesystem, .path = folder_.path() / "cold", .compression = compression},
        .tiering = {.interval = 0ms},
        .live = {.enabled = false}};
    config.encryption = std::make_shared<EncryptionManager>(EncryptionConfig{.master_key = master_}, clock_);
    return std::make_unique<TieredStore>(config, Components{.clock = clock_});
  }
  /// The canary between other text, in memory that is wiped.
  template <typename Use>
  void with_text(std::string_view before, std::string_view after, std::size_t times, const Use& use) const {
    std::string text;
    text.reserve((before.size() + canary_.size() + after.size()) * times);  // no growth leaves copies behind
    for (std::size_t i = 0; i < times; ++i) {
      text.append(before);
      canary_.append_to(text);
      text.append(after);
    }
    use(std::string_view(text));
    ::explicit_bzero(text.data(), text.size());
  }
  void write_all(TieredStore& store) const {
    for (int i = 0; i < 30; ++i) {
      const std::string id = std::to_string(i);
      with_text(id + " in some bytes: ", std::string(i % 3 * 400, 'x'), 1,
                [&](std::string_view text) { store.write_bytes("bytes", id, as_bytes(text)); });
      with_text(R"({"id":)" + id + R"(,"text":")", R"("})", 1,
                [&](std::string_view text) { store.write_json_text("json", id, text); });
    }
    with_text("large ", " document", 100'000, [&](std::string_view text) {
      store.cold_storage().write_large("bytes", "large", ByteSource::bytes(as_bytes(text)));
    });
  }
  static void read_all(TieredStore& store) {
    for (const char* collection : {"bytes", "json"}) {
      for (int i = 0; i < 30; ++i) ASSERT_TRUE(store.read(collection, std::to_string(i)));
    }
    std::uint64_t bytes = 0;
    store.cold_storage().read_large("bytes", "large", [&](ByteView piece) { bytes += piece.size(); });
    EXPECT_GT(bytes, 1'000'000U);
    EXPECT_TRUE(store.read("bytes", "large"));
  }

  const Needle canary_ = Needle::random(24);
  const TemporaryFolder folder_;
  const std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>(system_clock()->now());
  const MasterKey master_ = generate_master_key();
};

INSTANTIATE_TEST_SUITE_P(All, DocumentMemoryTest,
                         ::testing::Values(Combination{HotType::sqlite, Compression::zstd},
                                           Combination{HotType::rocksdb, Compression::zstd},
                                           Combination{HotType::sqlite, Compression::gzip},
                                           Combination{HotType::sqlite, Compression::none}),
                         [](const auto& suite) {
                           return std::string(to_string(std::get<0>(suite.param))) + "_" +
                                  std::string(to_string(std::get<1>(suite.param)));
                         });

TEST_P(DocumentMemoryTest, IsGoneFromMemoryOnceTheStoreIsClosed) {
  {
    const auto store = open();
    write_all(*store);
    read_all(*store);
    EXPECT_GE(count_in_memory(canary_), 30) << "the search finds what is there";
    clock_->advance(48h);
    EXPECT_TRUE(store->run_tiering().errors.empty());
    read_all(*store);
    for (int i = 0; i < 10; ++i) store->promote("bytes", std::to_string(i), StorageTier::warm);
    for (int i = 10; i < 20; ++i) store->promote("json", std::to_string(i), StorageTier::hot);
    read_all(*store);
    store->encryption()->rotate_key();
    EXPECT_EQ(store->reencrypt().failed, 0U);
    store->cold_storage().compact();
    read_all(*store);
    store->close();
  }
  EXPECT_EQ(count_in_memory(canary_), 0);
}

}  // namespace
}  // namespace db4::testing
