#include "hot/block_index.hpp"

#include "hot/cache_blocks.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

namespace db4::hot {
namespace {

using detail::BlockRef;

// Hashes that crowd: few homes, few tags, at the end of the table as well, so that clusters wrap around.
std::uint64_t crowded_hash(std::mt19937_64& random) {
  const std::uint64_t home = random() % 3 == 0 ? 0xFFFF'FFFF - random() % 4 : random() % 24;
  return home | (random() % 3) << 40;
}

TEST(BlockIndex, AgreesWithAMapWhileKeysCrowd) {
  for (const std::uint64_t seed : {1U, 2U, 3U}) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random(seed);
    std::vector<BlockRef> blocks;
    for (int i = 0; i < 150; ++i) {
      blocks.push_back(make_block_with_hash("id" + std::to_string(i), 1, crowded_hash(random)));
    }
    BlockIndex index;
    std::map<std::size_t, bool> present;
    for (int step = 0; step < 20'000; ++step) {
      const std::size_t at = random() % blocks.size();
      detail::DocumentBlock& block = *blocks[at];
      BlockIndex::Slot* slot = index.find(block.hash, block.key());
      ASSERT_EQ(slot != nullptr, present[at]) << "step " << step;
      if (slot != nullptr) {
        ASSERT_EQ(BlockIndex::block(*slot), &block);
        index.erase(slot);
      } else {
        ASSERT_TRUE(index.reserve_one(block.hash));
        index.insert(&block, 0);
      }
      present[at] = slot == nullptr;
    }
    for (std::size_t at = 0; at < blocks.size(); ++at) {
      EXPECT_EQ(index.find(blocks[at]->hash, blocks[at]->key()) != nullptr, present[at]);
    }
  }
}

TEST(BlockIndex, EqualHashesDoNotMakeItGrowWithoutEnd) {
  BlockIndex index;
  std::vector<BlockRef> blocks;
  int refused = 0;
  for (int i = 0; i < 2'000; ++i) {
    blocks.push_back(make_block_with_hash("id" + std::to_string(i), 1, 42));
    if (index.reserve_one(42)) {
      index.insert(blocks.back().get(), 0);
    } else {
      ++refused;
    }
  }
  EXPECT_GE(refused, 1'700);
  EXPECT_LE(index.capacity(), 8'192U);
  EXPECT_NE(index.find(42, blocks[100]->key()), nullptr);
  EXPECT_EQ(index.find(42, blocks[1'999]->key()), nullptr);
}

TEST(BlockIndex, KeepsFlagsWhileSlotsMove) {
  BlockIndex index;
  std::vector<BlockRef> blocks;
  for (std::uint64_t i = 0; i < 300; ++i) {
    blocks.push_back(make_block("id" + std::to_string(i), 1));
    ASSERT_TRUE(index.reserve_one(blocks.back()->hash));
    index.insert(blocks.back().get(), i % 2 == 0 ? BlockIndex::kMain : BlockIndex::kUsed);
  }
  for (std::size_t i = 0; i < 300; i += 3) index.erase(index.find(blocks[i]->hash, blocks[i]->key()));
  for (std::size_t i = 0; i < 300; ++i) {
    const BlockIndex::Slot* slot = index.find(blocks[i]->hash, blocks[i]->key());
    ASSERT_EQ(slot == nullptr, i % 3 == 0);
    if (slot == nullptr) continue;
    EXPECT_EQ(*slot & 0xF, i % 2 == 0 ? BlockIndex::kMain : BlockIndex::kUsed);
  }
}

}  // namespace
}  // namespace db4::hot
