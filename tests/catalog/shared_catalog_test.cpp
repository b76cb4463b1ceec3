// What several nodes change in one catalogue at the same moment: over an engine in memory that they share.
#include "catalog/catalog.hpp"
#include "catalog/keys.hpp"
#include "catalog/spaces.hpp"
#include "support/shared_memory_engine.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

namespace db4::catalog {
namespace {

using ::testing::IsEmpty;
using testing::SharedMemoryEngine;
using ::testing::SizeIs;

class SharedCatalogTest : public ::testing::Test {
 protected:
  struct Node {
    SharedMemoryEngine* engine = nullptr;
    std::unique_ptr<Catalog> catalog;
  };

  Node open() {
    auto engine = std::make_unique<SharedMemoryEngine>(shared_);
    Node node{.engine = engine.get(), .catalog = nullptr};
    node.catalog = std::make_unique<Catalog>(std::move(engine), clock_, *random_,
                                             CatalogOptions{.durability = Durability::none});
    return node;
  }

  static void write(Catalog& catalog, const std::string& id) {
    const std::string key = document_key("c", id);
    const auto before = catalog.find(key);
    Row after;
    after.version = before ? before->version + 1 : catalog.version_floor() + 1;
    after.size = 4;
    after.content_type = "text/plain";
    const detail::BlockRef block = detail::DocumentBlock::create("c", id, after.content_type, 4);
    std::memcpy(block->mutable_body(), "body", 4);
    block->version = after.version;
    ChangeSet set(catalog);
    set.change(key, before, std::move(after), block);
    ASSERT_TRUE(catalog.commit(set));
  }

  [[nodiscard]] KeyAccess accesses(const std::string& id, std::uint64_t count) const {
    return {.collection = "c", .id = id, .figures = {.count = count, .last_access = clock_->now()}};
  }
  static std::uint64_t count_of(const Catalog& catalog, const std::string& id) {
    return catalog.find_access(document_key("c", id)).value_or(AccessFigures{}).count;
  }

  std::shared_ptr<SimulatedClock> clock_ = std::make_shared<SimulatedClock>();
  std::shared_ptr<RandomSource> random_ = seeded_random(1);
  std::shared_ptr<SharedMemoryEngine::Shared> shared_ =
      std::make_shared<SharedMemoryEngine::Shared>(catalog_spaces());
};

TEST_F(SharedCatalogTest, FiguresThatTwoNodesAddAtOnceAddUp) {
  const Node a = open();
  const Node b = open();
  const std::vector<KeyAccess> three{accesses("x", 3), accesses("y", 3)};
  for (const std::string id : {"x", "y"}) write(*a.catalog, id);
  // Between what a read and what it writes, the first time where there are no figures yet, b adds its own.
  for (const std::uint64_t all_before : {0U, 8U}) {
    bool once = false;
    a.engine->set_after_get([&](std::uint8_t space, std::string_view key) {
      if (space != kAccess || id_of(key) != "x" || std::exchange(once, true)) return;
      const KeyAccess five = accesses("x", 5);
      EXPECT_THAT(b.catalog->merge_access({&five, 1}), IsEmpty());
    });
    EXPECT_THAT(a.catalog->merge_access(three), IsEmpty());
    a.engine->set_after_get({});
    EXPECT_EQ(count_of(*b.catalog, "x"), all_before + 8);
  }
  EXPECT_EQ(count_of(*b.catalog, "y"), 6U) << "what nobody touched was added once";
}

TEST_F(SharedCatalogTest, FiguresThatAlwaysChangeAreGivenBack) {
  const Node a = open();
  const Node b = open();
  for (const std::string id : {"busy", "calm"}) write(*a.catalog, id);
  std::uint64_t of_b = 0;
  a.engine->set_after_get([&](std::uint8_t space, std::string_view key) {
    if (space != kAccess || id_of(key) != "busy") return;
    const KeyAccess one = accesses("busy", 1);
    EXPECT_THAT(b.catalog->merge_access({&one, 1}), IsEmpty());
    ++of_b;
  });
  const std::vector<KeyAccess> both{accesses("busy", 7), accesses("calm", 7)};
  const std::vector<KeyAccess> left = a.catalog->merge_access(both);
  a.engine->set_after_get({});
  ASSERT_THAT(left, SizeIs(1));
  EXPECT_EQ(left[0].id, "busy");
  EXPECT_EQ(left[0].figures.count, 7U);
  EXPECT_EQ(count_of(*b.catalog, "busy"), of_b);
  EXPECT_EQ(count_of(*b.catalog, "calm"), 7U);
  EXPECT_THAT(a.catalog->merge_access(left), IsEmpty());
  EXPECT_EQ(count_of(*b.catalog, "busy"), of_b + 7);
}

TEST_F(SharedCatalogTest, NodesThatAddAllTheTimeLoseNothing) {
  constexpr int kNodes = 4;
  constexpr int kRounds = 200;
  const std::vector<std::string> ids{"p", "q", "r"};
  const Node first = open();
  for (const std::string& id : ids) write(*first.catalog, id);
  std::vector<std::thread> nodes;
  for (int i = 0; i < kNodes; ++i) {
    nodes.emplace_back([&, node = open()] {
      // Others get their turn between what is read and what is written, however few cores there are.
      node.engine->set_after_get([](std::uint8_t, std::string_view) { std::this_thread::yield(); });
      for (int round = 0; round < kRounds; ++round) {
        std::vector<KeyAccess> left;
        for (const std::string& id : ids) left.push_back(accesses(id, 1));
        while (!left.empty()) left = node.catalog->merge_access(left);
      }
    });
  }
  for (std::thread& node : nodes) node.join();
  for (const std::string& id : ids) {
    EXPECT_EQ(count_of(*first.catalog, id), static_cast<std::uint64_t>(kNodes * kRounds)) << id;
  }
}

TEST_F(SharedCatalogTest, ANodeThatChangedNothingLeavesNothingWhenItCloses) {
  const auto nodes = [this] {
    return shared_->engine->scan({.space = kMeta, .begin = "node/", .end = "node0"}).size();
  };
  const Node reader = open();
  const Node writer = open();
  EXPECT_EQ(nodes(), 2U);
  write(*writer.catalog, "x");
  reader.catalog->close();
  EXPECT_FALSE(writer.catalog->registered(reader.catalog->node()));
  writer.catalog->close();
  EXPECT_EQ(nodes(), 1U) << "its changes are kept for those who may have missed some";

  clock_->advance(2h);
  const Node later = open();
  later.catalog->look_around();
  EXPECT_EQ(nodes(), 1U) << "then it goes, with them";
  EXPECT_TRUE(later.catalog->registered(later.catalog->node()));
  EXPECT_THAT(shared_->engine->scan({.space = kChanges}), IsEmpty());
}

}  // namespace
}  // namespace db4::catalog
